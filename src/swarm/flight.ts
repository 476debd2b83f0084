/** A request under way. */
import type { Digest } from "./piece-lists.ts";
import { pieceEnd, pieceLength, pieceStart, type Shape } from "./shape.ts";
import type { PieceRequest } from "./types.ts";

export class Flight implements PieceRequest {
  readonly source: string;
  readonly piece: number;
  readonly count: number;
  readonly unsown: boolean;
  readonly startedMs: number;
  readonly #shape: Shape;
  /** Bytes of it that have come. */
  receivedBytes = 0;
  /** Pieces of it that are whole. */
  donePieces = 0;
  headMs: number | undefined;
  /** What the peer says that the pieces are. */
  claims: readonly Digest[] = [];
  lastMs: number;

  constructor(request: PieceRequest, shape: Shape, nowMs: number) {
    this.source = request.source;
    this.piece = request.piece;
    this.count = request.count;
    this.unsown = request.unsown === true;
    this.#shape = shape;
    this.startedMs = nowMs;
    this.lastMs = nowMs;
  }

  get bytes(): number {
    return pieceEnd(this.#shape, this.piece + this.count - 1) - pieceStart(this.piece);
  }

  get leftBytes(): number {
    return Math.max(0, this.bytes - this.receivedBytes);
  }

  /** What is still to come before this piece of it is whole. */
  leftBefore(piece: number): number {
    return Math.max(0, pieceEnd(this.#shape, piece) - pieceStart(this.piece) - this.receivedBytes);
  }

  covers(piece: number): boolean {
    return piece >= this.piece + this.donePieces && piece < this.piece + this.count;
  }

  /** Bytes of pieces that are not whole: lost if it ends now. */
  get looseBytes(): number {
    let whole = 0;
    for (let done = 0; done < this.donePieces; done++) {
      whole += pieceLength(this.#shape, this.piece + done);
    }
    return Math.max(0, this.receivedBytes - whole);
  }
}
