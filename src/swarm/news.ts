/**
 * When one who follows another's state hears of it again: soon after something has changed, in the long
 * run not more often than it asked for, and now and then all the same, so that silence means that the
 * other is gone. What happens after a while of nothing, or at first, is told sooner.
 */
import type { Clock } from "../base/ports.ts";
import { second } from "../base/units.ts";

export const newsBounds = {
  /** Nobody is told more often, whatever it asks for. */
  leastEveryMs: 200,
  mostEveryMs: 10 * second,
  /** So many may come one after the other; then there is one more after each time that was asked for. */
  burst: 4,
  /** Without anything new. Less than for how long the other's word counts; see peer-book.ts. */
  idleMs: 2 * second,
  /** Then whoever wants to know more asks again: others have their turn. */
  forMs: 10 * second,
} as const;

export class News {
  readonly #clock: Clock;
  readonly #everyMs: number;
  readonly #tell: (last: boolean) => void;
  readonly #startedMs: number;
  #toldMs: number;
  /** How many may be told now, at `#toldMs`. */
  #credit: number = newsBounds.burst - 1;
  /** Something has changed since it was told. */
  #pending = false;
  #ended = false;
  #cancelTimer: () => void = () => undefined;

  /** The beginning has just been told. `tell` is called when the rest is; after the last no more. */
  constructor(clock: Clock, everyMs: number, tell: (last: boolean) => void) {
    this.#clock = clock;
    const { leastEveryMs, mostEveryMs } = newsBounds;
    this.#everyMs = Math.min(mostEveryMs, Math.max(leastEveryMs, everyMs));
    this.#tell = tell;
    this.#startedMs = this.#toldMs = clock.monotonicMs();
    this.#tellAfter(newsBounds.idleMs);
  }

  /** `whole`: nothing will follow, and whoever needs nothing more may leave: that is told at once. */
  changed(whole: boolean): void {
    if (this.#ended || (this.#pending && !whole)) return;
    this.#pending = true;
    const { leastEveryMs } = newsBounds;
    const pacedMs = Math.max(leastEveryMs, (1 - this.#credit) * this.#everyMs);
    const gapMs = whole ? 0 : pacedMs;
    const dueMs = this.#toldMs + gapMs - this.#clock.monotonicMs();
    if (dueMs > 0) this.#tellAfter(dueMs);
    else this.#tellNow();
  }

  end(): void {
    this.#ended = true;
    this.#cancelTimer();
  }

  #tellAfter(ms: number): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#clock.after(ms, () => this.#tellNow());
  }

  #tellNow(): void {
    const nowMs = this.#clock.monotonicMs();
    const credit = this.#credit + (nowMs - this.#toldMs) / this.#everyMs - 1;
    this.#credit = Math.min(newsBounds.burst - 1, Math.max(0, credit));
    [this.#pending, this.#toldMs] = [false, nowMs];
    const last = nowMs - this.#startedMs >= newsBounds.forMs;
    if (last) this.end();
    else this.#tellAfter(newsBounds.idleMs);
    this.#tell(last);
  }
}
