/**
 * Which pieces of peers are kept: by the lists that are told, by claims where there is none, and what
 * is to be thought of it when another list turns out to be better.
 */
import { Deliveries, type TransferRecord } from "./blame.ts";
import { mirrorSource, type Core } from "./core.ts";
import type { Flight } from "./flight.ts";
import { PieceLists, type Digest, type PieceList } from "./piece-lists.ts";
import { pieceEnd } from "./shape.ts";

/** What follows from it. */
export interface BeliefEvents {
  /** A piece of a peer is kept. */
  readonly kept: (flight: Flight, piece: number) => void;
  /** It is something else than is believed. */
  readonly wrong: (flight: Flight, piece: number, digest: Digest) => void;
  /** The mirror says otherwise than the list that this peer told. */
  readonly refuted: (teller: string) => void;
  /** Another list is believed than before, or none: who contradicted that one may have been right. */
  readonly switched: (expected: (piece: number) => Digest | undefined) => void;
  /** The first byte in order that has not been handed on. */
  readonly position: () => number;
}

export class Belief {
  readonly deliveries: Deliveries;
  readonly #core: Core;
  readonly #events: BeliefEvents;
  readonly #lists: PieceLists;
  readonly #startedMs: number;
  /** When the first list came; which one is believed is decided a moment later. */
  #firstListMs: number | undefined;
  #decided: boolean;
  /** Pieces that came before. */
  readonly #unjudged = new Map<number, { readonly digest: Digest; readonly flight: Flight }>();
  #lost: number[] = [];

  /** `sha256`: of the file, which is what the only piece of a short one must be. */
  constructor(core: Core, sha256: Digest, events: BeliefEvents) {
    this.#core = core;
    this.#events = events;
    const { pieces } = core.shape;
    this.deliveries = new Deliveries(pieces);
    this.#lists = new PieceLists(pieces);
    if (pieces === 1) this.#lists.firstHand(0, sha256);
    this.#decided = pieces === 1;
    this.#startedMs = core.clock.monotonicMs();
  }

  get hasList(): boolean {
    return this.#lists.hasList;
  }

  /** Another list would tell something. */
  get wantsLists(): boolean {
    return this.#core.shape.pieces > 1 && this.#lists.agreement < 2;
  }

