/**
 * How large a network this machine simulates: `npm run --silent bench:scale -- --json`. By default
 * 10,000 nodes for an hour of virtual time; needs some 12 GB and a heap that may grow so far
 * (`node --max-old-space-size`).
 */
import { hour } from "../src/base/units.ts";
import { nodeHashes } from "../src/io/node-hashes.ts";
import { benchScale } from "../src/sim/dht/scale-bench.ts";
import { internet } from "../src/sim/net/latency.ts";
import { labOptions, print, timed } from "./lab.ts";

const options = labOptions({ nodes: 10_000, hours: 1 });
const { result, cost } = await timed(() =>
  benchScale({
    ...{ seed: options.seed, nodes: options.nodes, durationMs: options.hours * hour },
    ...{ hashes: nodeHashes, latency: internet(options.seed), natShare: options.nat },
    progress: (text) => console.error(text),
  }),
);
const spent = cost(result.datagrams);
const { lookups } = result;
print(options, { ...result, ...spent }, [
  ["wall / CPU seconds", `${spent.wallSeconds} / ${spent.cpuSeconds}`],
  ["datagrams, per CPU second", `${result.datagrams}, ${spent.datagramsPerCpuSecond}`],
  ["RSS (MiB)", String(spent.rssMiB)],
  ["table entries, dead", `${result.tableSize}, ${(100 * result.deadShare).toFixed(2)} %`],
  ["lookups, missed", `${lookups.lookups}, ${lookups.missed}`],
  ["first value p50 / p99 (ms)", `${lookups.firstValue.p50} / ${lookups.firstValue.p99}`],
]);
