import { limits } from "../base/limits.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { CommitGroup } from "./commit-group.ts";
import { EvictionPlan, evictionRank } from "./eviction.ts";
import type { Layout } from "./layout.ts";
import type { Leftovers } from "./leftovers.ts";
import { keys, type FileRecord } from "./records.ts";
import type { Shelf } from "./shelf.ts";
import type { StoreComponents } from "./types.ts";

/** What eviction and cleaning work on. */
export interface Room {
  readonly components: StoreComponents;
  readonly shelf: Shelf;
  readonly commits: CommitGroup;
  readonly leftovers: Leftovers;
  readonly layout: Layout;
}

/**
 * Frees room by the eviction plan → bytes freed. If all that may go is less than `neededBytes`,
 * nothing goes: the store is not emptied for a file that does not fit anyway.
 */
export async function evict(room: Room, neededBytes: number, wantedBytes: number): Promise<number> {
  const { clock, counters, log } = room.components;
  const plan = new EvictionPlan(wantedBytes);
  for (const [sha256, { sizeBytes, touchedMs }] of room.leftovers.entries()) {
    const abandoned = clock.wallMs() - touchedMs >= limits.unfinishedAgeMs;
    const rank = abandoned ? evictionRank.abandoned : evictionRank.unfinished;
    plan.consider({ sha256, sizeBytes, lastUsedMs: touchedMs, rank });
  }
  for await (const batch of ownedBatches(room)) {
    const listed = room.components.listed(new Set(batch.map(([sha256]) => sha256)));
    for (const [sha256, { sizeBytes, lastUsedMs }] of batch) {
      const rank = listed.has(sha256) ? evictionRank.listed : evictionRank.unlisted;
      plan.consider({ sha256, sizeBytes, lastUsedMs, rank });
    }
  }
  const victims = plan.victims();
  if (victims.reduce((bytes, victim) => bytes + victim.sizeBytes, 0) < neededBytes) return 0;
  let freedBytes = 0;
  for (const { sha256, rank } of victims) {
    const unfinished = rank === evictionRank.abandoned || rank === evictionRank.unfinished;
    // Since the plan was made somebody may have opened it.
    if (unfinished) freedBytes += await removeLeftover(room, sha256);
    else if (!room.shelf.inUse(sha256)) freedBytes += await room.shelf.remove(sha256);
  }
  counters.add("cache.evicted", victims.length);
  counters.add("cache.evictedBytes", freedBytes);
  log.info("evicted", { files: victims.length, bytes: freedBytes });
  // A database that cannot write now (the disk was full) has logged it and is asked again later.
  await room.shelf.table.flush().catch(() => undefined);
  return freedBytes;
}

/** Files of our own that nobody reads, in batches for the question which are listed. */
export async function* ownedBatches(
  room: Room,
): AsyncIterable<readonly (readonly [Sha256, FileRecord])[]> {
  let batch: (readonly [Sha256, FileRecord])[] = [];
  for await (const [sha256, record] of room.shelf.table.entries()) {
    if (record.path !== undefined || room.shelf.inUse(sha256)) continue;
    batch.push([sha256, record]);
    if (batch.length < limits.scanBatch) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** Removes an unfinished file that nobody works on → bytes freed. */
export async function removeLeftover(room: Room, sha: Sha256): Promise<number> {
  const leftover = room.leftovers.take(sha);
  if (leftover === undefined) return 0;
  room.shelf.table.alsoWrite({ key: keys.part(sha), value: undefined });
  await room.shelf.removeFile(sha, room.layout.part(sha));
  // Not before: without its list a file with holes would be taken for one without.
  await room.components.files.remove(room.layout.pieces(sha));
  return leftover.sizeBytes;
}
