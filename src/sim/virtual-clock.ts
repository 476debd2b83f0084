import type { Clock } from "../base/ports.ts";
import { TimerHeap, type Job } from "./timer-heap.ts";

/** An action that is run at most once, and not after it was cancelled. */
class Timer implements Job {
  #action: (() => void) | undefined;

  constructor(action: () => void) {
    this.#action = action;
  }

  get cancelled(): boolean {
    return this.#action === undefined;
  }

  run(): void {
    const action = this.#action;
    this.#action = undefined;
    action?.();
  }

  /** Whether there was something left to cancel. */
  cancel(): boolean {
    const waiting = this.#action !== undefined;
    this.#action = undefined;
    return waiting;
  }
}

/** Time that moves only when told to. Timers run inside `advance`, in the order of their due times. */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #wallOffsetMs: number;
  readonly #timers = new TimerHeap();

  constructor(wallMs = Date.UTC(2026, 0, 1)) {
    this.#wallOffsetMs = wallMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#wallOffsetMs + this.#nowMs;
  }

  after(delayMs: number, action: () => void): () => void {
    const timer = new Timer(action);
    this.schedule(delayMs, timer);
    return () => {
      if (timer.cancel()) this.#timers.noteCancelled();
    };
  }

  /**
   * As `after`, for what there are millions of: the caller brings the object. It must not become
   * cancelled while it waits.
   */
  schedule(delayMs: number, job: Job): void {
    this.#timers.push(this.#nowMs + (delayMs > 0 ? delayMs : 0), job);
  }

  /** Timers that are set and have not run. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** When the next timer is due, in milliseconds from now; undefined without one. */
  get nextTimerMs(): number | undefined {
    const nextMs = this.#timers.nextMs;
    return nextMs === undefined ? undefined : nextMs - this.#nowMs;
  }

  /** Moves time on, running what falls due on the way, also what those timers set themselves. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    while (this.#step(endMs));
    this.#moveTo(endMs);
  }

  /**
   * Runs timer after timer until the condition holds, asked before the first and after each of them;
   * time stands still at that moment. False if it does not hold within `limitMs`, which then have
   * passed.
   */
  runUntil(condition: () => boolean, limitMs: number): boolean {
    const endMs = this.#nowMs + limitMs;
    do {
      if (condition()) return true;
    } while (this.#step(endMs));
    this.#moveTo(endMs);
    return false;
  }

  /** The wall clock is set by someone; the monotonic one does not notice. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  /** Runs the next timer, if there is one due by then. */
  #step(untilMs: number): boolean {
    const nextMs = this.#timers.nextMs;
    if (nextMs === undefined || nextMs > untilMs) return false;
    const job = this.#timers.pop();
    this.#moveTo(nextMs);
    job?.run();
    return true;
  }

  /** Never back, even if a timer moved time on itself. */
  #moveTo(ms: number): void {
    if (ms > this.#nowMs) this.#nowMs = ms;
  }
}
