/**
 * Real input: the Debian archive that this machine's apt is configured for, real apt with private
 * roots, and mmdebstrap; directly, through a new daemon, and through it once more.
 *
 * Usage: `npm run test:real -- [--require] [--skip-mmdebstrap]`. Without a reachable archive it says
 * so and succeeds, unless --require is given. The figures go to bench/results/real.json; hosts are
 * never named there.
 */
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { AptRoot, type Files } from "../kit/apt-root.ts";
import { daemonIsBuilt, startDaemon, type TestDaemon } from "../kit/daemon.ts";
import { scratchDirectory } from "../kit/scratch.ts";
import { isDebian, machineSources, trustedParts, type MachineSource } from "./machine-sources.ts";
import { readRequests, type Requests } from "./request-log.ts";

const results = join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), "bench/results");
const wanted = ["build-essential", "default-jdk"] as const;
const patienceMs = 600_000;

interface AptFigures {
  readonly updateSeconds: number;
  readonly installSeconds: Readonly<Record<string, number>>;
  readonly packages: number;
}

interface Pass extends AptFigures {
  readonly lists: Files;
  readonly archives: Files;
}

interface Check {
  readonly what: string;
  readonly passed: boolean;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      require: { type: "boolean", default: false },
      "skip-mmdebstrap": { type: "boolean", default: false },
    },
  });
  if (!daemonIsBuilt()) throw new Error('the daemon is not compiled: run "npm run build" first');
  const sources: MachineSource[] = [];
  for (const source of machineSources()) if (await isDebian(source)) sources.push(source);
  if (sources.length === 0) {
    say("no Debian archive of this machine's apt configuration could be reached: nothing was run");
    return values.require ? 1 : 0;
  }
  say(`${sources.length} suites of a Debian archive`);
  const apt = await aptStory(sources);
  const bootstrap = values["skip-mmdebstrap"] ? undefined : await bootstrapStory(sources);
  const checks = [...apt.checks, ...(bootstrap?.checks ?? [])];
  const document = {
    date: new Date().toISOString(),
    ...{ node: process.version, kernel: release(), cpus: cpus().length },
    suites: sources.map(({ suite, components }) => `${suite} ${components.join(" ")}`),
    apt: apt.figures,
    mmdebstrap: bootstrap?.figures ?? null,
    checks,
  };
  const text = `${JSON.stringify(document, undefined, 2)}\n`;
  mkdirSync(results, { recursive: true });
  writeFileSync(join(results, "real.json"), text);
  process.stdout.write(text);
  return checks.every(({ passed }) => passed) ? 0 : 1;
}

/** update and two installs: directly, through a new daemon, and again from its cache. */
async function aptStory(sources: readonly MachineSource[]) {
  const direct = await aptPass("directly", sources, undefined);
  const daemon = await daemonFor(sources);
  const cold = await aptPass("through the daemon", sources, daemon);
  const first = readRequests(daemon.log);
  const before = daemon.log.length;
  const again = await aptPass("again, from its cache", sources, daemon);
  const second = readRequests(daemon.log.slice(before));
  await daemon.close();
  const figures = {
    direct: figuresOf(direct),
    cold: { ...figuresOf(cold), requests: first },
    again: { ...figuresOf(again), requests: second },
  };
  const checks: readonly Check[] = [
    ...knownChecks("apt", first),
    { what: "apt: equal packages, directly and through", passed: same(direct, cold) },
    { what: "apt: equal packages again", passed: same(direct, again) },
    {
      what: "apt: no package from the mirror again",
      passed: second.packages.requests > 0 && (second.bytesFrom["mirror"] ?? 0) === 0,
    },
  ];
  return { figures, checks };
}

async function aptPass(
  how: string,
  sources: readonly MachineSource[],
  daemon: TestDaemon | undefined,
): Promise<Pass> {
  const root = privateRoot(sources);
  const proxy = ["-o", `Acquire::http::Proxy=${daemon?.url ?? "DIRECT"}`];
  const run = async (args: readonly string[]): Promise<number> => {
    const { code, output, milliseconds } = await root.run([...proxy, ...args], {
      timeoutMs: patienceMs,
    });
    if (code !== 0) throw new Error(`apt-get ${args.join(" ")}: ${String(code)}\n${output}`);
    const seconds = Math.round(milliseconds / 10) / 100;
    say(`${how}: apt-get ${args.join(" ")}: ${seconds} s`);
    return seconds;
  };
  const updateSeconds = await run(["update"]);
  const installSeconds: Record<string, number> = {};
  for (const name of wanted) {
    installSeconds[name] = await run(["--download-only", "install", name]);
  }
  const archives = debs(root.archives());
  const pass = {
    ...{ updateSeconds, installSeconds, lists: root.lists(), archives },
    packages: Object.keys(archives).length,
  };
  root.remove();
  return pass;
}

