/**
 * The published keys of one node, in order, and who holds them. A key has a slot: a small number that
 * stays the same as long as the key is published, and is used again afterwards. A slot has up to
 * `holdersPerKey` places, each with the index of a holder, confirmed ("held") or still to be told.
 *
 * All is kept in a few long arrays, since a laboratory has hundreds of publishers with thousands of
 * keys each: 67 bytes a key beside the key and the value, which are kept as given, not copied.
 */
import { commonPrefix, idBits, idBytes } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import { digestBytes } from "./value-digest.ts";
import { holdersPerKey } from "./publish-limits.ts";

const firstCapacity = 64;

export class PublishTable {
  #capacity = firstCapacity;
  readonly #keys: (NodeId | undefined)[] = [];
  readonly #values: (Uint8Array | undefined)[] = [];
  #digests = new Uint8Array(firstCapacity * digestBytes);
  /** Index of a holder plus one; 0: free. */
  #places = new Uint16Array(firstCapacity * holdersPerKey);
  /** One bit a place: whether its holder has confirmed that it has the present value. */
  #held = new Uint16Array(firstCapacity);
  #urgent = new Uint8Array(firstCapacity);
  /** Slots in the order of their keys. */
  readonly #order: number[] = [];
  readonly #free: number[] = [];
  #urgentCount = 0;
  #placeCount = 0;
  #heldCount = 0;

  get size(): number {
    return this.#order.length;
  }

  /** Keys that wait for a lookup. */
  get urgentCount(): number {
    return this.#urgentCount;
  }

  /** Pairs of key and holder that are not confirmed. */
  get pendingCount(): number {
    return this.#placeCount - this.#heldCount;
  }

  /** Slots in the order of their keys. */
  slots(): readonly number[] {
    return this.#order;
  }

