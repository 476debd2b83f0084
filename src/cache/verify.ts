import { AptP2pError } from "../base/errors.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { Room } from "./evict.ts";
import type { FileRecord } from "./records.ts";
import type { OnProgress, VerifyResult } from "./types.ts";

/**
 * Hashes every whole file, offered ones too, and drops what is damaged or gone. Damaged files of
 * our own are deleted. Ends early, with what it has found, when `signal` aborts.
 */
export async function verify(
  room: Room,
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<VerifyResult> {
  const { shelf, components } = room;
  const { ownedFiles, ownedBytes, offeredFiles, offeredBytes } = shelf.table.totals;
  const [total, totalBytes] = [ownedFiles + offeredFiles, ownedBytes + offeredBytes];
  let [done, bytes] = [0, 0];
  const [damaged, missing]: [Sha256[], Sha256[]] = [[], []];
  const one = async (sha: Sha256, record: FileRecord): Promise<void> => {
    const note = record.names[0] ?? record.path ?? sha;
    const endUse = shelf.use(sha);
    try {
      const handle = await components.files.open(shelf.describe(sha, record).path);
      if (handle === undefined) {
        shelf.lose(sha, "missing");
        missing.push(sha);
        return;
      }
      try {
        const onChunk = (chunk: Uint8Array): undefined => {
          bytes += chunk.length;
          onProgress({ done, total, bytes, totalBytes, note });
        };
        if (!(await shelf.prove(sha, handle, { onChunk, signal }))) damaged.push(sha);
      } finally {
        await handle.close();
      }
    } finally {
      endUse();
    }
  };
  try {
    for await (const [sha, record] of shelf.table.entries()) {
      if (signal.aborted) break;
      await one(sha, record);
      done += 1;
      onProgress({ done, total, bytes, totalBytes });
    }
  } catch (error) {
    if (!(error instanceof AptP2pError && error.code === "CLOSED")) throw error;
  }
  await shelf.allStill();
  await shelf.table.flush();
  return { files: done, bytes, damaged, missing, aborted: signal.aborted };
}
