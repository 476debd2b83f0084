/**
 * Who may upload now, and how fast: slots in all and for each peer, a short queue, and rates for far
 * peers, for each of them, and for near ones. The daemon and the laboratory use the same gate.
 *
 * - Slots are few so that each upload is quick: a piece that is whole somewhere else is worth more
 *   than many halves. Who has none waits before those that have some.
 * - Of what is rare only a few uploads begin at once; see rarity.ts. Those that are not done soon are
 *   slow, and hold nobody up.
 * - A quarter of the slots is for the own network alone, so that slow readers beyond it are never in
 *   the neighbours' way.
 * - A rate is a pace, never a refusal; only a full queue is, and an allowance that is used up.
 */
import { BoundedMap } from "../base/bounded-map.ts";
import { subnetOf } from "../base/endpoint.ts";
import type { Clock } from "../base/ports.ts";
import { KiB } from "../base/units.ts";
import { Pacer } from "./pacer.ts";
import type { Load } from "./types.ts";

export interface UploadLimits {
  /** At least 1. */
  readonly slots: number;
  readonly slotsPerPeer: number;
  /** Uploads of what is rare that have just begun, near and far ones each. */
  readonly atOnce: number;
  /** Uploads that wait for a slot. */
  readonly queue: number;
  /** Bytes a second; Infinity: as fast as it goes; 0: nothing at all. */
  readonly farRate: number;
  readonly nearRate: number;
  /** To each of the far peers. */
  readonly ratePerPeer: number;
}

export const defaultUploadLimits: UploadLimits = {
  ...{ slots: 8, slotsPerPeer: 4, atOnce: 2, queue: 16 },
  ...{ farRate: 1_000_000, nearRate: Infinity, ratePerPeer: Infinity },
};

export interface Uploader {
  /** Of the peer, a canonical literal: all its uploads share its slots and its rate. */
  readonly address: string;
  readonly near: boolean;
}

/** What an upload that has begun holds. */
export interface Slot {
  /** How much should be sent at a time, so that a rate is even. */
  readonly sliceBytes: number;
  /** False: the hours for it are over, or its rate has become 0; it must end here. */
  readonly open: boolean;
  /** Calls `go`, at once or later, when so many bytes more may leave → ends the waiting. */
  pace(bytes: number, go: () => void): () => void;
  /** At the end; further calls change nothing. */
  end(): void;
}

/** What far peers may have: within hours, and of a month's allowance. */
export interface FarAllowance {
  /** Whether they may have anything now. */
  readonly open: boolean;
  /** Infinity: without end. */
  readonly leftBytes: number;
  book(bytes: number): void;
  /** Of what was booked so much was not sent. */
  giveBack(bytes: number): void;
}

const endless: FarAllowance = {
  ...{ open: true, leftBytes: Infinity },
  book: () => undefined,
  giveBack: () => undefined,
};

/** So long an upload has just begun: a piece needs less where it matters, in a fast network. */
const begunMs = 250;
/** Refusals of the last seconds are averaged over so long. */
const refusalsMs = 2000;
/** Up to so many a second who is refused may come back after a second. */
const easyRefusals = 200;
const mostRetryS = 30;

/** Peers of whose pace is known: one that comes back at once has no fresh allowance. */
const pacedPeers = 256;
/** What is sent at a time where nothing is paced. */
const freeSliceBytes = 256 * KiB;

export interface Wanted {
  /** What it will send at the most. */
  readonly bytes: number;
  /** It is of pieces that may soon be gone. */
  readonly rare?: boolean;
}

interface Party {
  readonly key: string;
  active: number;
  waiting: number;
}

interface Waiting {
  readonly who: Uploader;
  readonly party: Party;
  readonly wanted: Wanted;
  readonly start: (slot: Slot) => void;
}

export class UploadGate {
  readonly #clock: Clock;
  #limits: UploadLimits;
  readonly #allowance: FarAllowance;
  #far: Pacer | undefined;
  #near: Pacer | undefined;
  readonly #peers = new BoundedMap<string, Pacer>(pacedPeers);
  /** Those with an upload, or one that waits. */
  readonly #parties = new Map<string, Party>();
  readonly #queue = new Set<Waiting>();
  #active = 0;
  #farActive = 0;
  /** Those that have just begun. */
  readonly #begun = { near: 0, far: 0 };
  /** Those of the last seconds, each counting less as it grows old; at that time. */
  #refusals = 0;
  #refusedMs = 0;