  find(key: NodeId): number | undefined {
    const slot = this.#order[this.#position(key)];
    return slot !== undefined && compareIds(this.#keyAt(slot), key) === 0 ? slot : undefined;
  }

  /** Takes in a key that is not there. `value` undefined: nobody has supplied it yet. */
  add(key: NodeId, value: Uint8Array | undefined, digest: Uint8Array): number {
    const slot = this.#free.pop() ?? this.#keys.length;
    if (slot >= this.#capacity) this.#grow();
    this.#order.splice(this.#position(key), 0, slot);
    this.#keys[slot] = key;
    this.setValue(slot, value, digest);
    return slot;
  }

  /** The slot must have no holder any more. */
  remove(slot: number): void {
    this.#order.splice(this.#position(this.#keyAt(slot)), 1);
    this.setUrgent(slot, false);
    this.#keys[slot] = undefined;
    this.#values[slot] = undefined;
    this.#free.push(slot);
  }

  /** undefined: the slot is free. */
  key(slot: number): NodeId | undefined {
    return this.#keys[slot];
  }

  value(slot: number): Uint8Array | undefined {
    return this.#values[slot];
  }

  /** The digest of key and value, 16 bytes; not to be kept. */
  digest(slot: number): Uint8Array {
    return this.#digests.subarray(slot * digestBytes, (slot + 1) * digestBytes);
  }

  setValue(slot: number, value: Uint8Array | undefined, digest: Uint8Array): void {
    this.#values[slot] = value;
    this.#digests.set(digest, slot * digestBytes);
  }

  isUrgent(slot: number): boolean {
    return this.#urgent[slot] === 1;
  }

  setUrgent(slot: number, urgent: boolean): void {
    if (this.isUrgent(slot) === urgent) return;
    this.#urgent[slot] = urgent ? 1 : 0;
    this.#urgentCount += urgent ? 1 : -1;
  }

  /** The slot of the first key after this one; of the first of all without one. */
  after(key: NodeId | undefined): number | undefined {
    if (key === undefined) return this.#order[0];
    const position = this.#position(key);
    const there = this.#order[position];
    const same = there !== undefined && compareIds(this.#keyAt(there), key) === 0;
    return this.#order[same ? position + 1 : position];
  }

  /** The slots of all keys that share so many leading bits with `id`, in order. */
  sharing(id: NodeId, bits: number): number[] {
    const lowest = new Uint8Array(idBytes);
    lowest.set(id.subarray(0, bits >> 3));
    if (bits < idBits) lowest[bits >> 3] = (id[bits >> 3] ?? 0) & (0xff00 >> (bits & 7)) & 0xff;
    const shared: number[] = [];
    for (let at = this.#position(lowest as NodeId); at < this.#order.length; at++) {
      const slot = this.#order[at] ?? 0;
      if (commonPrefix(this.#keyAt(slot), id) < bits) break;
      shared.push(slot);
    }
    return shared;
  }

  /** Holders of a key, confirmed or not. */
  holderCount(slot: number): number {
    let count = 0;
    const end = (slot + 1) * holdersPerKey;
    for (let at = slot * holdersPerKey; at < end; at++) if (this.#places[at] !== 0) count++;
    return count;
  }

  /** Indices of a key's holders, confirmed or not. */
  holders(slot: number): number[] {
    const indices: number[] = [];
    const end = (slot + 1) * holdersPerKey;
    for (let at = slot * holdersPerKey; at < end; at++) {
      const place = this.#places[at] ?? 0;
      if (place !== 0) indices.push(place - 1);
    }
    return indices;
  }

  /** Whether any holder has confirmed it. */
  isHeldAnywhere(slot: number): boolean {
    return this.#held[slot] !== 0;
  }

  has(slot: number, holder: number): boolean {
    return this.#place(slot, holder + 1) >= 0;
  }

  isHeld(slot: number, holder: number): boolean {
    const place = this.#place(slot, holder + 1);
    return place >= 0 && ((this.#held[slot] ?? 0) & (1 << place)) !== 0;
  }

  /** Gives a holder a place, not confirmed; false if none is free. It must not have one. */
  assign(slot: number, holder: number): boolean {
    const place = this.#place(slot, 0);
    if (place < 0) return false;
    this.#places[slot * holdersPerKey + place] = holder + 1;
    this.#placeCount++;
    return true;
  }

  /** Takes a holder's place away, if it has one. */
  release(slot: number, holder: number): void {
    const place = this.#place(slot, holder + 1);
    if (place < 0) return;
    this.setHeld(slot, holder, false);
    this.#places[slot * holdersPerKey + place] = 0;
    this.#placeCount--;
  }

  /** Whether anything changed by this. */
  setHeld(slot: number, holder: number, held: boolean): boolean {
    const place = this.#place(slot, holder + 1);
    if (place < 0 || this.isHeld(slot, holder) === held) return false;
    this.#held[slot] = (this.#held[slot] ?? 0) ^ (1 << place);
    this.#heldCount += held ? 1 : -1;
    return true;
  }

  /** The slots in which a holder has a place. */
  slotsOf(holder: number): number[] {
    const slots: number[] = [];
    const end = this.#keys.length * holdersPerKey;
    for (let at = 0; at < end; at++) {
      if (this.#places[at] === holder + 1) slots.push(Math.floor(at / holdersPerKey));
    }
    return slots;
  }

  #place(slot: number, content: number): number {
    const start = slot * holdersPerKey;
    for (let place = 0; place < holdersPerKey; place++) {
      if (this.#places[start + place] === content) return place;
    }
    return -1;
  }

  /** Where the key stands in the order, or would stand. */
  #position(key: NodeId): number {
    let [low, high] = [0, this.#order.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareIds(this.#keyAt(this.#order[middle] ?? 0), key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #keyAt(slot: number): NodeId {
    const key = this.#keys[slot];
    if (key === undefined) throw new Error(`slot ${slot} is free`);
    return key;
  }

  #grow(): void {
    this.#capacity *= 2;
    const [digests, places, held, urgent] = [
      ...[this.#digests, this.#places, this.#held, this.#urgent],
    ] as const;
    this.#digests = new Uint8Array(this.#capacity * digestBytes);
    this.#digests.set(digests);
    this.#places = new Uint16Array(this.#capacity * holdersPerKey);
    this.#places.set(places);
    this.#held = new Uint16Array(this.#capacity);
    this.#held.set(held);
    this.#urgent = new Uint8Array(this.#capacity);
    this.#urgent.set(urgent);
  }
}

function compareIds(a: NodeId, b: NodeId): number {
  for (let index = 0; index < idBytes; index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
