import { second } from "../base/units.ts";

/** A rate with a burst: the bucket fills up with time, and each event takes one token out of it. */
export class TokenBucket {
  readonly #perSecond: number;
  readonly #most: number;
  #level: number;
  #atMs: number;

  /** Full at the beginning. `perSecond` and `most` are tokens, times monotonic milliseconds. */
  constructor(perSecond: number, most: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#most = most;
    this.#level = most;
    this.#atMs = nowMs;
  }

  /** False: there is none left, and the event must not happen. */
  take(nowMs: number): boolean {
    const filled = this.#level + ((nowMs - this.#atMs) / second) * this.#perSecond;
    this.#level = Math.min(this.#most, filled);
    this.#atMs = nowMs;
    if (this.#level < 1) return false;
    this.#level -= 1;
    return true;
  }
}
