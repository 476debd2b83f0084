/** Runs a simulated swarm to its end → one row of figures beside the theoretical bound. */
import { percentile } from "../statistics.ts";
import type { Member } from "./member.ts";
import type { SwarmPlan } from "./plan.ts";
import { SwarmWorld } from "./world.ts";

export interface SwarmRow {
  readonly scenario: string;
  readonly seed: number;
  readonly members: number;
  readonly sizeBytes: number;
  /** No download of this crowd can have ended sooner, in milliseconds after its start. */
  readonly boundMs: number;
  readonly finished: number;
  /** From each one's start to its end. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** The same as 0, 5, … 100 percent, for figures. */
  readonly quantilesMs: readonly number[];
  /** When the last one had it. */
  readonly lastMs: number;
  /** Who took longest, by the bound. */
  readonly ratio: number;
  /** What the mirror sent in all, and the parts of it that came by ranges and again, in copies. */
  readonly mirrorCopies: number;
  readonly mirrorRanges: number;
  readonly mirrorAgain: number;
  readonly mirrorRequests: number;
  /** What the seeds sent in all, in copies, and when each piece had left them once. */
  readonly seedCopies: number;
  readonly sownMs: number | undefined;
  /** Of those that read in order: from the start to the first byte, and without any. */
  readonly firstByteP99Ms: number;
  readonly longestSilenceMs: number;
  /** Of the bytes that were received: had been there already, were cut off, or were wrong. */
  readonly duplicates: number;
  readonly refused: number;
  /** Of what all uplinks together could have sent until the last had finished. */
  readonly uplinksUsed: number;
  readonly refetches: number;
  readonly more: Readonly<Record<string, number>>;
}

/** Nothing takes longer than this by design; what does has failed. */
const longestFactor = 100;
const longestMoreMs = 600_000;

/** `more`: figures of this scenario alone. */
export function runSwarm(
  { scenario, boundMs }: { readonly scenario: string; readonly boundMs: number },
  plan: SwarmPlan,
  more: (world: SwarmWorld) => Readonly<Record<string, number>> = () => ({}),
): SwarmRow {
  const world = new SwarmWorld(plan);
  world.run(boundMs * longestFactor + longestMoreMs);
  const endMs = world.clock.monotonicMs();
  const clients = world.members.filter((each) => each.plan.seed !== true);
  const took = tookOf(clients);
  const lastMs = Math.max(...clients.map(({ figures }) => figures.finishedMs ?? 0));
  const ordered = clients.filter((each) => each.plan.sequential);
  const first = ordered.flatMap(({ figures: { firstByteMs, startedMs } }) =>
    firstByteMs === undefined || startedMs === undefined ? [] : [firstByteMs - startedMs],
  );
  const silences = ordered.map(({ figures }) => figures.longestSilenceMs);
  const couldSend = plan.members.reduce((sum, { up }) => sum + (up * endMs) / 1000, 0);
  const received = Math.max(1, took.length) * plan.sizeBytes;
  const count = (name: string): number => world.counters.get(name) / received;
  return {
    ...{ scenario, seed: plan.seed, members: plan.members.length, sizeBytes: plan.sizeBytes },
    ...{ boundMs: Math.round(boundMs), finished: took.length },
    ...{ p50Ms: at(took, 50), p99Ms: at(took, 99), p999Ms: at(took, 99.9) },
    quantilesMs: Array.from({ length: 21 }, (_, step) => at(took, 5 * step)),
    ...{ lastMs: Math.round(lastMs), ratio: rounded((took.at(-1) ?? NaN) / boundMs) },
    ...mirrorFigures(world, plan.sizeBytes),
    seedCopies: rounded(
      sentBy(world.members.filter(({ plan: { seed } }) => seed)) / plan.sizeBytes,
    ),
    sownMs: world.sownMs === undefined ? undefined : Math.round(world.sownMs),
    firstByteP99Ms: at(Float64Array.from(first).sort(), 99),
    longestSilenceMs: Math.round(Math.max(0, ...silences)),
    duplicates: rounded(count("swarm.bytes.duplicate")),
    refused: rounded(count("swarm.bytes.refused")),
    uplinksUsed: rounded(sentBy(world.members) / couldSend),
    refetches: clients.reduce((sum, { figures }) => sum + figures.refetches, 0),
    more: more(world),
  };
}

/** Milliseconds from start to end of those that have ended, ascending. */
export function tookOf(members: readonly Member[]): Float64Array {
  const took = members.flatMap(({ figures: { finishedMs, startedMs } }) =>
    finishedMs === undefined || startedMs === undefined ? [] : [finishedMs - startedMs],
  );
  return Float64Array.from(took).sort();
}

function sentBy(members: readonly Member[]): number {
  return members.reduce((sum, { host }) => sum + host.sentBytes, 0);
}

/** To three decimals. */
export function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function mirrorFigures(
  { mirror }: SwarmWorld,
  sizeBytes: number,
): Pick<SwarmRow, "mirrorCopies" | "mirrorRanges" | "mirrorAgain" | "mirrorRequests"> {
  let [once, all] = [0, 0];
  for (const times of mirror?.pieces ?? []) {
    if (times > 0) once++;
    all += times;
  }
  const again = all === 0 ? 0 : (all - once) / (mirror?.pieces.length ?? 1);
  return {
    mirrorCopies: rounded((mirror?.host.sentBytes ?? 0) / sizeBytes),
    mirrorRanges: rounded((mirror?.rangeBytes ?? 0) / sizeBytes),
    mirrorAgain: rounded(again),
    mirrorRequests: mirror?.requestsMs.length ?? 0,
  };
}

function at(sorted: Float64Array, percent: number): number {
  return Math.round(percentile(sorted, percent));
}
