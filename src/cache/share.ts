import { AptP2pError } from "../base/errors.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { Room } from "./evict.ts";
import { hashFile } from "./hash-file.ts";
import { encodeOffer, keys, type FileRecord } from "./records.ts";
import type { OnProgress, StoredFile } from "./types.ts";

/**
 * Offers a file to others because somebody said so: hashed and used where it is, like those of
 * offered directories, or, if the same content is held already, only marked. Rejects USAGE for what
 * is no file with content, MISMATCH when it changes meanwhile, STORAGE, CLOSED.
 */
export async function shareFile(
  room: Room,
  path: string,
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<StoredFile> {
  const { files, hashes, clock, counters } = room.components;
  const before = await files.facts(path);
  const handle = before === undefined ? undefined : await files.open(path);
  if (before === undefined || handle === undefined || before.sizeBytes === 0) {
    await handle?.close();
    const advice = "name a file with content that the daemon's user may read";
    throw new AptP2pError("USAGE", `${path} cannot be shared; ${advice}`);
  }
  try {
    let bytes = 0;
    const onChunk = (chunk: Uint8Array): undefined => {
      bytes += chunk.length;
      onProgress({ done: 0, total: 1, bytes, totalBytes: before.sizeBytes });
    };
    const { sha256 } = await hashFile(hashes, handle, { onChunk, signal });
    const after = await handle.facts();
    if (after.sizeBytes !== before.sizeBytes || after.mtimeMs !== before.mtimeMs) {
      throw new AptP2pError("MISMATCH", `${path} changed while it was read`);
    }
    const nowMs = clock.wallMs();
    const { sizeBytes, mtimeMs } = before;
    const { table } = room.shelf;
    const held = table.get(sha256);
    const record: FileRecord = held ?? {
      ...{ sizeBytes, mtimeMs, path, addedAtMs: nowMs, verifiedAtMs: nowMs, lastUsedMs: nowMs },
      ...{ names: [], scope: "public", origin: "offer" },
    };
    table.put(sha256, { ...record, scope: "public", shared: true });
    if (held === undefined) {
      const offer = encodeOffer({ sha256, sizeBytes, mtimeMs });
      table.alsoWrite({ key: keys.offer(path), value: offer });
    }
    counters.add("cache.shared");
    await table.flush();
    return room.shelf.describe(sha256, table.get(sha256) ?? record);
  } finally {
    await handle.close();
  }
}

/** Takes it back. What lies elsewhere is forgotten, what is the store's own stays in it. */
export async function unshare(room: Room, sha: Sha256): Promise<void> {
  const { table } = room.shelf;
  const record = table.get(sha);
  if (record?.shared !== true) return;
  if (record.path === undefined) {
    const { shared: _, ...kept } = record;
    table.put(sha, kept);
  } else {
    table.alsoWrite({ key: keys.offer(record.path), value: undefined });
    table.drop(sha);
  }
  await table.flush();
}
