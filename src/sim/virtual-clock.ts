import type { Clock } from "../base/ports.ts";

interface Timer {
  readonly dueMs: number;
  /** Breaks ties: timers due at the same time run in the order in which they were set. */
  readonly order: number;
  readonly action: () => void;
}

/** Time that moves only when told to. Timers run inside `advance`, in the order of their due times. */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #wallOffsetMs: number;
  #order = 0;
  readonly #timers = new Set<Timer>();

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
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, action };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that are set and have not run. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  /** When the next timer is due, in milliseconds from now; undefined without one. */
  get nextTimerMs(): number | undefined {
    const next = this.#next(Infinity);
    return next === undefined ? undefined : next.dueMs - this.#nowMs;
  }

  /** Moves time on, running what falls due on the way, also what those timers set themselves. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const timer = this.#next(endMs);
      if (timer === undefined) break;
      this.#timers.delete(timer);
      this.#nowMs = timer.dueMs;
      timer.action();
    }
    this.#nowMs = endMs;
  }

  /** The wall clock is set by someone; the monotonic one does not notice. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  #next(untilMs: number): Timer | undefined {
    let next: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs > untilMs) continue;
      const earlier =
        next === undefined ||
        timer.dueMs < next.dueMs ||
        (timer.dueMs === next.dueMs && timer.order < next.order);
      if (earlier) next = timer;
    }
    return next;
  }
}
