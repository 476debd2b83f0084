import { limits } from "../base/limits.ts";
import type { PrefixProof } from "./records.ts";

/** So many of the newest proofs stay; older ones are thinned out. */
const dense = 5;

/**
 * Digests of growing prefixes of an unfinished file, at piece boundaries. The newest are all there
 * (the disk may be some pieces behind), older ones at growing distances: when the tail of the file
 * is lost, most of the rest can still be proven.
 */
export class PrefixProofs {
  #proofs: PrefixProof[] = [];

  get all(): readonly PrefixProof[] {
    return this.#proofs;
  }

  /** Proofs come in growing order. */
  add(proof: PrefixProof): void {
    this.#proofs.push(proof);
    if (this.#proofs.length > limits.prefixProofs) this.#thin(proof.bytes);
  }

  /** Those of prefixes that the disk has. */
  within(writtenBytes: number): readonly PrefixProof[] {
    return this.#proofs.filter((proof) => proof.bytes <= writtenBytes);
  }

  clear(): void {
    this.#proofs = [];
  }

  /** Removes the old proof whose absence costs least: its gap is small for its distance. */
  #thin(endBytes: number): void {
    let cheapest = 0;
    let lowestCost = Infinity;
    for (let index = 0; index < this.#proofs.length - dense; index += 1) {
      const after = this.#proofs[index + 1]?.bytes ?? endBytes;
      const before = this.#proofs[index - 1]?.bytes ?? 0;
      const cost = (after - before) / (endBytes - (this.#proofs[index]?.bytes ?? 0));
      if (cost < lowestCost) {
        lowestCost = cost;
        cheapest = index;
      }
    }
    this.#proofs.splice(cheapest, 1);
  }
}
