import type { Sha256 } from "../base/sha256.ts";
import { removeLeftover, type Room } from "./evict.ts";
import { matchesPattern } from "./name-pattern.ts";
import type { FileRecord } from "./records.ts";
import { limits } from "../base/limits.ts";
import type { CleanResult, CleanWhat, OnProgress } from "./types.ts";

/**
 * Removes what was asked for: files of our own, with `all` also unfinished ones that nobody works
 * on. Offered files stay where they are. Rejects STORAGE.
 */
export async function clean(
  room: Room,
  what: CleanWhat,
  onProgress: OnProgress,
): Promise<CleanResult> {
  const { shelf, leftovers, components } = room;
  const totals = { ...shelf.table.totals };
  const result = { files: 0, bytes: 0, inUse: 0 };
  let done = 0;
  const report = (note?: string): void =>
    onProgress({
      done,
      total: totals.ownedFiles,
      bytes: result.bytes,
      totalBytes: totals.ownedBytes,
      ...(note === undefined ? {} : { note }),
    });
  for await (const batch of batches(room)) {
    for (const [sha, record] of chosen(room, what, batch)) {
      if (shelf.inUse(sha)) result.inUse += 1;
      else {
        result.bytes += await shelf.remove(sha);
        result.files += 1;
        report(record.names[0]);
      }
    }
    done += batch.length;
    report();
  }
  if (what === "all") {
    for (const [sha] of [...leftovers.entries()]) {
      result.bytes += await removeLeftover(room, sha);
      result.files += 1;
    }
  }
  await shelf.table.flush();
  components.counters.add("cache.cleaned", result.files);
  return result;
}

type Entry = readonly [Sha256, FileRecord];

async function* batches(room: Room): AsyncIterable<readonly Entry[]> {
  let batch: Entry[] = [];
  for await (const entry of room.shelf.table.entries()) {
    if (entry[1].path !== undefined) continue;
    batch.push(entry);
    if (batch.length < limits.scanBatch) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

function chosen(room: Room, what: CleanWhat, batch: readonly Entry[]): readonly Entry[] {
  if (what === "all") return batch;
  if (what === "unlisted") {
    const listed = room.components.listed(new Set(batch.map(([sha]) => sha)));
    return batch.filter(([sha]) => !listed.has(sha));
  }
  if ("sha" in what) return batch.filter(([sha]) => sha === what.sha);
  return batch.filter(([, { names }]) => names.some((name) => matchesPattern(name, what.name)));
}
