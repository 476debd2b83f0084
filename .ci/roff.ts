/** Manual pages in the man(7) macros: the few that groff and mandoc both set well. */

/** A text in which nothing is a command: backslashes, hyphens, and lines that begin with . or '. */
export function plain(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("…", "\\&...")
    .replace(/^(?=[.'])/gm, "\\&");
}

export function bold(text: string): string {
  return `\\fB${plain(text)}\\fR`;
}

export function italic(text: string): string {
  return `\\fI${plain(text)}\\fR`;
}

export interface Page {
  readonly name: string;
  readonly section: number;
  /** What stands in the middle of the foot. */
  readonly source: string;
  readonly manual: string;
  readonly parts: readonly string[];
}

export function page({ name, section, source, manual, parts }: Page): string {
  const title = `.TH ${plain(name.toUpperCase())} ${section} "" "${plain(source)}" "${plain(manual)}"`;
  const note = '.\\" Made by `npm run gen` from the tables in src; changes here are lost.';
  // Hyphens in broken paths and option names would be read as part of them.
  return `${[note, title, ".nh", ...parts].join("\n")}\n`;
}

/** Paragraphs are given in roff already. */
export function section(title: string, ...paragraphs: readonly string[]): string {
  // Names in brackets are to be typed as they are.
  const shown = title.startsWith("[") ? title : title.toUpperCase();
  return [`.SH ${plain(shown)}`, paragraphs.join("\n.PP\n")].join("\n");
}

/** A term and what it means; both in roff. */
export function item(term: string, ...paragraphs: readonly string[]): string {
  return [".TP", term, paragraphs.join("\n.IP\n")].join("\n");
}

/** Items follow their paragraph without a gap of their own. */
export function items(introduction: string, terms: readonly string[]): string {
  return [introduction, ...terms].filter((part) => part !== "").join("\n");
}

/** Lines as they are. */
export function example(lines: readonly string[]): string {
  return [
    ".RS 4",
    ".nf",
    ...lines.map((line) => (line === "" ? "\\&" : plain(line))),
    ".fi",
    ".RE",
  ].join("\n");
}
