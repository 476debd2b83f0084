/**
 * When which lookup is made for the published keys. A lookup serves a whole block of keys:
 * - Keys that are new, or that have lost too many holders, come first, a few lookups at a time.
 * - The sweep goes through all keys in order, one lookup at a time, at such a pace that it comes
 *   round in `sweepMs`: a lookup that served a tenth of the keys is followed by a tenth of the pause.
 * - While nobody is found, lookups go on for ever with growing pauses.
 */
import type { Counters } from "../base/counters.ts";
import { commonPrefix, randomNodeId } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Clock, Random } from "../base/ports.ts";
import { publishLimits } from "./publish-limits.ts";
import type { PublishTable } from "./publish-table.ts";
import { NetworkView } from "./publish-view.ts";
import type { ViewSettings } from "./publish-view.ts";
import type { Asker, Contact } from "./types.ts";

export interface SweepParts {
  readonly asker: Asker;
  readonly clock: Clock;
  readonly random: Random;
  readonly counters: Counters;
  readonly table: PublishTable;
}

export interface SweepSettings extends ViewSettings {
  readonly sweepMs: number;
}

export interface SweepListener {
  /** To place the keys that the view covers, then to call `done` with their slots. */
  readonly found: (view: NetworkView, done: (covered: ReadonlySet<number>) => void) => void;
  /** Somebody has answered a lookup. */
  readonly heard: () => void;
  /** Nodes known to live, roughly. */
  readonly knownNodes: () => number;
}

interface Running {
  readonly target: NodeId;
  readonly sweeps: boolean;
}

export class Sweep {
  readonly #parts: SweepParts;
  readonly #settings: SweepSettings;
  readonly #listener: SweepListener;
  readonly #underWay = new Set<Running>();
  /** Neighbours that share so many bits with a target will probably be covered with it. */
  #blockBits = 0;
  #running = false;
  #stopTimer: (() => void) | undefined;
  #notBeforeMs = -Infinity;
  #urgentAtMs = -Infinity;
  #sweepAtMs = Infinity;
  /** Everything up to here has been swept; undefined: nothing yet in this round. */
  #cursor: NodeId | undefined;
  /** Where the round began in the middle, the first one is not a whole one. */
  #wholeRound = false;
  #roundBeganAtMs = 0;
  #lastRoundMs: number | undefined;
  /** Lookups in a row that found nobody, or suspiciously few. */
  #lost = 0;
  #short = 0;
  /** Our link seems to be down: a lookup is wanted, whether or not keys are due. */
  #probing = false;

  constructor(parts: SweepParts, settings: SweepSettings, listener: SweepListener) {
    this.#parts = parts;
    this.#settings = settings;
    this.#listener = listener;
    // All publishers of a network that starts at once should not sweep in step.
    this.#cursor = randomNodeId(parts.random);
  }

  /** How long the last complete sweep took. */
  get lastRoundMs(): number | undefined {
    return this.#lastRoundMs;
  }

  start(): void {
    const { clock, random } = this.#parts;
    this.#running = true;
    this.#roundBeganAtMs = clock.monotonicMs();
    this.#sweepAtMs = clock.monotonicMs() + (random.next() * this.#settings.sweepMs) / 16;
    this.#plan();
  }

  stop(): void {
    this.#running = false;
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }

  /** This key is to be looked up soon. Those that come within half a second share lookups. */
  urge(slot: number): void {
    const { table, clock } = this.#parts;
    const first = table.urgentCount === 0;
    table.setUrgent(slot, true);
    if (!first) return;
    this.#urgentAtMs = clock.monotonicMs() + publishLimits.collectMs;
    this.#plan();
  }

  /** Nobody answers: looks for anybody. */
  probe(): void {
    this.#probing = true;
    this.#plan();
  }

  /** The network may be back: the next lookup does not wait any longer. */
  hurry(): void {
    this.#lost = 0;
    this.#notBeforeMs = -Infinity;
    this.#plan();
  }

