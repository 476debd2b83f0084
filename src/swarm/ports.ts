/** What one file's transfer needs done. The daemon does it over HTTP, the laboratory in virtual time. */
import type { PieceRequest } from "./types.ts";

export interface StateQuestion {
  /** Pieces that it had when it last told; undefined: it has not. */
  readonly seen: number | undefined;
  readonly waitMs: number;
  /** Whether it shall name others. */
  readonly names: boolean;
  /** It shall go on telling when its state changes, so often at most; undefined: once will do. */
  readonly everyMs?: number | undefined;
}

export interface TransferPort {
  /** Starts a request. Its events come back through `Transfer`: offered, progress, piece, ended. */
  fetch(request: PieceRequest): void;
  /** Ends it; nothing more is heard of it. */
  cancel(request: PieceRequest): void;
  /**
   * Asks a peer (endpoint text) for its state: at once, or when it has another number of pieces than
   * `seen`, after `waitMs` at the latest, or again and again. Answered by `peerState`, as often as it
   * tells, and then `answerEnded`; or by `peerFailed`.
   */
  askState(peer: string, question: StateQuestion): void;
  /** Asks for its list of piece hashes. Answered by `pieceList` or `peerFailed`. */
  askList(peer: string): void;
  /** A piece that had to wait is to be kept, or to be forgotten. */
  judged(piece: number, kept: boolean): void;
  /** Whoever waits for the next bytes, or runs the mirror's stream, looks again. */
  wake(): void;
}
