/**
 * Stores, withdrawals and renewals on their way to the holders: one query at a time to each of them,
 * as many keys in a datagram as fit, datagrams at an even pace.
 *
 * A holder that does not answer is in doubt and asked again later; it is given up when it fails
 * again although others have answered meanwhile. When nobody answers, our own link is down: then
 * nothing is sent until a lookup finds somebody (`heard`), and what the holders have is not lost.
 *
 * Withdrawals are stores of an empty value, in datagrams of their own: any answer settles them.
 */
import type { Counters } from "../base/counters.ts";
import { dhtLimits } from "../base/dht-limits.ts";
import { sameId } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Clock, Random } from "../base/ports.ts";
import { minute } from "../base/units.ts";
import type { Query, StoreItem } from "../krpc/message.ts";
import { maxDatagramBytes } from "../krpc/message.ts";
import { bytesSize, encodedSize, wireLimits } from "../krpc/sizes.ts";
import type { Outcome } from "../krpc/transactions.ts";
import type { Holder, Holders } from "./publish-holders.ts";
import { publishLimits } from "./publish-limits.ts";
import type { PublishTable } from "./publish-table.ts";
import type { Asker } from "./types.ts";

export interface SenderParts {
  readonly asker: Asker;
  readonly clock: Clock;
  readonly random: Random;
  readonly counters: Counters;
  readonly table: PublishTable;
  readonly holders: Holders;
}

export interface SenderSettings {
  readonly tcpPort: number;
  readonly renewMs: number;
}

export interface SenderListener {
  /** What a holder has, or how long it is good, has changed. */
  readonly changed: (holder: Holder, slots: readonly number[]) => void;
  /** The holder has not taken these keys; they are released. */
  readonly refused: (slots: readonly number[]) => void;
  /** The holder is given up; these keys, which it had or was to get, are released. */
  readonly dropped: (holder: Holder, slots: readonly number[]) => void;
  /** Nobody answers. Nothing is sent until `heard` is called. */
  readonly offline: () => void;
}

interface Batch {
  readonly slots: readonly number[];
  readonly items: readonly StoreItem[];
}

export class HolderSender {
  readonly #parts: SenderParts;
  readonly #settings: SenderSettings;
  readonly #listener: SenderListener;
  readonly #queue: Holder[] = [];
  #queriesUnderWay = 0;
  #running = false;
  #stopTimer: (() => void) | undefined;
  #nextAtMs = -Infinity;
  /** Failures in a row, of whomever. */
  #silence = 0;
  #heardAtMs = -Infinity;
  #offline = false;

  constructor(parts: SenderParts, settings: SenderSettings, listener: SenderListener) {
    this.#parts = parts;
    this.#settings = settings;
    this.#listener = listener;
  }

  get offline(): boolean {
    return this.#offline;
  }

  start(): void {
    this.#running = true;
    this.#arm();
  }

  stop(): void {
    this.#running = false;
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }

  /** The holder may have something to be sent. */
  wake(holder: Holder): void {
    if (holder.queued || holder.busy || !hasWork(holder)) return;
    // `wakeDue` comes back to those that rest.
    if (holder.restUntilMs > this.#parts.clock.monotonicMs()) return;
    holder.queued = true;
    this.#queue.push(holder);
    this.#arm();
  }

  /** Wakes all whose renewal is due or whose rest is over. */
  wakeDue(): void {
    const nowMs = this.#parts.clock.monotonicMs();
    for (const holder of this.#parts.holders.all()) {
      if (holder.count > 0 && holder.renewAtMs <= nowMs) holder.renewDue = true;
      this.wake(holder);
    }
  }

  /** Somebody has answered, here or elsewhere: our link works. */
  heard(): void {
    const { clock, random, holders } = this.#parts;
    const nowMs = clock.monotonicMs();
    this.#heardAtMs = nowMs;
    this.#silence = 0;
    if (!this.#offline) return;
    this.#offline = false;
    for (const holder of holders.all()) {
      holder.restUntilMs = Math.min(holder.restUntilMs, nowMs + random.next() * minute);
    }
    this.#arm();
  }

  /** Gives a holder up: what it has will lapse there. It gets nothing for so long. */
  drop(holder: Holder, blockMs: number): void {
    const { clock, holders, counters } = this.#parts;
    if (holder.places > 0) counters.add("dht.publish.dropped");
    holder.blockedUntilMs = clock.monotonicMs() + blockMs;
    holder.renewDue = false;
    holder.renewAtMs = Infinity;
    holder.doubtSinceMs = undefined;
    holder.doubts = 0;
    holder.mismatches = 0;
    this.#listener.dropped(holder, holders.releaseAll(holder));
  }

  #arm(): void {
    if (!this.#running || this.#offline || this.#stopTimer !== undefined) return;
    if (this.#queue.length === 0) return;
    if (this.#queriesUnderWay >= publishLimits.queriesAtOnce) return;
    const { clock } = this.#parts;
    const delayMs = Math.max(0, this.#nextAtMs - clock.monotonicMs());
    this.#stopTimer = clock.after(delayMs, () => {
      this.#stopTimer = undefined;
      const holder = this.#queue.shift();
      if (holder !== undefined) {
        holder.queued = false;
        if (this.#send(holder)) this.#nextAtMs = clock.monotonicMs() + publishLimits.sendPauseMs;
      }
      this.#arm();
    });
  }

  /** False: there was nothing to be sent after all. */
  #send(holder: Holder): boolean {
    if (holder.withdrawals.length > 0) {
      this.#withdraw(holder);
      return true;
    }
    const batch = this.#takeBatch(holder);
    if (batch.slots.length > 0) {
      this.#store(holder, batch);
      return true;
    }
    if (!holder.renewDue || holder.count === 0) {
      holder.renewDue = false;
      return false;
    }
    this.#renew(holder);
    return true;
  }

  #withdraw(holder: Holder): void {
    const keys = holder.withdrawals.splice(0, emptyValuesPerDatagram);
    const items = keys.map((key) => ({ key, value: noBytes }));
    this.#ask(holder, storeQuery(this.#settings.tcpPort, items), {
      answered: () => this.#parts.counters.add("dht.publish.withdrawn", keys.length),
      unanswered: () => holder.withdrawals.unshift(...keys),
    });
  }

