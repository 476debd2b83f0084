/** Manual pages in the man(7) and tbl(1) macros: the few that groff and mandoc both set well. */

/** Prose in which nothing is a command: backslashes, hyphens, and lines that begin with . or '. */
export function plain(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("~", "\\(ti")
    .replaceAll("^", "\\(ha")
    .replaceAll("…", "\\&...")
    .replaceAll("–", "\\(en")
    .replace(/^(?=[.'])/gm, "\\&");
}

/** What is to be typed as it stands: its quotes stay straight as well. */
function literal(text: string): string {
  return plain(text)
    .replaceAll(/(?:\\&)?'/g, "\\(aq")
    .replaceAll("`", "\\(ga");
}

export function bold(text: string): string {
  return `\\fB${literal(text)}\\fR`;
}

export function italic(text: string): string {
  return `\\fI${literal(text)}\\fR`;
}

export interface Page {
  readonly name: string;
  readonly section: number;
  /** What stands in the middle of the foot. */
  readonly source: string;
  readonly manual: string;
  /** Where the page comes from, for who opens the file. */
  readonly madeFrom: string;
  readonly parts: readonly string[];
}

export function page({ name, section, source, manual, madeFrom, parts }: Page): string {
  const title = `.TH ${plain(name.toUpperCase())} ${section} "" "${plain(source)}" "${plain(manual)}"`;
  const note = `.\\" Made by \`npm run gen\` from ${madeFrom}; changes here are lost.`;
  // Headings bring a gap of their own.
  const body = parts.join("\n").replaceAll(/^(\.S[HS] .*)\n\.PP$/gm, "$1");
  // man(1) runs tbl only if the first line asks for it.
  const filters = /^\.TS$/m.test(body) ? ["'\\\" t"] : [];
  // Hyphens in broken paths and option names would be read as part of them.
  return `${[...filters, note, title, ".nh", body].join("\n")}\n`;
}

export function heading(title: string): string {
  // Names in brackets are to be typed as they are.
  return `.SH ${plain(title.startsWith("[") ? title : title.toUpperCase())}`;
}

export function subheading(title: string): string {
  return `.SS ${title}`;
}

/** A term and what it means; both in roff. */
export function item(term: string, ...paragraphs: readonly string[]): string {
  return [".TP", term, paragraphs.join("\n.IP\n")].join("\n");
}

/** A point of a list, in roff. */
export function point(text: string): string {
  return `.IP \\(bu 2\n${text}`;
}

/** Lines as they are. */
export function example(lines: readonly string[]): string {
  const set = (line: string): string => (line === "" ? "\\&" : literal(line));
  return [".PP", ".RS 4", ".nf", ...lines.map(set), ".fi", ".RE"].join("\n");
}

/** A word as it is seen, which gives its width, and in roff. */
export interface Word {
  readonly text: string;
  readonly roff: string;
}

export type Cell = readonly Word[];

/** Columns of text on a terminal of 80, beside man's indent. */
const tableColumns = 70;
const gapColumns = 2;

/**
 * The first row is the head. Cells that are too wide for their column go over several lines: tbl's own
 * text blocks would do that, too, but warn wherever a page happens to end in one.
 */
export function table(rows: readonly (readonly Cell[])[]): string {
  const widths = columnWidths(rows);
  const format = (style: string): string =>
    widths.map((width) => `l${style}w(${width}n)`).join(` ${gapColumns} `);
  const [head = "", ...rest] = rows.map((row) => rowLines(row, widths).join("\n"));
  // Without nokeep, tbl warns wherever a page happens to end in a table.
  const lines = ["nokeep;", `${format("b")}\n${format("")}.`, head, "_", ...rest];
  return [".PP", ".TS", ...lines, ".TE"].join("\n");
}

function rowLines(row: readonly Cell[], widths: readonly number[]): string[] {
  const cells = row.map((cell, column) => wrapped(cell, widths[column] ?? 0));
  const height = Math.max(1, ...cells.map(({ length }) => length));
  return Array.from({ length: height }, (_, line) =>
    cells.map((lines) => lines[line] ?? "").join("\t"),
  );
}

/** Words in lines of at most this width, or of one word. */
function wrapped(cell: Cell, width: number): string[] {
  const lines: string[] = [];
  let room = 0;
  for (const { text, roff } of cell) {
    // Alone, these would draw a line.
    const word = /^[_=]$/.test(text) ? `\\&${roff}` : roff;
    if (text.length < room) lines.push(`${lines.pop() ?? ""} ${word}`);
    else lines.push(word);
    room = (text.length < room ? room - 1 : width) - text.length;
  }
  return lines;
}

/** Widths that fit together: what is narrow keeps its own, the wide ones share what is left. */
function columnWidths(rows: readonly (readonly Cell[])[]): number[] {
  const columns = rows[0]?.map((_, column) => rows.map((row) => row[column] ?? [])) ?? [];
  const own = columns.map((cells) => Math.max(1, ...cells.map(cellWidth)));
  const longest = columns.map((cells) =>
    Math.max(1, ...cells.flat().map(({ text }) => text.length)),
  );
  let left = tableColumns - gapColumns * (columns.length - 1);
  const widths = own.map(() => 0);
  const order = own.map((_, column) => column).sort((a, b) => (own[a] ?? 0) - (own[b] ?? 0));
  for (const [index, column] of order.entries()) {
    const share = Math.floor(left / (order.length - index));
    const width = Math.min(own[column] ?? 0, Math.max(share, longest[column] ?? 0));
    widths[column] = width;
    left -= width;
  }
  return widths;
}

function cellWidth(cell: Cell): number {
  return cell.reduce((sum, { text }) => sum + text.length + 1, -1);
}
