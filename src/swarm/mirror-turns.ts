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

interface Turn {
  /** Since when nobody is known to be getting it. */
  sinceMs: number;
  epoch: number;
}

export class MirrorTurns {
  readonly #own: number;
  readonly #turns = new Map<number, Turn>();

  /** `own`: 0 to 2^32 - 1, as others are told. */
  constructor(own: number) {
    this.#own = own;
  }

  /** The first of these pieces that is ours to get; `claimed`: members say that they are getting it. */
  mine(
    pieces: readonly number[],
    others: readonly number[],
    { nowMs, claimed }: { readonly nowMs: number; readonly claimed: ReadonlySet<number> },
  ): number | undefined {
    for (const piece of this.#turns.keys()) if (!pieces.includes(piece)) this.#turns.delete(piece);
    let chosen: number | undefined;
    for (const piece of pieces) {
      const turn = this.#turns.get(piece) ?? { sinceMs: nowMs, epoch: 0 };
      this.#turns.set(piece, turn);
      if (claimed.has(piece)) {
        turn.sinceMs = nowMs;
        continue;
      }
      if (nowMs - turn.sinceMs >= turnMs) {
        turn.sinceMs = nowMs;
        turn.epoch++;
      }
      if (chosen === undefined && this.#isMine(piece, turn.epoch, others)) chosen = piece;
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

/** How often it is looked who else is there. */
const renewMs = 500;

/**
 * The same for seeds: what no other member has, each asks of them only for its own share, as long as
 * there is something else to do. So a seed sends each piece about once, and members give it to each
 * other. Who gets nothing for a while takes the share of one more, and so on.
 */
export class SeedTurns {
  readonly #own: number;
  readonly #pieces: number;
  /** How many others come before us with each piece. */
  readonly #rank: Uint8Array;
  #renewedMs = -Infinity;
  #known = -1;
  #exhausted = false;

  constructor(own: number, pieces: number) {
    this.#own = own;
    this.#pieces = pieces;
    this.#rank = new Uint8Array(pieces);
  }

  /** Looks who is there, if that is due. */
  renew(
    nowMs: number,
    look: () => { readonly tickets: readonly number[]; readonly unseen: number },
  ): void {
    if (nowMs - this.#renewedMs < renewMs) return;
    this.#renewedMs = nowMs;
    const { tickets, unseen } = look();
    this.#exhausted = unseen === 0;
    if (tickets.length === this.#known) return;
    this.#known = tickets.length;
    for (let piece = 0; piece < this.#pieces; piece++) {
      const salt = Math.imul(piece + 1, 0x9e3779b1);
      const own = mixed(this.#own ^ salt);
      let rank = 0;
      for (const ticket of tickets) if (mixed(ticket ^ salt) < own) rank++;
      this.#rank[piece] = Math.min(255, rank);
    }
  }

  /** No piece is left that no member has. */
  get exhausted(): boolean {
    return this.#exhausted;
  }

  /** `idleMs`: for how long nothing has come. */
  mine(piece: number, idleMs: number): boolean {
    const patience = idleMs < idleStepMs ? 0 : 2 ** Math.floor(idleMs / idleStepMs);
    return (this.#rank[piece] ?? 0) <= patience;
  }
}

const idleStepMs = 500;

/** Every bit of the result depends on every bit of the number (the finalizer of MurmurHash3). */
function mixed(number: number): number {
  let h = number;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
