/** What goes when room is needed, as a pure function. */
import type { Sha256 } from "../base/sha256.ts";

/** Lower goes first. */
export const evictionRank = {
  /** An unfinished file that nobody has asked for in `limits.unfinishedAgeMs`. */
  abandoned: 0,
  /** A whole file that no current index lists. */
  unlisted: 1,
  listed: 2,
  /** An unfinished file that its client may still come back for. */
  unfinished: 3,
} as const;

export interface Candidate {
  readonly sha256: Sha256;
  readonly sizeBytes: number;
  readonly lastUsedMs: number;
  readonly rank: (typeof evictionRank)[keyof typeof evictionRank];
}

/**
 * Picks the fewest candidates, in order of rank and then of last use, that together have
 * `wantedBytes`; all of them if that is not enough. Takes the candidates one by one and keeps only
 * what may still be picked, so that a large store need not fit into memory.
 */
export class EvictionPlan {
  readonly #wantedBytes: number;
  readonly #kept: Candidate[] = [];
  #trimAt = 1024;

  constructor(wantedBytes: number) {
    this.#wantedBytes = wantedBytes;
  }

  consider(candidate: Candidate): void {
    this.#kept.push(candidate);
    if (this.#kept.length >= this.#trimAt) {
      this.#trim();
      this.#trimAt = Math.max(1024, 2 * this.#kept.length);
    }
  }

  /** In the order in which they should go. */
  victims(): readonly Candidate[] {
    this.#trim();
    return this.#kept;
  }

  #trim(): void {
    this.#kept.sort(compareCandidates);
    let bytes = 0;
    let count = 0;
    while (bytes < this.#wantedBytes && count < this.#kept.length) {
      bytes += this.#kept[count]?.sizeBytes ?? 0;
      count += 1;
    }
    this.#kept.length = count;
  }
}

function compareCandidates(a: Candidate, b: Candidate): number {
  if (a.rank !== b.rank) return a.rank - b.rank;
  if (a.lastUsedMs !== b.lastUsedMs) return a.lastUsedMs - b.lastUsedMs;
  // Any fixed order will do, so that the same store gives the same plan.
  return a.sha256 < b.sha256 ? -1 : 1;
}
