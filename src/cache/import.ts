import { AptP2pError, errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { FileFacts, OpenFile } from "../base/storage.ts";
import type { Room } from "./evict.ts";
import { hashFile } from "./hash-file.ts";
import type { Claim, Space } from "./space.ts";
import type { ImportResult, OnProgress } from "./types.ts";

interface Work {
  readonly room: Room;
  readonly space: Space;
  readonly signal: AbortSignal;
  readonly onBytes: (bytes: number) => void;
}

/**
 * Takes files in, also all files below directories: without copying where the file system can share
 * bytes (clone or hard link), else by copying. Every file is hashed; what is held already is left
 * alone. A file that cannot be taken in is reported, and the rest goes on. Ends early when `signal`
 * aborts.
 */
export async function importFiles(
  room: Room,
  space: Space,
  paths: readonly string[],
  { onProgress, signal }: { readonly onProgress: OnProgress; readonly signal: AbortSignal },
): Promise<ImportResult> {
  const sources = await listSources(room, paths);
  const totalBytes = sources.reduce((sum, { facts }) => sum + (facts?.sizeBytes ?? 0), 0);
  const result = { files: 0, bytes: 0, linked: 0, alreadyHeld: 0 };
  const failed: { readonly path: string; readonly reason: string }[] = [];
  let [done, bytes] = [0, 0];
  for (const { path, facts } of sources) {
    if (signal.aborted) break;
    const onBytes = (count: number): void => {
      bytes += count;
      onProgress({ done, total: sources.length, bytes, totalBytes, note: path });
    };
    try {
      if (facts === undefined) throw new AptP2pError("STORAGE", "there is no such file");
      const taken = await importOne({ room, space, signal, onBytes }, path);
      if (taken === "held") result.alreadyHeld += 1;
      else {
        result.files += 1;
        result.bytes += facts.sizeBytes;
        if (taken === "linked") result.linked += 1;
      }
    } catch (error) {
      if (error instanceof AptP2pError && error.code === "CLOSED") break;
      room.components.log.warn("import-failed", { path, error: errorText(error) });
      if (failed.length < limits.importFailures) failed.push({ path, reason: errorText(error) });
    }
    done += 1;
    onProgress({ done, total: sources.length, bytes, totalBytes });
  }
  room.components.counters.add("cache.imported", result.files);
  return { ...result, failed, aborted: signal.aborted };
}

interface Source {
  readonly path: string;
  readonly facts: FileFacts | undefined;
}

async function listSources(room: Room, paths: readonly string[]): Promise<Source[]> {
  const { files } = room.components;
  const sources: Source[] = [];
  const pending = [...paths].reverse();
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const facts = await files.facts(path);
    const below = facts === undefined ? await files.list(path) : [];
    if (below.length === 0) sources.push({ path, facts });
    for (const { name } of below) pending.push(`${path.replace(/\/+$/, "")}/${name}`);
  }
  return sources;
}

async function importOne(work: Work, path: string): Promise<"held" | "linked" | "copied"> {
  const { room } = work;
  const { files } = room.components;
  const scratch = room.layout.scratch("import");
  const linked = await files.link(path, scratch);
  try {
    const source = await files.open(linked ? scratch : path);
    if (source === undefined) throw new AptP2pError("STORAGE", "the file vanished");
    try {
      const taken = await takeIn(work, source, scratch, linked);
      if (taken === "held" && linked) await files.remove(scratch);
      return taken;
    } finally {
      await source.close();
    }
  } catch (error) {
    await files.remove(scratch).catch(() => undefined);
    throw error;
  }
}

/** A file in `partial/` that has this digest. */
interface Made {
  readonly sha256: Sha256;
  readonly scratch: string;
  readonly file: OpenFile;
  readonly claim: Claim;
}

/** Hashes the source, which is the file at `scratch` already if it was linked. */
async function takeIn(
  work: Work,
  source: OpenFile,
  scratch: string,
  linked: boolean,
): Promise<"held" | "linked" | "copied"> {
  const { room, space, signal, onBytes } = work;
  const { files, hashes } = room.components;
  const onChunk = (chunk: Uint8Array): undefined => {
    onBytes(chunk.length);
  };
  const before = await source.facts();
  const { sha256, sizeBytes } = await hashFile(hashes, source, { onChunk, signal });
  const after = await source.facts();
  if (after.sizeBytes !== before.sizeBytes || after.mtimeMs !== before.mtimeMs) throw changed();
  if (isHeld(room, sha256)) return "held";
  const claim = await space.claim(sizeBytes);
  try {
    if (linked)
      return (await place(room, { sha256, scratch, file: source, claim })) ? "linked" : "held";
    const file = await files.create(scratch);
    try {
      await copy(work, source, file, sha256);
      return (await place(room, { sha256, scratch, file, claim })) ? "copied" : "held";
    } finally {
      await file.close();
    }
  } finally {
    claim.end();
  }
}

async function copy(work: Work, from: OpenFile, to: OpenFile, expected: Sha256): Promise<void> {
  let position = 0;
  const onChunk = async (chunk: Uint8Array): Promise<void> => {
    await to.write([chunk], position);
    position += chunk.length;
  };
  const { hashes } = work.room.components;
  const { sha256 } = await hashFile(hashes, from, { onChunk, signal: work.signal });
  if (sha256 !== expected) throw changed();
}

/** Puts it in its place and records it → false if somebody else was faster. */
async function place(room: Room, made: Made): Promise<boolean> {
  await made.file.sync();
  const { files } = room.components;
  const { shelf, commits, layout } = room;
  return shelf.exclusive(made.sha256, async () => {
    if (isHeld(room, made.sha256)) {
      await files.remove(made.scratch);
      return false;
    }
    const path = layout.whole(made.sha256);
    try {
      await shelf.place(made.sha256, made.scratch);
      await record(room, made);
      if (!isHeld(room, made.sha256)) throw new AptP2pError("STORAGE", "it could not be recorded");
    } catch (error) {
      if (commits.get(made.sha256) === undefined) await files.remove(path);
      throw error;
    }
    return true;
  });
}

async function record({ shelf, components }: Room, made: Made): Promise<void> {
  const { sizeBytes, mtimeMs } = await made.file.facts();
  const nowMs = components.clock.wallMs();
  shelf.table.put(made.sha256, {
    sizeBytes,
    mtimeMs,
    addedAtMs: nowMs,
    verifiedAtMs: nowMs,
    lastUsedMs: nowMs,
    names: [],
    // Where it came from is not known: it may be a private archive's.
    scope: "local",
    origin: "import",
  });
  made.claim.end();
  await shelf.table.flush();
}

function isHeld(room: Room, sha: Sha256): boolean {
  return room.shelf.find(sha)?.owned === true || room.commits.get(sha) !== undefined;
}

function changed(): AptP2pError {
  return new AptP2pError("MISMATCH", "the file changed while it was read");
}
