/** What was given to whom: totals, by peer and by file. */
import { BoundedMap } from "../base/bounded-map.ts";
import type { Counters } from "../base/counters.ts";
import { limits } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import { partyOf, type Uploader } from "../swarm/upload-gate.ts";

export interface PeerUploads {
  /** An address, or of far IPv6 peers a /64. */
  readonly peer: string;
  readonly near: boolean;
  readonly bytes: number;
}

export interface FileUploads {
  readonly bytes: number;
  /** Uploads under way. */
  readonly active: number;
  /** Monotonic; when a peer last took bytes of it or stopped. */
  readonly lastMs: number;
}

export class Uploads {
  readonly #clock: Clock;
  readonly #counters: Counters;
  readonly #peers = new BoundedMap<string, { near: boolean; bytes: number }>(limits.uploadPeers);
  readonly #files = new BoundedMap<Sha256, { bytes: number; active: number; lastMs: number }>(
    limits.uploadFiles,
  );

  constructor({ clock, counters }: { readonly clock: Clock; readonly counters: Counters }) {
    this.#clock = clock;
    this.#counters = counters;
  }

  /** Those that took most first. */
  peers(): readonly PeerUploads[] {
    const all = [...this.#peers.entries()].map(([peer, { near, bytes }]) => ({
      peer,
      near,
      bytes,
    }));
    return all.sort((a, b) => b.bytes - a.bytes);
  }

  /** undefined: nobody took any of it lately. */
  file(sha256: Sha256): FileUploads | undefined {
    const file = this.#files.get(sha256);
    return file === undefined ? undefined : { ...file };
  }

  begin(sha256: Sha256): void {
    this.#file(sha256).active++;
  }

  add(sha256: Sha256, who: Uploader, bytes: number): void {
    this.#counters.add(`peers.bytes.uploaded.${who.near ? "near" : "far"}`, bytes);
    this.#file(sha256).bytes += bytes;
    const key = partyOf(who);
    const peer = this.#peers.get(key) ?? { near: who.near, bytes: 0 };
    peer.bytes += bytes;
    this.#peers.set(key, peer);
  }

  end(sha256: Sha256): void {
    const file = this.#file(sha256);
    file.active = Math.max(0, file.active - 1);
  }

  #file(sha256: Sha256): { bytes: number; active: number; lastMs: number } {
    const file = this.#files.get(sha256) ?? { bytes: 0, active: 0, lastMs: 0 };
    file.lastMs = this.#clock.monotonicMs();
    this.#files.set(sha256, file);
    return file;
  }
}
