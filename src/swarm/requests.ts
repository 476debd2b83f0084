/**
 * Which peer is asked for which pieces: in order as far as the reader needs them soon, behind that the
 * rarest; of each peer as much as it is fast; and twice only what would come too late.
 */
import type { Core } from "./core.ts";
import type { Flights } from "./flights.ts";
import type { Peer } from "./peer.ts";
import { PieceMap } from "./piece-map.ts";
import { pieceAt, pieceLength } from "./shape.ts";

/** Without anything for so long a member asks seeds also for what others have. */
const seedIdleMs = 500;

/** So many strangers at once, less for each piece that was refused, unless so many more were kept. */
const strangersAtFirst = 4;
const trustedPieces = 4;

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
  /** Pieces of peers that were kept, and that were not what they should be. */
  readonly kept: number;
  readonly refused: number;
}

export class Requests {
  readonly #core: Core;
  readonly #flights: Flights;
  /** Seeds are few beside the crowd: of them only what nobody has got is asked for; see sowing.ts. */
  #sharing = false;
  /** What seeds have given, as far as is known. */
  #sown: PieceMap;
  /** There is nothing left that nobody has got, or nothing else has come for a while. */
  #seedsFree = false;
  /** Any peer may be asked for anything that it has. */
  #plain = true;
  #view: RequestsView;
  /** Those that can be asked for something more now. */
  #ready: Peer[] = [];
  /** So many more may be asked of whom nothing has been kept. */
  #strangers = Infinity;
  /** Those of them that have the piece in question. */
  readonly #having: Peer[] = [];

