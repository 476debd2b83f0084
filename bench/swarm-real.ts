/**
 * Deployments of real daemons with real apt-get, in network namespaces on this machine.
 *
 * Usage (as root): `npx tsx bench/swarm-real.ts --scenario NAME [--runs 1] [--seed 1] [--quick]
 * [--variant NAME] [--slower N] [--machines N] [--congestion NAME] [--out FILE]`. `--slower` divides the
 * links' rates and `--machines` is for `crowd48`, for crowds that this machine's CPUs do not carry.
 * `--congestion` is TCP's: `cubic`, as Debian has it, or `bbr`, which in the short queues of slow links
 * loses a tenth of what it sends. Prints JSON: a row for each figure with its median over the runs, the
 * bound, the ratio to it, what was asked of it, and the same of apt without us.
 */
import { writeFileSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { parseArgs } from "node:util";

import { nginxPath } from "../test/kit/lab-mirror.ts";
import { chooseCongestionControl, congestionControl, netlabProblem } from "../test/kit/netlab.ts";
import { rows } from "../test/swarm/figures.ts";
import type { Figure } from "../test/swarm/figures.ts";
import { scenarios } from "../test/swarm/scenarios.ts";

const { values } = parseArgs({
  options: {
    scenario: { type: "string", default: "" },
    variant: { type: "string" },
    runs: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
    quick: { type: "boolean", default: false },
    slower: { type: "string", default: "1" },
    machines: { type: "string" },
    congestion: { type: "string" },
    out: { type: "string" },
  },
});

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const scenario = scenarios[values.scenario];
if (scenario === undefined) {
  say(`--scenario: choose from ${Object.keys(scenarios).join(", ")}`);
  process.exit(2);
}
const reason = netlabProblem();
if (reason !== undefined) {
  say(`skipped: ${reason}`);
  process.exit(0);
}
if (values.congestion !== undefined) chooseCongestionControl(values.congestion);
const figures: Figure[] = [];
const variants = values.variant === undefined ? scenario.variants : values.variant.split(",");
const slower = Number(values.slower);
const machines = values.machines === undefined ? undefined : Number(values.machines);
const loadBefore = loadavg()[0] ?? 0;
for (let run = 0; run < Number(values.runs); run++) {
  for (const variant of variants) {
    const begunMs = performance.now();
    const seed = Number(values.seed) + run;
    const got = await scenario.run({ variant, seed, quick: values.quick, slower, machines });
    figures.push(...got);
    const seconds = ((performance.now() - begunMs) / 1000).toFixed(0);
    say(`${values.scenario} ${variant}, run ${run + 1}: ${seconds} s`);
    for (const { measure, value, unit } of got)
      say(`  ${measure}: ${value.toPrecision(4)} ${unit}`);
  }
}
const report = {
  scenario: values.scenario,
  date: new Date().toISOString(),
  quick: values.quick,
  slower,
  ...(machines !== undefined && { machines }),
  seed: Number(values.seed),
  runs: Number(values.runs),
  machine: {
    cpus: cpus().length,
    kernel: release(),
    node: process.version,
    congestionControl: congestionControl(),
    mirror: nginxPath() === undefined ? "test kit" : "nginx",
    loadBefore,
  },
  rows: rows(figures),
};
const text = `${JSON.stringify(report, undefined, 2)}\n`;
if (values.out !== undefined) writeFileSync(values.out, text);
process.stdout.write(text);
process.exit(report.rows.every(({ met }) => met !== false) ? 0 : 1);