  constructor(clock: Clock, limits = defaultUploadLimits, allowance = endless) {
    this.#clock = clock;
    this.#limits = limits;
    this.#allowance = allowance;
    this.#far = this.#pacer(limits.farRate);
    this.#near = this.#pacer(limits.nearRate);
  }

  /** From now on these count, also for what is under way; nobody loses the slot that it has. */
  change(limits: UploadLimits): void {
    this.#limits = limits;
    const released: Pacer[] = [];
    const repaced = (pacer: Pacer | undefined, rate: number): Pacer | undefined => {
      if (pacer === undefined || !isPaced(rate)) {
        if (pacer !== undefined) released.push(pacer);
        return this.#pacer(rate);
      }
      pacer.change(rate);
      return pacer;
    };
    this.#far = repaced(this.#far, limits.farRate);
    this.#near = repaced(this.#near, limits.nearRate);
    for (const [party, pacer] of [...this.#peers.entries()]) {
      if (repaced(pacer, limits.ratePerPeer) === undefined) this.#peers.delete(party);
    }
    // Who waited there asks for the next pace at once: it must not find the old one.
    for (const pacer of released) pacer.release();
    this.#next();
  }

  load(): Load {
    return { active: this.#active, queued: this.#queue.size, slots: this.#limits.slots };
  }

  /**
   * When who is refused shall come back, in seconds. In a crowd of thousands later: to refuse them all
   * each second would cost more than to serve.
   */
  get retryAfterS(): number {
    const perSecond = (this.#recentRefusals() * 1000) / refusalsMs;
    return Math.min(mostRetryS, Math.max(1, Math.round(perSecond / easyRefusals)));
  }

  #recentRefusals(): number {
    const ageMs = this.#clock.monotonicMs() - this.#refusedMs;
    return this.#refusals * Math.exp(-ageMs / refusalsMs);
  }

  /** False: so much is not for this peer now, whatever the load. */
  allows({ near }: Uploader, bytes: number): boolean {
    if (!near && bytes > this.#allowance.leftBytes) return false;
    return this.#open(near);
  }

  /** Whether anything may go to such peers just now. What is under way has been booked. */
  #open(near: boolean): boolean {
    const { nearRate, farRate, ratePerPeer } = this.#limits;
    if (near) return nearRate > 0;
    return farRate > 0 && ratePerPeer > 0 && this.#allowance.open;
  }

  /**
   * Calls `start` with a slot, now or when it is this upload's turn → a function that takes it out
   * of the queue; undefined: busy, nobody waits any more.
   */
  enter(
    who: Uploader,
    start: (slot: Slot) => void,
    wanted: Wanted = { bytes: 0 },
  ): (() => void) | undefined {
    const party = this.#party(partyOf(who));
    const waiting = { who, party, wanted, start };
    const { bytes } = wanted;
    const free = this.#free(waiting);
    const { slotsPerPeer, queue } = this.#limits;
    // No peer takes the whole queue.
    const full = this.#queue.size >= queue || party.waiting >= slotsPerPeer;
    if (!free && full) {
      this.#refusals = this.#recentRefusals() + 1;
      this.#refusedMs = this.#clock.monotonicMs();
      return undefined;
    }
    if (!who.near) this.#allowance.book(bytes);
    this.#parties.set(party.key, party);
    if (free) {
      this.#begin(waiting);
      return () => undefined;
    }
    party.waiting++;
    this.#queue.add(waiting);
    return () => {
      if (!this.#queue.delete(waiting)) return;
      party.waiting--;
      if (!who.near) this.#allowance.giveBack(bytes);
      this.#forget(party);
    };
  }

  #party(key: string): Party {
    return this.#parties.get(key) ?? { key, active: 0, waiting: 0 };
  }

  #forget(party: Party): void {
    if (party.active === 0 && party.waiting === 0) this.#parties.delete(party.key);
  }

  #free({ who, party, wanted }: Waiting): boolean {
    const { slots, slotsPerPeer, atOnce } = this.#limits;
    if (this.#active >= slots || party.active >= slotsPerPeer) return false;
    const others = this.#begun[who.near ? "near" : "far"];
    if (wanted.rare === true && others >= atOnce) return false;
    return who.near || this.#farActive < Math.ceil((slots * 3) / 4);
  }

  #begin(waiting: Waiting): void {
    const { who, party, wanted, start } = waiting;
    party.active++;
    this.#active++;
    if (!who.near) this.#farActive++;
    const begun = wanted.rare === true ? this.#hasBegun(who) : undefined;
    let ended = false;
    const slot = new PacedSlot({
      party: party.key,
      pacers: () => {
        const pacers = who.near ? [this.#near] : [this.#peer(party.key), this.#far];
        return pacers.filter((pacer) => pacer !== undefined);
      },
      isOpen: () => this.#open(who.near),
      onEnd: (sentBytes) => {
        if (ended) return;
        ended = true;
        party.active--;
        this.#active--;
        begun?.();
        if (!who.near) {
          this.#farActive--;
          this.#allowance.giveBack(Math.max(0, wanted.bytes - sentBytes));
        }
        this.#forget(party);
        this.#next();
      },
    });
    start(slot);
  }

  /** One more → ends its beginning before it is over; further calls change nothing. */
  #hasBegun({ near }: Uploader): () => void {
    const where = near ? "near" : "far";
    let begun = true;
    this.#begun[where]++;
    const over = (): void => {
      cancel();
      if (begun) this.#begun[where]--;
      begun = false;
    };
    const cancel = this.#clock.after(begunMs, () => {
      over();
      this.#next();
    });
    return over;
  }

  /** Those that have least come first; among equals who came first. The queue is short. */
  #next(): void {
    for (;;) {
      let first: Waiting | undefined;
      for (const waiting of this.#queue) {
        if (!this.#free(waiting)) continue;
        if (first === undefined || waiting.party.active < first.party.active) first = waiting;
      }
      if (first === undefined) return;
      this.#queue.delete(first);
      first.party.waiting--;
      this.#begin(first);
    }
  }

  #pacer(rate: number): Pacer | undefined {
    return isPaced(rate) ? new Pacer(this.#clock, rate) : undefined;
  }

  #peer(party: string): Pacer | undefined {
    const known = this.#peers.get(party);
    if (known !== undefined) return known;
    const pacer = this.#pacer(this.#limits.ratePerPeer);
    if (pacer !== undefined) this.#peers.set(party, pacer);
    return pacer;
  }
}