  /** Takes from the outbox what fits into one datagram, and drops what needs no sending any more. */
  #takeBatch(holder: Holder): Batch {
    const { table } = this.#parts;
    const slots: number[] = [];
    const items: StoreItem[] = [];
    let room = roomForItems;
    let taken = 0;
    for (const slot of holder.outbox) {
      const key = table.key(slot);
      const value = table.value(slot);
      const wanted = table.has(slot, holder.index) && !table.isHeld(slot, holder.index);
      if (key !== undefined && value !== undefined && wanted && !slots.includes(slot)) {
        room -= itemOverhead + bytesSize(value.length);
        // A value that fits only without anything beside it goes alone.
        if ((room < 0 || slots.length >= holder.batchLimit) && slots.length > 0) break;
        slots.push(slot);
        items.push({ key, value });
      }
      taken++;
    }
    // A new array: one that was emptied keeps the room for what it had.
    holder.outbox = holder.outbox.slice(taken);
    return { slots, items };
  }

  #store(holder: Holder, { slots, items }: Batch): void {
    this.#parts.counters.add("dht.publish.stores");
    this.#ask(holder, storeQuery(this.#settings.tcpPort, items), {
      answered: (outcome) => {
        const stored = outcome.kind === "answer" ? (outcome.message.fields.stored ?? 0) : 0;
        this.#stored(holder, { slots, items }, stored);
      },
      unanswered: () => holder.outbox.unshift(...slots),
    });
  }

  #stored(holder: Holder, { slots, items }: Batch, stored: number): void {
    const { table, holders, counters } = this.#parts;
    if (stored > 0 && stored < slots.length) {
      // Which ones it has not taken comes out when they are sent in smaller parts.
      counters.add("dht.publish.partlyStored");
      holder.batchLimit = Math.ceil(slots.length / 2);
      holder.outbox.unshift(...slots);
      return;
    }
    const same = slots.filter((slot, index) => sameKey(table.key(slot), items[index]?.key));
    if (stored === 0) {
      this.#refused(holder, same);
      return;
    }
    holder.refusals = 0;
    holder.batchLimit *= 2;
    counters.add("dht.publish.stored", slots.length);
    const first = holder.count === 0;
    for (const [index, slot] of slots.entries()) {
      const item = items[index];
      // Whatever has changed meanwhile is in the outbox again.
      const present = sameKey(table.key(slot), item?.key) && table.value(slot) === item?.value;
      if (present) holders.confirm(slot, holder);
    }
    if (first) this.#begin(holder);
    this.#listener.changed(holder, same);
  }

  /** The first renewal comes at a random time, so that those of all holders are spread. */
  #begin(holder: Holder): void {
    const { clock, random } = this.#parts;
    holder.goodWallMs = clock.wallMs();
    const share = 0.2 + 0.8 * random.next();
    holder.renewAtMs = clock.monotonicMs() + share * this.#settings.renewMs;
  }

  #refused(holder: Holder, slots: readonly number[]): void {
    const { holders, counters, clock } = this.#parts;
    const { renewMs } = this.#settings;
    holder.refusals++;
    let refused = slots;
    if (holder.refusals >= publishLimits.refusals) {
      counters.add("dht.publish.blocked");
      holder.blockedUntilMs = clock.monotonicMs() + renewMs;
      holder.refusals = 0;
      refused = [...new Set([...slots, ...this.#waiting(holder)])];
      holder.outbox = [];
    }
    counters.add("dht.publish.refused", refused.length);
    for (const slot of refused) holders.refuse(slot, holder, renewMs);
    this.#listener.refused(refused);
  }

  #waiting(holder: Holder): number[] {
    const { table } = this.#parts;
    return holder.outbox.filter(
      (slot) => table.has(slot, holder.index) && !table.isHeld(slot, holder.index),
    );
  }

  #renew(holder: Holder): void {
    const { counters, holders } = this.#parts;
    const { count } = holder;
    const digest = holders.digest(holder).slice();
    counters.add("dht.publish.renewals");
    holder.renewDue = false;
    this.#ask(
      holder,
      { method: "renew", port: this.#settings.tcpPort, count, digest },
      {
        answered: (outcome) => {
          const { clock, random } = this.#parts;
          const share = 0.95 + 0.1 * random.next();
          holder.renewAtMs = clock.monotonicMs() + share * this.#settings.renewMs;
          const agreed = outcome.kind === "answer" && outcome.message.fields.renewed === true;
          if (!agreed) {
            this.#mismatch(holder);
            return;
          }
          holder.mismatches = 0;
          holder.goodWallMs = clock.wallMs();
          this.#listener.changed(holder, []);
        },
        unanswered: () => (holder.renewDue = true),
      },
    );
  }

  /** It has more or less than it should: all that it should have is sent again. */
  #mismatch(holder: Holder): void {
    const { counters, table, holders } = this.#parts;
    counters.add("dht.publish.mismatches");
    if (++holder.mismatches >= publishLimits.mismatches) {
      // By then whatever it has of ours has lapsed.
      this.drop(holder, dhtLimits.valueMs);
      return;
    }
    const slots = table.slotsOf(holder.index);
    for (const slot of slots) {
      // Nobody has supplied this value since the restart.
      if (table.value(slot) === undefined) holders.release(slot, holder);
      else holders.storeAgain(slot, holder);
    }
    this.#listener.changed(holder, slots);
  }

  #ask(
    holder: Holder,
    query: Query,
    handlers: {
      readonly answered: (outcome: Exclude<Outcome, { kind: "failed" }>) => void;
      readonly unanswered: () => void;
    },
  ): void {
    const { asker, clock } = this.#parts;
    const sentAtMs = clock.monotonicMs();
    holder.busy = true;
    this.#queriesUnderWay++;
    asker.ask(holder.contact, query, (outcome) => {
      this.#queriesUnderWay--;
      holder.busy = false;
      if (!this.#running) return;
      if (outcome.kind === "failed") {
        handlers.unanswered();
        this.#unanswered(holder, sentAtMs);
      } else {
        this.heard();
        holder.doubtSinceMs = undefined;
        holder.doubts = 0;
        handlers.answered(outcome);
      }
      this.wake(holder);
      this.#arm();
    });
  }

  #unanswered(holder: Holder, sentAtMs: number): void {
    const { clock, random, counters } = this.#parts;
    this.#silence++;
    const { doubtMs, doubtMostMs } = publishLimits;
    if (holder.doubtSinceMs !== undefined && this.#heardAtMs > holder.doubtSinceMs) {
      this.drop(holder, publishLimits.blockMs);
    } else {
      holder.doubtSinceMs ??= sentAtMs;
      const pauseMs = Math.min(doubtMostMs, doubtMs * 2 ** holder.doubts++);
      holder.restUntilMs = clock.monotonicMs() + pauseMs * (0.75 + 0.5 * random.next());
    }
    if (this.#silence < publishLimits.failuresOffline || this.#offline) return;
    counters.add("dht.publish.offline");
    this.#offline = true;
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#listener.offline();
  }
}

function hasWork({ outbox, withdrawals, renewDue }: Holder): boolean {
  return outbox.length > 0 || withdrawals.length > 0 || renewDue;
}

function sameKey(a: NodeId | undefined, b: NodeId | undefined): boolean {
  return a !== undefined && b !== undefined && sameId(a, b);
}

function storeQuery(port: number, values: readonly StoreItem[]): Query {
  return { method: "store_value", port, values };
}

const noBytes = new Uint8Array(0);

/** Bytes that the longest envelope leaves for keys and values. */
const roomForItems =
  maxDatagramBytes -
  encodedSize({
    ...{ kind: "query", transaction: "\0\0\0\0", id: new Uint8Array(20) as NodeId },
    version: "V".repeat(wireLimits.versionBytes),
    ...{ readOnly: true, token: new Uint8Array(wireLimits.tokenBytes), padding: 0 },
    query: { method: "store_value", port: 65_535, values: [] },
  });

/** `d1:k20:…1:v` and `e`: what an item has beside its value. */
const itemOverhead = 1 + 3 + bytesSize(20) + 3 + 1;

const emptyValuesPerDatagram = Math.floor(roomForItems / (itemOverhead + bytesSize(0)));
