/**
 * Bytes of a request as they come, cut at piece boundaries and hashed. A chunk is never copied: a
 * piece is the list of its chunks.
 */
import type { Hasher, Hashes } from "../base/ports.ts";
import { pieceLength, type Shape } from "../swarm/shape.ts";
import type { PieceRequest } from "../swarm/types.ts";

export interface WholePiece {
  readonly piece: number;
  readonly chunks: readonly Buffer[];
  /** SHA-256 as 64 hexadecimal digits. */
  readonly digest: string;
}

export class PieceIntake {
  readonly #hashes: Hashes;
  readonly #shape: Shape;
  readonly #end: number;
  #piece: number;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #hasher: Hasher;

  constructor(hashes: Hashes, shape: Shape, { piece, count }: PieceRequest) {
    this.#hashes = hashes;
    this.#shape = shape;
    this.#piece = piece;
    this.#end = piece + count;
    this.#hasher = hashes.start();
  }

  /** All pieces of the request are here. */
  get full(): boolean {
    return this.#piece >= this.#end;
  }

  /** Pieces that this chunk makes whole; bytes beyond the last of them are left out. */
  *take(chunk: Buffer): Generator<WholePiece, void, undefined> {
    let rest = chunk;
    while (rest.length > 0 && !this.full) {
      const left = pieceLength(this.#shape, this.#piece) - this.#bytes;
      const part = rest.length <= left ? rest : rest.subarray(0, left);
      rest = rest.subarray(part.length);
      this.#chunks.push(part);
      this.#bytes += part.length;
      this.#hasher.update(part);
      if (part.length === left) yield this.#finish();
    }
  }

  #finish(): WholePiece {
    const digest = Buffer.from(this.#hasher.digest()).toString("hex");
    const whole = { piece: this.#piece, chunks: this.#chunks, digest };
    this.#piece += 1;
    this.#chunks = [];
    this.#bytes = 0;
    this.#hasher = this.#hashes.start();
    return whole;
  }
}
