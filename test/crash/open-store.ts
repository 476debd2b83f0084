/** The real store on a real directory, as the daemon opens it, and the checks after a crash. */
import assert from "node:assert/strict";
import { Counters } from "../../src/base/counters.ts";
import { limits } from "../../src/base/limits.ts";
import type { Log } from "../../src/base/ports.ts";
import type { Sha256 } from "../../src/base/sha256.ts";
import { Store } from "../../src/cache/store.ts";
import { DiskFiles } from "../../src/io/disk-files.ts";
import { LevelKeyValue } from "../../src/io/level-key-value.ts";
import { nodeHashes } from "../../src/io/node-hashes.ts";
import { systemClock } from "../../src/io/system-clock.ts";
import { contents } from "./contents.ts";

export interface Places {
  readonly cacheDirectory: string;
  readonly databaseDirectory: string;
}

export interface OpenStore {
  readonly store: Store;
  readonly counters: Counters;
  /** Events that were logged as warnings or errors. */
  readonly warnings: readonly string[];
  readonly close: () => Promise<void>;
}

export async function openStore(places: Places): Promise<OpenStore> {
  const warnings: string[] = [];
  const note = (event: string): void => {
    warnings.push(event);
  };
  const nothing = (): void => undefined;
  const log: Log = { debug: nothing, info: nothing, warn: note, error: note };
  const kv = await LevelKeyValue.open(places.databaseDirectory, log);
  const counters = new Counters();
  const store = await Store.open(
    {
      ...{ kv, log, counters, hashes: nodeHashes, clock: systemClock },
      files: new DiskFiles(),
      listed: (digests) => digests,
    },
    {
      directory: places.cacheDirectory,
      quotaBytes: 1_000_000_000,
      keepFreeBytes: 0,
      offerDirectories: [],
    },
  );
  const close = async (): Promise<void> => {
    await store.close();
    await kv.close();
  };
  return { store, counters, warnings, close };
}

export interface Expected {
  /** Committed and acknowledged before the crash. */
  readonly acknowledged: ReadonlySet<Sha256>;
  /** Bytes of unfinished files known to have been written. */
  readonly written: ReadonlyMap<Sha256, number>;
}

export interface Found {
  readonly files: ReadonlySet<Sha256>;
  /** Bytes held of unfinished files. */
  readonly unfinished: ReadonlyMap<Sha256, number>;
  readonly adopted: number;
}

/**
 * Opens what a kill -9 left, without any help, and checks it: no wrong byte in any file, nothing
 * acknowledged lost, no finished piece lost, sizes counted right. Throws at the first violation.
 * `afterwards` may still work on the open store.
 */
export async function checkStore(
  places: Places,
  expected: Expected,
  afterwards: (store: Store) => Promise<void> = () => Promise.resolve(),
): Promise<Found> {
  const opened = await openStore(places);
  const { store, counters, warnings } = opened;
  await store.settled();
  const result = await store.verify(() => undefined, new AbortController().signal);
  assert.deepEqual(result.damaged, [], "wrong bytes under a digest");
  assert.deepEqual(result.missing, [], "records without a file");
  // A removal that was under way may have left the record: it is dropped, and said so.
  const unexpected = warnings.filter((event) => event !== "file-missing");
  assert.deepEqual(unexpected, [], "the store complains");
  for (const sha of expected.acknowledged) assert.ok(store.find(sha), `lost ${sha}`);
  const unfinished = new Map<Sha256, number>();
  for (const one of contents()) {
    if (store.find(one.sha) !== undefined) continue;
    const file = await store.begin(one.sha, one.bytes.length);
    if (file.heldBytes > 0) unfinished.set(one.sha, file.heldBytes);
    const writtenBytes = expected.written.get(one.sha) ?? 0;
    const piecesBytes = writtenBytes - (writtenBytes % limits.pieceBytes);
    assert.ok(file.heldBytes >= piecesBytes, `${file.heldBytes} of ${piecesBytes} bytes left`);
    const held = Buffer.alloc(file.heldBytes);
    await file.read(held, 0);
    assert.ok(held.equals(one.bytes.subarray(0, held.length)), "wrong bytes in a beginning");
    await file.suspend();
  }
  const stats = await store.stats();
  assert.equal(stats.bytes, result.bytes, "sizes drift");
  const files = new Set<Sha256>();
  for await (const { sha256 } of store.list()) files.add(sha256);
  await afterwards(store);
  await opened.close();
  return { files, unfinished, adopted: counters.get("cache.adopted") };
}
