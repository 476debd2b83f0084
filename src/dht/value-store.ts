/**
 * The values that a node holds for others, and the rules by which it takes them.
 *
 * - One value per key and publisher (address and TCP port); a new one replaces it. It lives for
 *   `dhtLimits.valueMs` unless it is stored again or all of its publisher's values are renewed.
 * - Only keys near our own id, by the estimated size of the network; in a small one all are near.
 * - Each source has a quota of values, each key one of publishers and of publishers per subnet.
 * - When the store is full, a nearer key displaces the farthest one, its oldest value first: those
 *   who look for a key come to the nodes nearest to it.
 *
 * Order of a key's values: publishers stand in a ring in an order that is random, secret and the same
 * as long as the process runs; each asker's pages begin at a place of its own. So the load of being
 * asked first spreads over all publishers, nobody can choose to stand in front, and the pages of one
 * asker fit together; a value that comes or goes between two pages moves them by one at most.
 */
import { dhtLimits } from "../base/dht-limits.ts";
import type { Counters } from "../base/counters.ts";
import type { Endpoint, Family } from "../base/endpoint.ts";
import { idBytes, type NodeId } from "../base/node-id.ts";
import type { Clock, Hashes } from "../base/ports.ts";
import { second } from "../base/units.ts";
import type { HeldValue } from "../krpc/message.ts";
import { distanceShare } from "./distance-share.ts";
import { FarthestKeys } from "./farthest-keys.ts";
import { bytesText, HeldValues, newPublisher, textBytes } from "./held-values.ts";
import type { Entry, Publisher } from "./held-values.ts";
import { partyOf } from "./party.ts";
import type { Party } from "./party.ts";
import type { DhtRecords } from "./ports.ts";
import { nearShare, sourceQuota } from "./quotas.ts";
import { sameDigest } from "./value-digest.ts";
import { ValueRecords } from "./value-records.ts";

export interface ValueStoreParts {
  readonly ownId: NodeId;
  /** Of the publishers; the stores of the two families keep their records apart. */
  readonly family: Family;
  readonly hashes: Hashes;
  readonly clock: Clock;
  readonly counters: Counters;
  /** 20 unpredictable bytes: behind the order of publishers. */
  readonly secret: Uint8Array;
  /** undefined: nothing survives a restart. */
  readonly records?: DhtRecords | undefined;
  /** Values, and bytes of keys and values, in all. */
  readonly room?: { readonly values: number; readonly bytes: number };
}

export interface StoreRequest {
  readonly key: NodeId;
  /** The packet's source address and the announced TCP port. */
  readonly publisher: Endpoint;
  readonly value: Uint8Array;
  readonly nowMs: number;
}

export type StoreOutcome =
  | "stored"
  /** The value was empty: its publisher no longer has the file, and nothing is held. */
  | "withdrawn"
  /** More than `dhtLimits.valueBytes`. */
  | "tooLarge"
  /** Too many nodes are nearer to the key than we are. */
  | "notNear"
  /** The publisher's address has its share. */
  | "sourceFull"
  /** The key has as many publishers as anybody asks. */
  | "keyFull"
  /** It has enough of them in this /24 or /64. */
  | "subnetFull"
  /** No room, and no held key is farther than this one. */
  | "full";

type Refusal = Exclude<StoreOutcome, "stored" | "withdrawn">;

export interface PageRequest {
  readonly key: NodeId;
  /** The asker's address: its pages begin at its own place. */
  readonly asker: string;
  /** Index of the first value wanted, 0 to `count(key) - 1`. */
  readonly from: number;
  /** Values wanted at most. */
  readonly count: number;
  /** Which publishers the asker may know; without it, all. */
  readonly visible?: (publisher: Endpoint) => boolean;
}

export interface Page {
  readonly values: HeldValue[];
  /** Of the key and visible, all together: at most `dhtLimits.valuesPerKey`. */
  readonly held: number;
}

export interface RenewClaim {
  /** Values that the publisher believes to have here. */
  readonly count: number;
  /** Their set digest, 16 bytes (`value-digest.ts`). */
  readonly digest: Uint8Array;
  readonly nowMs: number;
}

/** Room that is wanted, and for whom. */
interface Need {
  readonly values: number;
  readonly bytes: number;
  readonly party: Party;
}

/** Values removed in one go when they have lapsed: some 10 ms. */
const expiredAtOnce = 2000;

