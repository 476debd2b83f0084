/**
 * Lookups that run, and those that wait for their turn. There is a bound on how many run at once, and
 * a pace: one apt run may ask for thousands of files, and in a small network all these queries would
 * go to a handful of contacts, whose guards would take us for a flood.
 */
import { dhtLimits } from "../base/dht-limits.ts";
import type { Clock } from "../base/ports.ts";
import { second } from "../base/units.ts";

export interface Turn {
  readonly begin: () => void;
  /** Called when the queue is stopped while it runs. */
  readonly cancel: () => void;
}

export class LookupQueue {
  readonly #clock: Clock;
  readonly #contacts: () => number;
  readonly #running = new Set<Turn>();
  #waiting: Turn[] = [];
  /** Lookups that may begin at once, and when that was so. */
  #budget = Infinity;
  #budgetAtMs = 0;
  #stopTimer: (() => void) | undefined;

  /** `contacts`: how many share the queries. */
  constructor(clock: Clock, contacts: () => number) {
    this.#clock = clock;
    this.#contacts = contacts;
  }

  /** Running and waiting ones. */
  get size(): number {
    return this.#running.size + this.#waiting.length;
  }

  /** Begins now or later; false: too many wait. */
  enter(turn: Turn): boolean {
    if (this.#waiting.length >= dhtLimits.lookupsWaiting) return false;
    this.#waiting.push(turn);
    if (this.#stopTimer === undefined) this.#advance();
    return true;
  }

  /** It has ended, or is not wanted any more. */
  leave(turn: Turn): void {
    if (!this.#running.delete(turn)) this.#waiting = this.#waiting.filter((one) => one !== turn);
    // By a timer: lookups that end at once would else begin each other ever deeper in the stack.
    else if (this.#waiting.length > 0 && this.#stopTimer === undefined) this.#advanceIn(0);
  }

  stop(): void {
    this.#stopTimer?.();
    this.#waiting = [];
    for (const { cancel } of [...this.#running]) cancel();
    this.#running.clear();
  }

  #advanceIn(ms: number): void {
    this.#stopTimer = this.#clock.after(ms, () => {
      this.#stopTimer = undefined;
      this.#advance();
    });
  }

  #advance(): void {
    while (this.#waiting.length > 0 && this.#running.size < dhtLimits.lookupsAtOnce) {
      const shortMs = this.#shortOfBudgetMs();
      if (shortMs > 0) {
        this.#advanceIn(shortMs);
        return;
      }
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#budget--;
      this.#running.add(next);
      next.begin();
    }
  }

  /** How long until one more lookup keeps every contact below its limit; 0: now. */
  #shortOfBudgetMs(): number {
    const contacts = this.#contacts();
    // Nobody to be asked: it ends at once.
    if (contacts === 0) return 0;
    const nowMs = this.#clock.monotonicMs();
    const { guardShare, queriesPerLookup, queryBurst, queriesPerSecond } = dhtLimits;
    const share = (guardShare * contacts) / queriesPerLookup;
    const perMs = (share * queriesPerSecond) / second;
    const earned = (nowMs - this.#budgetAtMs) * perMs;
    this.#budget = Math.min(Math.max(1, share * queryBurst), this.#budget + earned);
    this.#budgetAtMs = nowMs;
    // Whole milliseconds: less may be lost in the rounding of the clock, and never pass.
    return this.#budget >= 1 ? 0 : Math.ceil((1 - this.#budget) / perMs);
  }
}
