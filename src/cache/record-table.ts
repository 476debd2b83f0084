import { BoundedMap } from "../base/bounded-map.ts";
import type { Counters } from "../base/counters.ts";
import { errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Log } from "../base/ports.ts";
import { parseSha256, type Sha256 } from "../base/sha256.ts";
import type { KeyValue, KeyValueChange } from "../base/storage.ts";
import { minute } from "../base/units.ts";
import { decodeFile, encodeFile, keys, type FileRecord } from "./records.ts";

export interface RecordTools {
  readonly kv: KeyValue;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}

export interface Totals {
  readonly ownedFiles: number;
  readonly ownedBytes: number;
  readonly offeredFiles: number;
  readonly offeredBytes: number;
}

/**
 * The records of whole files: in the database, with the changes on top that are not written yet.
 *
 * - `get` sees a change at once; `flush` returns when all changes made before are on the disk.
 * - Totals follow every change, so they cannot drift from the records.
 * - A record that cannot be written is taken back: the table never claims more than a restart would
 *   find. Who needs to know looks again after `flush`. A removal is tried again with the next flush.
 * - What cannot be read is not held, as far as anybody can tell: no request fails for it.
 */
export class RecordTable {
  readonly #tools: RecordTools;
  readonly #dirty = new Map<Sha256, FileRecord | undefined>();
  readonly #touched = new Map<Sha256, number>();
  readonly #hot = new BoundedMap<Sha256, FileRecord>(limits.hotRecords);
  #others: KeyValueChange[] = [];
  /** When (monotonic) it was last said that the database cannot be read. */
  #saidUnreadableMs = -Infinity;
  /** Grows with every change. */
  #changes = 0;
  #writing: Promise<void> = Promise.resolve();
  #onChange: (sha: Sha256) => void = () => undefined;
  readonly #totals = { ownedFiles: 0, ownedBytes: 0, offeredFiles: 0, offeredBytes: 0 };

  private constructor(tools: RecordTools) {
    this.#tools = tools;
  }

  /** Reads all records once, for the totals. Entries that are no records are removed. */
  static async load(tools: RecordTools): Promise<RecordTable> {
    const table = new RecordTable(tools);
    const { kv, log } = tools;
    for await (const [key, value] of kv.range(keys.files)) {
      const record = decodeFile(value);
      if (record !== undefined && parseSha256(key.slice(keys.files.length)) !== undefined) {
        table.#count(record, 1);
      } else {
        log.warn("record-unreadable", { key });
        table.#others.push({ key, value: undefined });
      }
    }
    return table;
  }

  get totals(): Totals {
    return this.#totals;
  }

  get touches(): number {
    return this.#touched.size;
  }

  get(sha: Sha256): FileRecord | undefined {
    const record = this.#untouched(sha);
    const lastUsedMs = this.#touched.get(sha);
    return record === undefined || lastUsedMs === undefined ? record : { ...record, lastUsedMs };
  }

  put(sha: Sha256, record: FileRecord): void {
    this.#change(sha, record);
    this.#onChange(sha);
  }

