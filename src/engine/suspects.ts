/**
 * Names whose last body from the mirror was not what the archive says.
 *
 * Two rules of fairness to apt follow from it. A client that may hold a wrong beginning gets the
 * file from the start when it asks for the rest (200 instead of 206). And a mirror that insists,
 * with the same wrong bytes again or with a third wrong body, is passed through: apt then reports
 * what it would have reported without us.
 */
import { BoundedMap } from "../base/bounded-map.ts";
import { limits } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";

interface Suspicion {
  readonly lastDigest: Sha256;
  readonly strikes: number;
  readonly atMs: number;
}

/** Wrong bodies in a row, whatever they are, after which the mirror has its way. */
const PATIENCE = 3;

export class Suspects {
  readonly #names = new BoundedMap<string, Suspicion>(limits.suspectNames);
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Books a wrong body → whether it is to be passed through. */
  strike(name: string, digest: Sha256): "refetch" | "pass" {
    const before = this.#current(name);
    const strikes = (before?.strikes ?? 0) + 1;
    this.#names.set(name, { lastDigest: digest, strikes, atMs: this.#clock.monotonicMs() });
    return before?.lastDigest === digest || strikes >= PATIENCE ? "pass" : "refetch";
  }

  /** Notes what those wrong bytes were passed on as: other names of it may share the beginning. */
  note(digest: Sha256): void {
    const before = this.#current(digest);
    const strikes = (before?.strikes ?? 0) + 1;
    this.#names.set(digest, { lastDigest: digest, strikes, atMs: this.#clock.monotonicMs() });
  }

  /** Whether some client may hold a wrong beginning of this name, or of this digest. */
  has(name: string): boolean {
    return this.#current(name) !== undefined;
  }

  #current(name: string): Suspicion | undefined {
    const suspicion = this.#names.get(name);
    if (suspicion === undefined) return undefined;
    if (this.#clock.monotonicMs() - suspicion.atMs > limits.suspectMs) {
      this.#names.delete(name);
      return undefined;
    }
    return suspicion;
  }
}
