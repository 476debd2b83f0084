/** Runs many lookups of one contender on one network, and says what they took. */
import { idText, randomNodeId } from "../../base/node-id.ts";
import type { NodeId } from "../../base/node-id.ts";
import type { Hashes } from "../../base/ports.ts";
import { second } from "../../base/units.ts";
import { defaultPolicy, patientPolicy } from "../../dht/policy.ts";
import type { Schedule } from "../../krpc/transactions.ts";
import type { Latency } from "../net/latency.ts";
import { SeededRandom } from "../seeded-random.ts";
import { summary } from "../statistics.ts";
import type { Summary } from "../statistics.ts";
import type { Contender } from "./contenders.ts";
import type { NetworkModel } from "./networks.ts";
import { StaticWorld } from "./static-world.ts";
import type { Made } from "./static-world.ts";

export interface BenchTask {
  readonly model: NetworkModel;
  readonly seed: number;
  readonly lookups: number;
  readonly hashes: Hashes;
  /** Instead of the model's own. */
  readonly latency?: Latency | undefined;
}

type Times = Omit<Summary, "count">;

/** One line of the bench. Times in milliseconds, messages and bytes per lookup as sent by the asker. */
export interface BenchRow {
  readonly policy: string;
  readonly network: string;
  readonly seed: number;
  readonly lookups: number;
  readonly done: Times;
  readonly firstValue: Times;
  readonly messages: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Of the 8 closest live nodes, how many a lookup came back with: the mean share. */
  readonly recall: number;
  /** Share of the lookups that found no value although it had been stored. */
  readonly missed: number;
  readonly traceHash: string;
}

export interface BenchResult {
  readonly row: BenchRow;
  /** Each asking node's mean time to the end of its lookups, as in the figure of 2008. */
  readonly nodeMeansMs: readonly number[];
}

interface One {
  readonly doneMs: number;
  readonly firstMs: number | undefined;
  readonly messages: number;
  readonly recall: number;
}

/** Closest nodes that a publisher asks for: one lookup places all keys around its target. */
const storeWidth = 20;

/** Nobody waits longer for a lookup to end. */
const patienceMs = 120 * second;

export function benchContender(task: BenchTask, contender: Contender): BenchResult {
  return bench(task, contender, (world, asker, key) => searched(world, asker, key));
}

/**
 * The all-knowing searcher: it asks the 8 live closest at once, but waits for none that is overloaded.
 */
export function benchBound(task: BenchTask, contender: Contender): BenchResult {
  const named = { ...contender, policy: { ...defaultPolicy, name: "bound" } };
  return bench(task, named, (world, asker, key) => known(world, asker, key));
}

/** What a publisher does before it stores; the times of its row are the time to the end. */
export function benchStore(task: BenchTask, contender: Contender): BenchResult {
  const named = { ...contender, policy: { ...defaultPolicy, name: "store" } };
  return bench(task, named, (world, asker, key) => patient(world, asker, key));
}

function bench(
  task: BenchTask,
  contender: Contender,
  run: (world: StaticWorld, asker: Made, key: NodeId) => One,
): BenchResult {
  const { model, seed, lookups, hashes, latency = model.latency(seed) } = task;
  const random = new SeededRandom(seed + 99);
  const keys = Array.from({ length: lookups }, () => randomNodeId(random));
  const world = new StaticWorld({ model, contender, seed, hashes, latency, keys });
  const ones: One[] = [];
  const askers = new Map<number, number[]>();
  let [bytesSent, bytesReceived] = [0, 0];
  for (const [number, key] of keys.entries()) {
    const asker = world.freshAsker(number);
    const one = run(world, asker, key);
    ones.push(one);
    askers.set(asker.port.index, [...(askers.get(asker.port.index) ?? []), one.doneMs]);
    bytesSent += asker.port.traffic.sentBytes;
    bytesReceived += asker.port.traffic.receivedBytes;
    asker.node.stop();
  }
  const mean = (values: readonly number[]): number =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const found = ones.flatMap(({ firstMs }) => firstMs ?? []);
  const row = {
    ...{ policy: contender.policy.name, network: model.name, seed, lookups },
    done: times(ones.map(({ doneMs }) => doneMs)),
    firstValue: times(found),
    messages: rounded(mean(ones.map(({ messages }) => messages)), 10),
    bytesSent: Math.round(bytesSent / lookups),
    bytesReceived: Math.round(bytesReceived / lookups),
    recall: rounded(mean(ones.map(({ recall }) => recall)), 1000),
    missed: rounded(1 - found.length / lookups, 10_000),
    traceHash: world.network.traceHash(),
  };
  return { row, nodeMeansMs: [...askers.values()].map(mean) };
}

