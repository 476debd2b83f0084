import { AptP2pError, errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Sha256 } from "../base/sha256.ts";
import { adopt } from "./adopt.ts";
import { clean } from "./clean.ts";
import { CommitGroup } from "./commit-group.ts";
import { evict, type Room } from "./evict.ts";
import { Growing } from "./growing.ts";
import { importFiles } from "./import.ts";
import { Layout } from "./layout.ts";
import { Leftovers } from "./leftovers.ts";
import { withName } from "./names.ts";
import { scanOffers } from "./offers.ts";
import { RecordTable } from "./record-table.ts";
import { PieceHashes, type Urgency } from "./piece-hashes.ts";
import { shareFile, unshare } from "./share.ts";
import { Shelf, type OpenedFile } from "./shelf.ts";
import { automaticQuota, Space } from "./space.ts";
import type {
  CleanResult,
  CleanWhat,
  ImportResult,
  OnProgress,
  StoreComponents,
  StoredFile,
  StoreSettings,
  StoreStats,
  VerifyResult,
} from "./types.ts";
import type { Unfinished } from "./unfinished.ts";
import { verify } from "./verify.ts";

/**
 * The content-addressed store: files by their SHA-256, one copy per content.
 *
 * - Nothing is recorded as whole that has not been hashed, synced and put in its place, in this
 *   order; so after kill -9 or a power loss what is recorded is there and right.
 * - The disk being full, slow or broken never stops the caller: files are then not stored.
 * - The records of a large store are not kept in memory; the totals are.
 */
export class Store {
  readonly #components: StoreComponents;
  readonly #settings: StoreSettings;
  readonly #room: Room;
  readonly #space: Space;
  readonly #growing: Growing;
  readonly #pieceHashes: PieceHashes;
  readonly #ending = new AbortController();
  #background: Promise<void> = Promise.resolve();
  #scanning: Promise<void> | undefined;
  #cancelFlush: (() => void) | undefined;

