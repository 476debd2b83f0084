/**
 * Paragraphs of `Field: value` lines with folded continuations (deb822(5), Debian Policy 5.1), for
 * small documents: Release, Packages.diff/Index, *.sources. Indexes have their own fast parsers.
 */

/** Lower-case field name → its lines, trimmed; the first one stood behind the colon. */
export type Paragraph = ReadonlyMap<string, readonly string[]>;

/** All paragraphs of a text. Comments (`#` in the first column) and lines without colon are skipped. */
export function parseParagraphs(text: string): Paragraph[] {
  const paragraphs: Paragraph[] = [];
  let fields = new Map<string, string[]>();
  let current: string[] | undefined;
  for (const raw of text.split("\n")) {
    const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    if (line === "") {
      if (fields.size > 0) paragraphs.push(fields);
      fields = new Map();
      current = undefined;
    } else if (line.startsWith(" ") || line.startsWith("\t")) {
      current?.push(line.trim());
    } else if (!line.startsWith("#")) {
      current = addField(fields, line);
    }
  }
  if (fields.size > 0) paragraphs.push(fields);
  return paragraphs;
}

/** The value of a field that has one line; undefined if it is absent or empty. */
export function oneLine(paragraph: Paragraph, field: string): string | undefined {
  const value = paragraph.get(field.toLowerCase())?.[0];
  return value === "" ? undefined : value;
}

/** All lines of a field, without empty ones; [] if it is absent. */
export function allLines(paragraph: Paragraph, field: string): readonly string[] {
  return (paragraph.get(field.toLowerCase()) ?? []).filter((line) => line !== "");
}

/** `yes` and `no` as apt reads them (StringToBool); undefined for anything else. */
export function parseYesNo(value: string | undefined): boolean | undefined {
  const lower = value?.toLowerCase();
  if (lower === undefined) return undefined;
  if (["yes", "true", "with", "on", "enable", "1"].includes(lower)) return true;
  if (["no", "false", "without", "off", "disable", "0"].includes(lower)) return false;
  return undefined;
}

function addField(fields: Map<string, string[]>, line: string): string[] | undefined {
  const colon = line.indexOf(":");
  if (colon < 1) return undefined;
  const lines = [line.slice(colon + 1).trim()];
  fields.set(line.slice(0, colon).trim().toLowerCase(), lines);
  return lines;
}
