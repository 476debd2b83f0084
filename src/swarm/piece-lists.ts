/**
 * What the pieces of a file should be, by the word of people whom nobody knows.
 *
 * - Whole lists come from peers that have the file; claims about single pieces come with the pieces.
 *   A list counts as often as independent groups tell it, and every claim that agrees counts for it.
 * - What came from the mirror is first-hand: a list that contradicts it is out, with its tellers.
 * - Once a piece of the list in use has been handed on, another list is used only if it agrees with
 *   what was handed on: a mixture of two could never become the file.
 * - All of it is only a reason to go on. The proof is the digest of the whole.
 */

/** SHA-256 as 64 hexadecimal digits. */
export type Digest = string;

export interface PieceList {
  /** Digest of all hashes together: lists with one id are one list. */
  readonly id: Digest;
  /** One for each piece. */
  readonly hashes: readonly Digest[];
}

interface Candidate {
  readonly list: PieceList;
  readonly tellers: Set<string>;
  readonly groups: Set<string>;
  refuted: boolean;
}

/** More different lists than this are an attack: the later ones are not taken. */
const mostLists = 8;
/** Claims about one piece; each peer of a piece makes one. */
const mostClaims = 16;

export class PieceLists {
  readonly #pieces: number;
  readonly #candidates = new Map<Digest, Candidate>();
  /** Piece → digest → groups that say so. Only as long as there is no list. */
  readonly #claims = new Map<number, Map<Digest, Set<string>>>();
  readonly #firstHand = new Map<number, Digest>();
  #used: Candidate | undefined;

  constructor(pieces: number) {
    this.#pieces = pieces;
  }

  /** Whether some whole list is in use. */
  get hasList(): boolean {
    return this.#used !== undefined;
  }

  /** How many groups tell the list that most tell. */
  get agreement(): number {
    let most = 0;
    for (const { groups } of this.#candidates.values()) most = Math.max(most, groups.size);
    return most;
  }

  /** All that were told: for blame. */
  *told(): Iterable<{ readonly list: PieceList; readonly tellers: ReadonlySet<string> }> {
    yield* this.#candidates.values();
  }

  /** Who told a list that the mirror contradicts. */
  *refutedTellers(): Iterable<string> {
    for (const { refuted, tellers } of this.#candidates.values()) if (refuted) yield* tellers;
  }

  /** False: it has the wrong length, contradicts the mirror, or there are too many already. */
  add(teller: string, group: string, list: PieceList): boolean {
    if (list.hashes.length !== this.#pieces) return false;
    const known = this.#candidates.get(list.id);
    if (known === undefined && this.#candidates.size >= mostLists) return false;
    const candidate = known ?? {
      ...{ list, tellers: new Set<string>(), groups: new Set<string>() },
      refuted: [...this.#firstHand].some(([piece, digest]) => list.hashes[piece] !== digest),
    };
    this.#candidates.set(list.id, candidate);
    candidate.tellers.add(teller);
    candidate.groups.add(group);
    return !candidate.refuted;
  }

  /** A peer says what a piece of its copy is. */
  claim(group: string, piece: number, digest: Digest): void {
    if (this.hasList) return;
    const claims = this.#claims.get(piece) ?? new Map<Digest, Set<string>>();
    this.#claims.set(piece, claims);
    const groups = claims.get(digest) ?? new Set<string>();
    if (groups.size === 0 && claims.size >= mostClaims) return;
    claims.set(digest, groups.add(group));
  }

  /** The mirror sent this piece → whether the list in use was another opinion. */
  firstHand(piece: number, digest: Digest): boolean {
    this.#firstHand.set(piece, digest);
    for (const candidate of this.#candidates.values()) {
      if (candidate.list.hashes[piece] !== digest) candidate.refuted = true;
    }
    return this.#used?.refuted === true;
  }

  /**
   * Uses the list that most say, if it agrees with what was handed on → whether that is another one
   * than before. `handedOn`: digests by piece.
   */
  choose(handedOn: ReadonlyMap<number, Digest>): boolean {
    const fits = ({ list, refuted }: Candidate): boolean =>
      !refuted && [...handedOn].every(([piece, digest]) => list.hashes[piece] === digest);
    let best = this.#used?.refuted === false ? this.#used : undefined;
    for (const candidate of this.#candidates.values()) {
      const more = candidate.groups.size > (best?.groups.size ?? 0);
      if (candidate !== best && more && fits(candidate)) best = candidate;
    }
    if (best === this.#used) return false;
    this.#used = best;
    return true;
  }

  /** What a piece must be to be kept; undefined: nobody has said anything. */
  expected(piece: number): Digest | undefined {
    const first = this.#firstHand.get(piece);
    if (first !== undefined) return first;
    if (this.#used !== undefined) return this.#used.list.hashes[piece];
    let [best, most] = [undefined as Digest | undefined, 0];
    for (const [digest, groups] of this.#claims.get(piece) ?? []) {
      if (groups.size > most) [best, most] = [digest, groups.size];
    }
    return best;
  }

  /** Claims about it are not needed any more. */
  settle(piece: number): void {
    this.#claims.delete(piece);
  }
}
