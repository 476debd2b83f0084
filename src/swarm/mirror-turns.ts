/**
 * Who of a crowd gets which piece from the mirror. Slurpie lets each member go there with probability
 * 3/n; a coin leaves the mirror idle at times and sends two for one piece at others. Here each member
 * has a random number that all others know, and the piece decides: of the first pieces that nobody has
 * each belongs to the member whose number mixes best with it. So about as many go as with the coin, each
 * for another piece, and nobody needs to be told.
 *
 * A piece that does not come, because its member has left, is slow or lies, belongs to another one after
 * a while. Whoever sees another part of the crowd may think that a piece is its own as well: then two
 * fetch it, as with the coin.
 */

/** How long a piece belongs to one member that does not say that it is getting it. */
const turnMs = 2500;
/** How long after one that said so, does not any more, and has not told that it has it. */
const afterMs = 750;

interface Turn {
  /** Since when nobody is known to be getting it. */
  sinceMs: number;
  /** So long after that it is another one's. */
  forMs: number;
  epoch: number;
}

/** What the decision is made on. */
export interface TurnsView {
  readonly nowMs: number;
  /** The numbers of the other members. */
  readonly others: () => readonly number[];
  /** Whether a member says that it is getting a piece. */
  readonly claimed: (piece: number) => boolean;
}

export class MirrorTurns {
  readonly #own: number;
  readonly #turns = new Map<number, Turn>();

  /** `own`: 0 to 2^32 - 1, as others are told. */
  constructor(own: number) {
    this.#own = own;
  }

  /** The first of these pieces that is ours to get. */
  mine(pieces: readonly number[], { nowMs, others, claimed }: TurnsView): number | undefined {
    for (const piece of this.#turns.keys()) if (!pieces.includes(piece)) this.#turns.delete(piece);
    let tickets: readonly number[] | undefined;
    let chosen: number | undefined;
    for (const piece of pieces) {
      const turn = this.#turns.get(piece) ?? { sinceMs: nowMs, forMs: turnMs, epoch: 0 };
      this.#turns.set(piece, turn);
      if (claimed(piece)) {
        [turn.sinceMs, turn.forMs] = [nowMs, afterMs];
        continue;
      }
      if (nowMs - turn.sinceMs >= turn.forMs) {
        [turn.sinceMs, turn.forMs] = [nowMs, turnMs];
        turn.epoch++;
      }
      if (chosen !== undefined) continue;
      tickets ??= others();
      if (this.#isMine(piece, turn.epoch, tickets)) chosen = piece;
    }
    return chosen;
  }

  #isMine(piece: number, epoch: number, others: readonly number[]): boolean {
    const salt = Math.imul(piece + 1, 0x9e3779b1) ^ Math.imul(epoch + 1, 0x85ebca6b);
    const own = mixed(this.#own ^ salt);
    for (const other of others) if (mixed(other ^ salt) < own) return false;
    return true;
  }
}

/** Every bit of the result depends on every bit of the number (the finalizer of MurmurHash3). */
export function mixed(number: number): number {
  let h = number;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