  private constructor(
    components: StoreComponents,
    settings: StoreSettings,
    room: Room,
    totalBytes: number,
  ) {
    this.#components = components;
    this.#settings = settings;
    this.#room = room;
    const { files, clock } = components;
    this.#space = new Space(
      {
        files,
        clock,
        usedBytes: () => room.shelf.table.totals.ownedBytes + room.leftovers.bytes,
        evict: (neededBytes, wantedBytes) => evict(room, neededBytes, wantedBytes),
      },
      {
        directory: settings.directory,
        get quotaBytes() {
          const { quotaBytes } = settings;
          return quotaBytes === "auto" ? automaticQuota(totalBytes) : quotaBytes;
        },
        get keepFreeBytes() {
          return settings.keepFreeBytes;
        },
      },
    );
    this.#growing = new Growing(room, this.#space);
    this.#pieceHashes = new PieceHashes(room);
  }

  /**
   * Opens the store in a directory, creating it if need be. Compares files and records afterwards,
   * in the background (see `settled`). Rejects STORAGE.
   */
  static async open(components: StoreComponents, settings: StoreSettings): Promise<Store> {
    const { files, log } = components;
    const layout = new Layout(settings.directory);
    const table = await RecordTable.load(components);
    const shelf = new Shelf(components, table, layout);
    const commits = new CommitGroup(shelf, layout, components);
    const leftovers = new Leftovers();
    await leftovers.load(components, layout, (sha) => shelf.find(sha)?.owned === true);
    const { totalBytes } = await files.space(settings.directory);
    const room = { components, shelf, commits, leftovers, layout };
    const store = new Store(components, settings, room, totalBytes);
    store.#background = adopt(store.#room, store.#ending.signal).catch((error: unknown) => {
      log.warn("adopt-failed", { error: errorText(error) });
    });
    return store;
  }

  /** Resolves when the work that `open` left in the background is done. */
  settled(): Promise<void> {
    return this.#background;
  }

  /** Files kept open for the next reader. */
  get keptOpen(): number {
    return this.#room.shelf.keptOpen;
  }

  /** The whole file of this digest; also one that is committed and not yet recorded. */
  find(sha: Sha256): StoredFile | undefined {
    const pending = this.#room.commits.get(sha);
    if (pending === undefined) return this.#room.shelf.find(sha);
    return { ...this.#room.shelf.describe(sha, pending.record), path: pending.path };
  }

  /**
   * Opens a file for serving and marks its use. Checks existence, size and modification time
   * against the record; hashes the file first when its time has changed or its last proof is older
   * than `limits.reverifyMs`. undefined when it is gone, wrong or cannot be opened. The caller
   * closes the handle; until then the file is not evicted.
   */
  async open(sha: Sha256): Promise<OpenedFile | undefined> {
    const opened = (await this.#openPending(sha)) ?? (await this.#room.shelf.open(sha));
    this.#components.counters.add(opened === undefined ? "cache.openMisses" : "cache.opens");
    this.#flushSoon();
    return opened;
  }

  /** Remembers another name of held content. */
  nameAs(sha: Sha256, name: string): void {
    const { commits, shelf } = this.#room;
    const pending = commits.get(sha);
    const record = pending?.record ?? shelf.table.get(sha);
    if (record === undefined || record.names[0] === name) return;
    const named = { ...record, names: withName(record.names, name) };
    if (pending !== undefined) pending.record = named;
    else shelf.table.put(sha, named);
    this.#flushSoon();
  }

  /**
   * Starts the file of this digest, or resumes it where an earlier one was suspended or killed: see
   * `heldBytes` of the result. Makes room first. Rejects NO_SPACE, STORAGE, or CLOSED; throws if the
   * digest is being received already.
   */
  begin(sha: Sha256, sizeBytes: number | undefined): Promise<Unfinished> {
    return this.#growing.begin(sha, sizeBytes);
  }

  /** An unfinished file for bytes without a known digest: read it, then discard it. Rejects alike. */
  spool(): Promise<Unfinished> {
    return this.#growing.spool();
  }

  /** All whole files, in no particular order. */
  async *list(): AsyncIterable<StoredFile> {
    for await (const [sha, record] of this.#room.shelf.table.entries()) {
      yield this.#room.shelf.describe(sha, record);
    }
  }

  async stats(): Promise<StoreStats> {
    const { ownedFiles, ownedBytes, offeredFiles, offeredBytes } = this.#room.shelf.table.totals;
    const { freeBytes } = await this.#components.files.space(this.#settings.directory);
    return {
      files: ownedFiles,
      bytes: ownedBytes,
      offeredFiles,
      offeredBytes,
      unfinishedFiles: this.#room.leftovers.count + this.#growing.count,
      unfinishedBytes: this.#room.leftovers.bytes + this.#growing.bytes,
      quotaBytes: this.#space.quotaBytes,
      freeBytes,
      keepFreeBytes: this.#settings.keepFreeBytes,
    };
  }

  /** Hashes everything; see verify.ts. */
  verify(onProgress: OnProgress, signal: AbortSignal): Promise<VerifyResult> {
    return verify(this.#room, onProgress, this.#until(signal));
  }

  /** What is stored beyond the quota goes, if it can: the quota may have become smaller. */
  async trim(): Promise<void> {
    try {
      (await this.#space.claim(0)).end();
    } catch (error) {
      if (!(error instanceof AptP2pError && error.code === "NO_SPACE")) throw error;
    }
  }

  /** Removes files; see clean.ts. */
  clean(what: CleanWhat, onProgress: OnProgress): Promise<CleanResult> {
    return clean(this.#room, what, onProgress);
  }

  /** Takes files and directories in; see import.ts. */
  import(
    paths: readonly string[],
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<ImportResult> {
    const work = { onProgress, signal: this.#until(signal) };
    return importFiles(this.#room, this.#space, paths, work);
  }

  /** The SHA-256 of each piece of a whole file, 32 bytes each; undefined: it is not held. */
  pieceHashes(sha: Sha256, urgency: Urgency = "now"): Promise<Buffer | undefined> {
    return this.#pieceHashes.of(sha, urgency);
  }

  /** The hashes of a file that has been committed, so that nobody need read it for them. */
  notePieceHashes(sha: Sha256, hashes: Uint8Array): void {
    const file = this.find(sha);
    if (file !== undefined) this.#pieceHashes.note(sha, file.sizeBytes, hashes);
  }

  /** `listener` hears of files that come, go or change. There is one. */
  watch(listener: (sha: Sha256) => void): void {
    this.#room.shelf.table.watch(listener);
  }

  /** Offers a file to others where it is, whatever lists it; see share.ts. */
  share(path: string, onProgress: OnProgress, signal: AbortSignal): Promise<StoredFile> {
    return shareFile(this.#room, path, onProgress, this.#until(signal));
  }

  /** It is not offered any more because somebody said so. Rejects STORAGE. */
  unshare(sha: Sha256): Promise<void> {
    return unshare(this.#room, sha);
  }

  /** Looks for new, changed and vanished files in the offered directories; see offers.ts. */
  scanOffers(signal: AbortSignal): Promise<void> {
    this.#scanning ??= scanOffers(
      this.#room,
      this.#settings.offerDirectories,
      this.#until(signal),
    ).finally(() => {
      this.#scanning = undefined;
    });
    return this.#scanning;
  }

  /**
   * Commits what is whole, keeps the beginnings of what is not, writes the last uses. Whatever was
   * begun and still grows has `failure` CLOSED from now on.
   */
  async close(): Promise<void> {
    this.#ending.abort();
    this.#cancelFlush?.();
    await this.#background;
    await this.#scanning?.catch(() => undefined);
    await this.#pieceHashes.close();
    await this.#growing.close();
    await this.#room.commits.flush();
    await this.#room.shelf.allStill();
    await this.#room.shelf.table.flush();
    this.#room.shelf.close();
  }

  async #openPending(sha: Sha256): Promise<OpenedFile | undefined> {
    const { commits, layout, shelf } = this.#room;
    const pending = commits.get(sha);
    if (pending === undefined) return undefined;
    const endUse = shelf.use(sha);
    const { files, log } = this.#components;
    try {
      await pending.settle();
      // The rename may come between the look at the path and the opening.
      const handle = (await files.open(pending.path)) ?? (await files.open(layout.whole(sha)));
      const file = this.find(sha);
      if (handle !== undefined && file !== undefined) return shelf.lend(file, handle, endUse);
      await handle?.close();
    } catch (error) {
      log.warn("open-failed", { sha256: sha, error: errorText(error) });
    }
    endUse();
    return undefined;
  }

  #until(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#ending.signal]);
  }

  #flushSoon(): void {
    const { table } = this.#room.shelf;
    const flush = (): void => {
      this.#cancelFlush?.();
      this.#cancelFlush = undefined;
      // What could not be written has been logged; uses and names are not worth more.
      table.flush().catch(() => undefined);
    };
    if (table.touches >= limits.touches) flush();
    else this.#cancelFlush ??= this.#components.clock.after(limits.touchFlushMs, flush);
  }
}