/** mmdebstrap's smallest system, three times into an archive that is thrown away. */
async function bootstrapStory(sources: readonly MachineSource[]) {
  if (spawnSync("mmdebstrap", ["--version"], { stdio: "ignore" }).status !== 0) {
    say("mmdebstrap is not installed: that part was not run");
    return undefined;
  }
  const direct = await bootstrap("directly", sources, undefined);
  const daemon = await daemonFor(sources);
  const cold = await bootstrap("through the daemon", sources, daemon);
  const first = readRequests(daemon.log);
  const before = daemon.log.length;
  const again = await bootstrap("again, from its cache", sources, daemon);
  const second = readRequests(daemon.log.slice(before));
  await daemon.close();
  const figures = {
    directSeconds: direct,
    cold: { seconds: cold, requests: first },
    again: { seconds: again, requests: second },
  };
  const checks: readonly Check[] = [
    ...knownChecks("mmdebstrap", first),
    {
      what: "mmdebstrap: no package from the mirror again",
      passed: second.packages.requests > 0 && (second.bytesFrom["mirror"] ?? 0) === 0,
    },
  ];
  return { figures, checks };
}

async function bootstrap(
  how: string,
  sources: readonly MachineSource[],
  daemon: TestDaemon | undefined,
): Promise<number> {
  const main = sources.find(({ suite }) => !suite.includes("-"));
  if (main === undefined) throw new Error("no source");
  const scratch = scratchDirectory("mmdebstrap");
  const begun = performance.now();
  const args = [
    ...["--variant=minbase", "--format=tar", "--quiet"],
    `--aptopt=Acquire::http::Proxy "${daemon?.url ?? "DIRECT"}"`,
    '--aptopt=Acquire::Check-Valid-Until "false"',
    ...[main.suite, "/dev/null"],
    ...sources.map(sourceLine),
  ];
  const { code, output } = await new Promise<{ code: number | null; output: string }>(
    (resolve, reject) => {
      const env = { PATH: process.env["PATH"], LC_ALL: "C", TMPDIR: scratch.path };
      const child = spawn("mmdebstrap", args, { env, stdio: ["ignore", "ignore", "pipe"] });
      const timer = setTimeout(() => child.kill("SIGKILL"), patienceMs);
      let text = "";
      child.stderr.setEncoding("utf8").on("data", (part: string) => (text += part));
      child.once("error", reject);
      child.once("close", (status) => {
        clearTimeout(timer);
        resolve({ code: status, output: text });
      });
    },
  );
  const seconds = Math.round((performance.now() - begun) / 10) / 100;
  scratch.remove();
  if (code !== 0) throw new Error(`mmdebstrap: ${String(code)}\n${output.slice(-3000)}`);
  say(`${how}: mmdebstrap: ${seconds} s`);
  return seconds;
}

function knownChecks(who: string, { packages, byHash }: Requests): readonly Check[] {
  const all = (one: Requests["packages"]): boolean => one.requests > 0 && one.share === 1;
  return [
    { what: `${who}: hash of every .deb known before its first byte`, passed: all(packages) },
    { what: `${who}: hash of every by-hash index known`, passed: all(byHash) },
  ];
}

function privateRoot(sources: readonly MachineSource[]): AptRoot {
  const { architecture } = machine();
  const root = new AptRoot({
    sources: sources.map(sourceLine),
    configuration: [
      "#clear APT::Architectures;",
      `APT::Architecture "${architecture}";`,
      `APT::Architectures { "${architecture}"; };`,
      'Acquire::Check-Valid-Until "false";',
    ],
  });
  const trusted = trustedParts();
  for (const name of existsSync(trusted) ? readdirSync(trusted) : []) {
    copyFileSync(join(trusted, name), join(root.configDirectory, "trusted.gpg.d", name));
  }
  return root;
}

/** A daemon that knows the machine's sources and nothing else, asked as a forward proxy. */
async function daemonFor(sources: readonly MachineSource[]): Promise<TestDaemon> {
  const root = privateRoot(sources);
  const daemon = await startDaemon({ aptConfigDirectory: root.configDirectory });
  return daemon;
}

function machine(): { readonly architecture: string } {
  const { stdout } = spawnSync("dpkg", ["--print-architecture"], { encoding: "utf8" });
  return { architecture: stdout.trim() };
}

let keyFiles = 0;

function sourceLine({ uri, suite, components, signedBy }: MachineSource): string {
  const key = signedBy === undefined ? undefined : keyPath(signedBy);
  const options = key === undefined ? "" : `[signed-by=${key}] `;
  return `deb ${options}${uri} ${suite} ${components.join(" ")}`;
}

/** A key that stands in the source itself goes to a file, since one-line sources cannot hold it. */
function keyPath(signedBy: string): string {
  if (!signedBy.includes("BEGIN PGP")) return signedBy.split(/\s+/).join(",");
  const path = join(scratchDirectory("key").path, `${(keyFiles += 1)}.asc`);
  const armour = signedBy.split("\n").map((line) => line.trim().replace(/^\.$/, ""));
  writeFileSync(path, armour.join("\n") + "\n");
  return path;
}

function figuresOf({ updateSeconds, installSeconds, packages }: Pass): AptFigures {
  return { updateSeconds, installSeconds, packages };
}

function debs(files: Files): Files {
  return Object.fromEntries(Object.entries(files).filter(([name]) => name.endsWith(".deb")));
}

/** Equal packages and equal indexes, byte for byte. */
function same(one: Pass, other: Pass): boolean {
  const text = ({ archives, lists }: Pass): string =>
    JSON.stringify([archives, lists].map((files) => Object.entries(files).sort()));
  return text(one) === text(other);
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

process.exitCode = await main();
