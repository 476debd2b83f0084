/**
 * The rate at which one source delivers, from the bytes that came while something was asked of it:
 * what it does with nothing to do says nothing.
 */

/** Weight of what is new, for each span of this length. */
const spanMs = 500;
/** Shorter samples say more about buffers than about rates. */
const leastMs = 20;

export class Meter {
  #rate: number | undefined;
  #bytes = 0;
  #sinceMs: number | undefined;

  /** Bytes a second; undefined before anything could be measured. */
  get rate(): number | undefined {
    return this.#rate;
  }

  /** Something has been asked of the source that was idle. */
  began(nowMs: number): void {
    this.#sinceMs ??= nowMs;
  }

  /** Nothing is asked of it any more. */
  idle(nowMs: number): void {
    this.#take(nowMs);
    this.#sinceMs = undefined;
    this.#bytes = 0;
  }

  received(bytes: number, nowMs: number): void {
    this.#bytes += bytes;
    if (this.#sinceMs !== undefined && nowMs - this.#sinceMs >= spanMs / 4) this.#take(nowMs);
  }

  /** The rate at this moment: a source that has fallen silent since is slower than its average. */
  current(nowMs: number): number | undefined {
    const rate = this.#rate;
    if (rate === undefined || this.#sinceMs === undefined) return rate;
    const sinceMs = nowMs - this.#sinceMs;
    if (sinceMs < spanMs) return rate;
    return (rate * spanMs + this.#bytes * 1000) / (spanMs + sinceMs);
  }

  #take(nowMs: number): void {
    const since = this.#sinceMs;
    if (since === undefined || nowMs - since < leastMs || this.#bytes === 0) return;
    const tookMs = nowMs - since;
    const sample = (this.#bytes * 1000) / tookMs;
    const weight = this.#rate === undefined ? 1 : Math.min(0.7, tookMs / spanMs);
    this.#rate = (this.#rate ?? 0) * (1 - weight) + sample * weight;
    this.#bytes = 0;
    this.#sinceMs = nowMs;
  }
}
