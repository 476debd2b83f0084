/**
 * Runs one command line and gives its exit status. Results go to `out`, everything else to `err`.
 * Nothing here ends the process; that is main.ts's.
 */
import { join } from "node:path";
import { AptP2pError, errorText } from "../base/errors.ts";
import { version } from "../base/version.ts";
import type { Config } from "../config/options.ts";
import type { ConfigResult } from "../config/parse.ts";
import { problemText } from "../config/problems.ts";
import { settingsText } from "../config/settings.ts";
import type { Setting } from "../config/settings.ts";
import { parseArguments } from "./arguments.ts";
import type { Invocation } from "./arguments.ts";
import { disable, enable } from "./apt-wiring.ts";
import { cacheClean, cacheImport, cacheList, cacheStats, cacheVerify } from "./cache-commands.ts";
import type { CommandName } from "./commands.ts";
import { Control } from "./control.ts";
import { dhtWalk, showDht, showLookup } from "./dht-commands.ts";
import { doctor } from "./doctor.ts";
import { exitCodeOf, exitCodes } from "./exit-codes.ts";
import { commandHelp, programHelp } from "./help.ts";
import { getFile, shareFiles } from "./get-command.ts";
import { loadConfig } from "./load-config.ts";
import { showStatus, showWhy } from "./queries.ts";
import type { Query } from "./queries.ts";
import type { World } from "./world.ts";

type Run = Extract<Invocation, { kind: "run" }>;
type Loaded = Exclude<ConfigResult, { problems: readonly unknown[] }>;

/** `words`: the arguments behind the program's name. Never rejects. */
export async function runCommand(words: readonly string[], world: World): Promise<number> {
  const invocation = parseArguments(words);
  switch (invocation.kind) {
    case "help":
      world.out.write(invocation.command ? commandHelp(invocation.command) : programHelp());
      return exitCodes.ok.code;
    case "version":
      world.out.write(`apt-p2p ${version}\n`);
      return exitCodes.ok.code;
    case "usage":
      world.err.write(`apt-p2p: ${invocation.message}\n`);
      return exitCodes.usage.code;
    case "run":
      return runConfigured(invocation, world);
  }
}

async function runConfigured(run: Run, world: World): Promise<number> {
  try {
    const { name } = run.command;
    if (worksAnyway(name)) return await handlersAnyway[name](run, world);
    const loaded = loadConfig(run, world);
    if (loaded.problems === undefined) return await handlers[name](run, loaded, world);
    for (const problem of loaded.problems) world.err.write(`apt-p2p: ${problemText(problem)}\n`);
    return exitCodes.configuration.code;
  } catch (error) {
    // The messages of our own errors are written for people and need neither code nor cause.
    const known = error instanceof AptP2pError;
    world.err.write(`apt-p2p: ${known ? error.message : errorText(error)}\n`);
    return exitCodeOf(known ? error.code : undefined);
  }
}

type Handler = (run: Run, loaded: Loaded, world: World) => Promise<number> | number;

type Anyway = "doctor" | "enable" | "disable";

/** Those that work with a wrong configuration, too: it must not keep apt from being mended. */
const handlersAnyway: Readonly<
  Record<Anyway, (run: Run, world: World) => Promise<number> | number>
> = {
  doctor: consult,
  enable: (_run, world) => enable(world),
  disable: (_run, world) => disable(world),
};

function worksAnyway(name: CommandName): name is Anyway {
  return Object.hasOwn(handlersAnyway, name);
}

const handlers: Readonly<Record<Exclude<CommandName, Anyway>, Handler>> = {
  daemon: startDaemon,
  status: query(showStatus),
  why: query(showWhy),
  get: query(getFile),
  share: query(shareFiles),
  lookup: query(showLookup),
  "dht status": query(showDht),
  "dht walk": query(dhtWalk),
  "cache list": query(cacheList),
  "cache stats": query(cacheStats),
  "cache verify": query(cacheVerify),
  "cache clean": query(cacheClean),
  "cache import": query(cacheImport),
  "config check": (_run, { settings, warnings }, world) => {
    warn(warnings, world);
    const files = new Set(
      settings.flatMap(({ origin }) => (origin.kind === "file" ? [origin.path] : [])),
    );
    const set = settings.filter(({ origin }) => origin.kind !== "default").length;
    const where = files.size === 0 ? "" : ` in ${[...files].join(", ")}`;
    world.out.write(
      `The configuration is right; ${set} of ${settings.length} settings are not the default${where}.\n`,
    );
    return exitCodes.ok.code;
  },
  "config show": (_run, { settings, warnings }, world) => {
    warn(warnings, world);
    world.out.write(settingsText(settings));
    return exitCodes.ok.code;
  },
};

/** For SIGHUP: the configuration as the same command line gives it now. */
export type Reread = () => ConfigResult;

type Start = (
  config: Config,
  reread: Reread,
  mode: { readonly dhtOnly: boolean },
) => Promise<number>;

async function startDaemon(run: Run, loaded: Loaded, world: World): Promise<number> {
  warn(loaded.warnings, world);
  world.outliveReaders();
  // Loaded late: the other commands start in a fraction of the time without it.
  const daemon = await import("../daemon/run.ts");
  const start: Start = daemon.runDaemon;
  const dhtOnly = run.flags.has("dht-only");
  return start(loaded.config, () => loadConfig(run, world), { dhtOnly });
}

/** A command that asks the running daemon. */
function query(ask: (query: Query) => Promise<number>): Handler {
  return (run, { config, settings }, world) =>
    ask({
      control: new Control(controlSockets(config, settings, world)),
      operands: run.operands,
      flags: run.flags,
      values: run.values,
      world,
    });
}

function consult(run: Run, world: World): Promise<number> {
  const configuration = loadConfig(run, world);
  const sockets =
    configuration.problems === undefined
      ? controlSockets(configuration.config, configuration.settings, world)
      : [join(world.systemStateDirectory, "control.sock")];
  const json = run.flags.has("json");
  return doctor({ configuration, control: new Control(sockets), json, world });
}

/** A user who runs no daemon and has named no state directory means the system's. */
function controlSockets(config: Config, settings: readonly Setting[], world: World): string[] {
  const directories = [config.store.stateDir];
  const named = settings.find(({ row }) => row.name === "state_dir")?.origin.kind !== "default";
  if (!named && !world.isRoot) directories.push(world.systemStateDirectory);
  return directories.map((directory) => join(directory, "control.sock"));
}

function warn(warnings: Loaded["warnings"], world: World): void {
  for (const warning of warnings) world.err.write(`apt-p2p: warning: ${problemText(warning)}\n`);
}
