/**
 * Counters: every feature moves one, and a test sees it move. Names are `room.what`; the set is
 * closed by the calls in the code, never by input, so it cannot grow without bound.
 */
export class Counters {
  readonly #values = new Map<string, number>();

  add(name: string, amount = 1): void {
    this.#values.set(name, (this.#values.get(name) ?? 0) + amount);
  }

  get(name: string): number {
    return this.#values.get(name) ?? 0;
  }

  /** All counters by name, sorted. */
  snapshot(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#values].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
