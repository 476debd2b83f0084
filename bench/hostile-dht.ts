/**
 * What hostile nodes achieve: `npm run --silent bench:hostile -- --json`. A flood of stores, liars,
 * Sybils around one key, and answers to addresses that have proved nothing. `--only flood` and so on
 * runs one of them.
 */
import { parseArgs } from "node:util";
import { hour, minute } from "../src/base/units.ts";
import { nodeHashes } from "../src/io/node-hashes.ts";
import { benchAmplification, benchFlood } from "../src/sim/dht/flood-bench.ts";
import { benchLiars, benchSybils } from "../src/sim/dht/hostile-bench.ts";
import { internet } from "../src/sim/net/latency.ts";
import { print, timed } from "./lab.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    nodes: { type: "string", default: "300" },
    hours: { type: "string", default: "2" },
    only: { type: "string", multiple: true },
    json: { type: "boolean", default: false },
    out: { type: "string" },
  },
});
const seed = Number(values.seed);
const nodes = Number(values.nodes);
const durationMs = Number(values.hours) * hour;
const task = { seed, nodes, durationMs, hashes: nodeHashes, latency: internet(seed) };
// One node is flooded or asked: the network around it need not be large.
const small = { ...task, nodes: Math.min(60, nodes) };
const wanted = (name: string): boolean => values.only?.includes(name) ?? true;

const flood = wanted("flood")
  ? await timed(() => benchFlood(small, { perSecond: 50_000, floodMs: minute, sources: 2048 }))
  : undefined;
const amplification = wanted("amplification") ? await benchAmplification(small) : undefined;
const liars = wanted("liars") ? await benchLiars(task) : undefined;
const sybils = wanted("sybils") ? await benchSybils(task) : undefined;

const floodRow =
  flood === undefined ? undefined : { ...flood.result, ...flood.cost(flood.result.floodDatagrams) };
const row = { seed, flood: floodRow, amplification, liars, sybils };
const lines: [string, string][] = [];
if (floodRow !== undefined) {
  const { valuesBefore, valuesMost, bytesMost, peersMost, ratio, missed } = floodRow;
  lines.push(["flood: values before / most", `${valuesBefore} / ${valuesMost}`]);
  const { honestBefore, honestAfter } = floodRow;
  lines.push(["flood: honest keys before / after", `${honestBefore} / ${honestAfter}`]);
  lines.push(["flood: bytes, peers at most", `${bytesMost}, ${peersMost}`]);
  lines.push(["flood: p99 / idle p99, missed", `${ratio}, ${missed}`]);
}
if (amplification !== undefined) {
  lines.push(["answered / asked bytes, at most", JSON.stringify(amplification.most)]);
  lines.push(["with own pings", JSON.stringify(amplification.mostWithPings)]);
}
if (liars !== undefined) {
  const { lookups, replays, replaysAccepted, liarsInTables, wrongPortsInTables } = liars;
  lines.push(["liars: lookups, missed", `${lookups.lookups}, ${lookups.missed}`]);
  lines.push(["liars: share of tables", `${liarsInTables}, wrong ports ${wrongPortsInTables}`]);
  lines.push(["replayed tokens, believed", `${replays}, ${replaysAccepted}`]);
}
for (const phase of sybils?.phases ?? []) {
  const { untilMinute, lookups, missed, holders, sybilHolders } = phase;
  const text = `${missed} of ${lookups} missed, ${sybilHolders} of ${holders} holders`;
  lines.push([`Sybils, until minute ${untilMinute}`, text]);
}
print({ json: values.json, out: values.out }, row, lines);
