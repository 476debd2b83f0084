/**
 * Bytes of a request as they come, put together to pieces and hashed. Chunks are copied: they may then
 * be small ones in memory that is used again, which costs far less than large ones to be kept.
 */
import type { Hashes } from "../base/ports.ts";
import { pieceEnd, pieceLength, pieceStart, type Shape } from "../swarm/shape.ts";
import type { PieceRequest } from "../swarm/types.ts";
import { givePieceBuffer, takePieceBuffer } from "./piece-buffers.ts";

export interface WholePiece {
  readonly piece: number;
  /** From `takePieceBuffer`. */
  readonly bytes: Buffer;
  /** SHA-256 as 64 hexadecimal digits. */
  readonly digest: string;
}

export class PieceIntake {
  readonly #hashes: Hashes;
  readonly #shape: Shape;
  readonly #end: number;
  #piece: number;
  #bytes: Buffer | undefined;
  #filledBytes = 0;

  constructor(hashes: Hashes, shape: Shape, { piece, count }: PieceRequest) {
    this.#hashes = hashes;
    this.#shape = shape;
    this.#piece = piece;
    this.#end = piece + count;
  }

  /** So many bytes are missing. */
  get leftBytes(): number {
    if (this.full) return 0;
    const here = pieceStart(this.#piece) + this.#filledBytes;
    return pieceEnd(this.#shape, this.#end - 1) - here;
  }

  /** All pieces of the request are here. */
  get full(): boolean {
    return this.#piece >= this.#end;
  }

  /** Pieces that this chunk makes whole; bytes beyond the last of them are left out. */
  *take(chunk: Buffer): Generator<WholePiece, void, undefined> {
    let rest = chunk;
    while (rest.length > 0 && !this.full) {
      this.#bytes ??= takePieceBuffer(pieceLength(this.#shape, this.#piece));
      const count = rest.copy(this.#bytes, this.#filledBytes);
      rest = rest.subarray(count);
      this.#filledBytes += count;
      if (this.#filledBytes === this.#bytes.length) yield this.#finish(this.#bytes);
    }
  }

  /** Nothing more comes. */
  close(): void {
    if (this.#bytes !== undefined) givePieceBuffer(this.#bytes);
    this.#bytes = undefined;
  }

  #finish(bytes: Buffer): WholePiece {
    const digest = Buffer.from(this.#hashes.of(bytes)).toString("hex");
    const whole = { piece: this.#piece, bytes, digest };
    this.#piece += 1;
    this.#bytes = undefined;
    this.#filledBytes = 0;
    return whole;
  }
}
