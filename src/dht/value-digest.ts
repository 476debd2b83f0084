/**
 * The digest of a set of values: XOR over the first 16 bytes of SHA-256(key ‖ value) of each. Entries
 * come and go in any order at the cost of one hash each. It guards a publisher against lost values,
 * not against itself: whoever builds a collision only deceives his own renewals.
 */
import { idBytes, type NodeId } from "../base/node-id.ts";
import type { Hashes } from "../base/ports.ts";

export const digestBytes = 16;

/** First 16 bytes of SHA-256(key ‖ value). */
export function entryDigest(hashes: Hashes, key: NodeId, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(idBytes + value.length);
  bytes.set(key);
  bytes.set(value, idBytes);
  return hashes.of(bytes).subarray(0, digestBytes);
}

/** Adds an entry's digest to a set's, or takes it away again: 16 bytes each. */
export function xorInto(set: Uint8Array, entry: Uint8Array): void {
  for (let index = 0; index < digestBytes; index++) {
    set[index] = (set[index] ?? 0) ^ (entry[index] ?? 0);
  }
}

/** Whether two set digests agree; false for one of another length. */
export function sameDigest(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
