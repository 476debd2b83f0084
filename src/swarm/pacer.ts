/**
 * Holds a stream of bytes to a rate: a token bucket whose waiting parties take turns, so that who has
 * many uploads gets no more than who has one.
 *
 * - An amount of more than the bucket holds passes when the bucket is full, and is paid for later.
 * - Over any time t no more goes through than rate × t, the bucket, and one amount.
 */
import { KiB, second } from "../base/units.ts";
import type { Clock } from "../base/ports.ts";

/** What gathers while nobody sends: a late timer loses nothing, and no burst is felt. */
const bucketMs = second / 8;
/** Sent at a time: 16 in a second, so that nobody's turn is far away, and not below 1 KiB. */
const slicesPerSecond = 16;
const leastSliceBytes = 1 * KiB;

interface Amount {
  readonly bytes: number;
  readonly go: () => void;
}

export class Pacer {
  readonly #clock: Clock;
  #bytesPerSecond: number;
  #bucketBytes: number;
  #tokens: number;
  #filledMs: number;
  /** By party, in the order of their turns. */
  readonly #waiting = new Map<string, Set<Amount>>();
  #stopTimer: (() => void) | undefined;

  /** `bytesPerSecond`: above 0. */
  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock;
    this.#bytesPerSecond = bytesPerSecond;
    this.#bucketBytes = bucketOf(bytesPerSecond);
    this.#tokens = this.#bucketBytes;
    this.#filledMs = clock.monotonicMs();
  }

  /** From now on another rate, above 0, also for those that wait. */
  change(bytesPerSecond: number): void {
    this.#fill();
    this.#bytesPerSecond = bytesPerSecond;
    this.#bucketBytes = bucketOf(bytesPerSecond);
    this.#tokens = Math.min(this.#tokens, this.#bucketBytes);
    this.#stop();
    this.#serve();
  }

  /** No rate any more: whoever waits passes. */
  release(): void {
    this.#stop();
    const waiting = [...this.#waiting.values()].flatMap((line) => [...line]);
    this.#waiting.clear();
    for (const { go } of waiting) go();
  }

  /** How much should be passed at a time, so that the rate is even. */
  get sliceBytes(): number {
    return Math.max(leastSliceBytes, Math.floor(this.#bytesPerSecond / slicesPerSecond));
  }

  /** Calls `go`, at once or later, when so many bytes may be sent → ends the waiting. */
  pass(party: string, bytes: number, go: () => void): () => void {
    this.#fill();
    if (this.#waiting.size === 0 && this.#affords(bytes)) {
      this.#tokens -= bytes;
      go();
      return () => undefined;
    }
    const amount = { bytes, go };
    const line = this.#waiting.get(party) ?? new Set();
    this.#waiting.set(party, line.add(amount));
    this.#wait();
    return () => {
      line.delete(amount);
      if (line.size === 0 && this.#waiting.get(party) === line) this.#waiting.delete(party);
    };
  }

  #stop(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }

  #affords(bytes: number): boolean {
    return this.#tokens >= Math.min(bytes, this.#bucketBytes);
  }

  #fill(): void {
    const nowMs = this.#clock.monotonicMs();
    const earned = ((nowMs - this.#filledMs) * this.#bytesPerSecond) / second;
    this.#tokens = Math.min(this.#bucketBytes, this.#tokens + earned);
    this.#filledMs = nowMs;
  }

  #wait(): void {
    const next = this.#next();
    if (this.#stopTimer !== undefined || next === undefined) return;
    const lacking = Math.min(next.amount.bytes, this.#bucketBytes) - this.#tokens;
    // A whole millisecond at least: less would be no time at all to a timer.
    const waitMs = Math.max(1, Math.ceil((lacking * second) / this.#bytesPerSecond));
    this.#stopTimer = this.#clock.after(waitMs, () => {
      this.#stopTimer = undefined;
      this.#serve();
    });
  }

  #serve(): void {
    this.#fill();
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const { party, line, amount } = next;
      if (!this.#affords(amount.bytes)) break;
      this.#tokens -= amount.bytes;
      line.delete(amount);
      this.#waiting.delete(party);
      if (line.size > 0) this.#waiting.set(party, line);
      amount.go();
    }
    this.#wait();
  }

  #next(): { party: string; line: Set<Amount>; amount: Amount } | undefined {
    for (const [party, line] of this.#waiting) {
      for (const amount of line) return { party, line, amount };
    }
    return undefined;
  }
}

function bucketOf(bytesPerSecond: number): number {
  return Math.max(leastSliceBytes, (bytesPerSecond * bucketMs) / second);
}
