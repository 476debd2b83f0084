/**
 * Which pieces of a file somebody has: one bit a piece, the first piece in the highest bit of the first
 * byte (as in BEP 3). Kept in words of 32 bits, so that whole maps can be compared and searched quickly.
 */

/** Where a piece stands in its word, exclusive-or-ed: within bytes the first is the highest bit. */
const flip = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1 ? 7 : 31;

export class PieceMap {
  readonly pieces: number;
  readonly #words: Uint32Array;
  #count = 0;

  constructor(pieces: number) {
    this.pieces = pieces;
    this.#words = new Uint32Array(Math.ceil(pieces / 32));
  }

  static full(pieces: number): PieceMap {
    const map = new PieceMap(pieces);
    for (let piece = 0; piece < pieces; piece++) map.add(piece);
    return map;
  }

  /** What is in one of these maps at least, all of so many pieces; one alone is given back itself. */
  static union(pieces: number, maps: readonly PieceMap[]): PieceMap {
    const [first] = maps;
    if (first !== undefined && maps.length === 1) return first;
    const union = new PieceMap(pieces);
    for (const map of maps) {
      for (let piece = map.first(0); piece < pieces; piece = map.first(piece + 1)) union.add(piece);
    }
    return union;
  }

  /** undefined: of another length, or with bits beyond the last piece. The bytes are copied. */
  static parse(bytes: Uint8Array, pieces: number): PieceMap | undefined {
    if (bytes.length !== Math.ceil(pieces / 8)) return undefined;
    const spare = bytes.length * 8 - pieces;
    if (spare > 0 && ((bytes.at(-1) ?? 0) & ((1 << spare) - 1)) !== 0) return undefined;
    const map = new PieceMap(pieces);
    map.bytes.set(bytes);
    for (const byte of bytes) map.#count += ones[byte] ?? 0;
    return map;
  }

  /** How many are had. */
  get count(): number {
    return this.#count;
  }

  get whole(): boolean {
    return this.#count === this.pieces;
  }

  has(piece: number): boolean {
    return (((this.#words[piece >>> 5] ?? 0) >>> ((piece & 31) ^ flip)) & 1) !== 0;
  }

  /** False: it was there already. */
  add(piece: number): boolean {
    if (piece >= this.pieces || this.has(piece)) return false;
    const at = piece >>> 5;
    this.#words[at] = (this.#words[at] ?? 0) | bitOf(piece);
    this.#count++;
    return true;
  }

  remove(piece: number): boolean {
    if (!this.has(piece)) return false;
    const at = piece >>> 5;
    this.#words[at] = (this.#words[at] ?? 0) & ~bitOf(piece);
    this.#count--;
    return true;
  }

  /** The first piece from `from` on that is not had; `pieces` if there is none. */
  firstMissing(from: number): number {
    let piece = from;
    while (piece < this.pieces && this.has(piece)) {
      piece += (piece & 31) === 0 && this.#words[piece >>> 5] === allOnes ? 32 : 1;
    }
    return Math.min(piece, this.pieces);
  }

  /** The first piece from `from` on that is had; `pieces` if there is none. */
  first(from: number): number {
    let piece = from;
    while (piece < this.pieces && !this.has(piece)) {
      piece += (piece & 31) === 0 && this.#words[piece >>> 5] === 0 ? 32 : 1;
    }
    return Math.min(piece, this.pieces);
  }

  copy(): PieceMap {
    const map = new PieceMap(this.pieces);
    map.#words.set(this.#words);
    map.#count = this.#count;
    return map;
  }

  /** The bits themselves: to be read, not to be kept. */
  get bytes(): Uint8Array {
    return new Uint8Array(this.#words.buffer, 0, Math.ceil(this.pieces / 8));
  }

  /** The same by 32 pieces: to be compared with words of other maps; see `isInWord`. */
  get words(): Readonly<Uint32Array> {
    return this.#words;
  }
}

const allOnes = 0xffffffff;

function bitOf(piece: number): number {
  return wordOf(piece & 31);
}

/** A word with one piece at this place. */
export function wordOf(place: number): number {
  return 1 << (place ^ flip);
}

/** Whether the piece with this place among its 32 is in a word of a map. */
export function isInWord(word: number, place: number): boolean {
  return ((word >>> (place ^ flip)) & 1) !== 0;
}

/** Some place in a word of maps at which a piece is; the word must not be 0. */
export function someInWord(word: number): number {
  return (31 - Math.clz32(word)) ^ flip;
}

const ones = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0;
  for (let rest = byte; rest > 0; rest >>= 1) count += rest & 1;
  return count;
});
