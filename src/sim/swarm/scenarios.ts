/**
 * What the swarm must show, in virtual time: flash crowds, mass deployment, balance. Each scenario
 * gives one row of figures for one seed, beside the theoretical bound: with upload rates u, download
 * rates d, a source of us and N downloaders of F bytes, nobody can do better than
 * max(F / us, F / min d, N · F / (us + Σu)) for the last of them (Kumar and Ross 2006).
 */
import { creditMs } from "../../swarm/patience.ts";
import { SeededRandom } from "../seeded-random.ts";
import type { DhtModel, MemberPlan, SwarmPlan } from "./plan.ts";
import { rounded, runSwarm, tookOf, type SwarmRow } from "./row.ts";
import type { SwarmWorld } from "./world.ts";

/** As links and files are sold: powers of ten. Rates in bytes a second. */
export const MB = 1_000_000;
export const Mbit = 125_000;

/** A switched network: half a millisecond there and back. */
export const lan = {
  ...{ latencyMs: () => 0.25, quantumBytes: 64 * 1024, patienceMs: creditMs, finding: "lan" },
} as const satisfies Partial<SwarmPlan>;

/** Look-ups of a joined node in a network of 10,000 in one region: quantiles of bench/lookup.ts. */
export const regionalDht: DhtModel = {
  ...{ firstMs: [20, 40, 60, 90, 150], doneMs: [250, 300, 400, 500, 900], publishMs: 1000 },
};

/** Of a source of `us`, and of `count` downloaders with links of `rate` each, in milliseconds. */
export function boundMs(
  { count, sizeBytes }: { readonly count: number; readonly sizeBytes: number },
  us: number,
  rate: number,
): number {
  const all = (count * sizeBytes) / (us + count * rate);
  return 1000 * Math.max(sizeBytes / us, sizeBytes / rate, all);
}

export function member(given: Partial<MemberPlan> & { readonly rate: number }): MemberPlan {
  const { rate, ...others } = given;
  return { up: rate, down: rate, startMs: 0, sequential: true, ...others };
}

/** `count` members, each as `plan` says for its index. */
export function several(count: number, plan: (index: number) => MemberPlan): MemberPlan[] {
  return Array.from({ length: count }, (_, index) => plan(index));
}

export type CrowdVariant = "together" | "staggered" | "leaving" | "direct";

/** 48 machines of 100 Mbit/s (or of `rate`) want 20 MB at once from a mirror of a tenth of that. */
export function crowd48(
  seed: number,
  variant: CrowdVariant = "together",
  {
    count = 48,
    sizeBytes = 20 * MB,
    policy = {},
    rate = 100 * Mbit,
    mirrorRate: us = rate / 10,
  }: ScenarioSize = {},
): SwarmRow {
  const random = new SeededRandom(seed + 1000);
  const spreadMs = variant === "staggered" ? 20_000 : 900;
  const members = several(count, () =>
    member({ rate, startMs: spreadMs * random.next(), leaves: variant === "leaving" }),
  );
  const direct = variant === "direct";
  const bound = direct ? (1000 * count * sizeBytes) / us : boundMs({ count, sizeBytes }, us, rate);
  return runSwarm(
    { scenario: `crowd48-${variant}`, boundMs: bound },
    {
      ...{ ...lan, seed, sizeBytes, members, direct, policy },
      mirror: { up: us, serviceMs: 1, latencyMs: 0.25 },
    },
  );
}

/** Two or three that want the same at once are too few to be a crowd, but the mirror is as slow. */
export function few(seed: number, count: number): SwarmRow {
  return { ...crowd48(seed, "together", { count }), scenario: `few-${count}` };
}

/** Ten that want the same at once of a mirror that could serve each at the full rate of its link. */
export function fast(seed: number): SwarmRow {
  const size = { count: 10, mirrorRate: 1000 * Mbit };
  return { ...crowd48(seed, "together", size), scenario: "fast-10" };
}

export interface ScenarioSize {
  readonly count?: number;
  readonly sizeBytes?: number;
  readonly policy?: SwarmPlan["policy"];
  /** Bytes a second, of each machine's link, and of the mirror's. */
  readonly rate?: number;
  readonly mirrorRate?: number;
  readonly watch?: SwarmPlan["watch"];
}

/** `count` machines fetch an image from one seed of equal link speed. */
export function deploy(
  seed: number,
  { count = 15, sizeBytes = 606 * MB, rate = 100 * Mbit, policy = {}, watch }: ScenarioSize = {},
): SwarmRow {
  const random = new SeededRandom(seed + 1000);
  const members = [
    member({ rate, seed: true }),
    ...several(count, () => member({ rate, sequential: false, startMs: 500 * random.next() })),
  ];
  return runSwarm(
    { scenario: `deploy-${count}`, boundMs: boundMs({ count, sizeBytes }, rate, rate) },
    { ...lan, quantumBytes: 128 * 1024, seed, sizeBytes, members, policy, watch },
  );
}

