/**
 * What a host's daemon has counted over all its lives: counters begin at 0 with each start, so they
 * are read before a daemon is stopped, and added up.
 */
import type { HostStatus } from "./host.ts";

export type Counters = Readonly<Record<string, number>>;

export class Ledger {
  readonly #status: () => Promise<HostStatus>;
  #past: Counters = {};
  /** Of this life, as last seen. */
  #present: Counters = {};
  #cpuMs = 0;
  #presentCpuMs = 0;
  #peakRssBytes = 0;

  constructor(status: () => Promise<HostStatus>) {
    this.#status = status;
  }

  get counters(): Counters {
    return sum(this.#past, this.#present);
  }

  get cpuMs(): number {
    return this.#cpuMs + this.#presentCpuMs;
  }

  /** The most of what was seen when it was asked; between, it may have been more. */
  get peakRssBytes(): number {
    return this.#peakRssBytes;
  }

  async read(): Promise<Counters> {
    const { counters, memory, cpuMs } = await this.#status();
    this.#present = counters;
    this.#presentCpuMs = cpuMs;
    this.#peakRssBytes = Math.max(this.#peakRssBytes, memory.rssBytes);
    return this.counters;
  }

  /** The daemon has ended. */
  close(): void {
    this.#past = this.counters;
    this.#cpuMs = this.cpuMs;
    this.#present = {};
    this.#presentCpuMs = 0;
  }
}

function sum(first: Counters, second: Counters): Counters {
  const result: Record<string, number> = { ...first };
  for (const [name, value] of Object.entries(second)) result[name] = (result[name] ?? 0) + value;
  return result;
}

/** Bytes by where they came from, and what was given to other machines. */
export interface Bytes {
  readonly fromPeers: number;
  readonly fromMirror: number;
  readonly fromCache: number;
  readonly uploaded: number;
}

export function bytesOf(counters: Counters, before: Counters = {}): Bytes {
  const of = (name: string): number => (counters[name] ?? 0) - (before[name] ?? 0);
  return {
    fromPeers: of("engine.bytes.fromPeers"),
    fromMirror: of("engine.bytes.fromMirror"),
    fromCache: of("proxy.bytes.cache"),
    uploaded: of("peers.bytes.uploaded.near") + of("peers.bytes.uploaded.far"),
  };
}
