/**
 * One node is flooded with stores, by one address and by a whole /16, all with good tokens: what it
 * keeps of them, and what honest lookups notice. And how much more than it gets a node sends to
 * addresses that have proved nothing.
 */
import { endpoint } from "../../base/endpoint.ts";
import type { Endpoint } from "../../base/endpoint.ts";
import { idWithPrefix, randomNodeId } from "../../base/node-id.ts";
import { minute, second } from "../../base/units.ts";
import { encodedSize, padTo } from "../../krpc/encode.ts";
import { maxDatagramBytes } from "../../krpc/message.ts";
import type { Query, QueryMessage } from "../../krpc/message.ts";
import type { HostPort } from "../net/host-port.ts";
import { SeededRandom } from "../seeded-random.ts";
import { honestWorld } from "./hostile-bench.ts";
import type { HostileTask } from "./hostile-bench.ts";
import { inventedEndpoint } from "./liar.ts";
import { lookupReport, rounded } from "./lookup-report.ts";
import type { Machine } from "./machine.ts";
import { Prober } from "./prober.ts";
import type { DhtWorld } from "./world.ts";

export interface FloodSettings {
  /** Stores a second, half from one address, half from the /16. */
  readonly perSecond: number;
  readonly floodMs: number;
  /** Addresses of the /16 that send; 256 subnets share them. */
  readonly sources: number;
}

export interface FloodRow {
  readonly nodes: number;
  readonly floodDatagrams: number;
  /** Stores of the flood that were answered as stored, as refused, and not at all. */
  readonly stored: number;
  readonly refused: number;
  readonly unheard: number;
  /** What the victim holds: before, and the most during the flood. */
  readonly valuesBefore: number;
  readonly valuesMost: number;
  readonly bytesMost: number;
  /** Honest keys that it held before, and of them those that it still holds afterwards. */
  readonly honestBefore: number;
  readonly honestAfter: number;
  /** Addresses that it remembers, newcomers that it keeps an eye on: the most. */
  readonly peersMost: number;
  readonly quarantineMost: number;
  readonly queriesMost: number;
  /** Milliseconds until the first value, before and during the flood. */
  readonly idleP99: number;
  readonly floodP99: number;
  readonly ratio: number;
  readonly missed: number;
}

const value = Uint8Array.of(0x64, 0x65);
const stepMs = 10;

export async function benchFlood(task: HostileTask, settings: FloodSettings): Promise<FloodRow> {
  const { seed, nodes } = task;
  const { world, honest } = await honestWorld(task, nodes);
  const [victim] = honest;
  if (victim?.run === undefined) throw new Error("there is nobody to flood");
  const random = new SeededRandom(seed + 3);
  const idle = await asked(world, { seed: seed + 20, ms: 10 * minute, everyMs: second });
  const flood = new Flood(world, victim, random);
  flood.attach(settings.sources);
  await world.run(20 * second);
  const { store, book, keeper } = victim.run.node;
  const valuesBefore = store.size;
  const honestKeys = honest
    .flatMap(({ traits }) => traits.keys)
    .filter((key) => store.count(key) > 0);
  const most = { values: 0, bytes: 0, peers: 0, quarantine: 0, queries: 0 };
  const stop = every(world, stepMs, () => flood.send((settings.perSecond * stepMs) / second));
  const stopWatch = every(world, second, () => {
    most.values = Math.max(most.values, store.size);
    most.bytes = Math.max(most.bytes, store.bytes);
    most.peers = Math.max(most.peers, book.size);
    most.quarantine = Math.max(most.quarantine, keeper.quarantined);
    most.queries = Math.max(most.queries, victim.run?.node.pendingQueries ?? 0);
  });
  const everyMs = Math.min(second, settings.floodMs / 200);
  const during = await asked(world, { seed: seed + 21, ms: settings.floodMs, everyMs });
  stop();
  stopWatch();
  const { sent, stored, refused } = flood;
  return {
    ...{ nodes, floodDatagrams: sent, stored, refused, unheard: sent - stored - refused },
    ...{ valuesBefore, valuesMost: most.values, bytesMost: most.bytes, peersMost: most.peers },
    honestBefore: honestKeys.length,
    honestAfter: honestKeys.filter((key) => store.count(key) > 0).length,
    ...{ quarantineMost: most.quarantine, queriesMost: most.queries },
    ...{ idleP99: idle.firstValue.p99, floodP99: during.firstValue.p99 },
    ratio: rounded(during.firstValue.p99 / idle.firstValue.p99, 2),
    missed: during.missed,
  };
}

async function asked(
  world: DhtWorld,
  { seed, ms, everyMs }: { readonly seed: number; readonly ms: number; readonly everyMs: number },
): Promise<ReturnType<typeof lookupReport>> {
  const prober = new Prober(world, { random: new SeededRandom(seed), everyMs });
  prober.start();
  await world.run(ms);
  prober.stop();
  // The last ones end; a flood meanwhile goes on.
  await world.run(20 * second);
  return lookupReport(prober, world.clock.monotonicMs());
}

function every(world: DhtWorld, ms: number, action: () => void): () => void {
  let stop: () => void = () => undefined;
  const again = (): void => {
    stop = world.clock.after(ms, () => {
      action();
      again();
    });
  };
  again();
  return () => stop();
}

interface Source {
  readonly port: HostPort;
  readonly id: ReturnType<typeof randomNodeId>;
  token: Uint8Array | undefined;
}

class Flood {
  readonly #world: DhtWorld;
  readonly #victim: Machine;
  readonly #random: SeededRandom;
  /** The single one first. */
  readonly #sources: Source[] = [];
  sent = 0;
  stored = 0;
  refused = 0;
  #turn = 0;

