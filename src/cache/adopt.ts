import { AptP2pError, errorText } from "../base/errors.ts";
import { parseSha256, type Sha256 } from "../base/sha256.ts";
import type { Room } from "./evict.ts";
import { hashFile } from "./hash-file.ts";
import { decodeFile, keys } from "./records.ts";

/**
 * Brings files and records together after a crash or a lost database: a whole file without a record
 * is hashed and taken in (with what its commit had noted, else as `local`, since nobody knows any
 * more where it came from), or removed when its bytes are not what its name says; a record without a file is dropped. Ends early when
 * `signal` aborts. Rejects STORAGE.
 */
export async function adopt(room: Room, signal: AbortSignal): Promise<void> {
  for (let bucket = 0; bucket < 256; bucket += 1) {
    const prefix = bucket.toString(16).padStart(2, "0");
    for (const sha of await compareBucket(room, prefix)) {
      await adoptOne(room, sha, signal).catch((error: unknown) => {
        if (error instanceof AptP2pError && error.code === "CLOSED") return;
        room.components.log.warn("adopt-failed", { sha256: sha, error: errorText(error) });
      });
    }
    if (signal.aborted) break;
  }
  if (!signal.aborted) await forgetIntents(room);
  await room.shelf.allStill();
  await room.shelf.table.flush();
}

/** All files are known now; only those on their way still need theirs. */
async function forgetIntents({ shelf, commits, components }: Room): Promise<void> {
  for await (const [key] of components.kv.range(keys.intents)) {
    const sha = parseSha256(key.slice(keys.intents.length));
    if (sha === undefined || commits.get(sha) === undefined) {
      shelf.table.alsoWrite({ key, value: undefined });
    }
  }
}

/** Drops the records of one bucket whose file is gone → the files without a record. */
async function compareBucket(room: Room, prefix: string): Promise<ReadonlySet<Sha256>> {
  const { shelf, layout, components } = room;
  const found = new Set<Sha256>();
  for (const { name, directory } of await components.files.list(layout.bucket(prefix))) {
    const sha = parseSha256(name);
    if (!directory && sha?.startsWith(prefix) === true && name === sha) found.add(sha);
  }
  for await (const [sha, record] of shelf.table.entries(prefix)) {
    if (record.path !== undefined || found.delete(sha)) continue;
    // Not listed: it came after the listing, or it is gone.
    if ((await components.files.facts(layout.whole(sha))) !== undefined) continue;
    if (shelf.find(sha)?.owned === true) shelf.lose(sha, "missing");
  }
  return found;
}

async function adoptOne(room: Room, sha: Sha256, signal: AbortSignal): Promise<void> {
  const { shelf, commits, layout, components } = room;
  const isKnown = (): boolean => shelf.find(sha)?.owned === true || commits.get(sha) !== undefined;
  await shelf.still(sha);
  if (isKnown()) return;
  const handle = await components.files.open(layout.whole(sha));
  if (handle === undefined) return;
  try {
    const { mtimeMs } = await handle.facts();
    const { sha256, sizeBytes } = await hashFile(components.hashes, handle, { signal });
    if (isKnown()) return;
    if (sha256 !== sha) {
      components.counters.add("cache.damaged");
      components.log.warn("file-damaged", { sha256: sha, path: layout.whole(sha) });
      await shelf.removeFile(sha, layout.whole(sha));
      return;
    }
    const nowMs = components.clock.wallMs();
    const text = components.kv.get(keys.intent(sha));
    const intended = text === undefined ? undefined : decodeFile(text);
    shelf.table.put(sha, {
      ...{ addedAtMs: nowMs, lastUsedMs: mtimeMs, names: [], scope: "local", origin: "mirror" },
      ...intended,
      ...{ sizeBytes, mtimeMs, verifiedAtMs: nowMs },
    });
    components.counters.add("cache.adopted");
  } finally {
    await handle.close();
  }
}
