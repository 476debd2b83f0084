import { limits } from "../base/limits.ts";
import type { Hasher, Hashes } from "../base/ports.ts";
import { sha256FromBytes } from "../base/sha256.ts";
import type { OpenFile } from "../base/storage.ts";
import { PrefixProofs } from "./prefix-proofs.ts";
import type { PartRecord } from "./records.ts";

export interface Resumed {
  /** Has seen exactly the held bytes. */
  readonly hasher: Hasher;
  readonly heldBytes: number;
  readonly proofs: PrefixProofs;
  /** A recorded proof did not hold: some of what the file had was wrong. */
  readonly damaged: boolean;
}

/**
 * How much of an unfinished file can be used: hashes it again from the start, in steps of one
 * chunk, as far as it may be trusted. In the boot in which it was written that is all of it (the
 * digest of the whole proves the rest in the end); in a later boot, only what the recorded proofs
 * confirm. At a proof that does not hold, the file counts up to the one before.
 */
export async function resumePrefix(
  hashes: Hashes,
  file: OpenFile,
  limitBytes: number,
  trust: { readonly record: PartRecord | undefined; readonly sameBoot: boolean },
): Promise<Resumed> {
  const recorded = trust.record?.proofs ?? [];
  const provenBytes = recorded.at(-1)?.bytes ?? 0;
  const { sizeBytes } = await file.facts();
  const endBytes = Math.min(limitBytes, sizeBytes, trust.sameBoot ? Infinity : provenBytes);
  const expected = new Map(recorded.map(({ bytes, sha256 }) => [bytes, sha256]));
  const first = await hashPrefix(hashes, file, endBytes, expected);
  const proven = trust.sameBoot || first.heldBytes === 0 || expected.has(first.heldBytes);
  if (!first.damaged && proven) return first;
  // The hasher has seen wrong or unprovable bytes; the last proof that held marks the good ones.
  const goodBytes = recorded
    .map(({ bytes }) => bytes)
    .filter((bytes) => bytes <= first.heldBytes)
    .at(-1);
  const second = await hashPrefix(hashes, file, goodBytes ?? 0, expected);
  // Not even that held twice: the file changes under us.
  if (second.damaged) return { ...(await hashPrefix(hashes, file, 0, expected)), damaged: true };
  return { ...second, damaged: first.damaged };
}

/** Hashes up to `endBytes`, the end of the file, or the end of the last piece before damage. */
async function hashPrefix(
  hashes: Hashes,
  file: OpenFile,
  endBytes: number,
  expected: ReadonlyMap<number, string>,
): Promise<Resumed> {
  const hasher = hashes.start();
  const proofs = new PrefixProofs();
  const chunk = Buffer.allocUnsafe(limits.readChunkBytes);
  let heldBytes = 0;
  while (heldBytes < endBytes) {
    const toBoundary = limits.pieceBytes - (heldBytes % limits.pieceBytes);
    const wanted = chunk.subarray(0, Math.min(chunk.length, toBoundary, endBytes - heldBytes));
    const count = await file.read(wanted, heldBytes);
    if (count === 0) break;
    hasher.update(wanted.subarray(0, count));
    heldBytes += count;
    if (heldBytes % limits.pieceBytes !== 0) continue;
    const sha256 = sha256FromBytes(hasher.peek());
    if (expected.get(heldBytes) !== undefined && expected.get(heldBytes) !== sha256) {
      return { hasher, heldBytes: heldBytes - limits.pieceBytes, proofs, damaged: true };
    }
    proofs.add({ bytes: heldBytes, sha256 });
  }
  return { hasher, heldBytes, proofs, damaged: false };
}
