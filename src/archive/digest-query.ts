/**
 * A set of digests that many table rows are tested against. One bit turns most rows away: even with
 * the 100,000 files of a large store nine rows of ten cost no more than that.
 */
import { sha256FromBytes, type Sha256 } from "../base/sha256.ts";

/** Bits of a digest that choose its bit: 128 KiB of them. */
const BITS = 20;

export class DigestQuery {
  readonly wanted: ReadonlySet<Sha256>;
  /** Bit n: some wanted digest begins with the BITS bits n. */
  readonly #beginnings = new Uint8Array(2 ** BITS / 8);

  constructor(wanted: ReadonlySet<Sha256>) {
    this.wanted = wanted;
    for (const digest of wanted) {
      const beginning = Number.parseInt(digest.slice(0, BITS / 4), 16);
      const at = beginning >> 3;
      this.#beginnings[at] = (this.#beginnings[at] ?? 0) | (1 << (beginning & 7));
    }
  }

  /** Adds the 32 bytes at `at` to `found` if they are a wanted digest. */
  test(bytes: Buffer, at: number, found: Set<Sha256>): void {
    const beginning =
      ((bytes[at] ?? 0) << 12) | ((bytes[at + 1] ?? 0) << 4) | ((bytes[at + 2] ?? 0) >> 4);
    const bits = this.#beginnings[beginning >> 3] ?? 0;
    if ((bits & (1 << (beginning & 7))) === 0) return;
    const digest = sha256FromBytes(bytes.subarray(at, at + 32));
    if (this.wanted.has(digest)) found.add(digest);
  }
}
