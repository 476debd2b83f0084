/**
 * Who of a crowd gets which piece from the mirror. Slurpie lets each member go there with probability
 * 3/n; a coin leaves the mirror idle at times and sends two for one piece at others. Here each member
 * has a random number that all others know, and the piece decides: of the first pieces that nobody has
 * each belongs to the member whose number mixes best with it. So about as many go as with the coin, each
 * for another piece, and nobody needs to be told.
 *
 * A piece that does not come, because its member has left, is slow or lies, belongs to another one after
 * a while. Whoever sees another part of the crowd may think that a piece is its own as well: then two
 * fetch it, as with the coin. As long as numbers are unknown, as at the start, only a number that would be
 * expected to be the best of all counts: so that of many who know nothing of each other one goes.
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

/** The other members. */
export interface Others {
  readonly tickets: readonly number[];
  /** Those whose number is not known yet. */
  readonly unknown: number;
}

/** What the decision is made on. */
export interface TurnsView {
  readonly nowMs: number;
  readonly others: () => Others;
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
    let known: Others | undefined;
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
      known ??= others();
      if (this.#isMine(piece, turn.epoch, known)) chosen = piece;
    }
    return chosen;
  }

  #isMine(piece: number, epoch: number, { tickets, unknown }: Others): boolean {
    const salt = Math.imul(piece + 1, 0x9e3779b1) ^ Math.imul(epoch + 1, 0x85ebca6b);
    const own = mixed(this.#own ^ salt);
    if (own >= 2 ** 32 / (unknown + 1)) return false;
    return tickets.every((other) => mixed(other ^ salt) >= own);
  }
}

/** Every bit of the result depends on every bit of the number (the finalizer of MurmurHash3). */
export function mixed(number: number): number {
  let h = number;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
