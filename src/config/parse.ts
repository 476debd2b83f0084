/**
 * Files, environment and flags → one `Config`, or everything that is wrong with them.
 *
 * Later sources win: defaults, files in their order, environment, flags. A value that a later source
 * overrides is checked all the same, and nothing stops at the first problem, so that one run of
 * `apt-p2p config check` shows all of them. Reading files is the caller's work.
 */
import { checkCombinations } from "./combinations.ts";
import { parseIni, shortened } from "./ini.ts";
import { optionRows, sectionTitles, variablePrefix } from "./options.ts";
import type { Config, DefaultsContext, OptionRow } from "./options.ts";
import { optionName } from "./problems.ts";
import type { Origin, Problem } from "./problems.ts";
import type { Setting } from "./settings.ts";
import { suggest } from "./suggest.ts";

export interface ConfigSources {
  /** In the order in which they count. */
  readonly files: readonly { readonly path: string; readonly text: string }[];
  /** All of it; what does not begin with APT_P2P_ is not looked at. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** By flag name without dashes (`cache-dir`). */
  readonly flags: Readonly<Record<string, string>>;
  readonly context: DefaultsContext;
}

export type ConfigResult =
  | {
      readonly config: Config;
      /** One per option, in the table's order. */
      readonly settings: readonly Setting[];
      /** Legal, but hardly meant. */
      readonly warnings: readonly Problem[];
      readonly problems?: never;
    }
  | { readonly problems: readonly Problem[] };

export function parseConfig(sources: ConfigSources): ConfigResult {
  const problems: Problem[] = [];
  const given = [
    ...defaultSettings(sources.context, problems),
    ...sources.files.flatMap((file) => fileSettings(file, problems)),
    ...environmentSettings(sources.environment, problems),
    ...flagSettings(sources.flags, problems),
  ];
  const effective = new Map<OptionRow, Setting>();
  const values = new Map<OptionRow, unknown>();
  for (const setting of given) {
    const parsed = setting.row.option.kind.parse(setting.text);
    effective.set(setting.row, setting);
    if ("value" in parsed) values.set(setting.row, parsed.value);
    else problems.push(wrongValue(setting, parsed.hint));
  }
  if (problems.length > 0) return { problems };

  const settings = optionRows.flatMap((row) => effective.get(row) ?? []);
  const config = assemble(values);
  const combined = checkCombinations(config, settings);
  if (combined.problems.length > 0) return { problems: combined.problems };
  return { config, settings, warnings: combined.warnings };
}

function defaultSettings(context: DefaultsContext, problems: Problem[]): Setting[] {
  const origin: Origin = { kind: "default" };
  return optionRows.flatMap((row) => {
    const given = row.option.default;
    const text = typeof given === "string" ? given : given.of(context);
    if (text !== undefined) return [{ row, text, origin }];
    const message = `there is no home directory to put it in; set it, for example with --${row.flag}`;
    problems.push({ origin, option: optionName(row), value: undefined, message });
    return [];
  });
}

function fileSettings(
  file: { readonly path: string; readonly text: string },
  problems: Problem[],
): Setting[] {
  const ini = parseIni(file.text);
  const at = (line: number): Origin => ({ kind: "file", path: file.path, line });
  for (const { line, message } of ini.problems) {
    problems.push({ origin: at(line), option: undefined, value: undefined, message });
  }
  for (const { name, line } of ini.sections) {
    if (Object.hasOwn(sectionTitles, name)) continue;
    problems.push({
      origin: at(line),
      option: `[${shortened(name)}]`,
      value: undefined,
      message: `there is no such section; ${meant(name, Object.keys(sectionTitles), "sections are")}`,
    });
  }
  const firstLines = new Map<OptionRow, number>();
  return ini.entries.flatMap(({ section, key, value, line }) => {
    if (!Object.hasOwn(sectionTitles, section)) return [];
    const row = optionRows.find((each) => each.section === section && each.name === key);
    const problem = { origin: at(line), option: `[${section}] ${shortened(key)}` };
    if (row === undefined) {
      problems.push({ ...problem, value: shortened(value), message: unknownKey(section, key) });
      return [];
    }
    const first = firstLines.get(row);
    firstLines.set(row, first ?? line);
    if (first === undefined) return [{ row, text: value, origin: at(line) }];
    const message = `it has already been set on line ${first}; lists are written on one line, with commas`;
    problems.push({ ...problem, value: shortened(value), message });
    return [];
  });
}

function environmentSettings(
  environment: ConfigSources["environment"],
  problems: Problem[],
): Setting[] {
  return Object.entries(environment).flatMap(([variable, text]) => {
    if (!variable.startsWith(variablePrefix) || text === undefined) return [];
    const row = optionRows.find((each) => each.variable === variable);
    const origin: Origin = { kind: "environment", variable };
    if (row !== undefined) return [{ row, text: text.trim(), origin }];
    const known = optionRows.map((each) => each.variable);
    const message = `there is no such option; ${meant(variable, known, "the variables are")}`;
    problems.push({ origin, option: undefined, value: undefined, message });
    return [];
  });
}

function flagSettings(flags: ConfigSources["flags"], problems: Problem[]): Setting[] {
  return Object.entries(flags).flatMap(([flag, text]) => {
    const row = optionRows.find((each) => each.flag === flag);
    const origin: Origin = { kind: "flag", flag };
    if (row !== undefined) return [{ row, text: text.trim(), origin }];
    const known = optionRows.map((each) => each.flag);
    const message = `there is no such option; ${meant(flag, known, "the options are")}`;
    problems.push({ origin, option: undefined, value: undefined, message });
    return [];
  });
}

function wrongValue({ row, text, origin }: Setting, hint: string | undefined): Problem {
  const instead = hint === undefined ? "" : ` (${hint})`;
  const message = `expected ${row.option.kind.accepted}${instead}`;
  return { origin, option: optionName(row), value: shortened(text), message };
}

function unknownKey(section: string, key: string): string {
  const elsewhere = optionRows.find((row) => row.name === key);
  if (elsewhere !== undefined) return `this option belongs into [${elsewhere.section}]`;
  const names = optionRows.filter((row) => row.section === section).map((row) => row.name);
  return `there is no such option; ${meant(key, names, `[${section}] has`)}`;
}

/** Names the candidate that was probably meant, or all of them. */
function meant(word: string, candidates: readonly string[], introduction: string): string {
  const best = suggest(word, candidates);
  if (best !== undefined) return `did you mean "${best}"?`;
  return `${introduction} ${candidates.join(", ")}`;
}

/** The only place that knows that the table's rows and the type `Config` have the same shape. */
function assemble(values: ReadonlyMap<OptionRow, unknown>): Config {
  const config: Record<string, Record<string, unknown>> = {};
  for (const row of optionRows) {
    const section = (config[row.section] ??= {});
    section[row.property] = values.get(row);
  }
  for (const section of Object.values(config)) Object.freeze(section);
  return Object.freeze(config) as unknown as Config;
}
