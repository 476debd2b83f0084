/**
 * The index of what is held for others: by key, by publisher, and by the time at which it lapses. No
 * rule stands here, `value-store.ts` has them.
 *
 * It is made for many small values (16,000 per node when 300 nodes share 2,000 files each): keys and
 * values are latin1 strings, which cost a fifth of byte arrays; the values of a key are a linked list
 * in the order of their publishers' ranks. Times are whole seconds, which the engine keeps unboxed.
 */
import type { Endpoint } from "../base/endpoint.ts";
import { idBytes, type NodeId } from "../base/node-id.ts";
import type { Hashes } from "../base/ports.ts";
import type { Party } from "./party.ts";
import { digestBytes, entryDigest, xorInto } from "./value-digest.ts";

/** A publisher: the address that its packets came from, and its TCP port. */
export interface Publisher {
  readonly endpoint: Endpoint;
  readonly party: Party;
  /** Its place among the publishers of any key: 0 to 2^31 - 1, secret and random. */
  readonly rank: number;
  /** Its values by key, the one that lapses first in front: all values live equally long. */
  readonly entries: Map<string, Entry>;
  /** Set digest of its entries, 16 bytes. */
  readonly digest: Uint8Array;
  /** Where it stands in the agenda. */
  slot: number;
}

/** One value. Written by `HeldValues` alone. */
export interface Entry {
  /** 20 latin1 characters. */
  readonly key: string;
  readonly publisher: Publisher;
  /** The value's bytes as latin1 characters. */
  value: string;
  /** Monotonic time in seconds from which on it no longer counts. */
  expiresS: number;
  /** The next value of the same key. */
  next: Entry | undefined;
}

/** Publishers are looked at in groups whose first value lapses within the same minute. */
const slotS = 60;

export class HeldValues {
  readonly #hashes: Hashes;
  /** Key → the first of its values. */
  readonly #keys = new Map<string, Entry>();
  /** By endpoint. None without entries. */
  readonly #publishers = new Map<string, Publisher>();
  /** Values by source and by block of their publishers. None with 0. */
  readonly #perParty = new Map<string, number>();
  /** Slot → publishers whose first value lapses before `slot * slotS`. */
  readonly #agenda = new Map<number, Set<Publisher>>();
  #values = 0;
  #bytes = 0;

  constructor(hashes: Hashes) {
    this.#hashes = hashes;
  }

  get values(): number {
    return this.#values;
  }

  /** Bytes of keys and values, each key counted with every value. */
  get bytes(): number {
    return this.#bytes;
  }

  get keys(): number {
    return this.#keys.size;
  }

  get publishers(): number {
    return this.#publishers.size;
  }

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  allKeys(): Iterable<string> {
    return this.#keys.keys();
  }

  publisher(endpoint: Endpoint): Publisher | undefined {
    return this.#publishers.get(endpoint.text);
  }

  /** Values of one source, or of one block of addresses. */
  valuesOf(party: string): number {
    return this.#perParty.get(party) ?? 0;
  }

