/**
 * A network that stands still: every node has the table that it would have after a while, and the
 * values that belong to it. Nodes are made when they are first sent to, so that 100,000 of them cost
 * only what the lookups touch. Each lookup starts from a node made for it alone, so that no lookup
 * profits from what an earlier one learnt.
 */
import { Counters } from "../../base/counters.ts";
import { compareDistance, idBytes, parseNodeId } from "../../base/node-id.ts";
import type { NodeId } from "../../base/node-id.ts";
import type { Endpoint } from "../../base/endpoint.ts";
import type { Hashes } from "../../base/ports.ts";
import { DhtNode } from "../../dht/node.ts";
import type { DhtComponents } from "../../dht/node.ts";
import type { Contact } from "../../dht/types.ts";
import { encodedSize } from "../../krpc/encode.ts";
import { endpointOf, indexOf } from "../net/addressing.ts";
import type { HostPort } from "../net/host-port.ts";
import type { Latency } from "../net/latency.ts";
import { defaultNetworkSettings, PacketNetwork } from "../net/packet-network.ts";
import { lognormal } from "../net/distributions.ts";
import { SeededRandom } from "../seeded-random.ts";
import { VirtualClock } from "../virtual-clock.ts";
import type { Contender } from "./contenders.ts";
import { LazyTable } from "./lazy-table.ts";
import type { NetworkModel } from "./networks.ts";

export interface WorldParts {
  readonly model: NetworkModel;
  readonly contender: Contender;
  readonly seed: number;
  readonly hashes: Hashes;
  readonly latency: Latency;
  readonly keys: readonly NodeId[];
}

/** One of all nodes that ever were, in the order of their ids. */
interface Member {
  readonly index: number;
  readonly id: NodeId;
  readonly endpoint: Endpoint;
  readonly alive: boolean;
  readonly overloaded: boolean;
}

/** Places [from, to). */
interface Range {
  readonly from: number;
  readonly to: number;
}

export interface Made {
  readonly node: DhtNode;
  readonly port: HostPort;
}

/** Everybody shares one secret, so that an asker can be given the tokens that it would have. */
const labSecret = new Uint8Array(20).fill(7);
const labValue = Uint8Array.of(0x64, 0x65);

export class StaticWorld {
  readonly clock = new VirtualClock();
  readonly network: PacketNetwork;
  readonly #parts: WorldParts;
  readonly #random: SeededRandom;
  readonly #members: readonly Member[];
  readonly #places: ReadonlyMap<number, number>;
  /** Values by the index of the node that holds them. */
  readonly #values = new Map<number, NodeId[]>();
  readonly #live: readonly Member[];
  readonly #ports = new Map<number, HostPort>();
  readonly #counters = new Counters();
  readonly #idle: readonly Member[];

