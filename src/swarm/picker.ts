/**
 * Which piece next: the first missing ones in order as far as the reader needs them soon, behind them
 * the rarest. Rarity is what is known of unfinished peers; whole ones have everything, and count for
 * nothing. What is free, and what anybody has, is kept as maps: what a peer has for us is found word by
 * word, and of a random part of that the rarest will do.
 */
import type { Random } from "../base/ports.ts";
import { isInWord, PieceMap, someInWord, wordOf } from "./piece-map.ts";

/** Pieces that became free again are told one by one up to so many. */
const mostFreed = 32;

const noWords: Readonly<Uint32Array> = new Uint32Array(0);

/** What is looked for. */
export interface Wanted {
  /** So many candidates are compared. */
  readonly sample: number;
  /** Below this piece. */
  readonly limit: number;
  /** What the peer has. */
  readonly have: PieceMap | "whole";
  /** Only what no unfinished peer has, and not these. */
  readonly unseenBut?: PieceMap | undefined;
  /** Not this piece. */
  readonly except?: number | undefined;
}

export class Picker {
  readonly pieces: number;
  readonly held: PieceMap;
  /** How many requests are under way for each piece. */
  readonly #flights: Uint8Array;
  /** How many unfinished peers have it. */
  readonly #copies: Uint16Array;
  /** Those that at least one unfinished peer has. */
  readonly #seen: PieceMap;
  /** Pieces that are neither held nor under way. */
  readonly #free: PieceMap;
  /** Those that have become so since `takeFreed`. */
  #freed: number[] = [];
  #next = 0;
  /** Used again and again. */
  readonly #search = {
    ...{
      start: 0,
      best: undefined as number | undefined,
      fewest: Infinity,
      seen: 0,
      ties: 0,
      luck: 1,
    },
  };

  constructor(pieces: number) {
    this.pieces = pieces;
    this.held = new PieceMap(pieces);
    this.#flights = new Uint8Array(pieces);
    this.#copies = new Uint16Array(pieces);
    this.#seen = new PieceMap(pieces);
    this.#free = PieceMap.full(pieces);
  }

  /** The first piece that is not held; `pieces` when all are. */
  get next(): number {
    this.#next = this.held.firstMissing(this.#next);
    return this.#next;
  }

  /** Pieces that are neither held nor under way. */
  get freeCount(): number {
    return this.#free.count;
  }

  /** About how many pieces are somewhere in the crowd. */
  get begotten(): number {
    return Math.max(this.held.count, this.#seen.count);
  }

  isFree(piece: number): boolean {
    return this.#free.has(piece);
  }

  flights(piece: number): number {
    return this.#flights[piece] ?? 0;
  }

  copies(piece: number): number {
    return this.#copies[piece] ?? 0;
  }

  /** Pieces that have become free again since the last call; undefined: many. */
  takeFreed(): readonly number[] | undefined {
    const freed = this.#freed;
    if (freed.length > 0) this.#freed = [];
    return freed.length > mostFreed ? undefined : freed;
  }

  hold(piece: number): void {
    if (this.held.add(piece)) this.#free.remove(piece);
  }

  /** What was held is not what it should be. */
  lose(piece: number): void {
    if (!this.held.remove(piece)) return;
    this.#next = Math.min(this.#next, piece);
    if (this.flights(piece) === 0) this.#makeFree(piece);
  }

  took(piece: number): void {
    this.#flights[piece] = this.flights(piece) + 1;
    this.#free.remove(piece);
  }

  gaveUp(piece: number): void {
    this.#flights[piece] = Math.max(0, this.flights(piece) - 1);
    if (this.flights(piece) === 0 && !this.held.has(piece)) this.#makeFree(piece);
  }

  /** An unfinished peer has other pieces than before; undefined: none. */
  changed(before: PieceMap | undefined, after: PieceMap | undefined): void {
    const [old, now] = [before?.words ?? noWords, after?.words ?? noWords];
    const length = Math.max(old.length, now.length);
    for (let at = 0; at < length; at++) {
      const [was, is] = [old[at] ?? 0, now[at] ?? 0];
      if (was !== is) this.#recount(at * 32, was, is);
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

  /** A free piece of which few copies are known; undefined: the peer has none. */
  rarest(random: Random, wanted: Wanted): number | undefined {
    const free = this.#free.words;
    const theirs = wanted.have === "whole" ? undefined : wanted.have.words;
    const but = wanted.unseenBut?.words;
    const search = this.#search;
    search.start = Math.floor(random.next() * this.pieces);
    [search.best, search.fewest, search.seen] = [undefined, Infinity, 0];
    let at = search.start >>> 5;
    for (let turn = 0; turn < free.length; turn++, at++) {
      if (at === free.length) at = 0;
      let word = (free[at] ?? 0) & (theirs === undefined ? -1 : (theirs[at] ?? 0));
      if (but !== undefined) word &= ~((but[at] ?? 0) | (this.#seen.words[at] ?? 0));
      if (word !== 0 && this.#lookInto(word, at, wanted)) break;
    }
    return search.best;
  }

  /** Whether enough has been seen. */
  #lookInto(word: number, at: number, { sample, limit, except }: Wanted): boolean {
    const search = this.#search;
    for (let step = 0; step < 32; step++) {
      // Within each word in another order each time: not everybody shall begin with the same piece.
      const place = (search.start ^ step) & 31;
      const piece = at * 32 + place;
      if (!isInWord(word, place) || piece >= limit || piece === except) continue;
      const copies = this.copies(piece);
      if (copies < search.fewest) [search.best, search.fewest, search.ties] = [piece, copies, 1];
      else if (copies === search.fewest) {
        search.ties++;
        search.luck = (Math.imul(search.luck, 1664525) + 1013904223) >>> 0;
        if (search.luck * search.ties < 2 ** 32) search.best = piece;
      }
      if (++search.seen >= sample || search.fewest === 0) return true;
    }
    return false;
  }

  /** Free pieces in order that no unfinished peer has, at most `count`, from `from`, below `limit`. */
  unseen(count: number, limit: number, from = this.next): number[] {
    const [free, seen] = [this.#free.words, this.#seen.words];
    const found: number[] = [];
    for (let at = from >>> 5; at < free.length; at++) {
      const word = (free[at] ?? 0) & ~(seen[at] ?? 0);
      for (let place = 0; word !== 0 && place < 32; place++) {
        if (!isInWord(word, place) || at * 32 + place < from) continue;
        if (found.length >= count || at * 32 + place >= limit) return found;
        found.push(at * 32 + place);
      }
    }
    return found;
  }

  /** Whether there are free pieces that no unfinished peer has, beside these. */
  hasUnseen(but: PieceMap): boolean {
    const [free, seen] = [this.#free.words, this.#seen.words];
    for (let at = this.next >>> 5; at < free.length; at++) {
      if (((free[at] ?? 0) & ~((seen[at] ?? 0) | (but.words[at] ?? 0))) !== 0) return true;
    }
    return false;
  }

  #recount(first: number, was: number, is: number): void {
    for (let differing = was ^ is; differing !== 0;) {
      const place = someInWord(differing);
      differing ^= wordOf(place);
      const has = isInWord(is, place);
      const piece = first + place;
      const copies = this.copies(piece) + (has ? 1 : -1);
      this.#copies[piece] = copies;
      if (copies === 0) this.#seen.remove(piece);
      else if (copies === 1 && has) this.#seen.add(piece);
    }
  }

  #makeFree(piece: number): void {
    if (this.#free.add(piece) && this.#freed.length <= mostFreed) this.#freed.push(piece);
  }
}