export class ValueStore {
  readonly #ownId: NodeId;
  readonly #hashes: Hashes;
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #secret: Uint8Array;
  readonly #room: { readonly values: number; readonly bytes: number };
  readonly #held: HeldValues;
  readonly #records: ValueRecords;
  #nodes: number | undefined;
  /** Only while the store is or lately was full. */
  #farthest: FarthestKeys | undefined;

  /** Loads what the records still hold. */
  constructor(parts: ValueStoreParts) {
    this.#ownId = parts.ownId;
    this.#hashes = parts.hashes;
    this.#clock = parts.clock;
    this.#counters = parts.counters;
    this.#secret = parts.secret;
    this.#room = parts.room ?? { values: dhtLimits.heldKeys, bytes: dhtLimits.heldBytes };
    this.#held = new HeldValues(parts.hashes);
    this.#records = new ValueRecords(parts.records, parts.family);
    this.#load();
  }

  /** Values held. */
  get size(): number {
    return this.#held.values;
  }

  /** Their bytes and those of their keys. */
  get bytes(): number {
    return this.#held.bytes;
  }

  get keys(): number {
    return this.#held.keys;
  }

  get publishers(): number {
    return this.#held.publishers;
  }

  /** Estimated number of nodes in the network; undefined: unknown. What is held already stays. */
  setNetworkSize(nodes: number | undefined): void {
    this.#nodes = nodes;
  }

