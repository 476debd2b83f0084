/**
 * What a scenario file may say, and its reader. README.md explains it for users; what is accepted is
 * decided here alone.
 */
import { optionRows } from "../../src/config/options.ts";
import { duration, size } from "../../src/config/kinds.ts";
import type { Kind } from "../../src/config/kinds.ts";
import { suggest } from "../../src/config/suggest.ts";
import { liarKinds } from "../../test/swarm/liar.ts";
import {
  at,
  choice,
  dictionary,
  flag,
  known,
  list,
  matching,
  maybe,
  number,
  object,
  optional,
  refuse,
  required,
  ScenarioProblem,
  tagged,
  text,
  whole,
  written,
} from "./fields.ts";
import type { Field } from "./fields.ts";

/** A day: whoever waits longer has mistyped. */
const time = written(duration("0s", "1d"));
const span = written(duration("1ms", "1d"));
/** As many as a bridge has ports. */
const mostHosts = 1000;
const name = matching(/^[a-z][a-z0-9+.-]{0,39}$/, "a name of small letters, digits and + . -");

/** 10Mbit → 10; kbit and Gbit are known, too. */
const mbit: Kind<number> = {
  parse: (given) => {
    const match = /^(\d{1,9}(?:\.\d{1,3})?) ?([kmg])bit$/i.exec(given);
    const factor = { k: 1e-3, m: 1, g: 1e3 }[(match?.[2] ?? "").toLowerCase()];
    const value = Number(match?.[1]) * (factor ?? NaN);
    return value >= 0.008 && value <= 100_000 ? { value } : {};
  },
  accepted: "a rate from 8kbit to 100Gbit, such as 100Mbit",
  placeholder: "RATE",
  suffix: "",
};

const link = object({ up: maybe(written(mbit)), down: maybe(written(mbit)) });

/** Settings of the daemon by section, as its configuration file has them. */
export type Settings = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Names must be the daemon's; values are its own to judge, for they may have placeholders. */
const settings: Field<Settings> = (value, path) => {
  const sections = dictionary(dictionary(text))(value, path);
  known(sections, [...new Set(optionRows.map((row) => row.section))], path);
  for (const [section, lines] of Object.entries(sections)) {
    const names = optionRows.filter((row) => row.section === section).map((row) => row.name);
    known(lines, names, at(path, section));
  }
  return sections;
};

const archive = object({
  /** Packages that are made for the run. */
  packages: optional(list(object({ name: required(name), size: required(written(size)) })), []),
  /** So many more, p000 and so on, with sizes as Debian's. */
  realistic: optional(whole(0, 2000), 0),
  /** Instead: lines of sources.list, and the keyring that signs them, if apt has it not. */
  sources: optional(list(text), []),
  keyring: maybe(text),
});

const group = object({
  name: required(name),
  hosts: required(whole(1, mostHosts)),
  link: optional(link, { up: undefined, down: undefined }),
  /** Behind a router of its own. */
  nat: optional(choice(["none", "cone", "symmetric"]), "none"),
  /** It runs no daemon, but a peer that does this one thing wrong. */
  liar: maybe(choice(liarKinds)),
  settings: optional(settings, {}),
});

const arrivals = tagged("kind", {
  together: {},
  "one by one": {},
  uniform: { within: required(span) },
  poisson: { gap: required(span) },
  burst: { size: required(whole(1, mostHosts)), every: required(span) },
});

const common = {
  at: optional(time, 0),
  /** Names of groups or hosts, or all. */
  hosts: optional(list(text, 1), ["all"]),
  /** So many of them, chosen by the seed. */
  pick: maybe(number(0, mostHosts)),
  arrivals: optional(arrivals, { kind: "together" }),
  /** Its failure is part of the story. */
  mayFail: optional(flag, false),
};
const way = optional(choice(["daemon", "direct"]), "daemon");

const event = tagged("do", {
  update: { ...common, way },
  install: { ...common, way, packages: required(list(name, 1)) },
  get: { ...common, file: required(name) },
  share: { ...common, file: required(name), size: required(written(size)) },
  forget: common,
  start: common,
  stop: common,
  kill: common,
  restart: common,
  freeze: common,
  thaw: common,
  churn: { ...common, up: required(span), down: required(span), lasts: required(span) },
  partition: common,
  heal: common,
  link: { ...common, up: maybe(written(mbit)), down: maybe(written(mbit)) },
});

