/**
 * Long work in turns: after `limits.indexTurnMs` without a pause the event loop gets its turn.
 * Usage: `if (pace.due()) await pace.pause();` between steps of at most 2 ms.
 */
import { limits } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";

export class Pace {
  readonly #clock: Clock;
  #turnEndsMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#turnEndsMs = clock.monotonicMs() + limits.indexTurnMs;
  }

  due(): boolean {
    return this.#clock.monotonicMs() >= this.#turnEndsMs;
  }

  async pause(): Promise<void> {
    await new Promise<void>((resolve) => void this.#clock.after(0, resolve));
    this.#turnEndsMs = this.#clock.monotonicMs() + limits.indexTurnMs;
  }
}
