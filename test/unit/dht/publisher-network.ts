/**
 * A network without datagrams for the tests of publishing: nodes that answer at once what they hold,
 * and lookups that know everybody. It counts what a publisher sends, and what a real network would
 * make of it.
 */
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { Counters } from "../../../src/base/counters.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import { compareDistance, idText, randomNodeId } from "../../../src/base/node-id.ts";
import type { NodeId } from "../../../src/base/node-id.ts";
import { second } from "../../../src/base/units.ts";
import { PeerBook } from "../../../src/dht/peer-book.ts";
import type { DhtRecords } from "../../../src/dht/ports.ts";
import { Publisher } from "../../../src/dht/publisher.ts";
import type { PublisherSettings } from "../../../src/dht/publisher.ts";
import type { Asker, Contact } from "../../../src/dht/types.ts";
import { digestBytes, entryDigest, sameDigest, xorInto } from "../../../src/dht/value-digest.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import type { AnswerFields, Query } from "../../../src/krpc/message.ts";
import { maxDatagramBytes } from "../../../src/krpc/message.ts";
import { encodedSize } from "../../../src/krpc/sizes.ts";
import type { Outcome } from "../../../src/krpc/transactions.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

interface Held {
  readonly value: Uint8Array;
  expiresMs: number;
}

export interface FakeNode {
  readonly contact: Contact;
  alive: boolean;
  /** What it does instead of storing; `stored` is what it answers. */
  refuses: ((key: NodeId) => boolean) | undefined;
  /** It answers lookups, but no queries. */
  mute: boolean;
  readonly held: Map<string, Held>;
  tokenAtMs: number;
}

export interface Sent {
  readonly toText: string;
  readonly query: Query;
  readonly atMs: number;
}

export class MemoryRecords implements DhtRecords {
  readonly map = new Map<string, string>();
  puts = 0;

  *initial(prefix: string): Iterable<readonly [key: string, value: string]> {
    for (const entry of [...this.map]) if (entry[0].startsWith(prefix)) yield entry;
  }

  put(key: string, value: string | undefined): void {
    this.puts++;
    if (value === undefined) this.map.delete(key);
    else this.map.set(key, value);
  }
}

export class FakeNetwork implements Asker {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly nodes: FakeNode[] = [];
  readonly #byText = new Map<string, FakeNode>();
  readonly book = new PeerBook(100_000);
  /** Our own link. */
  linked = true;
  readonly sent: Sent[] = [];
  lookups = 0;
  lookupsNow = 0;
  mostLookups = 0;
  /** Bytes of queries, with a ping for a token where there is none; lookups not included. */
  bytes = 0;
  datagrams = 0;

  constructor(seed: number, count: number, clock = new VirtualClock()) {
    this.clock = clock;
    this.random = new SeededRandom(seed);
    for (let index = 0; index < count; index++) this.add(index);
  }

  add(index: number): FakeNode {
    const at = endpoint(`192.0.2.${index % 250}`, 9000 + index);
    const contact = { id: randomNodeId(this.random), endpoint: at, peer: this.book.peer(at) };
    const node: FakeNode = {
      ...{ contact, alive: true, refuses: undefined, mute: false },
      ...{ held: new Map(), tokenAtMs: -Infinity },
    };
    this.nodes.push(node);
    this.#byText.set(at.text, node);
    return node;
  }

  /** Another node at the same address. */
  replace(former: FakeNode, node: FakeNode): void {
    this.nodes[this.nodes.indexOf(former)] = node;
    this.#byText.set(node.contact.endpoint.text, node);
  }

  closest(key: NodeId, count: number): FakeNode[] {
    return this.nodes
      .filter(({ alive }) => alive)
      .sort((a, b) => compareDistance(key, a.contact.id, b.contact.id))
      .slice(0, count);
  }

  findClosest(target: NodeId, width: number, done: (closest: readonly Contact[]) => void): void {
    this.lookups++;
    this.mostLookups = Math.max(this.mostLookups, ++this.lookupsNow);
    const found = this.linked ? this.closest(target, width) : [];
    for (const node of found) node.tokenAtMs = this.clock.monotonicMs();
    this.clock.after(1.5 * second, () => {
      this.lookupsNow--;
      done(found.filter(({ alive }) => alive).map(({ contact }) => contact));
    });
  }

  ask(to: Contact, query: Query, done: (outcome: Outcome) => void): void {
    const node = this.#byText.get(to.endpoint.text);
    const nowMs = this.clock.monotonicMs();
    this.sent.push({ toText: to.endpoint.text, query, atMs: nowMs });
    const size = sizeOf(query);
    if (size > maxDatagramBytes) throw new Error(`a datagram of ${size} bytes`);
    this.bytes += size;
    this.datagrams++;
    if (node !== undefined && nowMs - node.tokenAtMs > 2 * dhtLimits.tokenSecretMs) {
      this.bytes += sizeOf({ method: "ping" });
      this.datagrams++;
      node.tokenAtMs = nowMs;
    }
    const there =
      this.linked && node?.alive === true && !node.mute && node.contact.id === to.id
        ? node
        : undefined;
    if (there === undefined) {
      this.clock.after(6 * second, () => done({ kind: "failed" }));
      return;
    }
    const fields = this.#answer(there, query);
    this.clock.after(100, () => {
      const message = {
        ...({ kind: "answer", transaction: "", version: "", id: to.id } as const),
        ...{ seen: undefined, token: undefined, fields },
      };
      done({ kind: "answer", rttMs: 100, message });
    });
  }