const phase = object({
  name: required(name),
  /** Its report shows figures: else it only prepares. */
  measured: optional(flag, true),
  events: required(list(event)),
  /** Quiet time after all of it has ended. */
  pause: optional(time, 0),
});

const scenario = object({
  name: required(name),
  about: optional(text, ""),
  archive: required(archive),
  network: optional(choice(["near", "far"]), "near"),
  mirror: optional(
    object({ up: maybe(written(mbit)), down: maybe(written(mbit)), roundTrip: optional(time, 0) }),
    { up: undefined, down: undefined, roundTrip: 0 },
  ),
  settings: optional(settings, {}),
  groups: required(list(group, 1)),
  phases: required(list(phase, 1)),
});

export type Scenario = ReturnType<typeof scenario>;
export type Group = Scenario["groups"][number];
export type Phase = Scenario["phases"][number];
export type Event = Phase["events"][number];
export type Arrivals = Event["arrivals"];
export type LabLink = ReturnType<typeof link>;

/** What only namespaces can do. */
export const namespacesOnly: readonly Event["do"][] = ["partition", "heal", "link"];

/** The text of a scenario file → what it says; a `ScenarioProblem` with the path of the first fault. */
export function parseScenario(json: string): Scenario {
  const read = scenario(parsed(json), "");
  checkArchive(read);
  unique(
    read.groups.map((each) => each.name),
    "groups",
  );
  unique(
    read.phases.map((each) => each.name),
    "phases",
  );
  read.phases.forEach((each, index) => {
    each.events.forEach((one, place) => checkEvent(read, one, `phases[${index}].events[${place}]`));
  });
  return read;
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new ScenarioProblem(`no JSON: ${error instanceof Error ? error.message : ""}`);
  }
}

function checkArchive({ archive: { packages, realistic, sources, keyring } }: Scenario): void {
  const made = packages.length + realistic > 0;
  if (made === sources.length > 0) {
    throw new ScenarioProblem("archive: expected either packages and realistic, or sources");
  }
  if (made && keyring !== undefined) {
    throw new ScenarioProblem("archive.keyring: a made archive has its own");
  }
  unique(
    packages.map((each) => each.name),
    "archive.packages",
  );
}

function checkEvent(all: Scenario, one: Event, path: string): void {
  const packages = packageNames(all);
  if (one.do === "install" && packages !== undefined && !one.packages.includes("all")) {
    one.packages.forEach((each, index) => has(each, packages, `${path}.packages[${index}]`));
  }
  if (one.do === "install" && packages === undefined && one.packages.includes("all")) {
    refuse(`${path}.packages`, one.packages, "names: a foreign archive has too many packages");
  }
  if (one.do === "get") has(one.file, [...(packages ?? []), ...sharedNames(all)], `${path}.file`);
  if (one.do === "link" && one.up === undefined && one.down === undefined) {
    throw new ScenarioProblem(`${path}: expected up, down or both`);
  }
}

function has(word: string, words: readonly string[], path: string): void {
  if (words.includes(word)) return;
  const meant = suggest(word, words);
  const hint = meant === undefined ? "" : `; did you mean ${meant}?`;
  throw new ScenarioProblem(`${path}: there is no ${JSON.stringify(word)} in this scenario${hint}`);
}

function unique(names: readonly string[], path: string): void {
  const twice = names.find((each, index) => names.indexOf(each) !== index);
  if (twice !== undefined) throw new ScenarioProblem(`${path}: ${twice} is there twice`);
}

/** Names of the made packages; undefined: a foreign archive has whatever it has. */
export function packageNames({ archive: given }: Scenario): readonly string[] | undefined {
  if (given.sources.length > 0) return undefined;
  const more = Array.from({ length: given.realistic }, (_, index) => realisticName(index));
  return [...given.packages.map((each) => each.name), ...more];
}

/** As `realisticPackages` of the beds names them. */
function realisticName(index: number): string {
  return `p${String(index).padStart(3, "0")}`;
}

function sharedNames({ phases }: Scenario): readonly string[] {
  return phases.flatMap(({ events }) =>
    events.flatMap((one) => (one.do === "share" ? [one.file] : [])),
  );
}
