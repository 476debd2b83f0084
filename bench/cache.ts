/**
 * The cost of the cache: this daemon beside nginx's proxy_cache and apt-cacher-ng, in one run, with
 * the same files from the same origin.
 *
 * Usage: `npm run bench:cache -- [--json] [--compare] [--against nginx,apt-cacher-ng] [--runs 5]
 * [--only large,small,latency,install,update,memory] [--without-ours] [--directory DIR]
 * [--entry FILE] [--profile DIR]`
 *
 * Servers run on the first CPU, the clients and the origin on the second; apt's own runs may use
 * all. Everything listens on loopback; everything is stopped and removed at the end. The figures go
 * to bench/results/cache.json when all measures were taken, against both, in at least 5 runs.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildBenchArchive, buildMainIndexes } from "./kit/archives.ts";
import type { Context } from "./kit/context.ts";
import { fetchVerified } from "./kit/client.ts";
import { startOriginServer } from "./kit/origin.ts";
import { allCpus, pin } from "./kit/proc.ts";
import { Results, table } from "./kit/results.ts";
import { aptCacherNgServer, nginxServer, ourServer } from "./kit/servers.ts";
import type { CacheServer, ServerPlan } from "./kit/servers.ts";
import { loadGenerator } from "./kit/wrk.ts";
import { hasProgram, runOnce, Workspace } from "./kit/workspace.ts";
import { measureAptInstall } from "./measures/apt-install.ts";
import { measureAptUpdate } from "./measures/apt-update.ts";
import { measureLarge } from "./measures/large.ts";
import { measureLatency } from "./measures/latency.ts";
import { measureMemory } from "./measures/memory.ts";
import { measureSmall } from "./measures/small.ts";
import { verdicts, type Verdict } from "./targets.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

interface MeasureKind {
  readonly take: (context: Context) => Promise<void>;
  /** True if the generator is confined to the second CPU; apt's runs are not. */
  readonly pinned: boolean;
}

const kinds: Readonly<Record<string, MeasureKind>> = {
  large: { take: measureLarge, pinned: true },
  small: { take: measureSmall, pinned: true },
  latency: { take: measureLatency, pinned: true },
  install: { take: measureAptInstall, pinned: false },
  update: { take: measureAptUpdate, pinned: false },
  memory: { take: measureMemory, pinned: true },
};

interface Options {
  readonly json: boolean;
  readonly compare: boolean;
  /** Whom to compare with. */
  readonly against: readonly string[];
  readonly ours: boolean;
  readonly runs: number;
  readonly only: readonly string[];
  readonly directory: string | undefined;
  /** The compiled program that is measured. */
  readonly entry: string;
  /** Where every daemon leaves a CPU profile when it ends. */
  readonly profile: string | undefined;
}

function options(): Options {
  const { values } = parseArgs({
    options: {
      json: { type: "boolean", default: false },
      compare: { type: "boolean", default: false },
      against: { type: "string", default: "nginx,apt-cacher-ng" },
      "without-ours": { type: "boolean", default: false },
      runs: { type: "string", default: "5" },
      only: { type: "string", default: Object.keys(kinds).join(",") },
      directory: { type: "string" },
      entry: { type: "string", default: join(root, "dist/cli/main.js") },
      profile: { type: "string" },
    },
  });
  const only = values.only.split(",");
  const unknown = only.find((name) => !(name in kinds));
  if (unknown !== undefined) {
    throw new Error(`--only ${unknown}: choose from ${Object.keys(kinds).join(", ")}`);
  }
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1) throw new Error("--runs: a whole number from 1");
  const { json, compare, directory, entry, profile } = values;
  const against = values.against.split(",");
  return {
    json,
    compare,
    against,
    ours: !values["without-ours"],
    runs,
    only,
    directory,
    entry,
    profile,
  };
}

async function main(): Promise<void> {
  const wanted = options();
  if (wanted.ours && !existsSync(wanted.entry)) {
    throw new Error(`${wanted.entry} is missing: run "npm run build" first`);
  }
  const workspace = new Workspace("apt-p2p-bench-", wanted.directory);
  const started = { load: loadavg()[0] ?? 0, date: new Date().toISOString() };
  try {
    const context = await prepare(workspace, wanted);
    for (const name of wanted.only) {
      const kind = kinds[name];
      if (kind === undefined) continue;
      pin(process.pid, kind.pinned ? clientCpus() : allCpus);
      await kind.take(context);
    }
    for (const server of context.servers) await server.stop();
    report(wanted, context, started);
  } finally {
    workspace.close();
  }
}

function clientCpus(): string {
  return cpus().length > 1 ? "1" : "0";
}

