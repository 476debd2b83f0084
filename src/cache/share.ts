import { AptP2pError } from "../base/errors.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { Room } from "./evict.ts";
import { hashFile } from "./hash-file.ts";
import { encodeOffer, keys, type OfferRecord } from "./records.ts";
import type { OnProgress, StoredFile } from "./types.ts";

/**
 * Offers a file to others because somebody said so: hashed and used where it is, like those of
 * offered directories, or, if the same content is held already, only marked. From then on it is
 * public, wherever it came from. Rejects USAGE for what is no file with content, MISMATCH when it
 * changes meanwhile, STORAGE, CLOSED.
 */
export async function shareFile(
  room: Room,
  path: string,
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<StoredFile> {
  const { clock, counters } = room.components;
  const found = await hashWhole(room, path, { onProgress, signal });
  const { sha256, sizeBytes, mtimeMs } = found;
  // One that is on its way would be recorded over this.
  await room.commits.get(sha256)?.done;
  const { table } = room.shelf;
  const held = table.get(sha256);
  if (held === undefined) {
    const nowMs = clock.wallMs();
    table.put(sha256, {
      ...{ sizeBytes, mtimeMs, path, addedAtMs: nowMs, verifiedAtMs: nowMs, lastUsedMs: nowMs },
      ...{ names: [], scope: "public", origin: "offer", shared: true },
    });
    table.alsoWrite({ key: keys.offer(path), value: encodeOffer(found) });
  } else if (held.shared !== true || held.scope !== "public") {
    table.put(sha256, { ...held, scope: "public", shared: true, ownScope: held.scope });
  }
  counters.add("cache.shared");
  await table.flush();
  const shared = room.shelf.find(sha256);
  if (shared === undefined) throw new AptP2pError("STORAGE", `${path} could not be recorded`);
  return shared;
}

/** Takes it back. What is not held for another reason, too, is forgotten. Rejects STORAGE. */
export async function unshare(room: Room, sha: Sha256): Promise<void> {
  const { table } = room.shelf;
  const record = table.get(sha);
  if (record === undefined) return;
  const { shared, ownScope, ...kept } = record;
  if (shared !== true) return;
  if (record.path !== undefined && ownScope === undefined) {
    table.alsoWrite({ key: keys.offer(record.path), value: undefined });
    table.drop(sha);
  } else {
    table.put(sha, { ...kept, scope: ownScope ?? record.scope });
  }
  await table.flush();
}

/** A file as it was all the time while it was hashed. */
async function hashWhole(
  { components, layout }: Room,
  path: string,
  { onProgress, signal }: { readonly onProgress: OnProgress; readonly signal: AbortSignal },
): Promise<OfferRecord> {
  const { files, hashes } = components;
  const isOutside = path.startsWith("/") && !path.startsWith(`${layout.directory}/`);
  // Before it is opened: only regular files have facts, and opening others may never end.
  const before = isOutside ? await files.facts(path) : undefined;
  const handle = before === undefined ? undefined : await files.open(path);
  try {
    if (handle === undefined || before === undefined || before.sizeBytes === 0) {
      const advice =
        "name a file with content, outside of the cache, that the daemon's user may read";
      throw new AptP2pError("USAGE", `${path} cannot be shared; ${advice}`);
    }
    const { sizeBytes, mtimeMs } = before;
    let bytes = 0;
    const onChunk = (chunk: Uint8Array): undefined => {
      bytes += chunk.length;
      onProgress({ done: 0, total: 1, bytes, totalBytes: sizeBytes });
    };
    const { sha256 } = await hashFile(hashes, handle, { onChunk, signal });
    const after = await files.facts(path);
    if (after?.sizeBytes !== sizeBytes || after.mtimeMs !== mtimeMs) {
      throw new AptP2pError("MISMATCH", `${path} changed while it was read`);
    }
    return { sha256, sizeBytes, mtimeMs };
  } finally {
    await handle?.close();
  }
}