  #countParty({ party: { source, block } }: Publisher, by: 1 | -1): void {
    for (const party of block === undefined ? [source] : [source, block]) {
      const count = this.valuesOf(party) + by;
      if (count > 0) this.#perParty.set(party, count);
      else this.#perParty.delete(party);
    }
  }

  /** The values of a key by rank of their publishers. */
  of(key: string): Entry[] {
    const entries: Entry[] = [];
    for (let at = this.#keys.get(key); at !== undefined; at = at.next) entries.push(at);
    return entries;
  }

  count(key: string): number {
    let count = 0;
    for (let at = this.#keys.get(key); at !== undefined; at = at.next) count++;
    return count;
  }

  /** Adds a value that is not there, lapsing no earlier than the publisher's others. */
  add(fields: Omit<Entry, "next">): Entry {
    const { publisher, value, expiresS } = fields;
    const first = this.#keys.get(fields.key);
    // One string per key, however many values it has.
    const key = first?.key ?? fields.key;
    const entry: Entry = { key, publisher, value, expiresS, next: undefined };
    this.#link(entry, first);
    this.#countParty(publisher, 1);
    this.#values++;
    this.#weigh(entry, 1);
    publisher.entries.set(key, entry);
    if (publisher.entries.size === 1) {
      this.#publishers.set(publisher.endpoint.text, publisher);
      this.#schedule(publisher, entry);
    }
    return entry;
  }

  /** A new value in the old one's place, or the same again. */
  replace(entry: Entry, value: string, expiresS: number): void {
    if (value !== entry.value) {
      this.#weigh(entry, -1);
      entry.value = value;
      this.#weigh(entry, 1);
    }
    entry.expiresS = expiresS;
    entry.publisher.entries.delete(entry.key);
    entry.publisher.entries.set(entry.key, entry);
  }

  remove(entry: Entry): void {
    const { key, publisher } = entry;
    this.#unlink(entry);
    this.#countParty(publisher, -1);
    this.#values--;
    this.#weigh(entry, -1);
    publisher.entries.delete(key);
    if (publisher.entries.size > 0) return;
    this.#publishers.delete(publisher.endpoint.text);
    this.#unschedule(publisher);
  }

  /** Removes values that have lapsed, at most `most` of them → those. */
  expire(nowS: number, most: number): Entry[] {
    const expired: Entry[] = [];
    for (const [slot, publishers] of this.#agenda) {
      if (slot * slotS > nowS) continue;
      for (const publisher of publishers) {
        for (const entry of publisher.entries.values()) {
          if (entry.expiresS > nowS) {
            this.#unschedule(publisher);
            this.#schedule(publisher, entry);
            break;
          }
          if (expired.length === most) return expired;
          this.remove(entry);
          expired.push(entry);
        }
      }
    }
    return expired;
  }

  #link(entry: Entry, first: Entry | undefined): void {
    if (first === undefined || comesBefore(entry, first)) {
      entry.next = first;
      this.#keys.set(entry.key, entry);
      return;
    }
    let at = first;
    while (at.next !== undefined && !comesBefore(entry, at.next)) at = at.next;
    entry.next = at.next;
    at.next = entry;
  }

  #unlink(entry: Entry): void {
    let at = this.#keys.get(entry.key);
    if (at === entry) {
      if (entry.next === undefined) this.#keys.delete(entry.key);
      else this.#keys.set(entry.key, entry.next);
      return;
    }
    while (at !== undefined && at.next !== entry) at = at.next;
    if (at !== undefined) at.next = entry.next;
  }

  /** Counts an entry's bytes and digest in (1) or out (-1). */
  #weigh({ key, value, publisher }: Entry, sign: 1 | -1): void {
    this.#bytes += sign * (idBytes + value.length);
    xorInto(publisher.digest, entryDigest(this.#hashes, keyBytes(key), textBytes(value)));
  }

  #schedule(publisher: Publisher, { expiresS }: Entry): void {
    publisher.slot = Math.ceil(expiresS / slotS);
    const others = this.#agenda.get(publisher.slot);
    if (others === undefined) this.#agenda.set(publisher.slot, new Set([publisher]));
    else others.add(publisher);
  }

  #unschedule(publisher: Publisher): void {
    const others = this.#agenda.get(publisher.slot);
    others?.delete(publisher);
    if (others?.size === 0) this.#agenda.delete(publisher.slot);
  }
}

/** A publisher of whom nothing is held yet. */
export function newPublisher(endpoint: Endpoint, party: Party, rank: number): Publisher {
  return {
    endpoint,
    party,
    rank,
    entries: new Map(),
    digest: new Uint8Array(digestBytes),
    slot: 0,
  };
}

function comesBefore(a: Entry, b: Entry): boolean {
  const difference = a.publisher.rank - b.publisher.rank;
  // Equal ranks are rare, but the order must not depend on who came first.
  return (
    difference < 0 || (difference === 0 && a.publisher.endpoint.text < b.publisher.endpoint.text)
  );
}

/** Bytes ↔ characters of the same codes. */
export function bytesText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

export function textBytes(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

/** From the 20 characters of an entry's key. */
export function keyBytes(text: string): NodeId {
  return textBytes(text) as NodeId;
}