interface SlotParts {
  readonly party: string;
  /** Those that count just now. */
  readonly pacers: () => readonly Pacer[];
  readonly isOpen: () => boolean;
  readonly onEnd: (sentBytes: number) => void;
}

class PacedSlot implements Slot {
  readonly #parts: SlotParts;
  #sentBytes = 0;

  constructor(parts: SlotParts) {
    this.#parts = parts;
  }

  get sliceBytes(): number {
    return Math.min(freeSliceBytes, ...this.#parts.pacers().map(({ sliceBytes }) => sliceBytes));
  }

  get open(): boolean {
    return this.#parts.isOpen();
  }

  pace(bytes: number, go: () => void): () => void {
    const { party } = this.#parts;
    const pacers = this.#parts.pacers();
    let stop = (): void => undefined;
    let reached = 0;
    const pass = (index: number): void => {
      reached = index;
      const pacer = pacers[index];
      if (pacer === undefined) {
        this.#sentBytes += bytes;
        go();
        return;
      }
      const cancel = pacer.pass(party, bytes, () => pass(index + 1));
      // It may have been let through at once, and wait at the next one.
      if (reached === index) stop = cancel;
    };
    pass(0);
    return () => stop();
  }

  end(): void {
    this.#parts.onEnd(this.#sentBytes);
  }
}

function isPaced(rate: number): boolean {
  return rate > 0 && rate !== Infinity;
}

/** Whom an address counts for: an IPv6 host beyond the own network has a whole /64. */
export function partyOf({ address, near }: Uploader): string {
  return near || !address.includes(":") ? address : subnetOf(address);
}