  /** False: it is refused. */
  add(teller: string, group: string, list: PieceList): boolean {
    const { counters, clock } = this.#core;
    if (!this.#lists.add(teller, group, list)) {
      counters.add("swarm.lists.refused");
      return false;
    }
    counters.add("swarm.lists.taken");
    this.#firstListMs ??= clock.monotonicMs();
    if (this.#decided) this.#choose();
    else this.decide();
    return true;
  }

  /** What a peer says of the pieces that it is about to send; false: the list in use says otherwise. */
  claims(group: string, first: number, digests: readonly Digest[]): boolean {
    for (const [index, digest] of digests.entries()) {
      const piece = first + index;
      const expected = this.#lists.expected(piece);
      if (expected !== undefined && expected !== digest && this.#lists.hasList) {
        this.#core.counters.add("swarm.claims.contradicting");
        return false;
      }
      this.#lists.claim(group, piece, digest);
    }
    return true;
  }

  /** The mirror sent it. */
  firstHand(piece: number, digest: Digest): void {
    if (!this.#lists.firstHand(piece, digest)) return;
    this.#core.counters.add("swarm.lists.refuted");
    for (const teller of this.#lists.refutedTellers()) this.#events.refuted(teller);
    this.#choose();
  }

  /** A piece of a peer → whether it is kept; `wait`: that is decided later. */
  judge(flight: Flight, piece: number, digest: Digest): "kept" | "dropped" | "wait" {
    const { picker } = this.#core;
    if (!this.#decided) {
      // It stays under way, as it were: nobody else is asked for it meanwhile.
      this.#unjudged.set(piece, { digest, flight });
      this.decide();
      if (this.#unjudged.has(piece)) return "wait";
      return picker.held.has(piece) ? "kept" : "dropped";
    }
    return this.#settle(flight, piece, digest) ? "kept" : "dropped";
  }

  /**
   * Which list is believed first: one that two tell, or the best one when nobody else is asked or a
   * moment has passed. Without any list the peers' claims must do, and the whole digest in the end.
   */
  decide(): void {
    if (this.#decided) return;
    const { clock, policy, book, shape, port } = this.#core;
    const waitedMs = clock.monotonicMs() - (this.#firstListMs ?? this.#startedMs);
    const agreed = this.#lists.agreement >= 2;
    // A peer that has to read the file for its list needs a while for a long one.
    const readingMs = (shape.sizeBytes * 1000) / policy.readRate;
    const first = this.#firstListMs === undefined;
    const enoughMs = first ? 5 * policy.listPatienceMs + readingMs : policy.listPatienceMs;
    if (!agreed && book.listsOutstanding && waitedMs < enoughMs) return;
    // Nobody has been asked yet: the first peer may still come.
    if (!agreed && first && this.#unjudged.size === 0) return;
    this.#decided = true;
    this.#choose();
    const waiting = [...this.#unjudged];
    this.#unjudged.clear();
    for (const [piece, { digest, flight }] of waiting) {
      port.judged(piece, this.#settle(flight, piece, digest));
    }
  }

  /** A piece is held, however it came: claims about it are not needed any more. */
  held(piece: number): void {
    this.#lists.settle(piece);
  }

  /** Held pieces that must be forgotten: another list is in use now. Emptied by the call. */
  takeLost(): readonly number[] {
    const lost = this.#lost;
    this.#lost = [];
    return lost;
  }

  record(): TransferRecord {
    const { book } = this.#core;
    return this.deliveries.record([...this.#lists.told()], (key) => book.get(key));
  }

  /** Whether it is kept. */
  #settle(flight: Flight, piece: number, digest: Digest): boolean {
    const { picker } = this.#core;
    picker.gaveUp(piece);
    if (picker.held.has(piece)) return false;
    if (!this.#believes(flight, piece, digest)) {
      this.deliveries.refused({ piece, digest, source: flight.source });
      this.#events.wrong(flight, piece, digest);
      return false;
    }
    this.deliveries.keep(piece, { source: flight.source, digest });
    this.#events.kept(flight, piece);
    return true;
  }

  /** Where nobody has said anything of it, the piece speaks for itself. */
  #believes({ source }: Flight, piece: number, digest: Digest): boolean {
    const expected = this.#lists.expected(piece);
    if (expected !== undefined) return expected === digest;
    this.#lists.claim(this.#core.book.get(source)?.info.group ?? source, piece, digest);
    return true;
  }

  /** With another list, what was kept by the old one and not handed on is looked at again. */
  #choose(): void {
    const { shape, picker, counters } = this.#core;
    const position = this.#events.position();
    const handedOn = new Map<number, Digest>();
    for (const [piece, { source, digest }] of this.deliveries.kept()) {
      const done = pieceEnd(shape, piece) <= position;
      if (done && digest !== undefined && source !== mirrorSource) handedOn.set(piece, digest);
    }
    if (!this.#lists.choose(handedOn)) return;
    for (const [piece, { digest }] of this.deliveries.kept()) {
      if (handedOn.has(piece) || digest === undefined || !picker.held.has(piece)) continue;
      const expected = this.#lists.expected(piece);
      if (expected === undefined || expected === digest) continue;
      if (pieceEnd(shape, piece) <= position) continue;
      counters.add("swarm.pieces.reconsidered");
      this.deliveries.reconsidered(piece);
      picker.lose(piece);
      this.#lost.push(piece);
    }
    this.#events.switched((piece) => this.#lists.expected(piece));
  }
}
