/**
 * Which peer is asked for which pieces: in order as far as the reader needs them soon, behind that the
 * rarest; of each peer as much as it is fast; and twice only what would come too late.
 */
import type { Core } from "./core.ts";
import type { Flights } from "./flights.ts";
import { SeedTurns } from "./mirror-turns.ts";
import type { Peer } from "./peer.ts";
import { pieceAt, pieceLength } from "./shape.ts";

/** Without anything for so long a member asks seeds also for what others have. */
const seedIdleMs = 500;

export interface RequestsView {
  /** A reader wants the file in order. */
  readonly sequential: boolean;
  /** Pieces from this one on cannot be kept now. */
  readonly limit: number;
  /** Next byte that is not here in order. */
  readonly position: number;
  readonly crowd: number;
  /** For how long no piece has been kept. */
  readonly idleMs: number;
}

export class Requests {
  readonly #core: Core;
  readonly #flights: Flights;
  readonly #shares: SeedTurns;
  /** Seeds are few beside the crowd: each piece is asked of them by one member. */
  #sharing = false;
  #view: RequestsView;
  #ready: Peer[] = [];

  constructor(core: Core, flights: Flights, ticket: number) {
    this.#core = core;
    this.#flights = flights;
    this.#shares = new SeedTurns(ticket, core.shape.pieces);
    this.#view = { sequential: false, limit: 0, position: 0, crowd: 1, idleMs: 0 };
  }

  /** Asks for as much as is useful now. */
  ask(view: RequestsView): void {
    const { book, picker, policy, clock } = this.#core;
    const nowMs = clock.monotonicMs();
    this.#view = view;
    this.#sharing = view.crowd > policy.crowd && 4 * book.seeds < view.crowd;
    if (this.#sharing) this.#renewShares(nowMs);
    let room = this.#budget(nowMs) - this.#flights.pieces.length;
    this.#ready = book.ready(nowMs);
    while (room > 0 && this.#ready.length > 0 && picker.freeCount > 0) {
      const count = this.#askOne(nowMs);
      if (count === 0) break;
      room -= count;
    }
    this.#hedge(nowMs);
  }

  /** How many pieces may be under way. */
  #budget(nowMs: number): number {
    const { book, policy } = this.#core;
    const { ms, fewest, most } = policy.ahead;
    const bytes = ((book.rate(nowMs) ?? 0) * ms) / 1000;
    return Math.min(most, Math.max(fewest, Math.ceil(bytes / this.#flights.pieceBytes)));
  }

  #renewShares(nowMs: number): void {
    const { book, picker, shape } = this.#core;
    this.#shares.renew(nowMs, () => ({
      tickets: book.tickets(nowMs),
      unseen: picker.unseen(1, shape.pieces).length,
    }));
  }

  /** Whether a peer is to be asked for a piece that it has. */
  readonly #gives = (peer: Peer, piece: number): boolean => {
    const { picker, mirror } = this.#core;
    if (!peer.has(piece)) return false;
    // What the mirror's stream is about to bring is not asked for beside it.
    if (mirror.streaming && piece === pieceAt(this.#view.position)) return false;
    if (!this.#sharing || peer.have !== "whole") return true;
    // Of a seed only what no member has, as long as there is such; of that our share.
    const { idleMs } = this.#view;
    if (picker.copies(piece) === 0) return this.#shares.mine(piece, idleMs);
    return this.#shares.exhausted || idleMs >= seedIdleMs;
  };

  /** One more request → its pieces; 0: nobody has anything for us. */
  #askOne(nowMs: number): number {
    const { book, policy, picker, random } = this.#core;
    const { sequential, limit } = this.#view;
    if (sequential) {
      const any = (piece: number): boolean => this.#ready.some((peer) => this.#gives(peer, piece));
      const piece = picker.inOrder(policy.windowPieces, limit, any);
      const peer =
        piece === undefined ? undefined : book.choose(this.#ready, piece, nowMs, this.#gives);
      if (piece !== undefined && peer !== undefined) return this.#begin(peer, piece, nowMs);
    }
    while (this.#ready.length > 0) {
      const peer = book.cheapest(this.#ready, nowMs);
      const has = (piece: number): boolean => this.#gives(peer, piece);
      const piece = picker.rarest(random, { sample: policy.sampledPieces, limit, has });
      if (piece !== undefined) {
        const other = book.choose(this.#ready, piece, nowMs, this.#gives) ?? peer;
        return this.#begin(other, piece, nowMs);
      }
      this.#ready.splice(this.#ready.indexOf(peer), 1);
    }
    return 0;
  }

  #begin(peer: Peer, piece: number, nowMs: number): number {
    const { policy, picker } = this.#core;
    const rate = peer.meter.rate ?? 0;
    const wanted = Math.floor((rate * policy.requestMs) / 1000 / this.#flights.pieceBytes);
    const most = Math.min(policy.requestPieces, Math.max(1, wanted));
    const mayFollow = (next: number): boolean =>
      next < this.#view.limit && picker.isFree(next) && this.#gives(peer, next);
    let count = 1;
    while (count < most && mayFollow(piece + count)) count++;
    this.#flights.begin({ source: peer.key, piece, count });
    if (!peer.ready(policy, nowMs)) this.#ready.splice(this.#ready.indexOf(peer), 1);
    return count;
  }

  /** The next piece of a waiting reader, or the last ones: asked elsewhere too if that is sooner. */
  #hedge(nowMs: number): void {
    const { picker, policy, shape } = this.#core;
    const allowed = Math.max(2 * this.#flights.pieceBytes, policy.duplicateShare * shape.sizeBytes);
    const pieces = this.#view.sequential ? [picker.next] : [];
    if (picker.freeCount === 0) pieces.push(...this.#flights.pieces);
    for (const piece of pieces) {
      if (picker.flights(piece) !== 1) continue;
      if (this.#flights.spareBytes >= allowed) return;
      this.#hedgePiece(piece, nowMs);
    }
  }

  #hedgePiece(piece: number, nowMs: number): void {
    const { book, policy, shape, counters } = this.#core;
    const flight = this.#flights.holderOf(piece);
    const holder = flight === undefined ? undefined : book.get(flight.source);
    if (flight === undefined || holder === undefined) return;
    const leftMs = this.#flights.dueMs(flight, piece) - nowMs;
    const dueMs = Math.max(leftMs, nowMs - flight.lastMs);
    const ready = book
      .ready(nowMs)
      .filter((peer) => peer !== holder && peer.has(piece) && peer.keptPieces > 0);
    const other = book.choose(ready, piece, nowMs);
    if (other === undefined) return;
    const otherMs = other.expectedMs(pieceLength(shape, piece), policy, nowMs);
    if (otherMs * policy.hedgeFactor > dueMs || dueMs - otherMs < policy.hedgeGainMs) return;
    counters.add("swarm.requests.hedged");
    this.#flights.begin({ source: other.key, piece, count: 1 });
  }
}
