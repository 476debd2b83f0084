/** The command line → what is wanted, or what is wrong with it. */
import { parseArgs } from "node:util";
import { optionRows } from "../config/options.ts";
import { suggest } from "../config/suggest.ts";
import { shortened } from "../config/ini.ts";
import { commands, commonFlags, synopsis } from "./commands.ts";
import type { Command, CommandFlag } from "./commands.ts";

export type Invocation =
  | { readonly kind: "help"; readonly command: Command | undefined }
  | { readonly kind: "version" }
  | { readonly kind: "usage"; readonly message: string }
  | {
      readonly kind: "run";
      readonly command: Command;
      readonly operands: readonly string[];
      readonly flags: ReadonlySet<CommandFlag["name"]>;
      /** Of flags that take one. */
      readonly values: ReadonlyMap<CommandFlag["name"], string>;
      /** Of `--config`. */
      readonly configFile: string | undefined;
      /** Options of the table by flag name. */
      readonly settings: Readonly<Record<string, string>>;
    };

type Switches = Record<string, { type: "string" | "boolean"; short?: string }>;

/** `words`: the arguments behind the program's name. */
export function parseArguments(words: readonly string[]): Invocation {
  const known = switches();
  // Not strict: the messages of parseArgs do not know what was meant.
  const { tokens } = parseArgs({
    args: [...words],
    options: known,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const positionals = tokens.flatMap((token) => (token.kind === "positional" ? [token.value] : []));
  const command = findCommand(positionals);
  const given = new Map<string, string | undefined>();
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const message = wrongOption(token, { known, given });
    if (message !== undefined) return { kind: "usage", message };
    given.set(token.name, token.value);
  }
  if (given.has("help")) return { kind: "help", command };
  if (given.has("version")) return { kind: "version" };
  if (command === undefined) return { kind: "usage", message: noCommand(positionals) };

  const operands = positionals.slice(command.name.split(" ").length);
  const flags = new Set(command.flags.map((flag) => flag.name).filter((name) => given.has(name)));
  const values = new Map<CommandFlag["name"], string>();
  for (const { name } of command.flags) {
    const value = given.get(name);
    if (value !== undefined) values.set(name, value);
  }
  const message = wrongUse(command, { operands, given });
  if (message !== undefined) return { kind: "usage", message };
  const settings: Record<string, string> = {};
  for (const { flag } of optionRows) {
    const value = given.get(flag);
    if (value !== undefined) settings[flag] = value;
  }
  const configFile = given.get("config");
  return { kind: "run", command, operands, flags, values, configFile, settings };
}

function switches(): Switches {
  const known: Switches = {};
  for (const { flag } of optionRows) known[flag] = { type: "string" };
  for (const { name, short, value } of commonFlags) {
    const type = value === undefined ? "boolean" : "string";
    known[name] = short === undefined ? { type } : { type, short };
  }
  for (const { name, short, value } of commands.flatMap((command) => command.flags)) {
    const type = value === undefined ? "boolean" : "string";
    known[name] = short === undefined ? { type } : { type, short };
  }
  return known;
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value: string | undefined;
  readonly inlineValue: boolean | undefined;
}

function wrongOption(
  { name, rawName, value, inlineValue }: OptionToken,
  { known, given }: { known: Switches; given: ReadonlyMap<string, unknown> },
): string | undefined {
  if (!Object.hasOwn(known, name)) {
    const best = suggest(name, Object.keys(known));
    const instead = best === undefined ? "see apt-p2p --help" : `did you mean --${best}?`;
    return `there is no option ${shortened(rawName)}; ${instead}`;
  }
  if (given.has(name) && name !== "help" && name !== "version") return `${rawName} is given twice`;
  if (known[name]?.type === "boolean") {
    return value === undefined ? undefined : `${rawName} takes no value`;
  }
  const accepted = acceptedBy(name);
  if (value === undefined || (inlineValue === false && /^-./.test(value))) {
    return `${rawName} needs a value: ${accepted}`;
  }
  return undefined;
}

function acceptedBy(name: string): string {
  const option = optionRows.find((row) => row.flag === name)?.option.kind.accepted;
  const flag = commands.flatMap(({ flags }) => flags).find((each) => each.name === name)?.value;
  return option ?? flag ?? "a file";
}

function findCommand(positionals: readonly string[]): Command | undefined {
  return commands.find((command) =>
    command.name.split(" ").every((word, index) => positionals[index] === word),
  );
}

function noCommand([first, second]: readonly string[]): string {
  if (first === undefined) return "a command is missing; see apt-p2p --help";
  const group = commands.filter((command) => command.name.startsWith(`${first} `));
  if (group.length > 0) {
    const choices = group.map((command) => command.name.slice(first.length + 1));
    const best = second === undefined ? undefined : suggest(second, choices);
    if (best !== undefined)
      return `there is no command ${shortened(`${first} ${second ?? ""}`)}; did you mean ${first} ${best}?`;
    return `apt-p2p ${first} needs one of: ${choices.join(", ")}`;
  }
  const names = [...new Set(commands.map((command) => command.name.split(" ")[0] ?? ""))];
  const best = suggest(first, names);
  const instead = best === undefined ? `commands are ${names.join(", ")}` : `did you mean ${best}?`;
  return `there is no command ${shortened(first)}; ${instead}`;
}

function wrongUse(
  command: Command,
  { operands, given }: { operands: readonly string[]; given: ReadonlyMap<string, unknown> },
): string | undefined {
  const allowed = command.flags.map((flag) => flag.name);
  for (const flag of commands.flatMap((each) => each.flags)) {
    if (given.has(flag.name) && !allowed.includes(flag.name)) {
      return `apt-p2p ${command.name} has no option --${flag.name}`;
    }
  }
  const usage = `use: ${synopsis(command)}`;
  if (operands.length < command.operands.min) return `something is missing; ${usage}`;
  const extra = operands[command.operands.max];
  if (extra !== undefined) return `"${shortened(extra)}" is too much; ${usage}`;
  if (given.has("all") && operands.length > 0)
    return `--all and a name exclude one another; ${usage}`;
  return undefined;
}
