/**
 * The DhtRecords port on a KeyValue: what was there at the start is read once into memory; changes
 * are collected, the last one of a key counting, and written in one batch a second.
 *
 * The DHT can lose any of it and be well: contacts are met again, publishers renew. So a batch that
 * cannot be written is logged, counted and forgotten, and no write waits for the disk to have it.
 */
import type { Counters } from "../base/counters.ts";
import { errorText } from "../base/errors.ts";
import type { Clock, Log } from "../base/ports.ts";
import type { KeyValue } from "../base/storage.ts";
import { second } from "../base/units.ts";
import type { DhtRecords } from "../dht/ports.ts";

export interface DhtRecordsParts {
  readonly kv: KeyValue;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}

/** What every key of the DHT begins with. */
const room = "dht!";
/** A crash loses at most this, and a busy node writes in batches of hundreds. */
const writeMs = second;
/** At some 1,200 bytes each, a batch of 5 MB: LevelDB takes it in some 50 ms, off the main thread. */
const writeAtChanges = 4096;
/** While the disk hangs, changes of all keys that a node may hold or publish wait, not more. */
const mostChanges = 131_072;

export class StoredDhtRecords implements DhtRecords {
  readonly #parts: DhtRecordsParts;
  /** In key order. Emptied by `release()`. */
  #initial: readonly (readonly [key: string, value: string])[];
  /** Not yet given to the database; undefined deletes. */
  #pending = new Map<string, string | undefined>();
  #cancelTimer: (() => void) | undefined;
  /** The batch that is being written, if one is; never rejects. */
  #writing: Promise<void> | undefined;
  /** The last batch failed: one line in the log says so, not one a second. */
  #failing = false;
  #closed = false;

  private constructor(
    parts: DhtRecordsParts,
    initial: readonly (readonly [key: string, value: string])[],
  ) {
    this.#parts = parts;
    this.#initial = initial;
  }

  /**
   * Reads all that an earlier run left. If it cannot be read, the node starts with what came before
   * the failure.
   */
  static async load(parts: DhtRecordsParts): Promise<StoredDhtRecords> {
    const initial: (readonly [string, string])[] = [];
    try {
      for await (const entry of parts.kv.range(room)) initial.push(entry);
    } catch (thrown) {
      parts.counters.add("io.dhtRecords.unread");
      parts.log.warn("dht-records-unread", { read: initial.length, reason: errorText(thrown) });
    }
    parts.counters.add("io.dhtRecords.loaded", initial.length);
    return new StoredDhtRecords(parts, initial);
  }

  *initial(prefix: string): Iterable<readonly [key: string, value: string]> {
    for (const entry of this.#initial) if (entry[0].startsWith(prefix)) yield entry;
  }

  /** Frees what `initial` gives: the node has read it. */
  release(): void {
    this.#initial = [];
  }

  put(key: string, value: string | undefined): void {
    if (!key.startsWith(room)) throw new Error(`${key} is no key of the DHT`);
    if (this.#closed || (this.#pending.size >= mostChanges && !this.#pending.has(key))) {
      this.#parts.counters.add("io.dhtRecords.lost");
      return;
    }
    this.#pending.set(key, value);
    if (this.#pending.size >= writeAtChanges) void this.#write();
    else this.#writeSoon();
  }

  /** Resolves when all that was put before is with the database, or has been lost. */
  async flush(): Promise<void> {
    while (this.#writing !== undefined || this.#pending.size > 0) await this.#write();
  }

  /** Writes what is left; later changes are lost. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
  }

  #writeSoon(): void {
    this.#cancelTimer ??= this.#parts.clock.after(writeMs, () => {
      this.#cancelTimer = undefined;
      void this.#write();
    });
  }

  /** One batch at a time: two could overtake one another. The next one follows at once if it is due. */
  #write(): Promise<void> {
    this.#writing ??= this.#writePending().finally(() => {
      this.#writing = undefined;
      if (this.#pending.size >= writeAtChanges) void this.#write();
      else if (this.#pending.size > 0) this.#writeSoon();
    });
    return this.#writing;
  }

  async #writePending(): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const { kv, counters, log } = this.#parts;
    const changes = [...this.#pending].map(([key, value]) => ({ key, value }));
    this.#pending = new Map();
    if (changes.length === 0) return;
    try {
      await kv.batch(changes);
      counters.add("io.dhtRecords.batches");
      counters.add("io.dhtRecords.written", changes.length);
      if (this.#failing) log.info("dht-records-written-again");
      this.#failing = false;
    } catch (thrown) {
      counters.add("io.dhtRecords.lost", changes.length);
      if (!this.#failing) log.warn("dht-records-lost", { reason: errorText(thrown) });
      this.#failing = true;
    }
  }
}
