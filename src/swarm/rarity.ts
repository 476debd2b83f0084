/**
 * What a member may take away with it. Whoever needs nothing more may leave at any moment, and what it
 * alone had must come from the mirror once more: for one of those that are left, who then leaves as
 * well, and so on. So one that is about to have all gives what is rare to few at a time, who soon have
 * it whole (upload-gate.ts), and keeps its reader waiting for a moment at the end: clients that left too
 * early were what slowed the last ones of SystemImager's swarms.
 */
import type { Core } from "./core.ts";

/** With no more than so many pieces missing a member may soon leave. */
const lastPieces = 8;
/** Rare is what fewer have than this part of those that lack it. */
const rareShare = 1 / 4;

/** Of the other members. */
interface Members {
  readonly unfinished: number;
  /** Those that have become whole. */
  readonly whole: number;
}

export class Rarity {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  /** Whether a piece that is here could soon be gone. */
  has(piece: number): boolean {
    const members = this.#members();
    return members !== undefined && this.#isRare(piece, members);
  }

  /** Whether any could. */
  get some(): boolean {
    const { held, pieces } = this.#core.picker;
    const members = this.#members();
    if (members === undefined) return false;
    for (let piece = 0; piece < pieces; piece++) {
      if (held.has(piece) && this.#isRare(piece, members)) return true;
    }
    return false;
  }

  #isRare(piece: number, { unfinished, whole }: Members): boolean {
    const copies = this.#core.picker.copies(piece);
    return copies + whole < rareShare * (unfinished - copies);
  }

  /** undefined: this one stays, there is no crowd, or somebody was there before and has all. */
  #members(): Members | undefined {
    const { book, clock, picker, policy } = this.#core;
    const nowMs = clock.monotonicMs();
    if (picker.pieces - picker.held.count > lastPieces) return undefined;
    if (book.crowd(nowMs) <= policy.crowd) return undefined;
    let [unfinished, whole] = [0, 0];
    for (const { dropped, failures, answeredMs = -Infinity, isSeed, have } of book.all()) {
      if (dropped || failures > 0 || nowMs - answeredMs > policy.memberMs) continue;
      if (isSeed) return undefined;
      if (have === "whole") whole++;
      else unfinished++;
    }
    return { unfinished, whole };
  }
}