async function prepare(workspace: Workspace, wanted: Options): Promise<Context> {
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  say("building the archives");
  const content = workspace.path("origin");
  mkdirSync(content);
  const origin = await startOriginServer(workspace, content, clientCpus());
  const host = `127.0.0.1:${String(origin)}`;
  const archive = await buildBenchArchive(content, host);
  const mainSource = await buildMainIndexes(content, host);
  const plan: ServerPlan = { workspace, origin, cpus: "0" };
  const daemon: Context["daemon"] = (label, sources, lists) =>
    ourServer({
      ...plan,
      entry: wanted.entry,
      nodeOptions:
        wanted.profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${wanted.profile}`],
      label,
      sources,
      keyringPath: archive.keyringPath,
      ...(lists === undefined ? {} : { lists }),
    });
  const servers: CacheServer[] = [];
  if (wanted.ours) {
    const ours = await daemon("ours", [archive.source]);
    await ours.learn();
    servers.push(ours);
  }
  if (wanted.compare) servers.push(...(await others(plan, wanted.against, say)));
  for (const server of servers) {
    await server.start();
    for (const one of [archive.large[0], archive.warmUp[0]]) {
      if (one !== undefined) await fetchVerified(server.endpoint, one.path, one.sha256);
    }
  }
  const results = new Results();
  const { runs } = wanted;
  return { workspace, results, runs, origin, archive, mainSource, daemon, servers, plan, say };
}

/** The servers to compare with, from Debian's packages; installs them where that is allowed. */
async function others(
  plan: ServerPlan,
  against: readonly string[],
  say: (text: string) => void,
): Promise<CacheServer[]> {
  const makers = [
    { program: "nginx", debian: "nginx-light", make: nginxServer },
    { program: "apt-cacher-ng", debian: "apt-cacher-ng", make: aptCacherNgServer },
  ];
  const found: CacheServer[] = [];
  for (const { program, debian, make } of makers) {
    if (!against.includes(program)) continue;
    if (!hasProgram(program)) install(debian, say);
    if (hasProgram(program)) found.push(await make(plan));
    else say(`${program} is not installed (package ${debian}): its figures are missing`);
  }
  return found;
}

function install(name: string, say: (text: string) => void): void {
  if (process.getuid?.() !== 0) return;
  say(`installing ${name}`);
  // The package must not start a server of its own.
  const quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1"];
  const command = ["apt-get", "install", "-qy", "--no-install-recommends", name];
  try {
    runOnce([...quiet, ...command]);
  } catch (error) {
    say(`apt-get install ${name} failed: ${String(error).slice(0, 300)}`);
  }
}

function version(command: readonly string[]): string {
  try {
    return (
      runOnce(["sh", "-c", `${command.join(" ")} 2>&1`])
        .trim()
        .split("\n")[0] ?? ""
    );
  } catch {
    return "not installed";
  }
}

function report(
  wanted: Options,
  { results, servers, runs }: Context,
  started: { readonly load: number; readonly date: string },
): void {
  const found = verdicts(results);
  const compared = servers.map(({ name }) => name);
  const document = {
    bench: "cache",
    date: started.date,
    node: process.version,
    kernel: release(),
    cpus: cpus().length,
    cpuModel: cpus()[0]?.model ?? "",
    servers: compared,
    versions: {
      nginx: compared.includes("nginx") ? version(["nginx", "-v"]) : null,
      "apt-cacher-ng": compared.includes("apt-cacher-ng")
        ? version(["dpkg-query", "-W", "-f", "'${Version}'", "apt-cacher-ng"])
        : null,
      apt: version(["apt-get", "--version"]),
    },
    runs,
    loadGenerator: loadGenerator(),
    loadBefore: Number(started.load.toFixed(2)),
    targets: found.filter(({ met }) => met !== null),
    notMeasured: found.filter(({ met }) => met === null).map(({ target }) => target),
    measures: results.measures(),
  };
  const complete =
    wanted.compare && wanted.ours && wanted.only.length === Object.keys(kinds).length;
  const text = `${JSON.stringify(document, undefined, 2)}\n`;
  if (complete) {
    mkdirSync(join(root, "bench/results"), { recursive: true });
    writeFileSync(join(root, "bench/results/cache.json"), text);
  }
  process.stdout.write(wanted.json ? text : `${printed(results, compared, found)}\n`);
}

function printed(results: Results, servers: readonly string[], found: readonly Verdict[]): string {
  const columns = ["direct", ...servers];
  const figures = results
    .measures()
    .map(({ name, unit, figures: by }) => [
      name,
      ...columns.map((server) => (by[server] === undefined ? "–" : String(by[server].median))),
      unit,
    ]);
  const rows = found
    .filter(({ met }) => met !== null)
    .map(({ target, found: value, required, met }) => [
      target,
      String(value),
      required,
      met === true ? "met" : "MISSED",
    ]);
  return `${table([["measure", ...columns, "unit"], ...figures])}\n\n${table([
    ["target", "found", "required", ""],
    ...rows,
  ])}`;
}

await main();
