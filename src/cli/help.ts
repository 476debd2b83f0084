/** The texts of `--help`, from the command table, the option table and the exit code table. */
import { optionRows, sectionTitles, shownDefault } from "../config/options.ts";
import type { OptionRow } from "../config/options.ts";
import { commands, commonFlags, synopsis } from "./commands.ts";
import type { Command } from "./commands.ts";
import { exitCodes } from "./exit-codes.ts";
import { columns, wrap } from "./text.ts";

export function programHelp(): string {
  return [
    "apt-p2p: a caching, verifying proxy for apt on every machine",
    "",
    "Usage: apt-p2p COMMAND [OPTION…]",
    "",
    "Commands:",
    ...columns(commands.map((command) => [shortSynopsis(command), command.summary])),
    "",
    "Options of every command:",
    ...columns(commonRows()),
    "",
    ...settingsHelp(),
    "",
    "Exit status:",
    ...columns(Object.values(exitCodes).map(({ code, text }) => [String(code), text])),
    "",
    "Files: /etc/apt-p2p/apt-p2p.conf, /etc/apt-p2p/conf.d/*.conf; see apt-p2p.conf(5), apt-p2p(8).",
    "",
  ].join("\n");
}

export function commandHelp(command: Command): string {
  const flags = command.flags.map((flag) => [`--${flag.name}`, flag.help]);
  const daemonAlone = command.name === "daemon" || command.name.startsWith("config ");
  return [
    `Usage: ${synopsis(command)}`,
    "",
    ...wrap(`${capital(command.summary)}. ${command.text}`, 78),
    "",
    "Options:",
    ...columns([...flags, ...commonRows()]),
    "",
    ...(daemonAlone
      ? settingsHelp()
      : wrap("It also takes the daemon's settings; --state-dir says which daemon is meant.", 78)),
    "",
  ].join("\n");
}

function shortSynopsis(command: Command): string {
  return `${command.name} ${command.operands.synopsis}`.trimEnd();
}

function commonRows(): string[][] {
  return commonFlags.map(({ name, short, value, help }) => {
    const long = value === undefined ? `--${name}` : `--${name} ${value}`;
    return [short === undefined ? long : `-${short}, ${long}`, help];
  });
}

function settingsHelp(): string[] {
  const lines = ["Settings (also in the file, and in the environment as APT_P2P_SECTION_NAME):"];
  let section: OptionRow["section"] | undefined;
  const rows = optionRows.map((row) => [
    `--${row.flag} ${row.option.kind.placeholder}`,
    helpOf(row),
  ]);
  for (const [index, text] of columns(rows).entries()) {
    const row = optionRows[index];
    if (row !== undefined && row.section !== section) {
      section = row.section;
      lines.push(` ${sectionTitles[section]} [${section}]:`);
    }
    lines.push(text);
  }
  return lines;
}

function helpOf(row: OptionRow): string {
  const text = shownDefault(row);
  return text === "" ? row.option.help : `${row.option.help} (${text})`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
