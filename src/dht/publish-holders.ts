/**
 * The nodes that hold this node's values, and what each of them is to have.
 *
 * What the publisher believes a holder to have (its count and digest) are exactly the entries that it
 * has confirmed and that have not changed since. An entry leaves that set as soon as it is to be
 * sent again or withdrawn, and a holder is renewed only when nothing is left to send to it. So the
 * two digests agree in a steady network, and after every change that got through.
 */
import { BoundedMap } from "../base/bounded-map.ts";
import type { Endpoint } from "../base/endpoint.ts";
import { sameId } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Clock } from "../base/ports.ts";
import { publishLimits } from "./publish-limits.ts";
import type { PublishTable } from "./publish-table.ts";
import type { Contact } from "./types.ts";
import { digestBytes, xorInto } from "./value-digest.ts";

/** One holder. Fields are written by `Holders` and `HolderSender` alone, `renewAtMs` also by `Publisher`. */
export class Holder {
  /** 0 to `publishLimits.holders - 1`; used again when the holder is forgotten. */
  readonly index: number;
  readonly contact: Contact;
  /** Keys that it has or is to get. */
  places = 0;
  /** Entries that it has confirmed. */
  count = 0;
  /** Slots to be stored. Some may have been settled otherwise since; each is checked when sent. */
  outbox: number[] = [];
  /** Keys to be withdrawn; they go before the outbox. */
  withdrawals: NodeId[] = [];
  /** Keys in one datagram at most: fewer after one that was stored in part. */
  batchLimit = Infinity;
  renewDue = false;
  renewAtMs = Infinity;
  /** When all that it has was last known to be good, by the wall clock. */
  goodWallMs: number;
  /** A query to it is under way; it waits for its turn. */
  busy = false;
  queued = false;
  /** It is left alone until then. */
  restUntilMs = -Infinity;
  /** When the first query was sent of those that it has not answered; undefined: it answers. */
  doubtSinceMs: number | undefined;
  doubts = 0;
  /** Datagrams refused, renewals disagreed on, in a row. */
  refusals = 0;
  mismatches = 0;
  /** Until then it is remembered what it has refused. */
  refusedUntilMs = -Infinity;
  /** Until then it gets no keys. */
  blockedUntilMs = -Infinity;

  constructor(index: number, contact: Contact, wallMs: number) {
    this.index = index;
    this.contact = contact;
    this.goodWallMs = wallMs;
  }
}

export class Holders {
  readonly #table: PublishTable;
  readonly #clock: Clock;
  readonly #byIndex: (Holder | undefined)[] = [];
  readonly #byEndpoint = new Map<string, Holder>();
  readonly #free: number[] = [];
  /** By index: 16 bytes each, since a small array of its own takes 250 bytes. */
  #digests = new Uint8Array(64 * digestBytes);
  /** Pair of slot and holder → until when it is not tried again. A slot's next key may be meant. */
  readonly #refused = new BoundedMap<number, number>(publishLimits.refusedPairs);

  constructor(table: PublishTable, clock: Clock) {
    this.#table = table;
    this.#clock = clock;
  }

  /** Nodes that have or are to get something. */
  get size(): number {
    return this.#byEndpoint.size;
  }

  all(): Iterable<Holder> {
    return this.#byEndpoint.values();
  }

  at(index: number): Holder | undefined {
    return this.#byIndex[index];
  }

  /** The holder at this address, whatever its id. */
  find({ text }: Endpoint): Holder | undefined {
    return this.#byEndpoint.get(text);
  }

