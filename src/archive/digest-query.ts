/** A set of digests that many table rows are tested against: most rows are turned away by one bit. */
import { sha256FromBytes, type Sha256 } from "../base/sha256.ts";

export class DigestQuery {
  readonly #wanted: ReadonlySet<Sha256>;
  /** Bit n: some wanted digest begins with the 16 bits n. */
  readonly #beginnings = new Uint8Array(65536 / 8);

  constructor(wanted: ReadonlySet<Sha256>) {
    this.#wanted = wanted;
    for (const digest of wanted) {
      const beginning = Number.parseInt(digest.slice(0, 4), 16);
      this.#beginnings[beginning >> 3] =
        (this.#beginnings[beginning >> 3] ?? 0) | (1 << (beginning & 7));
    }
  }

  /** Adds the 32 bytes at `at` to `found` if they are a wanted digest. */
  test(bytes: Buffer, at: number, found: Set<Sha256>): void {
    const high = bytes[at] ?? 0;
    const low = bytes[at + 1] ?? 0;
    const bits = this.#beginnings[(high << 5) | (low >> 3)] ?? 0;
    if ((bits & (1 << (low & 7))) === 0) return;
    const digest = sha256FromBytes(bytes.subarray(at, at + 32));
    if (this.#wanted.has(digest)) found.add(digest);
  }
}
