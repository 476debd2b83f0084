/** What went to others: by file and by peer, for the status and for who stays only while needed. */
import { BoundedMap } from "../base/bounded-map.ts";
import { limits } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";

export interface Uploaded {
  readonly bytes: number;
  /** When the last of them left (monotonic). */
  readonly lastMs: number;
}

export interface UploadsSnapshot {
  readonly peers: readonly { readonly peer: string; readonly bytes: number }[];
  readonly files: readonly { readonly sha256: string; readonly bytes: number }[];
}

export class Uploads {
  readonly #clock: Clock;
  readonly #files = new BoundedMap<Sha256, Uploaded>(limits.uploadedFiles);
  readonly #peers = new BoundedMap<string, Uploaded>(limits.uploadedPeers);
  readonly #active = new Map<Sha256, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** An upload of this file has begun; the returned function ends it. */
  began(sha256: Sha256): () => void {
    this.#active.set(sha256, (this.#active.get(sha256) ?? 0) + 1);
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      const left = (this.#active.get(sha256) ?? 1) - 1;
      if (left > 0) this.#active.set(sha256, left);
      else this.#active.delete(sha256);
    };
  }

  gave(sha256: Sha256, address: string, bytes: number): void {
    const lastMs = this.#clock.monotonicMs();
    const file = this.#files.get(sha256)?.bytes ?? 0;
    this.#files.set(sha256, { bytes: file + bytes, lastMs });
    const peer = this.#peers.get(address)?.bytes ?? 0;
    this.#peers.set(address, { bytes: peer + bytes, lastMs });
  }

  of(sha256: Sha256): Uploaded | undefined {
    return this.#files.get(sha256);
  }

  busy(sha256: Sha256): boolean {
    return this.#active.has(sha256);
  }

  snapshot(): UploadsSnapshot {
    const most = <T extends { bytes: number }>(list: T[]): T[] =>
      list.sort((a, b) => b.bytes - a.bytes).slice(0, 20);
    return {
      peers: most([...this.#peers.entries()].map(([peer, { bytes }]) => ({ peer, bytes }))),
      files: most([...this.#files.entries()].map(([sha256, { bytes }]) => ({ sha256, bytes }))),
    };
  }
}
