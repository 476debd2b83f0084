/**
 * How large a network the laboratory holds: nodes that join, keep their tables, churn and are asked,
 * a simulated hour of it. What it takes of the machine is measured by who calls this.
 */
import type { Hashes } from "../../base/ports.ts";
import { minute, second } from "../../base/units.ts";
import type { Latency } from "../net/latency.ts";
import { SeededRandom } from "../seeded-random.ts";
import { Churn } from "./churn.ts";
import { lookupReport, rounded } from "./lookup-report.ts";
import type { LookupReport } from "./lookup-report.ts";
import { Prober } from "./prober.ts";
import { tableHealth } from "./table-health.ts";
import { DhtWorld } from "./world.ts";

export interface ScaleBenchTask {
  readonly seed: number;
  readonly nodes: number;
  readonly hashes: Hashes;
  readonly latency: Latency;
  /** From the first node's start. */
  readonly durationMs: number;
  readonly joinMs?: number;
  readonly natShare?: number;
  /** Of `publishers` nodes; in a large network every key needs a lookup of its own. */
  readonly publishers?: number;
  readonly keysPerPublisher?: number;
  readonly lookupEveryMs?: number;
  readonly progress?: (text: string) => void;
}

export interface ScaleBenchRow {
  readonly seed: number;
  readonly nodes: number;
  readonly hours: number;
  readonly datagrams: number;
  readonly datagramsPerNodeAndHour: number;
  readonly bytesPerSecond: number;
  readonly tableSize: number;
  readonly deadShare: number;
  /** Begun in the second half of the time. */
  readonly lookups: LookupReport;
  readonly traceHash: string;
}

export async function benchScale(task: ScaleBenchTask): Promise<ScaleBenchRow> {
  const { seed, nodes, hashes, latency, durationMs, natShare = 0.5, progress } = task;
  const { joinMs = 10 * minute, publishers = 300, keysPerPublisher = 3 } = task;
  const world = new DhtWorld({ seed, hashes, latency, natShare, overloadedShare: 0.03 });
  let bytes = 0;
  world.watch = ({ sizeBytes }) => (bytes += sizeBytes);
  const churn = new Churn(world);
  const random = new SeededRandom(seed + 6);
  for (let count = 0; count < nodes; count++) {
    const publishes = count >= nodes - publishers;
    const keys = publishes ? world.newKeys(keysPerPublisher) : [];
    const machine = world.add({ keys });
    const delayMs = machine.traits.bootstrap ? 0 : random.next() * joinMs;
    world.clock.after(delayMs, () => {
      world.start(machine);
      churn.begun(machine);
    });
  }
  const prober = new Prober(world, {
    ...{ random: new SeededRandom(seed + 8), everyMs: task.lookupEveryMs ?? second },
  });
  const steps = 12;
  for (let step = 0; step < steps; step++) {
    if (step === steps / 2) prober.start();
    await world.run(durationMs / steps);
    progress?.(`${Math.round(world.clock.monotonicMs() / minute)} min, ${world.live.length} nodes`);
  }
  const health = tableHealth(world);
  const hours = durationMs / (60 * minute);
  const datagrams = Object.values(world.network.totals).reduce((sum, count) => sum + count, 0);
  return {
    ...{ seed, nodes, hours, datagrams },
    datagramsPerNodeAndHour: Math.round(datagrams / nodes / hours),
    bytesPerSecond: rounded(bytes / nodes / (durationMs / second), 1),
    ...{ tableSize: rounded(health.meanSize, 1), deadShare: rounded(health.deadShare, 5) },
    lookups: lookupReport(prober, world.clock.monotonicMs()),
    traceHash: world.network.traceHash(),
  };
}
