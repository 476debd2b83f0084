/**
 * Peers of whom nothing is known yet. The word of a single one may be used for a whole file, since the
 * last piece waits for the full digest; but a lie then costs that file once more. So a peer that has
 * never given a file that proved right is asked for one file of several pieces at a time: what it lies
 * about is one file, however many are wanted at that moment. A short file is proven before its first
 * byte leaves, and proves its peer: it need not wait for a long one, but for another short one.
 */
import { BoundedMap } from "../base/bounded-map.ts";
import { limits } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import { minute } from "../base/units.ts";

/** A wrong file of which it never came out who spoiled it is forgotten after this time. */
const doubtMs = 10 * minute;

export class Probation {
  readonly #clock: Clock;
  readonly #proven = new BoundedMap<string, true>(limits.provenPeers);
  /** Address → the file that it is asked for. */
  readonly #used = { long: new Map<string, Sha256>(), short: new Map<string, Sha256>() };
  /** Address → when it was last part of a wrong file. */
  readonly #doubted = new BoundedMap<string, number>(limits.provenPeers);
  /** Files for which somebody is wanted who is not free. */
  readonly #waiting = new Map<Sha256, () => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Whether the peer may be asked for the file; until `ended` it is then not for any other of that
   * length. `short`: of one piece; it does no harm whoever gives it.
   */
  admits(address: string, sha256: Sha256, length: "long" | "short" = "long"): boolean {
    const doubtedMs = this.#doubted.get(address) ?? -Infinity;
    if (length === "long" && this.#clock.monotonicMs() - doubtedMs < doubtMs) return false;
    if (this.#proven.has(address)) return true;
    const used = this.#used[length];
    if ((used.get(address) ?? sha256) !== sha256) return false;
    used.set(address, sha256);
    return true;
  }

  /** Until `ended`, `retry` is called when somebody may be admitted who was not. */
  wait(sha256: Sha256, retry: () => void): void {
    this.#waiting.set(sha256, retry);
  }

  /** It gave a part of a file that is right. */
  proven(address: string): void {
    this.#doubted.delete(address);
    this.#proven.set(address, true);
    const freed = Object.values(this.#used).map((used) => used.delete(address));
    if (freed.includes(true)) this.#retry();
  }

  /** It was believed in a file that is wrong; who is to blame is not known yet. */
  doubt(address: string): void {
    this.#proven.delete(address);
    this.#doubted.set(address, this.#clock.monotonicMs());
  }

  /** It is known who spoiled that file: the innocent are as before, those to blame banned. */
  cleared(address: string): void {
    if (this.#doubted.delete(address)) this.#retry();
  }

  /** The file's download is over; what is to be thought of its peers has been said. */
  ended(sha256: Sha256): void {
    this.#waiting.delete(sha256);
    let free = false;
    for (const used of Object.values(this.#used)) {
      for (const [address, user] of used) if (user === sha256) free = used.delete(address);
    }
    if (free) this.#retry();
  }

  #retry(): void {
    for (const retry of [...this.#waiting.values()]) retry();
  }
}
