import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Hashes } from "../base/ports.ts";
import { sha256FromBytes, type Sha256 } from "../base/sha256.ts";
import type { OpenFile } from "../base/storage.ts";

export interface HashFileOptions {
  /** Called after each chunk with its bytes; what it returns is waited for. */
  readonly onChunk?: (chunk: Uint8Array) => Promise<void> | undefined;
  /** Rejects CLOSED when it aborts. */
  readonly signal?: AbortSignal | undefined;
}

/** Reads a file to its end, chunk by chunk → its digest and size. Rejects STORAGE. */
export async function hashFile(
  hashes: Hashes,
  file: OpenFile,
  { onChunk, signal }: HashFileOptions = {},
): Promise<{ readonly sha256: Sha256; readonly sizeBytes: number }> {
  const hasher = hashes.start();
  const buffer = Buffer.allocUnsafe(limits.readChunkBytes);
  let sizeBytes = 0;
  for (;;) {
    if (signal?.aborted === true) throw new AptP2pError("CLOSED", "the work was ended early");
    const count = await file.read(buffer, sizeBytes);
    if (count === 0) break;
    const chunk = buffer.subarray(0, count);
    hasher.update(chunk);
    sizeBytes += count;
    await onChunk?.(chunk);
  }
  return { sha256: sha256FromBytes(hasher.digest()), sizeBytes };
}
