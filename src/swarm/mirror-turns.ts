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
      const turn = this.#turns.get(piece) ?? { sinceMs: nowMs, epoch: 0 };
      this.#turns.set(piece, turn);
      if (claimed(piece)) {
        turn.sinceMs = nowMs;
        continue;
      }
      if (nowMs - turn.sinceMs >= turnMs) {
        turn.sinceMs = nowMs;
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

/** How often it is looked who else is there. */
const renewMs = 500;

/**
 * The same for seeds: what no other member has, each asks of them only for its own share, as long as
 * there is something else to do. So a seed sends each piece about once, and members give it to each
 * other. Who gets nothing for a while takes the share of one more, and so on.
 */
export class SeedTurns {
  readonly #own: number;
  /** How many others come before us with each piece, as far as it was computed; see `#rankOf`. */
  readonly #rank: Uint8Array;
  /** Of which look at the others each number is. */
  readonly #rankLook: Uint16Array;
  #look = 0;
  #tickets: readonly number[] = [];
  #renewedMs = -Infinity;
  #exhausted = false;

  constructor(own: number, pieces: number) {
    this.#own = own;
    this.#rank = new Uint8Array(pieces);
    this.#rankLook = new Uint16Array(pieces);
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
    if (this.#look > 0 && tickets.length === this.#tickets.length) return;
    this.#tickets = tickets;
    this.#look++;
    if (this.#look <= mostLooks) return;
    this.#look = 1;
    this.#rankLook.fill(0);
  }

  /** No piece is left that no member has. */
  get exhausted(): boolean {
    return this.#exhausted;
  }

  /** `idleMs`: for how long nothing has come. */
  mine(piece: number, idleMs: number): boolean {
    const patience = idleMs < idleStepMs ? 0 : 2 ** Math.floor(idleMs / idleStepMs);
    return this.#rankOf(piece) <= patience;
  }

  /** Most pieces are never asked about between two looks: it is computed when it is needed. */
  #rankOf(piece: number): number {
    if (this.#rankLook[piece] === this.#look) return this.#rank[piece] ?? 0;
    const salt = Math.imul(piece + 1, 0x9e3779b1);
    const own = mixed(this.#own ^ salt);
    let rank = 0;
    for (const ticket of this.#tickets) if (mixed(ticket ^ salt) < own) rank++;
    this.#rankLook[piece] = this.#look;
    this.#rank[piece] = rank = Math.min(255, rank);
    return rank;
  }
}

/** As many looks can be told from each other. */
const mostLooks = 0xffff;
const idleStepMs = 500;

/** Every bit of the result depends on every bit of the number (the finalizer of MurmurHash3). */
function mixed(number: number): number {
  let h = number;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
