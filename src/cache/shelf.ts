import type { Counters } from "../base/counters.ts";
import { AptP2pError, errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Hashes, Log } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { FileFacts, Files, OpenFile } from "../base/storage.ts";
import { OpenFiles } from "./open-files.ts";
import { hashFile, type HashFileOptions } from "./hash-file.ts";
import type { Layout } from "./layout.ts";
import type { RecordTable } from "./record-table.ts";
import { keys, type FileRecord } from "./records.ts";
import type { StoredFile } from "./types.ts";

export interface ShelfTools {
  readonly files: Files;
  readonly hashes: Hashes;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}

export interface OpenedFile {
  readonly file: StoredFile;
  readonly handle: OpenFile;
}

/** Why a file is no longer held. */
type Loss = "missing" | "damaged";

/**
 * The whole files: recorded, opened, proven, removed.
 *
 * A file that is open here is in use and not evicted. A file whose record is dropped is deleted if
 * it is ours. What places or removes files of one digest does so in turn, see `exclusive`.
 */
export class Shelf {
  readonly table: RecordTable;
  readonly #tools: ShelfTools;
  readonly #layout: Layout;
  readonly #uses = new Map<Sha256, number>();
  /** Placing and removing the files of one digest, one after the other. */
  readonly #turns = new Map<Sha256, Promise<void>>();
  readonly #proofs = new Map<Sha256, Promise<boolean>>();
  readonly #open: OpenFiles;

  constructor(tools: ShelfTools, table: RecordTable, layout: Layout) {
    this.#tools = tools;
    this.table = table;
    this.#layout = layout;
    this.#open = new OpenFiles(tools.files);
  }

  find(sha: Sha256): StoredFile | undefined {
    const record = this.table.get(sha);
    return record === undefined ? undefined : this.describe(sha, record);
  }

