import type { Clock } from "../base/ports.ts";

/** How many want a download, and how long it goes on when all have left. */
export class Interest {
  readonly #clock: Clock;
  readonly #lonely: () => void;
  #count = 0;
  #onGone: (() => void) | undefined;
  #cancel: (() => void) | undefined;

  /** `lonely`: nobody has come back in time. */
  constructor(clock: Clock, lonely: () => void) {
    this.#clock = clock;
    this.#lonely = lonely;
  }

  get count(): number {
    return this.#count;
  }

  join(): void {
    this.#count += 1;
    this.close();
  }

  /** `lingerMs`: for how long somebody may come back; undefined: there is nothing to wait for. */
  leave(lingerMs: number | undefined): void {
    this.#count -= 1;
    if (this.#count > 0) return;
    this.#onGone?.();
    if (lingerMs !== undefined) this.#cancel = this.#clock.after(lingerMs, this.#lonely);
  }

  /** Resolves when nobody is left. */
  async gone(): Promise<void> {
    if (this.#count > 0) await new Promise<void>((resolve) => (this.#onGone = resolve));
  }

  /** Nobody is waited for any more. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
