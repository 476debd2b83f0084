/**
 * The package on freshly booted machines: `npm run test:deb -- [--release bookworm]… [--only STEP]…
 * [--deb FILE] [--keep] [--out]`.
 *
 * Each release is a machine of its own, booted with systemd in a network that holds nothing but a
 * mirror made for the test. The package is installed, restarted, killed, frozen, upgraded, removed and
 * purged; after each step a real `apt-get update && apt-get install` must succeed, at most 3 s later
 * than it would without us. Then two machines must share. Needs root and an apt configuration whose
 * archive has the releases, of which root file systems are made once a week.
 *
 * Prints one JSON report, and a table on standard error. --out writes the report to
 * bench/results/deb.json as well. --only runs these steps alone (`pair` is one). --keep lets the
 * machines run until Ctrl-C, and says how to enter them. Exit status 1: some check has failed.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release as kernel } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { prepareHost, must, say } from "./host.ts";
import { Laboratory } from "./laboratory.ts";
import { inventory } from "./listing.ts";
import type { Machine } from "./machine.ts";
import { tellPair } from "./pair.ts";
import { passed, table } from "./report.ts";
import type { StepReport } from "./report.ts";
import { install, reboot, reload, rest, restart, security } from "./steps/arriving.ts";
import { downgrade, journal, upgrade } from "./steps/changing.ts";
import { disable, freeze, healthy, kill, stop, watchdog } from "./steps/failing.ts";
import { purge, remove } from "./steps/leaving.ts";
import { tell } from "./story.ts";
import type { Step } from "./story.ts";

/** In the order of the story: the journal is read before the one step that makes the daemon complain. */
const story: readonly Step[] = [
  ...[install, security, rest, restart, reload, kill, watchdog, healthy, freeze, stop, disable],
  ...[reboot, upgrade, journal, downgrade, remove, purge],
];
const pairName = "pair";
const results = fileURLToPath(new URL("../../bench/results/deb.json", import.meta.url));

interface Options {
  readonly releases: readonly string[];
  readonly steps: readonly Step[];
  readonly pair: boolean;
  readonly deb: string | undefined;
  readonly keep: boolean;
  readonly out: boolean;
}

interface ReleaseReport {
  readonly release: string;
  readonly apt: string;
  readonly systemd: string;
  readonly bootSeconds: number;
  readonly steps: readonly StepReport[];
}

function options(): Options {
  const { values } = parseArgs({
    options: {
      release: { type: "string", multiple: true, default: ["bookworm", "trixie"] },
      only: { type: "string", multiple: true },
      deb: { type: "string" },
      keep: { type: "boolean", default: false },
      out: { type: "boolean", default: false },
    },
  });
  const { release: releases, only, deb, keep, out } = values;
  const names = [...story.map(({ name }) => name), pairName];
  const unknown = only?.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new Error(`there is no step ${unknown}; there are ${names.join(", ")}`);
  }
  const steps = story.filter(({ name }) => only?.includes(name) ?? true);
  return { releases, steps, pair: only?.includes(pairName) ?? true, deb, keep, out };
}

async function main(): Promise<number> {
  const { releases, steps, pair, deb, keep, out } = options();
  prepareHost();
  const begunMs = performance.now();
  // Times, and who is quicker in the pair, mean little on a machine that is busy with other things.
  const loadBefore = rounded(loadavg()[0] ?? 0);
  const laboratory = await Laboratory.open(deb);
  const machines: Machine[] = [];
  const reports: ReleaseReport[] = [];
  for (const release of steps.length === 0 ? [] : releases) {
    reports.push(await tellRelease(laboratory, release, steps, machines));
    if (!keep) machines.pop()?.remove();
  }
  const together = pair ? await bootPair(laboratory, releases, machines) : undefined;
  const all = [...reports.flatMap((each) => each.steps), ...(together ?? [])];
  for (const { release, steps: told } of reports) say(table(release, told));
  if (together !== undefined) say(table("two machines", together));
  const { version, sizeBytes, installedBytes } = laboratory.packages;
  const document = {
    date: new Date().toISOString().slice(0, 10),
    ...{
      kernel: kernel(),
      cpus: cpus().length,
      loadAverage: loadBefore,
      seconds: secondsSince(begunMs),
    },
    nspawn: firstLine(must(["systemd-nspawn", "--version"])),
    mirror: laboratory.mirror.program,
    package: { version, sizeBytes, installedBytes },
    ...{ longestDelaySeconds: longestDelay(all), passed: passed(all) },
    ...{ releases: reports, pair: together ?? null },
  };
  const text = `${JSON.stringify(document, undefined, 2)}\n`;
  process.stdout.write(text);
  if (out) {
    mkdirSync(dirname(results), { recursive: true });
    writeFileSync(results, text);
  }
  if (keep) await stayUntilSignal(machines);
  for (const machine of machines) machine.remove();
  laboratory.close();
  return passed(all) ? 0 : 1;
}

async function tellRelease(
  laboratory: Laboratory,
  release: string,
  steps: readonly Step[],
  machines: Machine[],
): Promise<ReleaseReport> {
  const { machine, bootSeconds } = await laboratory.machine(release, release);
  machines.push(machine);
  const versions = await machine.ok(
    "apt-get --version | head -n 1; systemctl --version | head -n 1",
  );
  const [apt = "", systemd = ""] = versions.split("\n");
  const before = await inventory(machine);
  const { mirror, packages } = laboratory;
  const told = await tell({ machine, mirror, packages, before }, steps);
  return { release, apt, systemd, bootSeconds: rounded(bootSeconds), steps: told };
}

/** One machine of each release; two of the same if there is one release. */
async function bootPair(
  laboratory: Laboratory,
  releases: readonly string[],
  machines: Machine[],
): Promise<readonly StepReport[]> {
  const [one = "", other = one] = releases;
  const { machine: first } = await laboratory.machine(one, "first");
  machines.push(first);
  const { machine: second } = await laboratory.machine(other, "second");
  machines.push(second);
  return [await tellPair([first, second], laboratory.mirror)];
}

function stayUntilSignal(machines: readonly Machine[]): Promise<never> {
  for (const machine of machines) say(`${machine.name}: ${machine.entrance().join(" ")} bash`);
  say("Ctrl-C ends them.");
  // test/kit/scratch.ts ends the process on a signal, and undoes everything.
  return new Promise(() => setInterval(() => undefined, 60_000));
}

function longestDelay(steps: readonly StepReport[]): number {
  const delays = steps.flatMap(({ figures }) =>
    Object.entries(figures).flatMap(([name, value]) =>
      name.endsWith(": delay, s") && typeof value === "number" ? [value] : [],
    ),
  );
  return Math.max(0, ...delays);
}

function secondsSince(begunMs: number): number {
  return rounded((performance.now() - begunMs) / 1000);
}

function rounded(value: number): number {
  return Math.round(value * 10) / 10;
}

function firstLine(text: string): string {
  return text.split("\n")[0] ?? "";
}

/** At once: a mirror or a machine that is left would keep the event loop alive. */
process.exit(
  await main().catch((error: unknown) => {
    say(error instanceof Error ? error.message : String(error));
    return 1;
  }),
);
