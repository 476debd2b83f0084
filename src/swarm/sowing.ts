/**
 * What a seed has given of one file to a crowd. A member that wants to be the first to get a piece is
 * refused what was given before, and told all of it: so the seed sends each piece about once while
 * there are others, however large the crowd, and members give it to each other (as super-seeding,
 * BEP 16; but here the members choose).
 *
 * When everything has been given a new round begins: what members lost by then is given again.
 */
import { PieceMap } from "./piece-map.ts";

/** So long after the last question the crowd is over, and what it got is forgotten. */
const crowdMs = 60_000;

export class Sowing {
  #sown: PieceMap;
  #round = 0;
  #askedMs = -Infinity;

  constructor(pieces: number) {
    this.#sown = new PieceMap(pieces);
  }

  /** What was given in this round, or is being given. Not to be changed. */
  get sown(): PieceMap {
    return this.#sown;
  }

  /**
   * Takes pieces [piece, piece + count) for sown → a function that takes back those from the
   * `done`th on, which did not get there; undefined: one of them is sown.
   */
  sow(piece: number, count: number, nowMs: number): ((done: number) => void) | undefined {
    if (nowMs - this.#askedMs > crowdMs) this.#begin();
    this.#askedMs = nowMs;
    for (let at = piece; at < piece + count; at++) if (this.#sown.has(at)) return undefined;
    for (let at = piece; at < piece + count; at++) this.#sown.add(at);
    const round = this.#round;
    if (this.#sown.whole) this.#begin();
    return (done) => {
      if (round !== this.#round) return;
      for (let at = piece + done; at < piece + count; at++) this.#sown.remove(at);
    };
  }

  #begin(): void {
    this.#round++;
    this.#sown = new PieceMap(this.#sown.pieces);
  }
}
