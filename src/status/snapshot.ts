/** What the daemon tells about itself: one JSON value for `apt-p2p status`, the page and tests. */
import type { Archive } from "../archive/archive.ts";
import type { Counters } from "../base/counters.ts";
import type { Clock } from "../base/ports.ts";
import type { Store } from "../cache/store.ts";
import type { DhtReport } from "../engine/dht-status.ts";
import type { Engine } from "../engine/engine.ts";
import type { RouterReport } from "./router-report.ts";
import { swarmReport, type SwarmReport, type SwarmSources } from "./swarm-report.ts";

export interface BaseSources {
  readonly counters: Counters;
  readonly clock: Clock;
  readonly version: string;
  readonly listening: () => readonly string[];
  readonly dht: () => DhtReport;
  readonly router: () => RouterReport;
  /** Of the control group; undefined: there is no limit. */
  readonly memoryLimitBytes: number | undefined;
  /** Facts about the process, from the machine. */
  readonly process: () => ProcessFacts;
}

export interface SnapshotSources extends BaseSources {
  readonly engine: Engine;
  readonly store: Store;
  readonly archive: Archive;
  readonly swarm: SwarmSources;
}

export interface ProcessFacts {
  readonly pid: number;
  readonly uptimeMs: number;
  readonly rssBytes: number;
  /** User and system time of the process. */
  readonly cpuMs: number;
  /** Longest time that the event loop was held up since the last snapshot. */
  readonly maxStallMs: number;
}

/** What every daemon tells, also one that serves the DHT alone. */
export interface BaseSnapshot {
  readonly version: string;
  readonly pid: number;
  readonly uptimeMs: number;
  readonly listening: readonly string[];
  readonly dht: DhtReport;
  readonly router: RouterReport;
  readonly memory: { readonly rssBytes: number; readonly limitBytes: number | undefined };
  readonly cpuMs: number;
  readonly eventLoop: { readonly maxStallMs: number };
  readonly counters: Readonly<Record<string, number>>;
}

export interface Snapshot extends BaseSnapshot {
  readonly bytes: {
    /** To clients, from the store. */
    readonly fromCache: number;
    /** Received from peers, and kept. */
    readonly fromPeers: number;
    /** Received from mirrors. */
    readonly fromMirror: number;
    /** To clients, without proof. */
    readonly passedThrough: number;
    /** To clients, all together. */
    readonly toClients: number;
    /** To peers. */
    readonly uploaded: number;
  };
  readonly store: Awaited<ReturnType<Store["stats"]>>;
  readonly archive: {
    readonly releases: ReturnType<Archive["releases"]>;
    readonly tables: number;
    readonly rows: number;
  };
  readonly downloads: ReturnType<Engine["downloads"]>;
  readonly swarm: SwarmReport;
}

export function baseSnapshot(sources: BaseSources): BaseSnapshot {
  const facts = sources.process();
  return {
    version: sources.version,
    pid: facts.pid,
    uptimeMs: facts.uptimeMs,
    listening: sources.listening(),
    dht: sources.dht(),
    router: sources.router(),
    memory: { rssBytes: facts.rssBytes, limitBytes: sources.memoryLimitBytes },
    cpuMs: facts.cpuMs,
    eventLoop: { maxStallMs: facts.maxStallMs },
    counters: sources.counters.snapshot(),
  };
}

export async function snapshot(sources: SnapshotSources): Promise<Snapshot> {
  const { archive, engine, store } = sources;
  const base = baseSnapshot(sources);
  const values = base.counters;
  const sent = Object.entries(values).filter(([name]) => name.startsWith("proxy.bytes."));
  const toClients = sent.reduce((sum, [, bytes]) => sum + bytes, 0);
  const swarm = swarmReport(sources.swarm, values);
  return {
    ...base,
    bytes: {
      fromCache: values["proxy.bytes.cache"] ?? 0,
      fromPeers: swarm.received.bytes,
      fromMirror: values["engine.bytes.fromMirror"] ?? 0,
      passedThrough: values["proxy.bytes.unproven"] ?? 0,
      toClients,
      uploaded: swarm.uploaded.nearBytes + swarm.uploaded.farBytes,
    },
    store: await store.stats(),
    archive: { releases: archive.releases(), ...archive.size() },
    downloads: engine.downloads(),
    swarm,
  };
}