  #plan(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    if (!this.#running) return;
    const dueMs = this.#dueMs();
    if (dueMs === Infinity) return;
    const { clock } = this.#parts;
    this.#stopTimer = clock.after(Math.max(0, dueMs - clock.monotonicMs()), () => {
      this.#stopTimer = undefined;
      this.#begin();
    });
  }

  /** When the next lookup may begin; Infinity: not before something else happens. */
  #dueMs(): number {
    const { table } = this.#parts;
    if (table.size === 0) return Infinity;
    const { urgentCount } = table;
    const { firstLookupsAtOnce, lookupsAtOnce, manyUrgent } = publishLimits;
    const most = urgentCount > manyUrgent ? firstLookupsAtOnce : lookupsAtOnce;
    if (this.#underWay.size >= (this.#lost > 0 ? 1 : most)) return Infinity;
    let dueMs = this.#sweeping() ? Infinity : this.#sweepAtMs;
    if (urgentCount > 0 && this.#urgentTarget() !== undefined) {
      dueMs = Math.min(dueMs, this.#urgentAtMs);
    }
    if (this.#probing && this.#underWay.size === 0) dueMs = -Infinity;
    return Math.max(dueMs, this.#notBeforeMs);
  }

  #sweeping(): boolean {
    for (const { sweeps } of this.#underWay) if (sweeps) return true;
    return false;
  }

  #begin(): void {
    const { clock } = this.#parts;
    const urgentDue = this.#urgentAtMs <= clock.monotonicMs();
    const urgent = urgentDue ? this.#urgentTarget() : undefined;
    if (urgent !== undefined) this.#lookUp({ target: urgent, sweeps: false });
    else {
      const next = this.#sweepTarget();
      if (next !== undefined) this.#lookUp({ target: next, sweeps: !this.#sweeping() });
    }
    this.#plan();
  }

  /** The first urgent key that no lookup under way will probably serve. */
  #urgentTarget(): NodeId | undefined {
    const { table } = this.#parts;
    if (table.urgentCount === 0) return undefined;
    for (const slot of table.slots()) {
      if (!table.isUrgent(slot)) continue;
      const key = table.key(slot);
      if (key !== undefined && !this.#served(key)) return key;
    }
    return undefined;
  }

  #served(key: NodeId): boolean {
    for (const { target } of this.#underWay) {
      if (commonPrefix(target, key) >= this.#blockBits) return true;
    }
    return false;
  }

  #sweepTarget(): NodeId | undefined {
    const { table, clock } = this.#parts;
    let slot = table.after(this.#cursor);
    if (slot === undefined) {
      const nowMs = clock.monotonicMs();
      if (this.#wholeRound) this.#lastRoundMs = nowMs - this.#roundBeganAtMs;
      this.#wholeRound = true;
      this.#roundBeganAtMs = nowMs;
      this.#cursor = undefined;
      slot = table.after(undefined);
    }
    return slot === undefined ? undefined : table.key(slot);
  }

  #lookUp(running: Running): void {
    const { asker, clock, counters } = this.#parts;
    this.#underWay.add(running);
    this.#notBeforeMs = clock.monotonicMs() + publishLimits.lookupPauseMs;
    counters.add(running.sweeps ? "dht.publish.sweepLookups" : "dht.publish.lookups");
    asker.findClosest(running.target, this.#settings.width, (closest) => {
      if (!this.#running) {
        this.#underWay.delete(running);
        return;
      }
      this.#found(running, closest);
    });
  }

  #found(running: Running, closest: readonly Contact[]): void {
    if (closest.length > 0) {
      this.#probing = false;
      this.#listener.heard();
    }
    const short =
      closest.length < this.#settings.width &&
      this.#listener.knownNodes() > 2 * closest.length &&
      this.#short < publishLimits.shortLookups;
    if (closest.length === 0 || short) {
      if (closest.length > 0) this.#short++;
      this.#underWay.delete(running);
      this.#lose();
      return;
    }
    this.#lost = 0;
    this.#short = 0;
    const view = new NetworkView(running.target, closest, this.#settings);
    this.#blockBits = view.complete ? 0 : view.sharedBits + 1;
    this.#listener.found(view, (covered) => {
      const { table } = this.#parts;
      this.#underWay.delete(running);
      for (const slot of covered) table.setUrgent(slot, false);
      if (running.sweeps) this.#advance(covered);
      this.#plan();
    });
  }

  #lose(): void {
    const { clock, random, counters } = this.#parts;
    const { lostPauseMs, lostPauseMostMs } = publishLimits;
    counters.add("dht.publish.lostLookups");
    const pauseMs = Math.min(lostPauseMostMs, lostPauseMs * 2 ** this.#lost);
    this.#lost = Math.min(this.#lost + 1, 16);
    this.#notBeforeMs = clock.monotonicMs() + pauseMs * (0.8 + 0.4 * random.next());
    this.#plan();
  }

  /** Moves on over all keys that were covered, and waits according to their number. */
  #advance(covered: ReadonlySet<number>): void {
    const { table, clock, random } = this.#parts;
    let passed = 0;
    for (;;) {
      const slot = table.after(this.#cursor);
      if (slot === undefined || !covered.has(slot)) break;
      this.#cursor = table.key(slot);
      passed++;
    }
    const share = Math.min(1, Math.max(1, passed) / Math.max(1, table.size));
    const pauseMs = share * this.#settings.sweepMs * (0.9 + 0.2 * random.next());
    this.#sweepAtMs = clock.monotonicMs() + Math.max(publishLimits.sweepPauseMs, pauseMs);
  }
}
