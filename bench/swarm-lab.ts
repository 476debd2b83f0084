/**
 * Swarms in virtual time with the daemon's own scheduler: prints a JSON row for each run.
 *
 *     npm run --silent bench:swarm-lab -- [--scenario NAME]… [--seed N] [--figure FILE]
 *
 * `--figure` draws how long the members took, a curve for each run.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { cdfFigure } from "../src/sim/figure.ts";
import type { SwarmRow } from "../src/sim/swarm/row.ts";
import { balance, crowd48, deploy, kraken, shah, thousand } from "../src/sim/swarm/scenarios.ts";
import { trouble } from "../src/sim/swarm/trouble.ts";

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
  *deploy(seed) {
    for (const count of [15, 50, 100, 150]) yield deploy(seed, { count });
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
    yield kraken(seed);
  },
};

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    figure: { type: "string" },
    scenario: { type: "string", multiple: true, default: Object.keys(scenarios) },
  },
});
const rows: SwarmRow[] = [];
for (const name of values.scenario) {
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
