/** What the option table gives to the sample file and the manual pages. */
import { wrap } from "../src/cli/text.ts";
import { optionRows, sectionTitles, shownDefault } from "../src/config/options.ts";
import type { OptionRow } from "../src/config/options.ts";
import type { Inserts } from "./markdown.ts";
import { bold, heading, italic, item, plain } from "./roff.ts";

const sections = Object.keys(sectionTitles) as OptionRow["section"][];

function rowsOf(name: string): readonly OptionRow[] {
  return optionRows.filter((row) => row.section === name);
}

/** etc/apt-p2p.conf: every option with its default, commented out. */
export function sampleFile(): string {
  const comment = (text: string): string[] => wrap(text, 96).map((line) => `# ${line}`);
  const lines = comment(
    "Configuration of apt-p2p; see apt-p2p.conf(5). Every option is shown with its default. Files conf.d/*.conf in this directory count more than this one, environment and command line more than files. Check changes with `apt-p2p config check`, then `systemctl restart apt-p2p`; `systemctl reload apt-p2p` is enough where an option says so.",
  );
  for (const name of sections) {
    lines.push("", "", ...comment(`${sectionTitles[name]}.`), `[${name}]`);
    for (const row of rowsOf(name)) {
      const { help, text, kind, reloadable } = row.option;
      const reload = reloadable === true ? " A reload is enough to change it." : "";
      lines.push(
        "",
        ...comment(`${capital(help)}. ${text}${reload}`),
        ...comment(`Accepted: ${kind.accepted}.`),
      );
      if (typeof row.option.default !== "string")
        lines.push(...comment(`Default: as below; ${row.option.default.explained}.`));
      lines.push(`#${row.name} = ${shownDefault(row)}`.trimEnd());
    }
  }
  return `${lines.join("\n")}\n`;
}

/** For apt-p2p.conf(5); the rest of its text is manual/apt-p2p.conf.5.md. */
export function optionInserts(): Inserts {
  const parts = sections.map((name) =>
    [
      heading(`[${name}]`),
      plain(`${sectionTitles[name]}.`),
      ...rowsOf(name).map((row) => optionItem(row)),
    ].join("\n"),
  );
  return { options: parts.join("\n"), reload: `.PP\n${reloadText()}` };
}

function optionItem(row: OptionRow): string {
  const { kind, help, text, reloadable } = row.option;
  const given = row.option.default;
  const shown = shownDefault(row);
  const others = typeof given === "string" ? "" : plain(`; ${given.explained}`);
  const reload = reloadable === true ? " SIGHUP gives a new value to the running daemon." : "";
  return item(
    `${bold(row.name)} = ${italic(kind.placeholder)}`,
    plain(`${capital(help)}. ${text}${reload}`),
    `${plain(`Accepted: ${kind.accepted}.`)} Default: ${shown === "" ? "empty" : bold(shown)}${others}.`,
  );
}

function reloadText(): string {
  const names = reloadableNames().map(bold).join(", ");
  return `Changes count after ${bold("systemctl restart apt-p2p")}. For ${names} also ${bold("systemctl reload apt-p2p")} is enough, which interrupts nothing.`;
}

/** Names of the options that a running daemon takes anew. */
export function reloadableNames(): readonly string[] {
  return optionRows.filter((row) => row.option.reloadable === true).map(({ name }) => name);
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
