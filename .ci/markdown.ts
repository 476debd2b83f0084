/**
 * Markdown → roff: the subset in which PROTOCOL.md and the manual pages' own texts are written.
 * What is outside of it is an error that names the line, so nothing gets lost on the way.
 *
 *     # Title   ## Section   ### Part          paragraphs        - points, one level
 *     | tables |                               four blanks: lines as they are
 *     term                                     **bold**  *italic*  `as typed`  [text](link)
 *     : what it means
 *     {{name}}                                 what a table of the program says, given by name
 */
import { bold, example, heading, item, italic, plain, point, subheading, table } from "./roff.ts";
import type { Cell, Word } from "./roff.ts";

/** Name → roff that stands in place of a line `{{name}}`. */
export type Inserts = Readonly<Record<string, string>>;

/** The document in roff, without its title. Throws where it leaves the subset. */
export function markdownToRoff(text: string, inserts: Inserts = {}): string[] {
  const reader = new Reader(text);
  const parts: string[] = [];
  for (let lines = reader.block(); lines !== undefined; lines = reader.block()) {
    const [first = ""] = lines;
    if (!first.startsWith("# ")) parts.push(block(lines, { inserts, line: reader.line }));
  }
  return parts;
}

/** Cuts a document into blocks: neighbouring lines of one kind. */
class Reader {
  readonly #lines: readonly string[];
  #next = 0;
  /** Of the block that was given last; from 1. */
  line = 0;

  constructor(text: string) {
    this.#lines = text.split("\n");
  }

  block(): readonly string[] | undefined {
    while (this.#lines[this.#next] === "") this.#next += 1;
    const first = this.#lines[this.#next];
    if (first === undefined) return undefined;
    const start = this.#next;
    this.line = start + 1;
    do this.#next += 1;
    while (this.#belongs(first));
    return this.#lines.slice(start, this.#next);
  }

  #belongs(first: string): boolean {
    const line = this.#lines[this.#next];
    if (line === undefined || first.startsWith("#")) return false;
    // Blank lines within an example are part of it.
    if (first.startsWith("    ")) {
      const coming = this.#lines.slice(this.#next).find((each) => each !== "");
      return line.startsWith("    ") || (line === "" && coming?.startsWith("    ") === true);
    }
    if (line === "" || line.startsWith("#")) return false;
    return isPoint(first) || !isPoint(line);
  }
}

interface Place {
  readonly inserts: Inserts;
  readonly line: number;
}

function block(lines: readonly string[], { inserts, line }: Place): string {
  const [first = "", second = ""] = lines;
  const title = /^(#+) (.+)$/.exec(first);
  if (title?.[1] === "##") return heading(title[2] ?? "");
  if (title?.[1] === "###") return subheading(inline(title[2] ?? ""));
  const insert = /^\{\{([\w-]+)\}\}$/.exec(first)?.[1];
  if (insert !== undefined && lines.length === 1) {
    const given = inserts[insert];
    if (given === undefined) throw new Error(`line ${line}: nothing is called ${insert}`);
    return given;
  }
  if (first.startsWith("    ")) return example(lines.flatMap((each) => broken(each.slice(4))));
  if (first.startsWith("| ")) return table(tableRows(lines, line));
  if (isPoint(first)) return points(lines).map(point).join("\n");
  if (second.startsWith(": ")) return item(inline(first), inline(definition(lines)));
  // Other things of Markdown, which would come out as something else.
  const strange = lines.find((each) => /^(?: |[>#]|\d+[.)] |```|<\w|!\[|[*+] |: )/.test(each));
  if (strange !== undefined) throw new Error(`line ${line}: not in the subset: ${strange}`);
  return `.PP\n${inline(lines.join(" "))}`;
}

function isPoint(line: string): boolean {
  return line.startsWith("- ");
}

/** Points and the lines that continue them. */
function points(lines: readonly string[]): string[] {
  const texts: string[] = [];
  for (const line of lines) {
    if (isPoint(line)) texts.push(line.slice(2));
    else texts.push(`${texts.pop() ?? ""} ${line.trim()}`);
  }
  return texts.map(inline);
}

function definition([, ...lines]: readonly string[]): string {
  return lines.map((line) => line.replace(/^: | {2}/, "")).join(" ");
}

function tableRows(lines: readonly string[], line: number): Cell[][] {
  const [head = [], rule = [], ...rest] = lines.map((each) =>
    each
      .replace(/^\||\|$/g, "")
      .split("|")
      .map((cell) => cell.trim()),
  );
  if (!rule.every((cell) => /^-+$/.test(cell))) {
    throw new Error(`line ${line}: a table without a line of dashes`);
  }
  const wrong = rest.find((row) => row.length !== head.length);
  if (wrong !== undefined) throw new Error(`line ${line}: a row of ${wrong.length} cells`);
  return [head, ...rest].map((row) => row.map(words));
}

/** Longest line of an example: with its indent it fits a terminal of 80. */
const exampleColumns = 66;

/** A long line as several, of which all but the last end in a backslash. */
function broken(line: string): string[] {
  if (line.length <= exampleColumns) return [line];
  const end = exampleColumns - 1;
  return [`${line.slice(0, end)}\\`, ...broken(line.slice(end))];
}

const markup = /`([^`]+)`|\*\*(.+?)\*\*|\*(.+?)\*|\[([^\]]+)\]\(([^)\s]+)\)/g;

/** Text of one kind, and how it is set. */
interface Run {
  readonly text: string;
  readonly set: (text: string) => string;
}

function runs(text: string): Run[] {
  const found: Run[] = [];
  let end = 0;
  for (const match of text.matchAll(markup)) {
    const [whole, typed, strong, slanted, label = "", link] = match;
    found.push({ text: text.slice(end, match.index), set: prose });
    const thick = typed ?? strong;
    if (thick !== undefined) found.push({ text: thick, set: bold });
    else if (slanted !== undefined) found.push({ text: slanted, set: italic });
    else found.push({ text: label, set: label === link ? italic : plain });
    end = match.index + whole.length;
  }
  found.push({ text: text.slice(end), set: prose });
  return found.filter((run) => run.text !== "");
}

/** Running text: what is between the markup is prose. */
export function inline(text: string): string {
  return runs(text)
    .map((run, index) => guarded(run.set(run.text), index))
    .join("");
}

/** Only the beginning of a line needs the guard against commands. */
function guarded(roff: string, index: number): string {
  return index === 0 ? roff : roff.replace(/^\\&(?=[.'])/, "");
}

function prose(text: string): string {
  if (/`|\*\*/.test(text)) throw new Error(`markup that does not end: ${text}`);
  return plain(text);
}

/** For tables: words, each with the markup of its parts. */
function words(text: string): Cell {
  const found: Word[] = [];
  let open = false;
  for (const run of runs(text)) {
    for (const [index, part] of run.text.split(" ").entries()) {
      if (index > 0) open = false;
      if (part === "") continue;
      const before = open ? found.pop() : undefined;
      const roff = guarded(run.set(part), before === undefined ? 0 : 1);
      found.push({ text: `${before?.text ?? ""}${part}`, roff: `${before?.roff ?? ""}${roff}` });
      open = true;
    }
  }
  return found;
}
