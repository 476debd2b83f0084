import { AptP2pError, errorText } from "../base/errors.ts";
import type { FileFacts } from "../base/storage.ts";
import type { Room } from "./evict.ts";
import { hashFile } from "./hash-file.ts";
import { decodeOffer, encodeOffer, keys, type OfferRecord } from "./records.ts";

/** Hashing pauses after so much, for as long as it took: the machine has other things to do. */
const gentleBytes = 4 * 1024 * 1024;

/**
 * Looks through directories that are not ours (apt's archives, a mirror on disk) and makes their
 * files findable by digest, without copying. Only new and changed files are hashed. A file that
 * changes while it is hashed is left for the next scan; vanished ones are dropped. What the store
 * holds itself stays as it is. Ends early when `signal` aborts.
 */
export async function scanOffers(
  room: Room,
  directories: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const { components, shelf, layout } = room;
  await dropVanished(room, directories, signal);
  for (const directory of directories) {
    for await (const path of regularFiles(room, directory)) {
      if (signal.aborted) break;
      if (path.startsWith(`${layout.directory}/`)) continue;
      await offer(room, path, signal).catch((error: unknown) => {
        if (error instanceof AptP2pError && error.code === "CLOSED") return;
        components.counters.add("cache.offerFailures");
        components.log.warn("offer-failed", { path, error: errorText(error) });
      });
    }
  }
  await shelf.table.flush();
}

/** Forgets offers whose file is gone or whose directory is no longer offered. */
async function dropVanished(
  room: Room,
  directories: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const { components, shelf } = room;
  for await (const [key, text] of components.kv.range(keys.offers)) {
    if (signal.aborted) return;
    const path = key.slice(keys.offers.length);
    const sharedSha = decodeOffer(text)?.sha256;
    const shared = sharedSha !== undefined && shelf.table.get(sharedSha)?.shared === true;
    const offered =
      shared || directories.some((directory) => path.startsWith(withSlash(directory)));
    if (offered && (await components.files.facts(path)) !== undefined) continue;
    shelf.table.alsoWrite({ key, value: undefined });
    const known = decodeOffer(text);
    if (known !== undefined && shelf.table.get(known.sha256)?.path === path) {
      shelf.table.drop(known.sha256);
      components.counters.add("cache.offersGone");
    }
  }
  await shelf.table.flush();
}

/** Paths of all regular files below, but for what apt and others keep unfinished or locked. */
async function* regularFiles(room: Room, directory: string): AsyncIterable<string> {
  const pending = [directory.replace(/\/+$/, "")];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    for (const entry of await room.components.files.list(at)) {
      if (entry.name.startsWith(".")) continue;
      if (entry.directory && entry.name !== "partial") pending.push(`${at}/${entry.name}`);
      if (!entry.directory && entry.name !== "lock") yield `${at}/${entry.name}`;
    }
  }
}

/** What tells that a file has not changed. */
type Stamp = Pick<FileFacts, "sizeBytes" | "mtimeMs">;

async function offer(room: Room, path: string, signal: AbortSignal): Promise<void> {
  const { components, shelf } = room;
  const facts = await components.files.facts(path);
  if (facts === undefined || facts.sizeBytes === 0) return;
  const text = components.kv.get(keys.offer(path));
  const known = text === undefined ? undefined : decodeOffer(text);
  if (known !== undefined && isSame(known, facts)) {
    // It stood behind a file of our own, or another of the same content, that is gone now. Its
    // last proof is of unknown age.
    if (shelf.table.get(known.sha256) === undefined) record(room, path, known, 0);
    return;
  }
  const handle = await components.files.open(path);
  if (handle === undefined) return;
  try {
    const onChunk = gently(room, signal);
    const { sha256 } = await hashFile(components.hashes, handle, { onChunk, signal });
    const after = await components.files.facts(path);
    if (after === undefined || !isSame(facts, after)) return;
    if (known !== undefined && shelf.table.get(known.sha256)?.path === path) {
      shelf.table.drop(known.sha256);
    }
    const found = { sha256, ...facts };
    shelf.table.alsoWrite({ key: keys.offer(path), value: encodeOffer(found) });
    components.counters.add("cache.offered");
    const held = shelf.table.get(sha256);
    if (held === undefined) record(room, path, found, components.clock.wallMs());
    await shelf.table.flush();
  } finally {
    await handle.close();
  }
}

function record(
  room: Room,
  path: string,
  { sha256, sizeBytes, mtimeMs }: OfferRecord,
  verifiedAtMs: number,
): void {
  room.shelf.table.put(sha256, {
    sizeBytes,
    mtimeMs,
    path,
    addedAtMs: room.components.clock.wallMs(),
    verifiedAtMs,
    lastUsedMs: mtimeMs,
    names: [],
    // Where it came from is not known: it may be a private archive's.
    scope: "local",
    origin: "offer",
  });
}

function isSame(a: Stamp, b: Stamp): boolean {
  return a.sizeBytes === b.sizeBytes && a.mtimeMs === b.mtimeMs;
}

function gently(room: Room, signal: AbortSignal): (chunk: Uint8Array) => Promise<void> | undefined {
  const { clock } = room.components;
  let bytes = 0;
  let startedMs = clock.monotonicMs();
  return (chunk) => {
    bytes += chunk.length;
    if (bytes < gentleBytes || signal.aborted) return undefined;
    bytes = 0;
    const tookMs = clock.monotonicMs() - startedMs;
    return new Promise<void>((resolve) => clock.after(tookMs, resolve)).then(() => {
      startedMs = clock.monotonicMs();
    });
  };
}

function withSlash(directory: string): string {
  return directory.endsWith("/") ? directory : `${directory}/`;
}
