/**
 * Swarms in virtual time with the daemon's own scheduler: prints a JSON row for each run.
 *
 *     npm run --silent bench:swarm-lab -- [--scenario NAME]… [--seed N] [--figure FILE]
 *         [--count N]… [--megabytes N] [--mbit N] [--progress]
 *
 * `--figure` draws how long the members took, a curve for each run. `--count`, `--megabytes` and `--mbit`
 * are for `deploy` and `kraken`: machines, the file's size, the links' rate; without them the whole of what
 * is promised is run, which takes hours and 10 GB of memory for `kraken`. Since a piece has 512 KiB, a file
 * and links of an eighth do what whole ones would do with pieces of 4 MiB, in the same time. `--progress`
 * tells how far a run has come.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { cdfFigure } from "../src/sim/figure.ts";
import type { SwarmRow } from "../src/sim/swarm/row.ts";
import type { Progress } from "../src/sim/swarm/plan.ts";
import {
  balance,
  crowd48,
  deploy,
  fast,
  few,
  kraken,
  MB,
  Mbit,
  shah,
  thousand,
  type ScenarioSize,
} from "../src/sim/swarm/scenarios.ts";
import { trouble } from "../src/sim/swarm/trouble.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    figure: { type: "string" },
    scenario: { type: "string", multiple: true },
    count: { type: "string", multiple: true },
    megabytes: { type: "string" },
    mbit: { type: "string" },
    progress: { type: "boolean", default: false },
  },
});
const counts = values.count?.map(Number);
const size: ScenarioSize = {
  ...(values.megabytes !== undefined && { sizeBytes: Number(values.megabytes) * MB }),
  ...(values.mbit !== undefined && { rate: Number(values.mbit) * Mbit }),
  ...(values.progress && { watch: reporter() }),
};

/** Tells on standard error how far a run has come, every ten seconds. */
function reporter(): (progress: Progress) => void {
  const everyMs = 10_000;
  let [toldMs, before] = [performance.now(), 0];
  return ({ nowMs, pieces, wanted, left }) => {
    const tookMs = performance.now() - toldMs;
    // Another run has begun.
    if (pieces < before) before = 0;
    if (tookMs < everyMs) return;
    const rate = Math.round(((pieces - before) * 1000) / tookMs);
    const memory = Math.round(process.memoryUsage().rss / MB);
    [toldMs, before] = [performance.now(), pieces];
    process.stderr.write(
      `at ${(nowMs / 1000).toFixed(2)} s: ${pieces} of ${wanted} pieces, ${left} machines left; ` +
        `${rate} pieces/s, ${memory} MB\n`,
    );
  };
}

const blind = { policy: { feedback: false } };
const hostilities = [
  ...(["deaf", "slow", "idle", "busy", "stalls", "leaves", "bytes", "list", "consistent"] as const),
];

const scenarios: Readonly<Record<string, (seed: number) => Iterable<SwarmRow>>> = {
  *crowd48(seed) {
    for (const each of ["together", "staggered", "leaving", "direct"] as const) {
      yield crowd48(seed, each);
    }
  },
  *few(seed) {
    for (const count of [2, 3]) yield few(seed, count);
    yield fast(seed);
  },
  *deploy(seed) {
    for (const count of counts ?? [15, 50, 100, 150]) yield deploy(seed, { count, ...size });
  },
  *thousand(seed) {
    yield thousand(seed);
  },
  *balance(seed) {
    for (const each of [{}, blind]) yield balance(seed, each);
  },
  *shah(seed) {
    for (const load of [0.2, 0.5, 1]) {
      for (const each of [{}, blind]) yield shah(seed, load, each).row;
    }
  },
  *hostile(seed) {
    for (const kind of hostilities) {
      for (const share of [0.5, 1]) yield trouble(seed, { trouble: kind, share });
    }
  },
  *kraken(seed) {
    for (const count of counts ?? [2600]) yield kraken(seed, { count, ...size });
  },
};

const rows: SwarmRow[] = [];
for (const name of values.scenario ?? Object.keys(scenarios)) {
  const scenario = scenarios[name];
  if (scenario === undefined) {
    const names = Object.keys(scenarios).join(", ");
    throw new Error(`there is no scenario ${name}; there are ${names}`);
  }
  const startedMs = performance.now();
  for (const row of scenario(Number(values.seed))) {
    rows.push(row);
    process.stdout.write(`${JSON.stringify(row)}\n`);
  }
  process.stderr.write(`${name}: ${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`);
}
if (values.figure !== undefined) {
  const figure = cdfFigure({
    ...{
      title: `Downloads in the laboratory, seed ${values.seed}`,
      label: "From start to end (ms)",
    },
    ...{ scale: "log" },
    curves: rows.map(({ scenario, quantilesMs }) => ({ name: scenario, values: quantilesMs })),
  });
  writeFileSync(values.figure, figure);
}
