/**
 * A whole machine in memory: the engine that the daemon runs, on virtual time, crashable files and
 * records, and a mirror with faults. `rebuilt` is the same machine after a restart or a crash.
 */
import { Archive } from "../archive/archive.ts";
import type { Decompressor, Signatures } from "../archive/ports.ts";
import { Counters } from "../base/counters.ts";
import type { Hashes, Log, LogValue } from "../base/ports.ts";
import { GiB } from "../base/units.ts";
import { Store } from "../cache/store.ts";
import { Engine, type EngineSettings } from "../engine/engine.ts";
import { storedBytes } from "../engine/stored-bytes.ts";
import type { Swarm } from "../engine/swarm.ts";
import { FakeMirror } from "./fake-mirror.ts";
import { MemoryFiles } from "./memory-files.ts";
import { MemoryKeyValue } from "./memory-key-value.ts";
import { VirtualClock } from "./virtual-clock.ts";

export interface EngineWorld {
  readonly clock: VirtualClock;
  readonly files: MemoryFiles;
  readonly kv: MemoryKeyValue;
  readonly mirror: FakeMirror;
  readonly archive: Archive;
  readonly store: Store;
  readonly engine: Engine;
  readonly counters: Counters;
  readonly logged: readonly string[];
}

export interface WorldOptions {
  readonly hashes: Hashes;
  readonly mirrorBytesPerMs?: number;
  readonly quotaBytes?: number;
  readonly settings?: Partial<EngineSettings>;
  /** Peers beside the mirror; undefined: there are none. */
  readonly swarm?: (parts: SwarmWorldParts) => Swarm;
  /** Parts of an earlier world that outlive it. */
  readonly rebuilt?: Partial<Pick<EngineWorld, "clock" | "files" | "kv" | "mirror">>;
}

/** What of a world its swarm is made of. */
export interface SwarmWorldParts {
  readonly clock: VirtualClock;
  readonly hashes: Hashes;
  readonly counters: Counters;
  readonly log: Log;
  readonly mirror: FakeMirror;
  readonly kv: MemoryKeyValue;
  readonly store: Store;
}

/** No key, no program: every Release is unverifiable, which is all that most stories need. */
const noSignatures: Signatures = {
  check: () => Promise.resolve({ kind: "unverifiable", reason: "the laboratory has no keys" }),
};

/** The laboratory's indexes are plain text. */
const plainOnly: Decompressor = {
  async *expand(_compression, input) {
    yield* input;
  },
};

export async function engineWorld(options: WorldOptions): Promise<EngineWorld> {
  const { hashes, rebuilt = {} } = options;
  const clock = rebuilt.clock ?? new VirtualClock();
  const files = rebuilt.files ?? new MemoryFiles();
  const kv = rebuilt.kv ?? new MemoryKeyValue();
  const mirror = rebuilt.mirror ?? new FakeMirror(clock, options.mirrorBytesPerMs);
  const counters = new Counters();
  const logged: string[] = [];
  const common = { clock, files, kv, hashes, counters, log: memoryLog(logged) };
  const held: { store?: Store } = {};
  const archive = new Archive(
    {
      ...common,
      signatures: noSignatures,
      decompressor: plainOnly,
      openStored: (sha256) =>
        held.store === undefined ? Promise.resolve(undefined) : storedBytes(held.store, sha256),
    },
    {
      tableDirectory: "/state/tables",
      aptConfigDirectory: "/etc/apt",
      aptListsDirectory: "/lists",
      ownAuthorities: ["localhost:9977"],
    },
  );
  await archive.load();
  const store = await Store.open(
    { ...common, listed: (digests) => archive.listed(digests) },
    {
      directory: "/cache",
      quotaBytes: options.quotaBytes ?? GiB,
      keepFreeBytes: 0,
      offerDirectories: [],
    },
  );
  held.store = store;
  const engine = new Engine(
    { ...common, archive, store, mirror, swarm: options.swarm?.({ ...common, mirror, store }) },
    {
      httpsHosts: [],
      serveStale: false,
      documentsDirectory: "/state/documents",
      pseudonym: "apt-p2p-lab",
      ...options.settings,
    },
  );
  return { clock, files, kv, mirror, archive, store, engine, counters, logged };
}

function memoryLog(lines: string[]): Log {
  const write = (event: string, fields: Readonly<Record<string, LogValue>> = {}): void => {
    lines.push(`${event} ${JSON.stringify(fields)}`);
  };
  return { debug: write, info: write, warn: write, error: write };
}