/** One lookup as the contender does it; time goes on until nothing can come any more. */
function searched(world: StaticWorld, asker: Made, key: NodeId): One {
  const { node } = asker;
  const { clock } = world;
  const startMs = clock.monotonicMs();
  const at = (): number => clock.monotonicMs() - startMs;
  const seen: { doneMs?: number; firstMs?: number; closest: readonly NodeId[]; messages: number } =
    { closest: [], messages: 0 };
  node.lookup(key, {
    values: () => (seen.firstMs ??= at()),
    done: ({ closest, messages }) => {
      seen.doneMs = at();
      seen.messages = messages;
      seen.closest = closest.map(({ id }) => id);
    },
  });
  const over = (): boolean =>
    seen.doneMs !== undefined && (seen.firstMs !== undefined || node.pendingQueries === 0);
  clock.runUntil(over, patienceMs);
  return {
    ...{ doneMs: seen.doneMs ?? patienceMs, firstMs: seen.firstMs, messages: seen.messages },
    recall: recallOf(world.trueClosest(asker, key, 8), seen.closest),
  };
}

/** The patient pass before a store: what counts is whom it finds. */
function patient(world: StaticWorld, asker: Made, key: NodeId): One {
  const { node } = asker;
  const { clock } = world;
  const startMs = clock.monotonicMs();
  let one: Omit<One, "recall"> | undefined;
  let closest: readonly NodeId[] = [];
  const task = { target: key, kind: "nodes", policy: patientPolicy, width: storeWidth } as const;
  node.run(task, {
    done: (result) => {
      const doneMs = clock.monotonicMs() - startMs;
      one = { doneMs, firstMs: doneMs, messages: result.messages };
      closest = result.closest.map(({ id }) => id);
    },
  });
  clock.runUntil(() => one !== undefined, patienceMs);
  const recall = recallOf(world.trueClosest(asker, key, 8), closest.slice(0, 8));
  return { ...(one ?? { doneMs: patienceMs, firstMs: undefined, messages: 0 }), recall };
}

function recallOf(right: readonly NodeId[], found: readonly NodeId[]): number {
  const texts = new Set(found.map(idText));
  return right.filter((id) => texts.has(idText(id))).length / right.length;
}

function known(world: StaticWorld, asker: Made, key: NodeId): One {
  const { clock } = world;
  const startMs = clock.monotonicMs();
  const right = world.trueClosest(asker, key, 8);
  const contacts = world.contactsOf(asker, right);
  const quick = new Set(right.filter((id) => !world.isOverloaded(id)).map(idText));
  let [answers, messages] = [0, 0];
  let firstMs: number | undefined;
  let doneMs: number | undefined;
  for (const contact of contacts) {
    messages++;
    const schedule = knowingSchedule(contact.peer.srttMs ?? 0);
    asker.node.rpc.query(contact, { method: "find_value", key }, schedule, {
      resent: () => messages++,
      done: (outcome) => {
        if (outcome.kind !== "answer") return;
        const passedMs = clock.monotonicMs() - startMs;
        if ((outcome.message.fields.values?.length ?? 0) > 0) firstMs ??= passedMs;
        answers++;
        quick.delete(idText(contact.id));
        if (quick.size === 0) doneMs ??= passedMs;
      },
    });
  }
  clock.runUntil(() => doneMs !== undefined || asker.node.pendingQueries === 0, patienceMs);
  const passedMs = clock.monotonicMs() - startMs;
  const recall = answers / Math.max(1, right.length);
  return { doneMs: doneMs ?? passedMs, firstMs, messages, recall };
}

/** Who knows each round trip exactly sends again as soon as a message must have been lost. */
function knowingSchedule(rttMs: number): Schedule {
  const waitMs = 1.2 * rttMs + 1;
  const resendMs = [1, 2, 3, 4, 5].map((tries) => tries * waitMs);
  return { resendMs, suspectMs: 6 * waitMs, failMs: 6 * waitMs };
}

function times(values: readonly number[]): Times {
  const { mean, p50, p90, p99 } = summary(values);
  return { p50, p90, p99, mean };
}

function rounded(value: number, parts: number): number {
  return Math.round(value * parts) / parts;
}
