/**
 * What the swarm must show, in virtual time: flash crowds, mass deployment, balance, hostile peers.
 * Each gives one row of figures for one seed, with the theoretical bound where there is one.
 */
import { MB, Mbit } from "./units.ts";
import { percentile, summary } from "../statistics.ts";
import { SwarmWorld, type MemberPlan, type SwarmPlan } from "./world.ts";

export interface SwarmRow {
  readonly scenario: string;
  readonly seed: number;
  readonly members: number;
  readonly sizeBytes: number;
  /** No download can have ended sooner, in milliseconds. */
  readonly boundMs: number;
  readonly finished: number;
  readonly lastMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  /** Last finisher by the bound. */
  readonly ratio: number;
  /** What the mirror sent, in copies of the file. */
  readonly mirrorCopies: number;
  readonly firstByteP99Ms: number;
  readonly longestSilenceMs: number;
  /** Of bytes received, that had been there already or were in vain. */
  readonly duplicates: number;
  readonly more: Readonly<Record<string, number>>;
}

const common = { latencyMs: 0.25, quantumBytes: 64 * 1024, patienceMs: 250 } as const;

/** 48 machines of 100 Mbit/s want 20 MB at once from a mirror of 10 Mbit/s. */
export function crowd48(
  seed: number,
  variant: "together" | "staggered" | "leaving" | "direct" = "together",
  count = 48,
): SwarmRow {
  const sizeBytes = 20 * MB;
  const us = 10 * Mbit;
  const up = 100 * Mbit;
  const spreadMs = variant === "staggered" ? 20_000 : 500;
  const members = Array.from({ length: count }, (_, index): MemberPlan => {
    const startMs = (spreadMs * index) / count;
    const leaves = variant === "leaving" ? "finished" : undefined;
    return { up, down: up, startMs, sequential: true, leaves };
  });
  const bound = Math.max(sizeBytes / us, sizeBytes / up, (count * sizeBytes) / (us + count * up));
  const direct = variant === "direct";
  const boundMs = 1000 * (direct ? (count * sizeBytes) / us : bound);
  return run(`crowd48-${variant}`, boundMs, {
    ...{ ...common, seed, sizeBytes, members, finding: "lan", direct },
    mirror: { up: us, latencyMs: 5 },
  });
}

/** N machines fetch an image from one seed of equal link speed. */
export function deploy(
  seed: number,
  count: number,
  sizeBytes = 606 * MB,
  rate = 100 * Mbit,
): SwarmRow {
  const members = [
    member({ rate, seed: true }),
    ...Array.from({ length: count }, () => member({ rate, sequential: false })),
  ];
  const bound = Math.max(sizeBytes / rate, (count * sizeBytes) / (rate * (count + 1)));
  const world = { ...common, seed, sizeBytes, members, finding: "lan" as const };
  return run(`deploy-${count}`, 1000 * bound, world);
}

/** A cluster: thousands of nodes, gigabytes, one origin. */
export function kraken(seed: number, count = 2600, sizeBytes = 3000 * MB): SwarmRow {
  const rate = 1000 * Mbit;
  const members = [
    member({ rate, seed: true }),
    ...Array.from({ length: count }, () => member({ rate, sequential: false })),
  ];
  const bound = Math.max(sizeBytes / rate, (count * sizeBytes) / (rate * (count + 1)));
  return run(`kraken-${count}`, 1000 * bound, {
    ...{ ...common, seed, sizeBytes, members, quantumBytes: 512 * 1024 },
    finding: { firstMs: [20, 40, 60], doneMs: 200, publishMs: 200 },
  });
}

/** A thousand apt clients within ten seconds for a package of 1 MB. */
export function thousand(seed: number, count = 1000): SwarmRow {
  const sizeBytes = 1 * MB;
  const members = Array.from({ length: count }, (_, index) =>
    member({ rate: 100 * Mbit, startMs: (10_000 * index) / count }),
  );
  const mirrorRate = 1000 * Mbit;
  return run(
    `thousand-${count}`,
    (1000 * sizeBytes) / (100 * Mbit),
    {
      ...{ ...common, seed, sizeBytes, members, latencyMs: 1 },
      // What a joined node of a network of ten thousand needs in one region; see bench/results.
      finding: { firstMs: [20, 30, 40, 60], doneMs: 300, publishMs: 700 },
      mirror: { up: mirrorRate, latencyMs: 5 },
    },
    (world) => {
      const late = world.mirrorRequests.filter((at) => at > 3000).length;
      const wanted = members.filter(({ startMs }) => startMs > 3000).length * world.shape.pieces;
      return { mirrorRequestsAfter3s: late, mirrorShareAfter3s: late / wanted };
    },
  );
}

