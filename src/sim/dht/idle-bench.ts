/**
 * What a network costs in which nobody wants anything: all nodes run, each publishes as many files as
 * a Debian user's cache holds, and everything only stays as it is. Bytes are UDP payload sent. Lookups
 * by chance show that every key can be found at any time; what they cost is told apart.
 */
import type { Hashes } from "../../base/ports.ts";
import { hour, minute, second } from "../../base/units.ts";
import type { Latency } from "../net/latency.ts";
import { SeededRandom } from "../seeded-random.ts";
import { percentile } from "../statistics.ts";
import { lookupReport, rounded } from "./lookup-report.ts";
import type { LookupReport } from "./lookup-report.ts";
import type { Machine } from "./machine.ts";
import { Prober } from "./prober.ts";
import { TrafficByKind } from "./traffic.ts";
import { DhtWorld } from "./world.ts";

export interface IdleBenchTask {
  readonly seed: number;
  readonly nodes: number;
  readonly hashes: Hashes;
  readonly latency: Latency;
  readonly keysPerNode: number;
  /** At rest, after the first placement. */
  readonly durationMs: number;
  readonly natShare?: number;
  readonly loss?: number;
  readonly lookupEveryMs?: number;
  readonly publishAfterMs?: number;
  /** Told of each ten minutes. */
  readonly progress?: (text: string) => void;
}

export interface IdleBenchRow {
  readonly seed: number;
  readonly nodes: number;
  readonly keysPerNode: number;
  readonly natShare: number;
  readonly hours: number;
  /** Until every key was held by somebody, from the first node's start; undefined: not in 2 hours. */
  readonly placedAfterMinutes: number | undefined;
  /** Sent by a node at rest, bytes per second; `withoutLookups` leaves out what the probes cost. */
  readonly bytesPerSecond: {
    readonly mean: number;
    readonly withoutLookups: number;
    readonly p99: number;
    readonly max: number;
  };
  readonly paddingPerSecond: number;
  /** The mean node's bytes and datagrams per second by kind of message. */
  readonly flows: readonly {
    readonly kind: string;
    readonly bytesPerSecond: number;
    readonly datagramsPerSecond: number;
  }[];
  /** Values held per node at the end. */
  readonly held: { readonly mean: number; readonly max: number };
  /** Mean confirmed holders of a key, of a sample. */
  readonly copies: number;
  readonly lookups: LookupReport;
  readonly datagrams: number;
  readonly traceHash: string;
}

/** New nodes are pinged more often, which is no rest: so long after the first placement. */
const settleMs = 30 * minute;
const joinMs = 5 * minute;

export async function benchIdle(task: IdleBenchTask): Promise<IdleBenchRow> {
  const { seed, nodes, hashes, latency, keysPerNode, durationMs, natShare = 0, loss = 0.01 } = task;
  const { lookupEveryMs = 5 * second, progress } = task;
  const { publishAfterMs = 0 } = task;
  const world = new DhtWorld({
    ...{ seed, hashes, latency, network: { loss } },
    ...{ natShare, keysPerNode, publishAfterMs },
  });
  const machines = world.populate(nodes, joinMs);
  const placed = (): boolean =>
    world.live.length === nodes && machines.every((machine) => isPlaced(machine));
  const done = await world.runUntil(placed, 2 * hour, minute);
  const placedAfterMinutes = done ? world.clock.monotonicMs() / minute : undefined;
  progress?.(`placed after ${placedAfterMinutes ?? "more than 120"} min`);
  await world.run(settleMs);
  const traffic = new TrafficByKind();
  world.watch = traffic.note;
  const before = machines.map(({ run }) => run?.port.traffic.sentBytes ?? 0);
  const prober = new Prober(world, { random: new SeededRandom(seed + 8), everyMs: lookupEveryMs });
  prober.start();
  for (let passedMs = 0; passedMs < durationMs; passedMs += 10 * minute) {
    await world.run(Math.min(10 * minute, durationMs - passedMs));
    progress?.(`${prober.misses.length}/${prober.probes.length} missed`);
  }
  prober.stop();
  const seconds = durationMs / second;
  const rates = machines
    .map(({ run }, index) => ((run?.port.traffic.sentBytes ?? 0) - (before[index] ?? 0)) / seconds)
    .sort((a, b) => a - b);
  const perNode = (amount: number): number => rounded(amount / nodes / seconds, 2);
  const flows = traffic.flows.map(({ kind, bytes, datagrams }) => {
    return { kind, bytesPerSecond: perNode(bytes), datagramsPerSecond: perNode(datagrams) };
  });
  world.watch = undefined;
  // Those under way end.
  await world.run(minute);
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / nodes;
  const held = world.live.map(({ run }) => run?.node.store.size ?? 0);
  const lookupBytes = lookupKinds.reduce((sum, kind) => sum + traffic.bytesOf(kind), 0);
  return {
    ...{ seed, nodes, keysPerNode, natShare, hours: durationMs / hour, placedAfterMinutes },
    bytesPerSecond: {
      mean: rounded(mean, 1),
      withoutLookups: rounded(mean - lookupBytes / nodes / seconds, 1),
      p99: rounded(percentile(rates, 99), 1),
      max: rounded(rates.at(-1) ?? NaN, 1),
    },
    ...{ paddingPerSecond: perNode(traffic.paddingBytes), flows },
    held: {
      mean: rounded(held.reduce((sum, count) => sum + count, 0) / nodes, 0),
      max: held.reduce((most, count) => Math.max(most, count), 0),
    },
    copies: copiesOf(machines, new SeededRandom(seed + 9)),
    lookups: lookupReport(prober, world.clock.monotonicMs()),
    datagrams: Object.values(world.network.totals).reduce((sum, count) => sum + count, 0),
    traceHash: world.network.traceHash(),
  };
}

/** Nothing else asks for values. */
const lookupKinds = ["find_value", "find_value answer", "get_value", "get_value answer"];

function isPlaced({ run }: Machine): boolean {
  const status = run?.publisher?.status();
  const { placed = 0, keys = 0, pendingStores = 1 } = status ?? {};
  return keys > 0 && placed === keys && pendingStores === 0;
}

const sampledKeys = 500;

function copiesOf(machines: readonly Machine[], random: SeededRandom): number {
  let copies = 0;
  for (let sample = 0; sample < sampledKeys; sample++) {
    const { run, traits } = random.pick(machines);
    copies += run?.publisher?.holdersOf(random.pick(traits.keys)).length ?? 0;
  }
  return rounded(copies / sampledKeys, 2);
}