  constructor(world: DhtWorld, victim: Machine, random: SeededRandom) {
    this.#world = world;
    this.#victim = victim;
    this.#random = random;
  }

  /** Everybody asks for a token. */
  attach(sources: number): void {
    this.#attach(endpoint("26.0.0.1", 9977));
    for (let index = 0; index < sources; index++) {
      this.#attach(endpoint(`27.1.${index % 256}.${1 + (index >> 8)}`, 9977));
    }
    for (const [index, source] of this.#sources.entries()) {
      // Within what one subnet may ask.
      this.#world.clock.after((index / 256) * second, () => this.#ask(source, { method: "ping" }));
    }
  }

  send(count: number): void {
    const { length } = this.#sources;
    for (let index = 0; index < count; index++) {
      const ofOne = index % 2 === 0;
      const source = this.#sources[ofOne ? 0 : 1 + (this.#turn++ % (length - 1))];
      if (source === undefined) continue;
      const key = idWithPrefix(this.#victim.traits.id, 12, this.#random);
      this.sent++;
      this.#ask(source, { method: "store_value", port: 9977, values: [{ key, value }] });
    }
  }

  #ask({ port, id, token }: Source, query: Query): void {
    const word = Math.floor(this.#random.next() * 2 ** 16);
    const transaction = String.fromCharCode(word & 255, word >>> 8);
    const message: QueryMessage = {
      ...{ kind: "query", transaction, version: "AP0.0.0", id, readOnly: false },
      ...{ token, padding: 0, query },
    };
    port.send(this.#victim.endpoint, token === undefined ? padTo(message, 120) : message);
  }

  #attach(at: Endpoint): void {
    const source: Source = {
      id: randomNodeId(this.#random),
      token: undefined,
      port: this.#world.network.attach({
        ...{ index: 100_000 + this.#sources.length, endpoint: at },
        receive: (_from, message) => {
          if (message.kind === "error") this.refused++;
          if (message.kind !== "answer") return;
          source.token = message.token ?? source.token;
          const { stored } = message.fields;
          if (stored === undefined) return;
          if (stored > 0) this.stored++;
          else this.refused++;
        },
      }),
    };
    this.#sources.push(source);
  }
}

export interface AmplificationRow {
  readonly queries: number;
  /** Answered at all. */
  readonly answers: number;
  /** Bytes answered per byte asked, by method: the most for any one query. */
  readonly most: Readonly<Record<string, number>>;
  /** The same with the node's own queries to the newcomer, which it pings to get to know it. */
  readonly mostWithPings: Readonly<Record<string, number>>;
}

/** All retransmissions of a query are over by then. */
const quietMs = 10 * second;

/**
 * Queries of all methods and sizes from addresses that have proved nothing, without a token and with
 * one of somebody else; each address asks once, and what is sent to it is counted.
 */
export async function benchAmplification(
  task: HostileTask,
  perMethod = 40,
): Promise<AmplificationRow> {
  const { world, honest } = await honestWorld(task, task.nodes);
  const victim = honest[0];
  if (victim?.run === undefined) throw new Error("there is nobody to ask");
  const random = new SeededRandom(task.seed + 4);
  const { port, node } = victim.run;
  const sentTo = new Map<string, { answers: number; all: number }>();
  world.watch = ({ from, target, message, sizeBytes }) => {
    const sent = sentTo.get(target.text);
    if (from !== port || sent === undefined) return;
    sent.all += sizeBytes;
    if (message.kind !== "query") sent.answers += sizeBytes;
  };
  const most: Record<string, number> = {};
  const mostWithPings: Record<string, number> = {};
  let [queries, answers] = [0, 0];
  for (let round = 0; round < perMethod; round++) {
    for (const query of queriesOf(victim, random)) {
      const message = unproven(query, round, random);
      const bytes = encodedSize(message);
      if (bytes > maxDatagramBytes) continue;
      const at = inventedEndpoint(random);
      const sent = { answers: 0, all: 0 };
      sentTo.set(at.text, sent);
      queries++;
      node.receive(at, message, bytes);
      await world.run(quietMs);
      if (sent.answers > 0) answers++;
      const { method } = query;
      most[method] = Math.max(most[method] ?? 0, rounded(sent.answers / bytes, 3));
      mostWithPings[method] = Math.max(mostWithPings[method] ?? 0, rounded(sent.all / bytes, 3));
    }
  }
  return { queries, answers, most, mostWithPings };
}

/** Sizes from the least possible to some 900 bytes more; every third has an invented token. */
function unproven(query: Query, round: number, random: SeededRandom): QueryMessage {
  const bare: QueryMessage = {
    ...{ kind: "query", transaction: "t", version: "AP0.0.0", id: randomNodeId(random) },
    ...{ readOnly: round % 2 === 1, padding: 0, query },
    token: round % 3 === 0 ? random.bytes(8) : undefined,
  };
  return padTo(bare, encodedSize(bare) + random.below(round % 4 === 0 ? 4 : 900));
}

function queriesOf({ run, traits }: Machine, random: SeededRandom): readonly Query[] {
  const held = traits.keys[0] ?? randomNodeId(random);
  const own = run?.node.id ?? held;
  return [
    { method: "ping" },
    { method: "join", port: 9977 },
    { method: "find_node", target: own, count: 32 },
    { method: "find_value", key: held },
    { method: "get_value", key: held, count: 100, from: 0 },
    { method: "store_value", port: 9977, values: [{ key: own, value }] },
    { method: "renew", port: 9977, count: 1, digest: random.bytes(16) },
  ];
}
