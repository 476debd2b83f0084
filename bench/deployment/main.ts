/**
 * `apt-p2p-lab`: runs a scenario on hosts reached by ssh, or on namespaces of this machine, and writes
 * one report. README.md beside this file explains scenarios; `--help` the command.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";

import { version } from "../../src/base/version.ts";
import { daemonIsBuilt } from "../../test/kit/daemon.ts";
import { congestionControl, netlabProblem, natProblem } from "../../test/kit/netlab.ts";
import { message } from "./actor.ts";
import { ScenarioProblem } from "./fields.ts";
import type { LabBed } from "./host.ts";
import { openHosts } from "./hosts.ts";
import { parseHosts } from "./hosts-file.ts";
import { openNamespaces } from "./namespaces.ts";
import { dealt, membersOf } from "./plan.ts";
import { reportFiles, reportOf } from "./report.ts";
import { run } from "./run.ts";
import { parseScenario } from "./scenario.ts";
import type { Scenario } from "./scenario.ts";

const usage = `Usage: npm run lab -- SCENARIO.json [OPTION]...

  --hosts FILE          run on these hosts, reached by ssh: user@host [name=] [address=] [arch=] [group=]
  --mirror ADDR[:PORT]  with --hosts: where hosts reach this machine, which serves the made archive
  --namespaces N        run on N network namespaces of this machine (needs root); without --hosts and
                        without this: on as many as the scenario says
  --deb FILE            run the program of this package instead of this checkout's (one for each
                        architecture of the hosts)
  --seed N              all chance comes from it; default 1
  --out DIR             report.json, report.md, figures and logs; default build/lab/NAME
  --check               only say what is wrong with the scenario and the file of hosts
  --help                this

Exit status: 0 all went well, 1 a host or a run of apt failed (the report names it), 2 it could not begin.
`;

const say = (text: string): void => void process.stderr.write(`${text}\n`);

interface Arguments {
  readonly scenarioPath: string;
  readonly hosts: string | undefined;
  readonly mirror: string | undefined;
  readonly namespaces: number | undefined;
  readonly debs: readonly string[];
  readonly seed: number;
  readonly out: string | undefined;
  readonly check: boolean;
}

function given(words: readonly string[]): Arguments {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      hosts: { type: "string" },
      mirror: { type: "string" },
      namespaces: { type: "string" },
      deb: { type: "string", multiple: true, default: [] },
      seed: { type: "string", default: "1" },
      out: { type: "string" },
      check: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    process.exit(0);
  }
  const [scenarioPath, ...more] = positionals;
  if (scenarioPath === undefined || more.length > 0) {
    throw new ScenarioProblem("expected one scenario file; --help explains");
  }
  if (values.hosts !== undefined && values.namespaces !== undefined) {
    throw new ScenarioProblem("--hosts and --namespaces: only one of them");
  }
  const { namespaces } = values;
  return {
    ...{ scenarioPath, hosts: values.hosts, mirror: values.mirror, out: values.out },
    ...{ check: values.check, debs: values.deb.map((each) => resolve(each)) },
    namespaces: namespaces === undefined ? undefined : number("--namespaces", namespaces, 1),
    seed: number("--seed", values.seed, 0),
  };
}

function number(name: string, text: string, least: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (value >= least) return value;
  throw new ScenarioProblem(`${name}: expected a whole number from ${least}, got ${text}`);
}

function contentOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new ScenarioProblem(message(error));
  }
}

/** A problem of a file is told with its name. */
function inFile<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof ScenarioProblem) throw new ScenarioProblem(`${path}: ${error.message}`);
    throw error;
  }
}

async function opened(args: Arguments, scenario: Scenario): Promise<LabBed | undefined> {
  const { debs, mirror } = args;
  const lacking = debs.find((each) => !existsSync(each));
  if (lacking !== undefined) throw new ScenarioProblem(`--deb: there is no ${lacking}`);
  if (debs.length === 0 && !daemonIsBuilt()) throw new ScenarioProblem("dist: npm run build first");
  const { hosts: path } = args;
  if (path !== undefined) {
    const lines = inFile(path, () => parseHosts(contentOf(path)));
    const members = dealt(scenario, lines);
    return args.check ? undefined : openHosts(members, { scenario, debs, lines, mirror });
  }
  const members = membersOf(scenario, args.namespaces);
  if (args.check) return undefined;
  const natted = scenario.groups.some(({ nat }) => nat !== "none");
  const problem = natted ? natProblem() : netlabProblem();
  if (problem !== undefined) throw new ScenarioProblem(`no namespaces here: ${problem}`);
  return openNamespaces(members, { scenario, debs });
}

/** → exit status. */
async function main(args: Arguments): Promise<number> {
  const { scenarioPath, seed } = args;
  const scenario = inFile(scenarioPath, () => parseScenario(contentOf(scenarioPath)));
  const loadBefore = loadavg()[0] ?? 0;
  const date = new Date().toISOString();
  const bed = await opened(args, scenario);
  if (bed === undefined) {
    say(`${scenarioPath}: nothing is wrong with it`);
    return 0;
  }
  try {
    const result = await run({ scenario, seed, bed, say });
    const circumstances = {
      ...{ scenario: scenario.name, about: scenario.about, seed, date, version },
      ...{ kind: bed.kind, notes: bed.notes },
      machine: {
        ...{ cpus: cpus().length, kernel: release(), node: process.version, loadBefore },
        congestionControl: congestionControl(),
        mirror: bed.made?.mirror.program ?? "foreign",
      },
    };
    const out = resolve(args.out ?? join("build", "lab", scenario.name));
    writeReport(out, reportFiles(circumstances, result));
    const { ok, failures } = reportOf(circumstances, result);
    for (const each of failures) say(`FAILED ${each}`);
    process.stdout.write(`${join(out, "report.md")}\n`);
    return ok ? 0 : 1;
  } finally {
    await bed.close();
  }
}

/** Logs of an earlier run would be taken for this one's. */
function writeReport(out: string, files: Readonly<Record<string, string>>): void {
  rmSync(join(out, "logs"), { recursive: true, force: true });
  for (const [name, content] of Object.entries(files)) {
    const path = join(out, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}

try {
  process.exitCode = await main(given(process.argv.slice(2)));
} catch (error) {
  const own =
    error instanceof ScenarioProblem ||
    (error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE"));
  say(own ? error.message : `it could not begin: ${error instanceof Error ? error.stack : ""}`);
  process.exitCode = 2;
}
// A mirror or a liar that has not ended yet must not keep this waiting.
process.exit();
