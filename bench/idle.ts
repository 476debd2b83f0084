/**
 * What rest costs: `npm run --silent bench:idle -- --json`. By default 300 nodes that publish 2,000
 * files each, for 3 hours of virtual time after everything has been placed.
 */
import { hour } from "../src/base/units.ts";
import { nodeHashes } from "../src/io/node-hashes.ts";
import { benchIdle } from "../src/sim/dht/idle-bench.ts";
import { internet } from "../src/sim/net/latency.ts";
import { labOptions, print, timed } from "./lab.ts";

const options = labOptions({ nodes: 300, hours: 3, keys: 2000, nat: 0 });
const { result, cost } = await timed(() =>
  benchIdle({
    ...{ seed: options.seed, nodes: options.nodes, durationMs: options.hours * hour },
    ...{ keysPerNode: options.keys, natShare: options.nat },
    ...{ hashes: nodeHashes, latency: internet(options.seed) },
    progress: (text) => console.error(text),
  }),
);
const { bytesPerSecond, lookups, flows, held, copies } = result;
print(options, { ...result, ...cost(result.datagrams) }, [
  [
    "bytes/s sent per node, mean",
    `${bytesPerSecond.mean} (without lookups ${bytesPerSecond.withoutLookups})`,
  ],
  ["bytes/s sent per node, p99 / max", `${bytesPerSecond.p99} / ${bytesPerSecond.max}`],
  ["values held per node, mean / max", `${held.mean} / ${held.max}`],
  ["copies of a key", String(copies)],
  ["lookups, missed", `${lookups.lookups}, ${lookups.missed}`],
  ...flows.map(({ kind, bytesPerSecond: bytes }) => [kind, `${bytes} bytes/s`] as const),
]);
