import type { KeyValue, KeyValueChange } from "../base/storage.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { FaultPlan, type CrashKind } from "./fault-plan.ts";

interface Batch {
  readonly changes: readonly KeyValueChange[];
}

/**
 * The KeyValue port in memory, with LevelDB's promises: a batch is whole or absent, and a synced
 * batch makes all earlier ones durable. `crash` gives the database that a restart would find.
 */
export class MemoryKeyValue implements KeyValue {
  readonly #faults: FaultPlan;
  readonly #entries: Map<string, string>;
  /** What the disk has for sure, and the batches after it, oldest first. */
  readonly #durable: Map<string, string>;
  #unsynced: Batch[] = [];
  readonly #inFlight = new Set<Batch>();

  constructor(
    faults: FaultPlan = new FaultPlan(),
    entries: Iterable<readonly [string, string]> = [],
  ) {
    this.#faults = faults;
    this.#entries = new Map(entries);
    this.#durable = new Map(this.#entries);
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): string | undefined {
    return this.#entries.get(key);
  }

  async *range(prefix: string): AsyncIterable<readonly [key: string, value: string]> {
    const snapshot = [...this.#entries]
      .filter(([key]) => key.startsWith(prefix))
      .sort(([a], [b]) => compareUtf8(a, b));
    for (const entry of snapshot) {
      await Promise.resolve();
      yield entry;
    }
  }

  async batch(
    changes: readonly KeyValueChange[],
    options: { readonly sync?: boolean } = {},
  ): Promise<void> {
    const batch = { changes: [...changes] };
    this.#inFlight.add(batch);
    try {
      await this.#faults.step("batch");
    } finally {
      this.#inFlight.delete(batch);
    }
    this.#apply(batch);
    if (options.sync === true) {
      for (const earlier of this.#unsynced) change(this.#durable, earlier);
      this.#unsynced = [];
    }
  }

  /**
   * Ends this world and returns what a restart finds. After `kill` a batch under way may or may not
   * be there; after `power` some of the latest unsynced batches are gone, too.
   */
  crash(kind: CrashKind, random: SeededRandom, faults = new FaultPlan()): MemoryKeyValue {
    this.#faults.stop();
    for (const batch of this.#inFlight) if (random.chance(0.5)) this.#apply(batch);
    if (kind === "kill") return new MemoryKeyValue(faults, this.#entries);
    const found = new Map(this.#durable);
    const kept = random.below(this.#unsynced.length + 1);
    for (const batch of this.#unsynced.slice(0, kept)) change(found, batch);
    return new MemoryKeyValue(faults, found);
  }

  #apply(batch: Batch): void {
    change(this.#entries, batch);
    this.#unsynced.push(batch);
  }
}

function change(entries: Map<string, string>, batch: Batch): void {
  for (const { key, value } of batch.changes) {
    if (value === undefined) entries.delete(key);
    else entries.set(key, value);
  }
}

/** The order of the UTF-8 forms, which is the order of code points. */
function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
