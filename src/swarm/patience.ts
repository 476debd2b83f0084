/**
 * How long a mirror may be made to wait for peers. There is a credit for each run of apt: waiting in
 * vain uses it up, so that all files of a run together are late by no more than it; a wait that
 * brought something restores it. Waits that overlap are one wait: apt pipelines.
 */
import { second } from "../base/units.ts";

/** Milliseconds. */
export const creditMs = 250;
/** Without a download for so long, the next one begins another run. */
const runPauseMs = 10 * second;
/** Less would end before the nearest neighbour could answer. */
const leastMs = 20;

export interface Wait {
  readonly beganMs: number;
}

export class Patience {
  #creditMs = creditMs;
  readonly #open = new Set<Wait>();
  /** Up to here waiting has been charged. */
  #chargedMs = 0;
  #lastMs = -Infinity;

  /** How long one more may wait. */
  allow(nowMs: number): number {
    this.#settle(nowMs);
    if (this.#open.size === 0 && nowMs - this.#lastMs > runPauseMs) this.#creditMs = creditMs;
    return this.#creditMs < leastMs ? 0 : this.#creditMs;
  }

  began(nowMs: number): Wait {
    this.#settle(nowMs);
    const wait = { beganMs: nowMs };
    this.#open.add(wait);
    return wait;
  }

  /** The wait is over, at the latest when the file is; further calls change nothing. */
  ended(wait: Wait, success: boolean, nowMs: number): void {
    this.#settle(nowMs);
    if (!this.#open.delete(wait)) return;
    if (success) this.#creditMs = creditMs;
  }

  /** A wait is no longer one when its time is up: then the mirror was asked. */
  #settle(nowMs: number): void {
    const waiting = [...this.#open].some(({ beganMs }) => nowMs - beganMs < creditMs);
    const untilMs = [...this.#open].reduce(
      (latest, { beganMs }) => Math.max(latest, beganMs + creditMs),
      0,
    );
    if (this.#open.size > 0) {
      const chargedMs = Math.max(0, Math.min(nowMs, untilMs) - this.#chargedMs);
      this.#creditMs = Math.max(0, this.#creditMs - chargedMs);
    }
    this.#chargedMs = nowMs;
    if (waiting || this.#open.size > 0) this.#lastMs = nowMs;
  }
}
