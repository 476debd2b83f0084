/**
 * Do tables stay healthy by themselves? A day of a network whose nodes come and go, half of them
 * behind NATs: how many table entries are dead, and whether what is published is found.
 *
 * The network is born whole: nobody has proved to be reachable before a pinhole's time has passed.
 * Measuring begins after `warmUpMs`; what happened before is reported apart.
 */
import type { Hashes } from "../../base/ports.ts";
import { minute, second } from "../../base/units.ts";
import type { LookupPolicy } from "../../dht/policy.ts";
import type { Latency } from "../net/latency.ts";
import { SeededRandom } from "../seeded-random.ts";
import { percentile } from "../statistics.ts";
import { Churn } from "./churn.ts";
import { lookupReport, rounded } from "./lookup-report.ts";
import type { LookupReport } from "./lookup-report.ts";
import { Prober } from "./prober.ts";
import { tableHealth } from "./table-health.ts";
import type { TableHealth } from "./table-health.ts";
import { DhtWorld } from "./world.ts";

export interface ChurnBenchTask {
  readonly seed: number;
  readonly nodes: number;
  readonly hashes: Hashes;
  readonly latency: Latency;
  /** After the warm-up. */
  readonly durationMs: number;
  readonly warmUpMs?: number;
  readonly natShare?: number;
  readonly loss?: number;
  readonly overloadedShare?: number;
  readonly keysPerNode?: number;
  readonly lookupEveryMs?: number;
  readonly churn?: boolean;
  readonly policy?: LookupPolicy | undefined;
  /** Told of each sample. */
  readonly progress?: (text: string) => void;
}

export interface ChurnBenchRow {
  readonly seed: number;
  readonly nodes: number;
  readonly hours: number;
  /** Shares of all table entries, sampled every ten minutes. */
  readonly dead: { readonly mean: number; readonly p90: number; readonly max: number };
  /** The mean share of those that run no more, that strangers do not reach, that are in doubt. */
  readonly gone: number;
  readonly hidden: number;
  readonly doubted: number;
  readonly tableSize: number;
  readonly left: number;
  readonly returned: number;
  readonly fresh: number;
  readonly lookups: LookupReport;
  readonly warmUp: { readonly lookups: number; readonly missed: number };
  readonly datagrams: number;
  /** UDP payload sent by a running node, bytes per second. */
  readonly bytesPerSecond: number;
  readonly traceHash: string;
}

/** The row, and each lookup's time to its first value. */
export interface ChurnBenchResult {
  readonly row: ChurnBenchRow;
  readonly firstValueMs: readonly number[];
  readonly doneMs: readonly number[];
}

const sampleMs = 10 * minute;
const joinMs = 5 * minute;
/** Births are over when the believed ones are in all tables: `dhtLimits.quarantineMs` and a bit. */
const defaultWarmUpMs = 30 * minute;

export async function benchChurn(task: ChurnBenchTask): Promise<ChurnBenchResult> {
  const { seed, nodes, hashes, latency, durationMs, policy, warmUpMs = defaultWarmUpMs } = task;
  const world = new DhtWorld({
    ...{ seed, hashes, latency, policy, network: { loss: task.loss ?? 0.02 } },
    natShare: task.natShare ?? 0.5,
    overloadedShare: task.overloadedShare ?? 0.03,
    keysPerNode: task.keysPerNode ?? 5,
  });
  let bytes = 0;
  world.watch = ({ sizeBytes }) => (bytes += sizeBytes);
  const churn = new Churn(world);
  world.populate(nodes, joinMs, (machine) => {
    if (task.churn !== false) churn.begun(machine);
  });
  const everyMs = task.lookupEveryMs ?? 10 * second;
  const early = new Prober(world, { random: new SeededRandom(seed + 7), everyMs });
  early.start();
  await world.run(warmUpMs);
  early.stop();
  bytes = 0;
  const prober = new Prober(world, { random: new SeededRandom(seed + 8), everyMs });
  prober.start();
  const samples = await sampled(world, task, prober);
  prober.stop();
  await world.run(minute);
  const row: ChurnBenchRow = {
    ...{ seed, nodes, hours: durationMs / (60 * minute) },
    ...healthOf(samples),
    ...{ left: churn.left, returned: churn.returned, fresh: churn.fresh },
    lookups: lookupReport(prober, world.clock.monotonicMs()),
    warmUp: { lookups: early.probes.length, missed: early.misses.length },
    datagrams: Object.values(world.network.totals).reduce((sum, count) => sum + count, 0),
    bytesPerSecond: rounded(bytes / nodes / ((durationMs + minute) / second), 1),
    traceHash: world.network.traceHash(),
  };
  const { probes } = prober;
  return {
    row,
    firstValueMs: probes.flatMap(({ firstMs }) => firstMs ?? []),
    doneMs: probes.flatMap(({ doneMs }) => doneMs ?? []),
  };
}

async function sampled(
  world: DhtWorld,
  { durationMs, progress }: ChurnBenchTask,
  prober: Prober,
): Promise<TableHealth[]> {
  const samples: TableHealth[] = [];
  for (let passedMs = 0; passedMs < durationMs; passedMs += sampleMs) {
    await world.run(Math.min(sampleMs, durationMs - passedMs));
    const health = tableHealth(world);
    samples.push(health);
    const minutes = Math.round(world.clock.monotonicMs() / minute);
    const dead = (100 * health.deadShare).toFixed(2);
    progress?.(`${minutes} min: ${dead} % dead, ${prober.misses.length}/${prober.probes.length}`);
  }
  return samples;
}

type Healths = Pick<ChurnBenchRow, "dead" | "gone" | "hidden" | "doubted" | "tableSize">;

function healthOf(samples: readonly TableHealth[]): Healths {
  const mean = (of: (health: TableHealth) => number): number =>
    rounded(samples.reduce((sum, health) => sum + of(health), 0) / samples.length, 5);
  const share = (of: (health: TableHealth) => number): number =>
    mean((health) => of(health) / Math.max(1, health.entries));
  const sorted = samples.map(({ deadShare }) => deadShare).sort((a, b) => a - b);
  return {
    dead: {
      mean: mean(({ deadShare }) => deadShare),
      p90: rounded(percentile(sorted, 90), 5),
      max: rounded(sorted.at(-1) ?? NaN, 5),
    },
    ...{ gone: share(({ gone }) => gone), hidden: share(({ hidden }) => hidden) },
    ...{ doubted: share(({ doubted }) => doubted), tableSize: mean(({ meanSize }) => meanSize) },
  };
}
