/**
 * The configuration file's syntax, with line numbers: `[section]`, `key = value`, comments from `#`
 * or `;` at the start of a line or behind white space. No quotes, no escapes, no continued lines;
 * section and key names in any case. Every line that is none of these is a problem.
 */

export interface IniEntry {
  /** Lower case. */
  readonly section: string;
  /** Lower case. */
  readonly key: string;
  /** Without comment and white space around it; may be empty. */
  readonly value: string;
  /** From 1. */
  readonly line: number;
}

export interface IniProblem {
  readonly line: number;
  readonly message: string;
}

export interface IniFile {
  readonly entries: readonly IniEntry[];
  /** Section headers in order, also of sections without entries. */
  readonly sections: readonly { readonly name: string; readonly line: number }[];
  readonly problems: readonly IniProblem[];
}

export function parseIni(text: string): IniFile {
  const entries: IniEntry[] = [];
  const sections: { name: string; line: number }[] = [];
  const problems: IniProblem[] = [];
  for (const [index, raw] of text
    .replace(/^\uFEFF/, "")
    .split(/\r?\n/)
    .entries()) {
    const line = index + 1;
    const content = raw.replace(/(?:^|\s)[#;].*$/, "").trim();
    if (content === "") continue;
    const equals = content.indexOf("=");
    const section = sections.at(-1)?.name;
    if (content.startsWith("[") && content.endsWith("]")) {
      sections.push({ name: content.slice(1, -1).trim().toLowerCase(), line });
    } else if (equals <= 0 || content.startsWith("[")) {
      const wanted = "expected [section], key = value or # comment";
      problems.push({ line, message: `cannot read "${shortened(content)}"; ${wanted}` });
    } else if (section === undefined) {
      const message = `"${shortened(content)}" stands before the first [section]`;
      problems.push({ line, message });
    } else {
      const key = content.slice(0, equals).trim().toLowerCase();
      entries.push({ section, key, value: content.slice(equals + 1).trim(), line });
    }
  }
  return { entries, sections, problems };
}

/** A text as it may stand in a message: on one line, and not a page long. */
export function shortened(text: string): string {
  // Whatever a terminal might obey is shown, not sent.
  // eslint-disable-next-line no-control-regex
  const visible = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, "\uFFFD");
  return visible.length <= 80 ? visible : `${visible.slice(0, 79)}…`;
}