  drop(sha: Sha256): void {
    if (this.#untouched(sha) === undefined) return;
    this.#change(sha, undefined);
    this.alsoWrite({ key: keys.pieces(sha), value: undefined });
    this.#onChange(sha);
  }

  /** `listener` hears of every record that is put, dropped or taken back, and looks for itself. */
  watch(listener: (sha: Sha256) => void): void {
    this.#onChange = listener;
  }

  /** Notes a use; written with the next flush, lost without harm. */
  touch(sha: Sha256, lastUsedMs: number): void {
    this.#changes += 1;
    this.#touched.set(sha, lastUsedMs);
  }

  /** Adds a change of another record to the next flush. */
  alsoWrite(change: KeyValueChange): void {
    this.#others.push(change);
  }

  /** Writes what has changed. Rejects with AptP2pError when the database refuses. */
  flush(): Promise<void> {
    const writing = this.#writing.then(() => this.#write());
    this.#writing = writing.catch(() => undefined);
    return writing;
  }

  /** All records (digests with this prefix), as of now; changed ones are given as they are then. */
  async *entries(prefix = ""): AsyncIterable<readonly [Sha256, FileRecord]> {
    await this.flush().catch(() => undefined);
    const changes = this.#changes;
    for await (const [key, value] of this.#tools.kv.range(keys.files + prefix)) {
      const sha = parseSha256(key.slice(keys.files.length));
      if (sha === undefined) continue;
      // As long as nothing changed, the entry need not be looked up once more.
      const record = changes === this.#changes ? decodeFile(value) : this.get(sha);
      if (record !== undefined) yield [sha, record];
    }
  }

  #untouched(sha: Sha256): FileRecord | undefined {
    if (this.#dirty.has(sha)) return this.#dirty.get(sha);
    const hot = this.#hot.get(sha);
    if (hot !== undefined) return hot;
    const text = this.#read(keys.file(sha));
    const record = text === undefined ? undefined : decodeFile(text);
    if (record !== undefined) this.#hot.set(sha, record);
    return record;
  }

  #read(key: string): string | undefined {
    const { kv, clock, log, counters } = this.#tools;
    try {
      return kv.get(key);
    } catch (error) {
      counters.add("cache.readFailures");
      const nowMs = clock.monotonicMs();
      if (nowMs - this.#saidUnreadableMs >= minute) {
        this.#saidUnreadableMs = nowMs;
        log.error("records-unreadable", { error: errorText(error) });
      }
      return undefined;
    }
  }

  #change(sha: Sha256, record: FileRecord | undefined): void {
    this.#changes += 1;
    const before = this.#untouched(sha);
    if (before !== undefined) this.#count(before, -1);
    if (record !== undefined) this.#count(record, 1);
    this.#dirty.set(sha, record);
    this.#touched.delete(sha);
  }

  #count(record: FileRecord, sign: 1 | -1): void {
    const owned = record.path === undefined;
    this.#totals[owned ? "ownedFiles" : "offeredFiles"] += sign;
    this.#totals[owned ? "ownedBytes" : "offeredBytes"] += sign * record.sizeBytes;
  }

  async #write(): Promise<void> {
    this.#mergeTouches();
    const dirty = [...this.#dirty];
    const others = this.#others;
    if (dirty.length === 0 && others.length === 0) return;
    this.#others = [];
    const changes = dirty.map(([sha, record]) => ({
      key: keys.file(sha),
      value: record === undefined ? undefined : encodeFile(record),
    }));
    try {
      // A new file must survive a power loss; a removal that does not is noticed at the next use.
      const sync = dirty.some(([, record]) => record !== undefined);
      await this.#tools.kv.batch([...changes, ...others], { sync });
    } catch (error) {
      this.#tools.log.warn("records-not-written", {
        records: dirty.length,
        error: errorText(error),
      });
      this.#takeBack(dirty);
      throw error;
    }
    for (const [sha, record] of dirty) {
      if (this.#dirty.get(sha) !== record) continue;
      this.#dirty.delete(sha);
      if (record === undefined) this.#hot.delete(sha);
      else this.#hot.set(sha, record);
    }
  }

  #mergeTouches(): void {
    for (const [sha, lastUsedMs] of this.#touched) {
      const record = this.#untouched(sha);
      if (record !== undefined) this.#dirty.set(sha, { ...record, lastUsedMs });
    }
    this.#touched.clear();
  }

  #takeBack(dirty: readonly (readonly [Sha256, FileRecord | undefined])[]): void {
    for (const [sha, record] of dirty) {
      if (record === undefined || this.#dirty.get(sha) !== record) continue;
      this.#dirty.delete(sha);
      this.#hot.delete(sha);
      this.#count(record, -1);
      const before = this.#untouched(sha);
      if (before !== undefined) this.#count(before, 1);
      this.#onChange(sha);
    }
  }
}