  #answer(node: FakeNode, query: Query): AnswerFields {
    const nowMs = this.clock.monotonicMs();
    for (const [key, { expiresMs }] of node.held) if (expiresMs < nowMs) node.held.delete(key);
    if (query.method === "store_value") {
      let stored = 0;
      for (const { key, value } of query.values) {
        if (node.refuses?.(key) === true) continue;
        if (value.length === 0) node.held.delete(idText(key));
        else node.held.set(idText(key), { value, expiresMs: nowMs + dhtLimits.valueMs });
        stored++;
      }
      return { stored };
    }
    if (query.method !== "renew") throw new Error(`${query.method} is none of its queries`);
    const digest = new Uint8Array(digestBytes);
    for (const [key, { value }] of node.held) xorInto(digest, digestOf(key, value));
    if (node.held.size !== query.count || !sameDigest(digest, query.digest)) {
      return { renewed: false };
    }
    for (const held of node.held.values()) held.expiresMs = nowMs + dhtLimits.valueMs;
    return { renewed: true };
  }

  /** How many of a key's k closest living nodes hold this value, alive. */
  heldBy(key: NodeId, value: Uint8Array): number {
    const nowMs = this.clock.monotonicMs();
    return this.closest(key, dhtLimits.k).filter(({ held }) => {
      const there = held.get(idText(key));
      return there !== undefined && there.expiresMs >= nowMs && there.value === value;
    }).length;
  }

  /** Copies of a key anywhere, of whatever value. */
  copies(key: NodeId): number {
    return this.nodes.filter(({ held }) => held.has(idText(key))).length;
  }

  count(method: Query["method"], sinceMs = 0): number {
    return this.sent.filter(({ query, atMs }) => query.method === method && atMs >= sinceMs).length;
  }
}

const digests = new Map<string, { readonly value: Uint8Array; readonly digest: Uint8Array }>();

/** Nodes of a test hold the same values; hashing them again and again takes most of its time. */
function digestOf(keyText: string, value: Uint8Array): Uint8Array {
  const known = digests.get(keyText);
  if (known?.value === value) return known.digest;
  const key = new Uint8Array(Buffer.from(keyText, "hex")) as NodeId;
  const digest = entryDigest(nodeHashes, key, value);
  digests.set(keyText, { value, digest });
  return digest;
}

export function sizeOf(query: Query): number {
  return encodedSize({
    ...({ kind: "query", transaction: "abcd", version: "AP0.1.0" } as const),
    ...{ id: new Uint8Array(20) as NodeId, readOnly: false, padding: 0 },
    token: new Uint8Array(dhtLimits.tokenBytes),
    query,
  });
}

export interface World {
  readonly network: FakeNetwork;
  readonly records: MemoryRecords;
  readonly counters: Counters;
  readonly publisher: Publisher;
}

/** A publisher in this network; with the records of an earlier one it is that one after a restart. */
export function publisherIn(
  network: FakeNetwork,
  records = new MemoryRecords(),
  settings: Partial<PublisherSettings> = {},
): World {
  const { clock, random } = network;
  const counters = new Counters();
  const publisher = new Publisher(
    {
      ...{ asker: network, clock, random, hashes: nodeHashes, counters, records },
      contactOf: ({ id, endpoint: at }) => {
        const known = network.nodes.find(({ contact }) => contact.endpoint.text === at.text);
        // The same id object, as `ask` compares it.
        const same = known !== undefined && idText(known.contact.id) === idText(id);
        return same ? known.contact : { id, endpoint: at, peer: network.book.peer(at) };
      },
      ownId: randomNodeId(random),
    },
    { tcpPort: 9977, family: 4, ...settings },
  );
  return { network, records, counters, publisher };
}

export interface Entry {
  readonly key: NodeId;
  readonly value: Uint8Array;
}

/** Most files are one piece, and their value is `de`; some have two to four hashes. */
export function entries(random: SeededRandom, count: number): Entry[] {
  return Array.from({ length: count }, () => ({
    key: randomNodeId(random),
    value: random.chance(0.8) ? new Uint8Array(Buffer.from("de")) : random.bytes(75),
  }));
}

/** How many entries are held by so many of their k closest: index 0 to k. */
export function spread(network: FakeNetwork, all: readonly Entry[]): number[] {
  const counts = new Array<number>(dhtLimits.k + 1).fill(0);
  for (const { key, value } of all) {
    const held = network.heldBy(key, value);
    counts[held] = (counts[held] ?? 0) + 1;
  }
  return counts;
}

/** Entries held by fewer than six of their k closest. */
export function weak(network: FakeNetwork, all: readonly Entry[]): number {
  return spread(network, all)
    .slice(0, 6)
    .reduce((sum, count) => sum + count, 0);
}
