/** Which pieces of a file somebody has. */

export class PieceMap {
  readonly pieces: number;
  /** One bit a piece, the first piece in the highest bit of the first byte (as in BEP 3). */
  readonly #bits: Uint8Array;
  #count = 0;

  constructor(pieces: number) {
    this.pieces = pieces;
    this.#bits = new Uint8Array(Math.ceil(pieces / 8));
  }

  static full(pieces: number): PieceMap {
    const map = new PieceMap(pieces);
    for (let piece = 0; piece < pieces; piece++) map.add(piece);
    return map;
  }

  /** undefined: of another length, or with bits beyond the last piece. The bytes are copied. */
  static parse(bytes: Uint8Array, pieces: number): PieceMap | undefined {
    const map = new PieceMap(pieces);
    if (bytes.length !== map.#bits.length) return undefined;
    const spare = bytes.length * 8 - pieces;
    if (spare > 0 && ((bytes.at(-1) ?? 0) & ((1 << spare) - 1)) !== 0) return undefined;
    map.#bits.set(bytes);
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
    return ((this.#bits[piece >> 3] ?? 0) & (0x80 >> (piece & 7))) !== 0;
  }

  /** False: it was there already. */
  add(piece: number): boolean {
    if (this.has(piece) || piece >= this.pieces) return false;
    const at = piece >> 3;
    this.#bits[at] = (this.#bits[at] ?? 0) | (0x80 >> (piece & 7));
    this.#count++;
    return true;
  }

  remove(piece: number): boolean {
    if (!this.has(piece)) return false;
    const at = piece >> 3;
    this.#bits[at] = (this.#bits[at] ?? 0) & ~(0x80 >> (piece & 7));
    this.#count--;
    return true;
  }

  /** The first piece from `from` on that is not had; `pieces` if there is none. */
  firstMissing(from: number): number {
    let piece = from;
    while (piece < this.pieces && this.has(piece)) {
      piece += (piece & 7) === 0 && this.#bits[piece >> 3] === 0xff ? 8 : 1;
    }
    return Math.min(piece, this.pieces);
  }

  /** The first piece from `from` on that is had; `pieces` if there is none. */
  first(from: number): number {
    let piece = from;
    while (piece < this.pieces && !this.has(piece)) {
      piece += (piece & 7) === 0 && this.#bits[piece >> 3] === 0 ? 8 : 1;
    }
    return Math.min(piece, this.pieces);
  }

  copy(): PieceMap {
    const map = new PieceMap(this.pieces);
    map.#bits.set(this.#bits);
    map.#count = this.#count;
    return map;
  }

  /** The bits themselves: to be read, not to be kept. */
  get bytes(): Uint8Array {
    return this.#bits;
  }
}

const ones = Uint8Array.from({ length: 256 }, (_, byte) => {
  let count = 0;
  for (let rest = byte; rest > 0; rest >>= 1) count += rest & 1;
  return count;
});