  constructor(parts: WorldParts) {
    this.#parts = parts;
    const { model, contender, seed } = parts;
    // Ids, the dead and the overloaded are the same for everybody who has as many dead entries.
    this.#members = makeMembers(model, contender.deadFactor, seed);
    this.#places = new Map(this.#members.map(({ index }, place) => [index, place]));
    this.#live = this.#members.filter(({ alive }) => alive);
    this.#idle = this.#live.filter(({ overloaded }) => !overloaded);
    this.#random = new SeededRandom(seed + 1);
    this.network = new PacketNetwork({
      ...{ clock: this.clock, random: new SeededRandom(seed + 2), latency: parts.latency },
      sizeOf: encodedSize,
    });
    this.network.lookupHost = (endpoint) => {
      const place = this.#places.get(indexOf(endpoint) ?? -1);
      const member = place === undefined ? undefined : this.#members[place];
      return member?.alive === true ? this.#make(member).port : undefined;
    };
    for (const key of parts.keys) {
      for (const { index } of nearest(this.#members, key, contender.copies)) {
        const held = this.#values.get(index) ?? [];
        held.push(key);
        this.#values.set(index, held);
      }
    }
  }

  /** The live nodes that a perfect search by `asker` would find, nearest first. */
  trueClosest({ node }: Made, key: NodeId, count: number): readonly NodeId[] {
    const ids = nearest(this.#live, key, count + 1).map(({ id }) => id);
    return ids.filter((id) => id !== node.id).slice(0, count);
  }

  isOverloaded(id: NodeId): boolean {
    return this.#members[placeOf(this.#members, id)]?.overloaded === true;
  }

  /** Contacts for those nodes as `asker` would have them. */
  contactsOf(asker: Made, ids: readonly NodeId[]): Contact[] {
    return ids.flatMap((id) => {
      const member = this.#members[placeOf(this.#members, id)];
      return member === undefined ? [] : [this.#contact(asker, member)];
    });
  }

  /** A live, idle node, fresh from its start with a full table. */
  freshAsker(number: number): Made {
    const random = new SeededRandom(this.#parts.seed + 1000 + number);
    const member = random.pick(this.#idle);
    this.#ports.get(member.index)?.detach();
    return this.#make(member, true);
  }

  #make(member: Member, asks = false): Made {
    const { contender, hashes } = this.#parts;
    const held: { node?: DhtNode } = {};
    const port = this.network.attach({
      ...{ index: member.index, endpoint: member.endpoint },
      overloaded: member.overloaded,
      receive: (from, message) => held.node?.receive(from, message, encodedSize(message)),
    });
    this.#ports.set(member.index, port);
    const ranges = this.#ranges(member);
    const table = new LazyTable(member.id, contender.table, (depth) => {
      const range = ranges[depth];
      const { node } = held;
      if (range === undefined || node === undefined) return undefined;
      const drawn = this.#draw(member, range, depth);
      return drawn.map((other) => this.#contact({ node, port }, other, asks));
    });
    const node = new DhtNode(
      {
        ...{ ...silent, clock: this.clock, random: this.#random },
        ...{ hashes, port, counters: this.#counters },
      },
      {
        ...{ id: member.id, family: 4, version: "AP0.0.0" },
        ...{ policy: contender.policy, table },
      },
    );
    held.node = node;
    // What its pings have told it: so many of its contacts do not answer.
    node.rpc.silence = this.#parts.model.deadShare;
    const made = { node, port };
    const nowMs = this.clock.monotonicMs();
    for (const key of this.#values.get(member.index) ?? []) {
      node.store.store({ key, publisher: member.endpoint, value: labValue, nowMs });
    }
    return made;
  }

  /** As many of a bucket's range as it holds, drawn by chance, near ones preferred under bias. */
  #draw(member: Member, range: Range, depth: number): readonly Member[] {
    const { contender, seed } = this.#parts;
    const { bucketSizes, rttBias } = contender.table;
    const random = new SeededRandom(seed + 17 * (member.index + 1) + 1_000_003 * depth);
    const capacity = bucketSizes[Math.min(depth, bucketSizes.length - 1)] ?? 8;
    const biased = rttBias && depth < bucketSizes.length - 1;
    const drawn = sample(range, biased ? 2 * capacity : capacity, random);
    const kept = biased ? this.#fastest(drawn, member.index, capacity) : drawn;
    return kept.flatMap((place) => this.#members[place] ?? []);
  }

  /** The ranges of ids that share 0, 1, 2, … bits with this member. */
  #ranges(member: Member): Range[] {
    const members = this.#members;
    const own = placeOf(members, member.id);
    const ranges: Range[] = [];
    let [low, high] = [0, members.length];
    for (let depth = 0; high - low > 1; depth++) {
      const middle = splitAt(members, { low, high, depth });
      ranges.push(own < middle ? { from: middle, to: high } : { from: low, to: middle });
      if (own < middle) high = middle;
      else low = middle;
    }
    return ranges;
  }

  #fastest(places: readonly number[], index: number, count: number): number[] {
    const { latency } = this.#parts;
    const rtt = (place: number): number =>
      latency.roundTripMs(index, this.#members[place]?.index ?? 0);
    return [...places].sort((a, b) => rtt(a) - rtt(b)).slice(0, count);
  }

  /** What a node knows of a contact that it has pinged for some time. */
  #contact({ node, port }: Made, member: Member, asks = true): Contact {
    const { id, index, endpoint, overloaded } = member;
    const peer = node.book.peer(endpoint);
    if (asks) {
      const nowMs = this.clock.monotonicMs();
      const settings = defaultNetworkSettings;
      const random = new SeededRandom(this.#parts.seed + 31 * index + port.index);
      const extra = overloaded
        ? lognormal(random, settings.overloadMedianMs, settings.overloadSigma)
        : 0;
      peer.srttMs = Math.min(1500, this.#parts.latency.roundTripMs(port.index, index) + extra);
      peer.rttvarMs = overloaded ? peer.srttMs / 2 : peer.srttMs / 16;
      peer.heardAtMs = nowMs;
      peer.provenAtMs = nowMs;
    }
    return { id, endpoint: peer.endpoint, peer };
  }
}

const silent: Pick<DhtComponents, "secret" | "dialBack" | "records" | "bootstrap"> = {
  secret: () => labSecret,
  dialBack: { dial: (_to, done) => done(false) },
  records: { initial: () => [], put: () => undefined },
  bootstrap: { endpoints: () => Promise.resolve([]) },
};

function makeMembers(model: NetworkModel, deadFactor: number, seed: number): Member[] {
  const random = new SeededRandom(seed);
  const deadShare = model.deadShare * deadFactor;
  const count = Math.round(model.nodes / (1 - deadShare));
  const made = Array.from({ length: count }, (_, index) => {
    const id = parseNodeId(random.bytes(idBytes));
    if (id === undefined) throw new Error("an id has 20 bytes");
    const overloaded = random.chance(model.overloadedShare);
    return { index, id, endpoint: endpointOf(index), alive: index < model.nodes, overloaded };
  });
  return made.sort((a, b) => compareIds(a.id, b.id));
}

function compareIds(a: NodeId, b: NodeId): number {
  return Buffer.compare(a, b);
}

/** The first place at or behind which an id like this would stand. */
function placeOf(members: readonly Member[], id: NodeId): number {
  let [low, high] = [0, members.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const there = members[middle];
    if (there !== undefined && compareIds(there.id, id) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Where the bit at `depth` turns from 0 to 1. */
function splitAt(
  members: readonly Member[],
  { low, high, depth }: { low: number; high: number; depth: number },
): number {
  const bit = 0x80 >> (depth & 7);
  let [from, to] = [low, high];
  while (from < to) {
    const middle = (from + to) >> 1;
    if (((members[middle]?.id[depth >> 3] ?? 0) & bit) === 0) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** Some of the integers in [from, to), each once; all of them if there are not more. */
function sample({ from, to }: Range, count: number, random: SeededRandom): number[] {
  const size = to - from;
  if (size <= count) return Array.from({ length: size }, (_, offset) => from + offset);
  const chosen = new Set<number>();
  // Floyd's algorithm: no list of the whole range.
  for (let upper = size - count; upper < size; upper++) {
    const drawn = random.below(upper + 1);
    chosen.add(chosen.has(drawn) ? upper : drawn);
  }
  return [...chosen].map((offset) => from + offset);
}

/** The members closest to a key by XOR, nearest first: those of the smallest block that has enough. */
function nearest(members: readonly Member[], key: NodeId, count: number): Member[] {
  let [low, high] = [0, members.length];
  for (let depth = 0; high - low > count; depth++) {
    const middle = splitAt(members, { low, high, depth });
    const upper = ((key[depth >> 3] ?? 0) & (0x80 >> (depth & 7))) !== 0;
    const [from, to] = upper ? [middle, high] : [low, middle];
    if (to - from < count) break;
    [low, high] = [from, to];
  }
  return members
    .slice(low, high)
    .sort((a, b) => compareDistance(key, a.id, b.id))
    .slice(0, count);
}
