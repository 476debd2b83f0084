import { errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Log } from "../base/ports.ts";
import type { Counters } from "../base/counters.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { Files, KeyValue, OpenFile } from "../base/storage.ts";
import type { Layout } from "./layout.ts";
import { encodeFile, keys, type FileRecord } from "./records.ts";
import type { Shelf } from "./shelf.ts";

/** A whole file on its way from `partial/` to its place. */
export interface Commit {
  readonly sha256: Sha256;
  /** Under which it was begun; its record goes. */
  readonly key: Sha256;
  readonly partPath: string;
  readonly settle: () => Promise<OpenFile>;
  /** Called when its bytes count as stored. */
  readonly endClaim: () => void;
  /** The record so far; the modification time comes from the file. */
  record: FileRecord;
}

export interface Pending extends Commit {
  /** Where the bytes are now. */
  path: string;
  readonly done: Promise<void>;
}

interface Waiting {
  readonly pending: Pending;
  readonly finish: () => void;
}

/**
 * Brings whole files to their place: fsync, rename, record, in this order, so that a recorded file
 * is whole after any crash. What the record will say is noted before the rename. Files that come within `limits.commitDelayMs` go together and share the
 * fsyncs of directories and one write of the database. What fails is removed and forgotten: the
 * bytes have been served all the same.
 */
export class CommitGroup {
  readonly #shelf: Shelf;
  readonly #kv: KeyValue;
  readonly #files: Files;
  readonly #layout: Layout;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #counters: Counters;
  readonly #pending = new Map<Sha256, Pending>();
  readonly #byKey = new Map<Sha256, Pending>();
  readonly #waiting: Waiting[] = [];
  #cancelTimer: (() => void) | undefined;
  #running: Promise<void> | undefined;

  constructor(
    shelf: Shelf,
    layout: Layout,
    tools: {
      readonly kv: KeyValue;
      readonly files: Files;
      readonly clock: Clock;
      readonly log: Log;
      readonly counters: Counters;
    },
  ) {
    this.#shelf = shelf;
    this.#layout = layout;
    this.#kv = tools.kv;
    this.#files = tools.files;
    this.#clock = tools.clock;
    this.#log = tools.log;
    this.#counters = tools.counters;
  }

  /** A file on its way, by its digest. */
  get(sha: Sha256): Pending | undefined {
    return this.#pending.get(sha);
  }

  /** Takes a file; its `done` resolves when it is recorded or given up. */
  add(commit: Commit): Pending {
    let finish: () => void = () => undefined;
    const done = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const pending: Pending = Object.assign(commit, { path: commit.partPath, done });
    this.#pending.set(commit.sha256, pending);
    this.#byKey.set(commit.key, pending);
    this.#waiting.push({ pending, finish });
    if (this.#waiting.length >= limits.commitGroupFiles) this.#start();
    else this.#cancelTimer ??= this.#clock.after(limits.commitDelayMs, () => this.#start());
    return pending;
  }

  /** Resolves when the part path of this digest is free again, and few enough files wait. */
  async room(key: Sha256): Promise<void> {
    await this.#byKey.get(key)?.done;
    while (this.#pending.size >= limits.pendingCommits) {
      const first = this.#pending.values().next();
      if (first.done !== true) await first.value.done;
    }
  }

  /** Commits all that wait, without delay. */
  async flush(): Promise<void> {
    while (this.#pending.size > 0) {
      this.#start();
      await this.#running;
    }
  }

  #start(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    if (this.#running !== undefined || this.#waiting.length === 0) return;
    const group = this.#waiting.splice(0);
    this.#running = this.#run(group).finally(() => {
      this.#running = undefined;
      // Those that came meanwhile have waited long enough.
      this.#start();
    });
  }

  async #run(group: readonly Waiting[]): Promise<void> {
    const failed = new Set<Pending>();
    const each = async (
      step: (pending: Pending) => Promise<void>,
      width: number,
    ): Promise<void> => {
      const left = group.values();
      const worker = async (): Promise<void> => {
        for (const { pending } of left) {
          if (failed.has(pending)) continue;
          await step(pending).catch(async (error: unknown) => {
            failed.add(pending);
            await this.#giveUp(pending, error);
          });
        }
      };
      await Promise.all(Array.from({ length: width }, worker));
    };
    await each((pending) => this.#sync(pending), limits.parallelSyncs);
    await this.#announce(group.filter(({ pending }) => !failed.has(pending)));
    await each((pending) => this.#place(pending), group.length);
    for (const { pending } of group) if (!failed.has(pending)) this.#record(pending);
    const written = await this.#shelf.table.flush().then(
      () => undefined,
      (error: unknown) => error,
    );
    for (const { pending, finish } of group) {
      const recorded = this.#shelf.table.get(pending.sha256) !== undefined;
      if (!failed.has(pending) && !recorded) await this.#giveUp(pending, written);
      else if (!failed.has(pending)) this.#counters.add("cache.commits");
      this.#forget(pending);
      finish();
    }
  }

  async #sync(pending: Pending): Promise<void> {
    const file = await pending.settle();
    await file.sync();
    const { mtimeMs, sizeBytes } = await file.facts();
    if (sizeBytes !== pending.record.sizeBytes) {
      throw new Error(`the file has ${sizeBytes} bytes instead of ${pending.record.sizeBytes}`);
    }
    pending.record = { ...pending.record, mtimeMs };
  }

  /** So that a file whose record was not written in time is known for what it is; see adopt.ts. */
  async #announce(group: readonly Waiting[]): Promise<void> {
    const changes = group.map(({ pending: { sha256, record } }) => ({
      key: keys.intent(sha256),
      value: encodeFile(record),
    }));
    // Without it the file is found all the same, only without its names.
    await this.#kv.batch(changes).catch(() => undefined);
  }

  async #place(pending: Pending): Promise<void> {
    const { sha256, partPath } = pending;
    pending.path = await this.#shelf.exclusive(sha256, () => this.#shelf.place(sha256, partPath));
  }

  /** From here on the record stands for the file, and its bytes count as stored. */
  #record(pending: Pending): void {
    this.#shelf.table.alsoWrite({ key: keys.part(pending.key), value: undefined });
    this.#shelf.table.alsoWrite({ key: keys.intent(pending.sha256), value: undefined });
    this.#shelf.table.put(pending.sha256, pending.record);
    pending.endClaim();
  }

  async #giveUp(pending: Pending, error: unknown): Promise<void> {
    this.#counters.add("cache.commitFailures");
    this.#log.warn("commit-failed", { sha256: pending.sha256, error: errorText(error) });
    for (const key of [keys.part(pending.key), keys.intent(pending.sha256)]) {
      this.#shelf.table.alsoWrite({ key, value: undefined });
    }
    await this.#shelf.exclusive(pending.sha256, async () => {
      await this.#files.remove(pending.partPath).catch(() => undefined);
      await this.#files.remove(this.#layout.pieces(pending.key)).catch(() => undefined);
      // A rename that fails may have happened: it may be the directory that could not be synced.
      if (this.#shelf.find(pending.sha256)?.owned === true) return;
      await this.#files.remove(this.#layout.whole(pending.sha256)).catch(() => undefined);
    });
    this.#forget(pending);
  }

  #forget(pending: Pending): void {
    if (this.#pending.get(pending.sha256) === pending) this.#pending.delete(pending.sha256);
    if (this.#byKey.get(pending.key) === pending) this.#byKey.delete(pending.key);
  }
}