  describe(sha256: Sha256, record: FileRecord): StoredFile {
    const { path = this.#layout.whole(sha256), ...shown } = record;
    return { sha256, path, owned: record.path === undefined, ...shown };
  }

  /** Keeps a digest from being evicted until the returned function is called. */
  use(sha: Sha256): () => void {
    this.#uses.set(sha, (this.#uses.get(sha) ?? 0) + 1);
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      const left = (this.#uses.get(sha) ?? 1) - 1;
      if (left > 0) this.#uses.set(sha, left);
      else this.#uses.delete(sha);
    };
  }

  inUse(sha: Sha256): boolean {
    return this.#uses.has(sha);
  }

  /** For serving: checked, and hashed again if its proof is in doubt. See Store.open. */
  async open(sha: Sha256): Promise<OpenedFile | undefined> {
    const endUse = this.use(sha);
    const handle = await this.#openHeld(sha);
    const file = this.find(sha);
    if (file === undefined || handle === undefined) {
      endUse();
      await handle?.close();
      return undefined;
    }
    this.touch(sha);
    return this.lend(file, handle, endUse);
  }

  /** A file for a reader; closing the handle also ends the use. */
  lend(file: StoredFile, handle: OpenFile, endUse: () => void): OpenedFile {
    return { file, handle: closingAlso(handle, endUse) };
  }

  touch(sha: Sha256): void {
    this.table.touch(sha, this.#tools.clock.wallMs());
  }

  /**
   * Hashes a recorded file and renews the proof, or drops the record (and the file, if it is ours)
   * when the bytes are wrong or cannot be read → whether it is still held. Callers at the same time
   * share one reading. Rejects CLOSED when `signal` aborts.
   */
  async prove(sha: Sha256, handle: OpenFile, options: HashFileOptions = {}): Promise<boolean> {
    const running = this.#proofs.get(sha);
    // Should the other one be ended early, this caller reads for itself.
    if (running !== undefined) return running.catch(() => this.#prove(sha, handle, options));
    const proof = this.#prove(sha, handle, options).finally(() => this.#proofs.delete(sha));
    this.#proofs.set(sha, proof);
    return proof;
  }

  /** Notes that the file of a record is gone. */
  lose(sha: Sha256, loss: Loss): void {
    const file = this.find(sha);
    if (file === undefined) return;
    const { counters, log } = this.#tools;
    counters.add(loss === "missing" ? "cache.missing" : "cache.damaged");
    this.#open.forget(file.path);
    log.warn(`file-${loss}`, { sha256: sha, path: file.path, name: file.names[0] });
    // The next scan shall hash an offered file again, whatever its time says.
    if (!file.owned) this.table.alsoWrite({ key: keys.offer(file.path), value: undefined });
    this.remove(sha).catch((error: unknown) => {
      log.warn("remove-failed", { path: file.path, error: errorText(error) });
    });
  }

  /** Drops the record, and the file if it is ours → bytes freed. Rejects STORAGE. */
  async remove(sha: Sha256): Promise<number> {
    const record = this.table.get(sha);
    if (record === undefined) return 0;
    this.table.drop(sha);
    if (record.path !== undefined) return 0;
    await this.removeFile(sha, this.#layout.whole(sha));
    return record.sizeBytes;
  }

  /** Removes a file, whole or unfinished, that belongs to this digest. Rejects STORAGE. */
  removeFile(sha: Sha256, path: string): Promise<void> {
    return this.exclusive(sha, async () => {
      // Before: it is freed with its last handle. After: opened while it was being removed.
      this.#open.forget(path);
      await this.#tools.files.remove(path).finally(() => this.#open.forget(path));
    });
  }

  /** Puts a file in the place of a digest; only within `exclusive`. Rejects STORAGE. */
  async place(sha: Sha256, from: string): Promise<string> {
    const path = this.#layout.whole(sha);
    await this.#tools.files.rename(from, path).finally(() => this.#open.forget(path));
    return path;
  }

  /** Runs work that places or removes files of this digest, after all such work before it. */
  exclusive<T>(sha: Sha256, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(sha) ?? Promise.resolve();
    const result = before.then(work);
    const settled = result
      .then(
        () => undefined,
        () => undefined,
      )
      .finally(() => {
        if (this.#turns.get(sha) === settled) this.#turns.delete(sha);
      });
    this.#turns.set(sha, settled);
    return result;
  }

  /** Resolves when nothing of this digest is being placed or removed. */
  async still(sha: Sha256): Promise<void> {
    await this.#turns.get(sha);
  }

  async allStill(): Promise<void> {
    await Promise.all(this.#turns.values());
  }

  /** Files kept open for the next reader. */
  get keptOpen(): number {
    return this.#open.size;
  }

  /** Lets go of files kept open. */
  close(): void {
    this.#open.close();
  }

  /** A handle that agrees with the record; else undefined. */
  async #openHeld(sha: Sha256): Promise<OpenFile | undefined> {
    for (const last of [false, true]) {
      const file = this.find(sha);
      if (file === undefined) return undefined;
      const opened = await this.#openOnce(file);
      if (opened !== "missing") return opened;
      if (last) this.lose(sha, "missing");
      // It may have been removed and placed again while it was being opened, and be there now.
      this.#open.forget(file.path);
      await this.still(sha);
    }
    return undefined;
  }

  async #openOnce(file: StoredFile): Promise<OpenFile | "missing" | undefined> {
    const { log, counters } = this.#tools;
    let handle: OpenFile | undefined;
    try {
      handle = await this.#open.open(file.path);
    } catch (error) {
      // Too many open files, say: the record may be right.
      counters.add("cache.openFailures");
      log.warn("open-failed", { path: file.path, error: errorText(error) });
      return undefined;
    }
    if (handle === undefined) return "missing";
    const state = await this.#check(file.sha256, handle).catch((error: unknown) => {
      log.warn("file-unreadable", { sha256: file.sha256, error: errorText(error) });
      return "lost" as const;
    });
    if (state === "held") return handle;
    await handle.close();
    return state === "missing" ? state : undefined;
  }

  async #check(sha: Sha256, handle: OpenFile): Promise<"held" | "lost" | "missing"> {
    const facts = await handle.facts();
    const record = this.table.get(sha);
    if (record === undefined) return "lost";
    if (!facts.linked) return "missing";
    if (facts.sizeBytes !== record.sizeBytes) {
      this.lose(sha, "damaged");
      return "lost";
    }
    if (facts.mtimeMs === record.mtimeMs && this.#isFresh(record)) return "held";
    return (await this.prove(sha, handle)) ? "held" : "lost";
  }

  /** A proof from the future is none: the clock was wrong then, or is now. */
  #isFresh(record: FileRecord): boolean {
    const ageMs = this.#tools.clock.wallMs() - record.verifiedAtMs;
    return ageMs >= 0 && ageMs < limits.reverifyMs;
  }

  async #prove(sha: Sha256, handle: OpenFile, options: HashFileOptions): Promise<boolean> {
    const { hashes, clock, counters, log } = this.#tools;
    let before: FileFacts | undefined;
    let digest: Sha256 | undefined;
    try {
      before = await handle.facts();
      digest = (await hashFile(hashes, handle, options)).sha256;
    } catch (error) {
      if (error instanceof AptP2pError && error.code === "CLOSED") throw error;
      log.warn("file-unreadable", { sha256: sha, error: errorText(error) });
    }
    counters.add("cache.rehashed");
    const record = this.table.get(sha);
    if (record === undefined) return false;
    if (digest !== sha || before === undefined) {
      this.lose(sha, "damaged");
      return false;
    }
    const { mtimeMs } = before;
    this.table.put(sha, { ...record, mtimeMs, verifiedAtMs: clock.wallMs() });
    return true;
  }
}

/** The handle; closing it also calls `onClose`, once. */
function closingAlso(handle: OpenFile, onClose: () => void): OpenFile {
  return {
    read: (into, position) => handle.read(into, position),
    write: (chunks, position) => handle.write(chunks, position),
    truncate: (sizeBytes) => handle.truncate(sizeBytes),
    sync: () => handle.sync(),
    facts: () => handle.facts(),
    close: () => {
      onClose();
      return handle.close();
    },
  };
}
