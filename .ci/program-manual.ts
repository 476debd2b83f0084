/** What the tables of the program give to apt-p2p(8); the rest of its text is manual/apt-p2p.8.md. */
import { commands, commonFlags } from "../src/cli/commands.ts";
import type { Command, CommandFlag } from "../src/cli/commands.ts";
import { exitCodes } from "../src/cli/exit-codes.ts";
import { optionRows } from "../src/config/options.ts";
import type { Inserts } from "./markdown.ts";
import { capital, reloadableNames } from "./option-texts.ts";
import { bold, italic, item, plain } from "./roff.ts";

export function programInserts(): Inserts {
  return {
    commands: commands.map(commandItem).join("\n"),
    "common-options": commonFlags
      .map((flag) => item(flagTerm(flag), plain(`${capital(flag.help)}.`)))
      .join("\n"),
    options: optionRows
      .map(({ flag, option }) =>
        item(
          `${bold(`--${flag}`)} ${italic(option.kind.placeholder)}`,
          plain(`${capital(option.help)}.`),
        ),
      )
      .join("\n"),
    "exit-status": Object.values(exitCodes)
      .map(({ code, text }) => item(bold(String(code)), plain(`${capital(text)}.`)))
      .join("\n"),
    hup: hup(),
  };
}

function commandItem({ name, flags, operands, summary, text }: Command): string {
  const given = operands.synopsis.replace(/[A-Z]+\d*/g, (word) => italic(word)).replace("…", "...");
  const term = [bold(name), ...flags.map((flag) => `[${flagTerm(flag, "|")}]`), given];
  const explained = flags.map((flag) => item(flagTerm(flag), plain(`${capital(flag.help)}.`)));
  const below = explained.length === 0 ? [] : [".RS", ...explained, ".RE"];
  const lines = item(term.join(" ").trimEnd(), plain(`${capital(summary)}. ${text}`.trimEnd()));
  return [lines, ...below].join("\n");
}

type AnyFlag = Pick<CommandFlag, "help"> & {
  readonly name: string;
  readonly short?: string | undefined;
  readonly value?: string | undefined;
};

function flagTerm({ name, short, value }: AnyFlag, between = ", "): string {
  const long = value === undefined ? bold(`--${name}`) : `${bold(`--${name}`)} ${italic(value)}`;
  return short === undefined ? long : `${bold(`-${short}`)}${between}${long}`;
}

function hup(): string {
  const names = reloadableNames();
  return item(
    bold("SIGHUP"),
    `Reads the configuration again (${bold("systemctl reload apt-p2p")}). New values of ${names.map(bold).join(", ")} count from then on; all others need a restart. A configuration with errors changes nothing, and the log says so.`,
  );
}