  /** Whether a key is near enough to be held here. */
  accepts(key: NodeId): boolean {
    return distanceShare(this.#ownId, key) <= nearShare(this.#nodes);
  }

  store(request: StoreRequest): StoreOutcome {
    const { nowMs } = request;
    if (request.value.length === 0) return this.#withdraw(request);
    const entry = this.#take(request, expiryS(nowMs));
    if (typeof entry === "string") {
      this.#counters.add("dht.values.refused");
      return entry;
    }
    this.#records.stored(entry, this.#clock.wallMs() + dhtLimits.valueMs);
    this.#counters.add("dht.values.stored");
    return "stored";
  }

  /**
   * True: this publisher's values here are as many as it says and have this set digest; they live on
   * as if just stored. False: nothing has changed, it must send them again.
   */
  renew(endpoint: Endpoint, { count, digest, nowMs }: RenewClaim): boolean {
    const publisher = this.#held.publisher(endpoint);
    if (publisher?.entries.size !== count || !sameDigest(publisher.digest, digest)) {
      this.#counters.add("dht.values.notRenewed");
      return false;
    }
    const expiresS = expiryS(nowMs);
    for (const entry of publisher.entries.values()) entry.expiresS = expiresS;
    this.#records.renewed(publisher, this.#clock.wallMs() + dhtLimits.valueMs);
    this.#counters.add("dht.values.renewed", count);
    return true;
  }

  /** Values held for a key, at most `dhtLimits.valuesPerKey`. */
  count(key: NodeId): number {
    return this.#held.count(bytesText(key));
  }

  /** Some of a key's values, in the asker's order; none beyond the last. */
  page({ key, asker, from, count, visible }: PageRequest): Page {
    const all = this.#held.of(bytesText(key));
    const entries = all.filter(({ publisher }) => visible?.(publisher.endpoint) ?? true);
    // A share of the ring, not a remainder: one value more or less hardly moves it.
    const start = Math.floor((this.#rank(asker) / 2 ** 31) * entries.length);
    const ring = [...entries.slice(start), ...entries.slice(0, start)];
    const values = ring.slice(from, from + count).map((entry) => ({
      publisher: entry.publisher.endpoint,
      value: textBytes(entry.value),
    }));
    return { values, held: entries.length };
  }

  /**
   * Removes values that have lapsed, a bounded number at a time → how many. To be called every minute
   * or so: a value is seen at most that much longer than it lives.
   */
  expire(nowMs: number): number {
    const expired = this.#held.expire(Math.floor(nowMs / second), expiredAtOnce);
    for (const entry of expired) this.#records.removed(entry);
    if (this.#held.values < this.#room.values / 2 && this.#held.bytes < this.#room.bytes / 2) {
      this.#farthest = undefined;
    }
    this.#counters.add("dht.values.expired", expired.length);
    return expired.length;
  }

  #withdraw({ key, publisher }: StoreRequest): "withdrawn" {
    const old = this.#held.publisher(publisher)?.entries.get(bytesText(key));
    if (old !== undefined) {
      this.#held.remove(old);
      this.#records.removed(old);
      this.#counters.add("dht.values.withdrawn");
    }
    return "withdrawn";
  }

  /** The entry that now holds the value, or why there is none. */
  #take(request: StoreRequest, expiresS: number): Entry | Refusal {
    if (request.value.length > dhtLimits.valueBytes) return "tooLarge";
    const key = bytesText(request.key);
    const value = bytesText(request.value);
    const known = this.#held.publisher(request.publisher);
    const old = known?.entries.get(key);
    if (old !== undefined) {
      const growth = Math.max(0, value.length - old.value.length);
      const need = { values: 0, bytes: growth, party: old.publisher.party };
      if (!this.#makeRoom(request.key, need)) return "full";
      this.#held.replace(old, value, expiresS);
      return old;
    }
    if (!this.accepts(request.key)) return "notNear";
    const publisher = known ?? this.#newPublisher(request.publisher);
    const refusal = this.#overQuota(key, publisher);
    if (refusal !== undefined) return refusal;
    const bytes = idBytes + value.length;
    const need = { values: 1, bytes, party: publisher.party };
    if (!this.#makeRoom(request.key, need)) return "full";
    const isNew = !this.#held.has(key);
    const entry = this.#held.add({ key, publisher, value, expiresS });
    if (isNew) this.#farthest?.add(key);
    return entry;
  }

  #overQuota(
    key: string,
    { party }: Publisher,
  ): "sourceFull" | "keyFull" | "subnetFull" | undefined {
    const quota = sourceQuota(this.#nodes, party.reach);
    if (this.#held.valuesOf(party.source) >= quota) return "sourceFull";
    const others = this.#held.of(key);
    if (others.length >= dhtLimits.valuesPerKey) return "keyFull";
    if (party.subnet === undefined) return undefined;
    const near = others.filter(({ publisher }) => publisher.party.subnet === party.subnet);
    return near.length >= dhtLimits.valuesPerKeyAndSubnet ? "subnetFull" : undefined;
  }

  /** Makes room for so much more under a key by evicting farther ones; false if that fails. */
  #makeRoom(key: NodeId, need: Need): boolean {
    const held = this.#held;
    const fits = (): boolean =>
      held.values + need.values <= this.#room.values && held.bytes + need.bytes <= this.#room.bytes;
    if (fits()) return true;
    // Whoever has half of all from one block of addresses drives nobody else out.
    const { block } = need.party;
    const rules = block !== undefined && 2 * held.valuesOf(block) > held.values;
    const share = distanceShare(this.#ownId, key);
    for (;;) {
      const farthest = this.#farthestKeys().farthest();
      if (farthest === undefined || farthest.share <= share) return false;
      const oldest = held.of(farthest.key).reduce((a, b) => (b.expiresS < a.expiresS ? b : a));
      if (rules && oldest.publisher.party.block !== block) return false;
      this.#evict(oldest);
      if (fits()) return true;
    }
  }

  #evict(entry: Entry): void {
    this.#held.remove(entry);
    this.#records.removed(entry);
    this.#counters.add("dht.values.evicted");
  }

  #farthestKeys(): FarthestKeys {
    const held = this.#held;
    this.#farthest ??= new FarthestKeys(this.#ownId, held.allKeys(), (key) => held.has(key));
    return this.#farthest;
  }

  #newPublisher(endpoint: Endpoint): Publisher {
    return newPublisher(endpoint, partyOf(endpoint), this.#rank(endpoint.text));
  }

  /** A secret random place for a text: 0 to 2^31 - 1. */
  #rank(text: string): number {
    const digest = this.#hashes.of(Buffer.concat([this.#secret, Buffer.from(text, "latin1")]));
    return Buffer.from(digest.buffer, digest.byteOffset, 4).readUInt32BE() >>> 1;
  }

  #load(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const stored of this.#records.load(this.#clock.wallMs())) {
      const expiresS = Math.ceil((nowMs + stored.leftMs) / second);
      if (typeof this.#take({ ...stored, nowMs }, expiresS) === "string") {
        this.#records.refused(stored);
      } else this.#counters.add("dht.values.loaded");
    }
  }
}

/** When a value stored now lapses, in monotonic seconds, rounded up. */
function expiryS(nowMs: number): number {
  return Math.ceil((nowMs + dhtLimits.valueMs) / second);
}
