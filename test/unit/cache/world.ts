/** A simulated machine for the store: clock, files, database, and a way to let them crash. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Counters } from "../../../src/base/counters.ts";
import type { Log } from "../../../src/base/ports.ts";
import type { Sha256 } from "../../../src/base/sha256.ts";
import { Store } from "../../../src/cache/store.ts";
import type { StoreSettings } from "../../../src/cache/types.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { FaultPlan, type CrashKind } from "../../../src/sim/fault-plan.ts";
import { MemoryFiles } from "../../../src/sim/memory-files.ts";
import { MemoryKeyValue } from "../../../src/sim/memory-key-value.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

export interface Content {
  readonly bytes: Buffer;
  readonly sha: Sha256;
}

export function contentOf(bytes: Uint8Array): Content {
  const sha = createHash("sha256").update(bytes).digest("hex") as Sha256;
  return { bytes: Buffer.from(bytes), sha };
}

export function content(seed: number, sizeBytes: number): Content {
  return contentOf(new SeededRandom(seed).bytes(sizeBytes));
}

export interface LogLine {
  readonly level: keyof Log;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface WorldParts {
  readonly faults: FaultPlan;
  readonly clock: VirtualClock;
  readonly files: MemoryFiles;
  readonly kv: MemoryKeyValue;
}

export const directory = "/cache";

/** Lets everything run that needs no time to pass. */
export async function tick(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

export class World {
  readonly faults: FaultPlan;
  readonly clock: VirtualClock;
  readonly files: MemoryFiles;
  readonly kv: MemoryKeyValue;
  readonly counters = new Counters();
  readonly lines: LogLine[] = [];
  /** What the archive lists. */
  listed = new Set<Sha256>();

  constructor(parts: Partial<WorldParts> & { readonly totalBytes?: number } = {}) {
    this.faults = parts.faults ?? new FaultPlan();
    this.clock = parts.clock ?? new VirtualClock();
    const { faults, clock } = this;
    this.files =
      parts.files ??
      new MemoryFiles({ faults, clock, totalBytes: parts.totalBytes ?? 100_000_000_000 });
    this.kv = parts.kv ?? new MemoryKeyValue(faults);
  }

  /** Opens the store and waits until its background work is done. */
  async open(settings: Partial<StoreSettings> = {}): Promise<Store> {
    const store = await this.openQuickly(settings);
    await this.finish(store.settled());
    return store;
  }

  openQuickly(settings: Partial<StoreSettings> = {}): Promise<Store> {
    return Store.open(
      {
        kv: this.kv,
        files: this.files,
        clock: this.clock,
        counters: this.counters,
        hashes: nodeHashes,
        log: this.#log(),
        listed: (digests) => new Set([...digests].filter((sha) => this.listed.has(sha))),
      },
      { directory, quotaBytes: 1_000_000_000, keepFreeBytes: 0, offerDirectories: [], ...settings },
    );
  }

  /** Ends this world; the next one has what survived, after `downMs`. */
  crash(kind: CrashKind, random: SeededRandom): World {
    const faults = new FaultPlan();
    const { clock } = this;
    const files = this.files.crash(kind, random, faults);
    const kv = this.kv.crash(kind, random, faults);
    const next = new World({ faults, clock, files, kv });
    next.listed = this.listed;
    return next;
  }

  /** Waits for a promise, letting time pass whenever nothing else moves. */
  async finish<T>(promise: Promise<T>): Promise<T> {
    const state = { settled: false };
    const isSettled = (): boolean => state.settled;
    const done = (): void => {
      state.settled = true;
    };
    promise.then(done, done);
    for (let round = 0; ; round++) {
      await tick();
      if (isSettled()) return promise;
      if (this.faults.isStopped) return new Promise<never>(() => undefined);
      assert.ok(round < 10_000, "waits for something that never comes");
      // Only when two rounds changed nothing is time what is missing.
      await tick();
      if (!isSettled() && this.clock.nextTimerMs !== undefined) {
        this.clock.advance(this.clock.nextTimerMs);
      }
    }
  }

  warnings(): readonly string[] {
    return this.lines
      .filter(({ level }) => level !== "debug" && level !== "info")
      .map((l) => l.event);
  }

  /** Stores a content in one go, under its digest. */
  async put(store: Store, { bytes, sha }: Content, name?: string): Promise<void> {
    const file = await this.finish(store.begin(sha, bytes.length));
    file.append(bytes.subarray(file.heldBytes));
    file.commit([sha], {
      scope: "public",
      origin: "mirror",
      ...(name === undefined ? {} : { name }),
    });
    await this.finish(file.release());
  }

  /** What the store serves for a digest; undefined if it does not. */
  async get(store: Store, sha: Sha256): Promise<Buffer | undefined> {
    const opened = await this.finish(store.open(sha));
    if (opened === undefined) return undefined;
    const bytes = Buffer.alloc(opened.file.sizeBytes);
    assert.equal(await opened.handle.read(bytes, 0), bytes.length);
    await opened.handle.close();
    return bytes;
  }

  /** Bytes of all files below a directory of the store. */
  bytesBelow(path: string): number {
    return this.files.paths
      .filter((file) => file.startsWith(`${directory}/${path}/`))
      .reduce((sum, file) => sum + (this.files.peek(file)?.length ?? 0), 0);
  }

  #log(): Log {
    const note =
      (level: keyof Log) =>
      (event: string, fields: Readonly<Record<string, unknown>> = {}): void => {
        this.lines.push({ level, event, fields });
      };
    return { debug: note("debug"), info: note("info"), warn: note("warn"), error: note("error") };
  }
}