/** A cluster: thousands of nodes, gigabytes, one origin. */
export function kraken(
  seed: number,
  {
    count = 2600,
    sizeBytes = 3000 * MB,
    rate = 1000 * Mbit,
    policy = {},
    watch,
  }: ScenarioSize = {},
): SwarmRow {
  const random = new SeededRandom(seed + 1000);
  const members = [
    member({ rate, seed: true }),
    ...several(count, () => member({ rate, sequential: false, startMs: 1000 * random.next() })),
  ];
  return runSwarm(
    { scenario: `kraken-${count}`, boundMs: boundMs({ count, sizeBytes }, rate, rate) },
    { ...lan, quantumBytes: 512 * 1024, seed, sizeBytes, members, policy, watch },
  );
}

/** A thousand apt clients within ten seconds for a package of 1 MB. */
export function thousand(
  seed: number,
  { count = 1000, sizeBytes = 1 * MB, policy = {} }: ScenarioSize = {},
): SwarmRow {
  const random = new SeededRandom(seed + 1000);
  const rate = 100 * Mbit;
  const members = several(count, () => member({ rate, startMs: 10_000 * random.next() }));
  return runSwarm(
    { scenario: `thousand-${count}`, boundMs: (1000 * sizeBytes) / rate },
    {
      ...{ ...lan, seed, sizeBytes, members, policy, latencyMs: () => 10, finding: regionalDht },
      mirror: { up: 1000 * Mbit, serviceMs: 1, latencyMs: 10 },
    },
    (world) => lateRequests(world, 3000),
  );
}

/** How many of those who came after `sinceMs` needed the mirror, and how much of its work that was. */
function lateRequests(world: SwarmWorld, sinceMs: number): Readonly<Record<string, number>> {
  const late = (world.mirror?.requestsMs ?? []).filter((atMs) => atMs > sinceMs).length;
  const clients = world.members.filter(({ plan }) => plan.startMs > sinceMs).length;
  return { lateRequests: late, lateClients: clients, lateShare: rounded(late / clients) };
}

/** Ten equal seeds and forty clients: who uploads how much. */
export function balance(
  seed: number,
  { count = 40, sizeBytes = 50 * MB, policy = {} }: ScenarioSize = {},
): SwarmRow {
  const random = new SeededRandom(seed + 1000);
  const rate = 100 * Mbit;
  const seeds = 10;
  const members = [
    ...several(seeds, () => member({ rate, seed: true })),
    ...several(count, () => member({ rate, startMs: 4000 * random.next(), leaves: true })),
  ];
  return runSwarm(
    {
      scenario: `balance${policy.feedback === false ? "-blind" : ""}`,
      boundMs: boundMs({ count, sizeBytes }, seeds * rate, rate),
    },
    { ...lan, seed, sizeBytes, members, policy },
    (world) => evenness(world.members.slice(0, seeds).map(({ host }) => host.sentBytes)),
  );
}

export function evenness(sent: readonly number[]): Readonly<Record<string, number>> {
  const mean = sent.reduce((sum, bytes) => sum + bytes, 0) / sent.length;
  return {
    maxByMean: rounded(Math.max(...sent) / mean),
    minByMean: rounded(Math.min(...sent) / mean),
  };
}

/** One volunteer's network link, in bytes a second, and the uploads that keep the busy half busy. */
const volunteerRate = 100 * Mbit;
const busyUploads = 4;
const volunteers = 8;

/**
 * The load balancer of Shah et al. 2008: eight volunteers, half of them busy with each other, and
 * customers who come at a load of so many parts of what the eight have left, for packages of one size.
 * Customers do not serve.
 */
export function shah(
  seed: number,
  load: number,
  { count = 400, sizeBytes = 5 * MB, policy = {} }: ScenarioSize = {},
): { readonly row: SwarmRow; readonly tookMs: Float64Array } {
  const random = new SeededRandom(seed + 1000);
  const rate = volunteerRate;
  const left = (volunteers / 2) * (rate + rate / (1 + busyUploads));
  const meanMs = (1000 * sizeBytes) / (left * load);
  let startMs = 0;
  const members = [
    ...several(volunteers, (index) =>
      member({ rate, seed: true, ...(index % 2 === 0 && { background: busyUploads }) }),
    ),
    ...several(count, () => {
      startMs += -Math.log(1 - random.next()) * meanMs;
      return member({ rate, startMs, limits: { nearRate: 0, farRate: 0 }, leaves: true });
    }),
  ];
  let tookMs: Float64Array = new Float64Array();
  const row = runSwarm(
    {
      scenario: `shah-${Math.round(load * 100)}${policy.feedback === false ? "-blind" : ""}`,
      boundMs: (1000 * sizeBytes) / rate,
    },
    { ...lan, seed, sizeBytes, members, policy },
    (world) => {
      tookMs = tookOf(world.members.slice(volunteers));
      const mean = tookMs.reduce((sum, ms) => sum + ms, 0) / tookMs.length;
      return { meanMs: Math.round(mean) };
    },
  );
  return { row, tookMs };
}
