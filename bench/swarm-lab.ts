/**
 * Swarms in virtual time with the daemon's own scheduler: prints a JSON row for each scenario.
 *
 *   npm run bench:swarm-lab -- [--seed N] [--scenario NAME]…
 */
import { parseArgs } from "node:util";
import {
  balance,
  crowd48,
  deploy,
  hostile,
  kraken,
  shah,
  thousand,
  type SwarmRow,
} from "../src/sim/swarm/scenarios.ts";

const scenarios: Readonly<Record<string, (seed: number) => readonly SwarmRow[]>> = {
  crowd48: (seed) =>
    (["together", "staggered", "leaving", "direct"] as const).map((each) => crowd48(seed, each)),
  deploy: (seed) => [15, 50, 100, 150].map((count) => deploy(seed, count)),
  thousand: (seed) => [thousand(seed)],
  balance: (seed) => [balance(seed), balance(seed, false)],
  shah: (seed) =>
    [0.2, 0.5, 1].flatMap((load) => [shah(seed, load, true), shah(seed, load, false)]),
  hostile: (seed) =>
    (["deaf", "slow", "busy", "lying"] as const).flatMap((trouble) =>
      [0.5, 1].map((share) => hostile(seed, trouble, share)),
    ),
  kraken: (seed) => [kraken(seed)],
};

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    scenario: { type: "string", multiple: true, default: Object.keys(scenarios) },
  },
});
for (const name of values.scenario) {
  const scenario = scenarios[name];
  if (scenario === undefined) {
    const names = Object.keys(scenarios).join(", ");
    throw new Error(`there is no scenario ${name}; there are ${names}`);
  }
  const startedMs = performance.now();
  for (const row of scenario(Number(values.seed))) process.stdout.write(`${JSON.stringify(row)}\n`);
  process.stderr.write(`${name}: ${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`);
}