  /**
   * The holder at this contact's address, made if there is none; undefined: there are too many, or
   * the node that lived there before is not forgotten yet.
   */
  obtain(contact: Contact): Holder | undefined {
    const known = this.#byEndpoint.get(contact.endpoint.text);
    if (known !== undefined) return sameId(known.contact.id, contact.id) ? known : undefined;
    let index = this.#free.pop();
    // A holder may have been restored under an index that was still free.
    while (index !== undefined && this.#byIndex[index] !== undefined) index = this.#free.pop();
    return this.restore(index ?? this.#byIndex.length, contact);
  }

  /** A holder under the index that it had before a restart; undefined if that cannot be. */
  restore(index: number, contact: Contact): Holder | undefined {
    if (index >= publishLimits.holders || this.#byEndpoint.has(contact.endpoint.text)) {
      return undefined;
    }
    if (this.#byIndex[index] !== undefined) return undefined;
    const holder = new Holder(index, contact, this.#clock.wallMs());
    while (this.#byIndex.length < index) this.#free.push(this.#byIndex.push(undefined) - 1);
    this.#byIndex[index] = holder;
    this.#makeRoom(index);
    this.#byEndpoint.set(contact.endpoint.text, holder);
    return holder;
  }

  /** The digest of the entries that it has confirmed, 16 bytes; not to be kept. */
  digest({ index }: Holder): Uint8Array {
    return this.#digests.subarray(index * digestBytes, (index + 1) * digestBytes);
  }

  /** Whether nothing is left to remember of it. */
  idle({ places, withdrawals, busy, queued, refusedUntilMs, blockedUntilMs }: Holder): boolean {
    const unused = places === 0 && withdrawals.length === 0 && !busy && !queued;
    return unused && Math.max(refusedUntilMs, blockedUntilMs) <= this.#clock.monotonicMs();
  }

  /** Forgets an idle holder; its index is used again. */
  forget(holder: Holder): void {
    this.#byIndex[holder.index] = undefined;
    this.#free.push(holder.index);
    this.#byEndpoint.delete(holder.contact.endpoint.text);
  }

  /** Whether this node should be given this key. */
  eligible(slot: number, holder: Holder): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (holder.blockedUntilMs > nowMs) return false;
    return (this.#refused.get(pair(slot, holder)) ?? -Infinity) <= nowMs;
  }

  /** Gives a holder a key, to be stored there; false if the key has no place left. */
  assign(slot: number, holder: Holder): boolean {
    if (!this.#table.assign(slot, holder.index)) return false;
    holder.places++;
    holder.outbox.push(slot);
    return true;
  }

  /** It has confirmed that it holds the present value. */
  confirm(slot: number, holder: Holder): void {
    if (!this.#table.setHeld(slot, holder.index, true)) return;
    holder.count++;
    xorInto(this.digest(holder), this.#table.digest(slot));
  }

  /** Takes up what was confirmed before a restart; false if the key has no place left. */
  takeUp(slot: number, holder: Holder): boolean {
    if (!this.#table.assign(slot, holder.index)) return false;
    holder.places++;
    this.confirm(slot, holder);
    return true;
  }

  /** The key is to be stored there again. If its value changes: to be called before it does. */
  storeAgain(slot: number, holder: Holder): void {
    this.#unconfirm(slot, holder);
    holder.outbox.push(slot);
  }

  /** It does not hold the key, or nobody cares whether it does. */
  release(slot: number, holder: Holder): void {
    this.#unconfirm(slot, holder);
    if (!this.#table.has(slot, holder.index)) return;
    this.#table.release(slot, holder.index);
    holder.places--;
  }

  /** It is to forget the key. */
  withdraw(slot: number, holder: Holder): void {
    const key = this.#table.key(slot);
    this.release(slot, holder);
    if (key !== undefined) holder.withdrawals.push(key);
  }

  /** It would not take the key, and is not asked again for so long. */
  refuse(slot: number, holder: Holder, forMs: number): void {
    // Whoever is forgotten meanwhile would come back with a clean record, or leave it to another.
    holder.refusedUntilMs = this.#clock.monotonicMs() + forMs;
    this.#refused.set(pair(slot, holder), holder.refusedUntilMs);
    this.release(slot, holder);
  }

  /** The slots of all that it has or was to get, which it has no more. */
  releaseAll(holder: Holder): number[] {
    const slots = this.#table.slotsOf(holder.index);
    for (const slot of slots) this.release(slot, holder);
    holder.outbox = [];
    holder.withdrawals = [];
    return slots;
  }

  #makeRoom(index: number): void {
    if ((index + 1) * digestBytes > this.#digests.length) {
      const former = this.#digests;
      this.#digests = new Uint8Array(Math.max(2 * former.length, (index + 1) * digestBytes));
      this.#digests.set(former);
    }
    this.#digests.fill(0, index * digestBytes, (index + 1) * digestBytes);
  }

  #unconfirm(slot: number, holder: Holder): void {
    if (!this.#table.setHeld(slot, holder.index, false)) return;
    holder.count--;
    xorInto(this.digest(holder), this.#table.digest(slot));
  }
}

function pair(slot: number, { index }: Holder): number {
  return slot * (publishLimits.holders + 1) + index;
}