/** Ten equal seeds and forty clients: who uploads how much. */
export function balance(seed: number, feedback = true): SwarmRow {
  const sizeBytes = 50 * MB;
  const members = [
    ...Array.from({ length: 10 }, () => member({ rate: 100 * Mbit, seed: true })),
    ...Array.from({ length: 40 }, (_, index) =>
      member({ rate: 100 * Mbit, startMs: 100 * index, leaves: "finished" }),
    ),
  ];
  const bound = (40 * sizeBytes) / (50 * 100 * Mbit);
  return run(
    `balance${feedback ? "" : "-blind"}`,
    1000 * Math.max(bound, sizeBytes / (100 * Mbit)),
    { ...{ ...common, seed, sizeBytes, members, finding: "lan", policy: { feedback } } },
    (world) => {
      const sent = world.members.slice(0, 10).map(({ host }) => host.sentBytes);
      const mean = sent.reduce((sum, bytes) => sum + bytes, 0) / sent.length;
      return { maxByMean: Math.max(...sent) / mean, minByMean: Math.min(...sent) / mean };
    },
  );
}

/**
 * Volunteers of which half are busy with something else: eight machines, four of which have a tenth of
 * their uplink left; clients come at a load of so many parts of all that the eight could give.
 */
export function shah(seed: number, load: number, feedback: boolean): SwarmRow {
  const sizeBytes = 5 * MB;
  const rate = 100 * Mbit;
  const able = 4 * rate + 4 * (rate / 10);
  const count = 120;
  const gapMs = (1000 * sizeBytes) / (able * load);
  const members = [
    ...Array.from({ length: 8 }, (_, index) =>
      member({ rate: index < 4 ? rate / 10 : rate, down: rate, seed: true, slots: 4 }),
    ),
    ...Array.from({ length: count }, (_, index) =>
      member({ rate: rate / 100, down: rate, startMs: gapMs * index, leaves: "finished" }),
    ),
  ];
  const name = `shah-${Math.round(load * 100)}${feedback ? "" : "-blind"}`;
  return run(name, (1000 * sizeBytes) / rate, {
    ...{ ...common, seed, sizeBytes, members, finding: "lan", policy: { feedback } },
  });
}

/** One client among peers of which a share is in trouble, beside a mirror that would do alone. */
export function hostile(
  seed: number,
  trouble: "deaf" | "slow" | "busy" | "lying",
  share = 0.5,
): SwarmRow {
  const sizeBytes = 20 * MB;
  const rate = 100 * Mbit;
  const peers = Array.from({ length: 20 }, (_, index): MemberPlan => {
    const bad = index < 20 * share;
    return {
      ...member({ rate: bad && trouble === "slow" ? rate / 1000 : rate, seed: true }),
      ...(bad && trouble === "deaf" && { deaf: true }),
      ...(bad && trouble === "busy" && { busy: true }),
      ...(bad && trouble === "lying" && { lies: "bytes" as const }),
    };
  });
  const members = [...peers, member({ rate })];
  return run(`hostile-${trouble}-${Math.round(share * 100)}`, (1000 * sizeBytes) / rate, {
    ...{ ...common, seed, sizeBytes, members, latencyMs: 5 },
    finding: { firstMs: [30, 60, 150], doneMs: 400, publishMs: 500 },
    mirror: { up: rate, latencyMs: 20 },
  });
}

function member(given: Partial<MemberPlan> & { readonly rate: number }): MemberPlan {
  const { rate, ...others } = given;
  return { up: rate, down: rate, startMs: 0, sequential: true, ...others };
}

const longestMs = 24 * 3600 * 1000;

function run(
  scenario: string,
  boundMs: number,
  plan: SwarmPlan,
  more: (world: SwarmWorld) => Readonly<Record<string, number>> = () => ({}),
): SwarmRow {
  const world = new SwarmWorld(plan);
  world.run(Math.min(longestMs, boundMs * 1000 + 600_000));
  const clients = world.members.filter(({ plan: { seed } }) => seed !== true);
  const took = clients.flatMap(({ finishedMs, startedMs }) =>
    finishedMs === undefined || startedMs === undefined ? [] : [finishedMs - startedMs],
  );
  const sorted = Float64Array.from(took).sort();
  const last = Math.max(...clients.map(({ finishedMs }) => finishedMs ?? Infinity));
  const first = clients.flatMap(({ firstByteMs, startedMs }) =>
    firstByteMs === undefined || startedMs === undefined ? [] : [firstByteMs - startedMs],
  );
  const received = took.length * plan.sizeBytes;
  return {
    ...{ scenario, seed: plan.seed, members: plan.members.length, sizeBytes: plan.sizeBytes },
    ...{ boundMs: Math.round(boundMs), finished: took.length, lastMs: Math.round(last) },
    p50Ms: Math.round(percentile(sorted, 50)),
    p99Ms: Math.round(percentile(sorted, 99)),
    p999Ms: Math.round(percentile(sorted, 99.9)),
    ratio: rounded(last / boundMs),
    mirrorCopies: rounded((world.mirror?.sentBytes ?? 0) / plan.sizeBytes),
    firstByteP99Ms: summary(first).p99,
    longestSilenceMs: Math.round(Math.max(...clients.map((each) => each.longestSilenceMs))),
    duplicates: rounded(
      (world.counters.get("swarm.bytes.duplicate") + world.counters.get("swarm.bytes.refused")) /
        received,
    ),
    more: more(world),
  };
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
