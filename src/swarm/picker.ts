/**
 * Which piece next: the first missing ones in order as far as the reader needs them soon, behind them
 * the rarest. Rarity is what is known of unfinished peers; whole ones have everything, and count for
 * nothing. To look through all pieces for each choice would cost more than the pieces: the rarest of
 * a random sample will do.
 */
import type { Random } from "../base/ports.ts";
import { PieceMap } from "./piece-map.ts";

/** A peer with hardly anything new costs no more than this; another look begins elsewhere. */
const mostSteps = 512;

export class Picker {
  readonly pieces: number;
  readonly held: PieceMap;
  /** How many requests are under way for each piece. */
  readonly #flights: Uint8Array;
  /** How many unfinished peers have it. */
  readonly #copies: Uint16Array;
  /** Pieces that are neither held nor under way, and where each stands in the list; -1: nowhere. */
  readonly #free: Int32Array;
  readonly #place: Int32Array;
  #freeCount: number;
  #next = 0;

  constructor(pieces: number) {
    this.pieces = pieces;
    this.held = new PieceMap(pieces);
    this.#flights = new Uint8Array(pieces);
    this.#copies = new Uint16Array(pieces);
    this.#free = Int32Array.from({ length: pieces }, (_, piece) => piece);
    this.#place = Int32Array.from(this.#free);
    this.#freeCount = pieces;
  }

  /** The first piece that is not held; `pieces` when all are. */
  get next(): number {
    this.#next = this.held.firstMissing(this.#next);
    return this.#next;
  }

  /** Pieces that are neither held nor under way. */
  get freeCount(): number {
    return this.#freeCount;
  }

  isFree(piece: number): boolean {
    return (this.#place[piece] ?? -1) >= 0;
  }

  flights(piece: number): number {
    return this.#flights[piece] ?? 0;
  }

  copies(piece: number): number {
    return this.#copies[piece] ?? 0;
  }

  hold(piece: number): void {
    if (!this.held.add(piece)) return;
    this.#unfree(piece);
  }

  /** What was held is not what it should be. */
  lose(piece: number): void {
    if (!this.held.remove(piece)) return;
    this.#next = Math.min(this.#next, piece);
    if (this.flights(piece) === 0) this.#makeFree(piece);
  }

  took(piece: number): void {
    this.#flights[piece] = this.flights(piece) + 1;
    this.#unfree(piece);
  }

  gaveUp(piece: number): void {
    this.#flights[piece] = Math.max(0, this.flights(piece) - 1);
    if (this.flights(piece) === 0 && !this.held.has(piece)) this.#makeFree(piece);
  }

  /** An unfinished peer has other pieces than before; undefined: none. */
  changed(before: PieceMap | undefined, after: PieceMap | undefined): void {
    const [old, now] = [before?.bytes, after?.bytes];
    const length = Math.ceil(this.pieces / 8);
    for (let at = 0; at < length; at++) {
      const [was, is] = [old?.[at] ?? 0, now?.[at] ?? 0];
      if (was !== is) this.#recount(at * 8, was, is);
    }
  }

  /** The first free piece among the first `count` missing ones, below `limit`, that `has` allows. */
  inOrder(count: number, limit: number, has: (piece: number) => boolean): number | undefined {
    let piece = this.next;
    for (let seen = 0; seen < count && piece < limit; seen++) {
      if (this.isFree(piece) && has(piece)) return piece;
      piece = this.held.firstMissing(piece + 1);
    }
    return undefined;
  }

  /** A free piece below `limit` of which few copies are known. */
  rarest(
    random: Random,
    { sample, limit, has }: { sample: number; limit: number; has: (piece: number) => boolean },
  ): number | undefined {
    const count = this.#freeCount;
    const steps = Math.min(count, mostSteps);
    let [best, fewest] = [undefined as number | undefined, Infinity];
    const start = Math.floor(random.next() * count);
    for (let step = 0, seen = 0; step < steps && seen < sample; step++) {
      const piece = this.#free[(start + step) % count] ?? 0;
      if (piece >= limit || !has(piece)) continue;
      seen++;
      const copies = this.copies(piece);
      if (copies < fewest) [best, fewest] = [piece, copies];
      if (fewest === 0) break;
    }
    return best;
  }

  /** Free pieces in order that no unfinished peer has, at most `count`, below `limit`. */
  unseen(count: number, limit: number): number[] {
    const found: number[] = [];
    let piece = this.next;
    while (found.length < count && piece < limit) {
      if (this.copies(piece) === 0 && this.isFree(piece)) found.push(piece);
      piece = this.held.firstMissing(piece + 1);
    }
    return found;
  }

  #recount(first: number, was: number, is: number): void {
    for (let bit = 0; bit < 8; bit++) {
      const mask = 0x80 >> bit;
      if ((was & mask) === (is & mask)) continue;
      const piece = first + bit;
      this.#copies[piece] = this.copies(piece) + ((is & mask) !== 0 ? 1 : -1);
    }
  }

  #makeFree(piece: number): void {
    if (this.isFree(piece)) return;
    this.#place[piece] = this.#freeCount;
    this.#free[this.#freeCount++] = piece;
  }

  #unfree(piece: number): void {
    const at = this.#place[piece] ?? -1;
    if (at < 0) return;
    const last = this.#free[--this.#freeCount] ?? 0;
    this.#free[at] = last;
    this.#place[last] = at;
    this.#place[piece] = -1;
  }
}
