/**
 * Tables under churn: `npm run --silent bench:churn -- --json`. By default 300 nodes for 24 hours of
 * virtual time, lognormal sessions (median 4.12 h, sigma 1.64), half of them behind NATs, 2 % loss.
 */
import { hour } from "../src/base/units.ts";
import { nodeHashes } from "../src/io/node-hashes.ts";
import { benchChurn } from "../src/sim/dht/churn-bench.ts";
import { internet } from "../src/sim/net/latency.ts";
import { labOptions, print, timed } from "./lab.ts";

const options = labOptions({ nodes: 300, hours: 24 });
const { result, cost } = await timed(() =>
  benchChurn({
    ...{ seed: options.seed, nodes: options.nodes, durationMs: options.hours * hour },
    ...{ hashes: nodeHashes, latency: internet(options.seed) },
    ...{ keysPerNode: options.keys, natShare: options.nat },
    progress: (text) => console.error(text),
  }),
);
const { row } = result;
print(options, { ...row, ...cost(row.datagrams) }, [
  [
    "dead entries, mean / p90 / max",
    `${percent(row.dead.mean)} / ${percent(row.dead.p90)} / ${percent(row.dead.max)}`,
  ],
  ["of them gone / hidden", `${percent(row.gone)} / ${percent(row.hidden)}`],
  [
    "lookups, missed, success",
    `${row.lookups.lookups}, ${row.lookups.missed}, ${percent(row.lookups.success)}`,
  ],
  ["first value p50 / p99 (ms)", `${row.lookups.firstValue.p50} / ${row.lookups.firstValue.p99}`],
  ["left / returned / fresh", `${row.left} / ${row.returned} / ${row.fresh}`],
  ["bytes/s sent per node", String(row.bytesPerSecond)],
]);

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
