/** Options as they were written, with where: what `config show` prints. */
import type { OptionRow } from "./options.ts";
import { originText } from "./problems.ts";
import type { Origin } from "./problems.ts";

/** The value that counts for one option, as it was written, and where. */
export interface Setting {
  readonly row: OptionRow;
  readonly text: string;
  readonly origin: Origin;
}

/** The settings as a file that would give the same configuration; the origin in a comment. */
export function settingsText(settings: readonly Setting[]): string {
  const lines: string[] = [];
  let section: string | undefined;
  for (const { row, text, origin } of settings) {
    if (row.section !== section)
      lines.push(...(section === undefined ? [] : [""]), `[${row.section}]`);
    section = row.section;
    lines.push(`${`${row.name} = ${text}`.trimEnd().padEnd(44)}  # ${originText(origin)}`);
  }
  return `${lines.join("\n")}\n`;
}