  constructor(core: Core, flights: Flights) {
    this.#core = core;
    this.#flights = flights;
    this.#sown = new PieceMap(core.shape.pieces);
    this.#view = {
      sequential: false,
      limit: 0,
      position: 0,
      crowd: 1,
      idleMs: 0,
      kept: 0,
      refused: 0,
    };
  }

  /** Asks for as much as is useful now. */
  ask(view: RequestsView): void {
    const { book, picker, policy, clock, mirror } = this.#core;
    const nowMs = clock.monotonicMs();
    this.#view = view;
    this.#sharing = view.crowd > policy.crowd && 4 * book.seeds(nowMs) < view.crowd;
    this.#plain = !this.#sharing && !mirror.streaming;
    if (this.#sharing) {
      this.#sown = book.sown;
      this.#seedsFree = view.idleMs >= seedIdleMs || !picker.hasUnseen(this.#sown);
    }
    let room = picker.freeCount > 0 ? this.#budget(nowMs) - this.#flights.pieceCount : 0;
    if (room > 0) {
      this.#ready = book.ready(nowMs);
      this.#strangers = this.#strangersAllowed();
      this.#sendStrangersAway();
    }
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

  /** Among liars strangers are tried one by one: what they send takes the place of what others do. */
  #strangersAllowed(): number {
    const { kept, refused } = this.#view;
    if (refused * trustedPieces <= kept) return Infinity;
    let asked = 0;
    for (const { source } of this.#flights.all()) {
      if (this.#core.book.get(source)?.keptPieces === 0) asked++;
    }
    return Math.max(1, strangersAtFirst - refused) - asked;
  }

  #sendStrangersAway(): void {
    if (this.#strangers <= 0) this.#ready = this.#ready.filter(({ keptPieces }) => keptPieces > 0);
  }

  /** Whether a peer is to be asked for a piece that it has. */
  #gives(peer: Peer, piece: number): boolean {
    if (piece === this.#streamed) return false;
    return !this.#sharing || !peer.isSeed || this.#seedsFree || this.#isUnsown(piece);
  }

  /** What the mirror's stream is about to bring is not asked for beside it. */
  get #streamed(): number | undefined {
    return this.#core.mirror.streaming ? pieceAt(this.#view.position) : undefined;
  }

  /** Nobody has got it, neither of a seed nor of anybody else. */
  #isUnsown(piece: number): boolean {
    return this.#core.picker.copies(piece) === 0 && !this.#sown.has(piece);
  }

  /** One more request → its pieces; 0: nobody has anything for us. */
  #askOne(nowMs: number): number {
    const { book, policy, picker } = this.#core;
    if (this.#view.sequential) {
      const any = (piece: number): boolean => this.#thatHave(piece).length > 0;
      const window = this.#view.crowd > 1 ? policy.windowPieces : policy.loneWindowPieces;
      const piece = picker.inOrder(window, this.#view.limit, any);
      if (piece !== undefined) {
        const peer = book.choose(this.#having, nowMs);
        if (peer !== undefined) return this.#begin(peer, piece, nowMs);
      }
    }
    while (this.#ready.length > 0) {
      const peer = book.choose(this.#ready, nowMs);
      if (peer === undefined) break;
      const piece = this.#rarestOf(peer);
      if (piece !== undefined) {
        const other = book.choose(this.#thatHave(piece), nowMs) ?? peer;
        return this.#begin(other, piece, nowMs);
      }
      this.#unready(peer);
    }
    return 0;
  }

  /** Of those that are ready. The array is used again. */
  #thatHave(piece: number): readonly Peer[] {
    const having = this.#having;
    having.length = 0;
    for (const peer of this.#ready) {
      if (peer.has(piece) && (this.#plain || this.#gives(peer, piece))) having.push(peer);
    }
    return having;
  }

  #rarestOf(peer: Peer): number | undefined {
    const { book, policy, picker, random } = this.#core;
    const { limit } = this.#view;
    const { have } = peer;
    if (have === undefined) return undefined;
    const [except, sample] = [this.#streamed, policy.sampledPieces];
    const unseenBut = this.#sharing && peer.isSeed && !this.#seedsFree ? this.#sown : undefined;
    const piece = picker.rarest(random, { sample, limit, have, except, unseenBut });
    // It need not be looked at again before something has changed.
    const nothing = piece === undefined && except === undefined && unseenBut === undefined;
    if (nothing && limit >= picker.pieces) book.hasNothing(peer);
    return piece;
  }

  #unready(peer: Peer): void {
    const at = this.#ready.indexOf(peer);
    const last = this.#ready.pop();
    if (last !== undefined && at >= 0 && at < this.#ready.length) this.#ready[at] = last;
  }

  #begin(peer: Peer, piece: number, nowMs: number): number {
    const { policy } = this.#core;
    const rate = peer.meter.rate ?? 0;
    const wanted = Math.floor((rate * policy.requestMs) / 1000 / this.#flights.pieceBytes);
    const most = Math.min(policy.requestPieces, Math.max(1, wanted));
    const unsown = this.#sharing && peer.isSeed && this.#isUnsown(piece);
    let count = 1;
    while (count < most && this.#mayFollow(peer, piece + count)) {
      if (unsown && !this.#isUnsown(piece + count)) break;
      count++;
    }
    this.#flights.begin({ source: peer.key, piece, count, unsown });
    if (!peer.ready(policy, nowMs)) this.#unready(peer);
    if (peer.keptPieces === 0) {
      this.#strangers--;
      this.#sendStrangersAway();
    }
    return count;
  }

  #mayFollow(peer: Peer, piece: number): boolean {
    if (piece >= this.#view.limit || !this.#core.picker.isFree(piece)) return false;
    return peer.has(piece) && (this.#plain || this.#gives(peer, piece));
  }

  /** The next piece of a waiting reader, or the last ones: asked elsewhere too if that is sooner. */
  #hedge(nowMs: number): void {
    const { picker, policy, shape } = this.#core;
    if (!this.#view.sequential && picker.freeCount > 0) return;
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
    // Nobody could be so much sooner.
    if (dueMs < policy.hedgeGainMs) return;
    const other = book.choose(book.rivals(piece, holder, nowMs), nowMs);
    if (other === undefined) return;
    const otherMs = other.expectedMs(pieceLength(shape, piece), policy, nowMs);
    if (otherMs * policy.hedgeFactor > dueMs || dueMs - otherMs < policy.hedgeGainMs) return;
    counters.add("swarm.requests.hedged");
    this.#flights.begin({ source: other.key, piece, count: 1 });
  }
}
