/**
 * One file from many: decides which peer is asked for which pieces, when the mirror is, and whom to
 * believe. It moves no bytes; drivers do (src/engine in the daemon, src/sim in the laboratory), and
 * report what comes of it.
 *
 * Rules:
 * - A piece from a peer is kept only if it is what a list, or the peer's own claim, says. It is not
 *   proven by that: the whole digest proves, and the driver holds back the end until then.
 * - A peer that sent anything else is out of this transfer. Whether it lied is decided in the end,
 *   when the true pieces are known (see blame.ts).
 * - Nothing here waits for a peer that the reader could not wait for: what is late is asked for
 *   elsewhere, at last of the mirror.
 */
import type { Endpoint } from "../base/endpoint.ts";
import { Belief } from "./belief.ts";
import type { TransferRecord } from "./blame.ts";
import { mirrorSource, type Core } from "./core.ts";
import type { Flight } from "./flight.ts";
import { Flights } from "./flights.ts";
import { MirrorPieces } from "./mirror-pieces.ts";
import { MirrorUse } from "./mirror-use.ts";
import { PeerBook } from "./peer-book.ts";
import { PeerCare } from "./peer-care.ts";
import { Picker } from "./picker.ts";
import type { Digest, PieceList } from "./piece-lists.ts";
import type { PieceMap } from "./piece-map.ts";
import { defaultPolicy } from "./policy.ts";
import { Rarity } from "./rarity.ts";
import { Requests } from "./requests.ts";
import type { Offer, TransferParts, TransferPlan } from "./transfer-plan.ts";
import { pieceAt, pieceEnd, pieceLength, shapeOf, type Shape } from "./shape.ts";
import type { Failure, Load, PeerInfo, PeerState, PieceRequest } from "./types.ts";

export class Transfer {
  readonly shape: Shape;
  /** Our number in the crowd; see mirror-turns.ts. */
  readonly ticket: number;
  /** What this member may take away with it. */
  readonly rarity: Rarity;
  readonly #core: Core;
  readonly #plan: TransferPlan;
  readonly #flights: Flights;
  readonly #belief: Belief;
  readonly #requests: Requests;
  readonly #mirrorPieces: MirrorPieces;
  readonly #care: PeerCare;
  readonly #startPosition: number;
  #position: number;
  #searching = true;
  #started = false;
  #closed = false;
  #streamWanted = false;
  /** From peers. */
  #keptPieces = 0;
  #refusedPieces = 0;
  #ahead: number;
  /** When the last piece was kept. */
  #keptMs: number;
  #pumping = false;
  #cancelTick: (() => void) | undefined;

  constructor(parts: TransferParts, plan: TransferPlan) {
    this.#plan = plan;
    this.shape = shapeOf(plan.sizeBytes);
    const { random, clock, counters, policy = defaultPolicy } = parts;
    const { shape } = this;
    const picker = new Picker(shape.pieces);
    this.#ahead = plan.lookaheadPieces ?? Infinity;
    this.#keptMs = clock.monotonicMs();
    this.#position = plan.position ?? 0;
    this.#startPosition = this.#position;
    const mirror = new MirrorUse(
      { policy, random },
      {
        ...{ nowMs: this.#keptMs, position: this.#position, patienceMs: plan.patienceMs },
        ...{ usable: plan.mirror, knownRate: plan.mirrorRate, manyNear: plan.manyNear === true },
      },
    );
    const book = new PeerBook({ counters, random, policy, picker, admits: plan.admits });
    this.#core = { ...parts, policy, shape, picker, book, mirror };
    this.rarity = new Rarity(this.#core);
    this.ticket = Math.floor(random.next() * 2 ** 32);
    this.#flights = new Flights(this.#core);
    this.#mirrorPieces = new MirrorPieces(this.#core, this.#flights, {
      ...{ ticket: this.ticket, sequential: plan.sequential },
    });
    this.#requests = new Requests(this.#core, this.#flights);
    this.#belief = new Belief(this.#core, plan.sha256, {
      kept: (flight, piece) => this.#keep(flight, piece),
      wrong: (flight, piece, digest) => {
        this.#refusedPieces++;
        this.#care.blame(flight, piece, digest);
      },
      refuted: (teller) => {
        const peer = book.get(teller);
        if (peer !== undefined) this.#care.drop(peer, "list");
      },
      switched: (expected) => this.#care.reconsider(expected),
      position: () => this.#position,
    });
    this.#care = new PeerCare(this.#core, this.#flights, this.#belief.deliveries);
    for (let piece = 0; piece < shape.pieces; piece++) {
      if (pieceEnd(shape, piece) > this.#position) break;
      picker.hold(piece);
    }
    for (const piece of plan.ahead ?? []) picker.hold(piece);
  }

  /** Pieces that are here, or whose bytes the driver keeps. */
  get held(): PieceMap {
    return this.#core.picker.held;
  }
  /** Next byte that is not here in order. */
  get position(): number {
    return this.#position;
  }

  /** Members that have answered, ourselves included. */
  get crowd(): number {
    return this.#core.book.crowd(this.#nowMs);
  }

  get done(): boolean {
    return this.held.whole;
  }

  /** Whether the driver shall run the mirror's stream from `position` on. */
  get streamWanted(): boolean {
    return this.#streamWanted;
  }

  /** Nobody is left who could give what is missing: no peer, none to come, and not the mirror. */
  get hopeless(): boolean {
    const { mirror, policy } = this.#core;
    if (this.done || mirror.usable) return false;
    if (!this.hopeful) return true;
    const sinceMs = this.#nowMs - policy.hopelessMs;
    return this.#keptMs <= sinceMs && this.#flights.heardMs <= sinceMs;
  }

  /** Whether peers have, or may have, something that is missing. */
  get hopeful(): boolean {
    return this.#searching || this.#hope();
  }

  /** What is known of it, and how much of its stream is wanted. */
  get mirror(): Pick<MirrorUse, "bestRate" | "streamBytes"> {
    return this.#core.mirror;
  }

  /** What is being fetched from the mirror piece by piece: others need not. */
  get fetching(): readonly number[] {
    return this.#flights.fromMirror;
  }

  /** What others told that they are fetching there. */
  get hearsay(): ReadonlySet<number> {
    return this.#core.book.heardOf(this.#nowMs);
  }

  /** Whether the digest of a piece of the stream would tell anything. */
  get comparesStream(): boolean {
    return this.#belief.hasList;
  }

  /** Peers worth telling others of. */
  knownPeers(most: number): Endpoint[] {
    return this.#core.book.sample(most);
  }

  /** How many it knows, or knew. */
  get knownCount(): number {
    return this.#core.book.size;
  }

  start(): void {
    this.#started = true;
    this.#pump();
    this.#tickLater();
  }

  /** Everything ends; nothing is called any more. */
  close(): void {
    [this.#closed, this.#streamWanted] = [true, false];
    this.#cancelTick?.();
    for (const flight of this.#flights.all()) this.#flights.end(flight, "cancel");
  }

  addPeers(infos: readonly PeerInfo[]): void {
    let some = false;
    for (const info of infos) some = this.#core.book.add(info, this.#nowMs) || some;
    if (some) this.#pump();
  }

  /** Somebody is not admitted any more, since it lied about another file. */
  reviewPeers(): void {
    const { admits } = this.#plan;
    if (this.#closed || admits === undefined) return;
    for (const peer of this.#core.book.all()) {
      if (!admits(peer.info.endpoint)) this.#care.drop(peer, "barred");
    }
    this.#pump();
  }

  /** Nobody else is expected to be named soon. */
  searchEnded(): void {
    this.#searching = false;
    this.#pump();
  }

  peerState(key: string, state: PeerState, load: Load | undefined): void {
    const { book } = this.#core;
    const peer = book.get(key);
    if (peer === undefined || this.#closed) return;
    if (state.sizeBytes !== this.shape.sizeBytes || state.have.pieces !== this.shape.pieces) {
      this.#care.drop(peer, "size");
      return;
    }
    book.answered(peer, state, { load, nowMs: this.#nowMs });
    if (!peer.dropped) book.exchange(peer, state.peers, this.#nowMs);
    this.#pump();
  }

  /** To the question for its state: it tells no more. */
  answerEnded(key: string): void {
    const { book } = this.#core;
    const peer = book.get(key);
    if (peer === undefined || this.#closed) return;
    book.replied(peer);
    this.#pump();
  }

  /** Of a question for its state or its list. */
  peerFailed(key: string, failure: Failure): void {
    const peer = this.#core.book.get(key);
    if (peer === undefined || this.#closed) return;
    this.#core.book.unanswered(peer);
    if (failure.kind === "busy") this.#care.rest(peer, failure.retryAfterMs);
    else if (failure.kind === "missing" && peer.have === "whole") peer.list = "none";
    else if (failure.kind === "missing") this.#care.drop(peer, "missing");
    else this.#care.failed(peer, failure);
    this.#pump();
  }

  pieceList(key: string, list: PieceList): void {
    const peer = this.#core.book.get(key);
    if (peer === undefined) return;
    peer.list = "told";
    this.tellList(key, peer.info.group, list);
  }

  /** A list that was found elsewhere, by the word of `teller`. */
  tellList(teller: string, group: string, list: PieceList): void {
    const peer = this.#core.book.get(teller);
    if (!this.#belief.add(teller, group, list) && peer !== undefined) this.#care.drop(peer, "list");
    this.#pump();
  }

  /** An answer's head has come → whether its body is wanted. */
  offered(request: PieceRequest, { load, claims = [], have, sown }: Offer): "go" | "stop" {
    const flight = this.#flights.of(request);
    if (flight === undefined) return "stop";
    const nowMs = this.#nowMs;
    flight.headMs = flight.lastMs = nowMs;
    const { book } = this.#core;
    const peer = book.get(flight.source);
    if (peer === undefined) return "go";
    book.heard(peer, { load, have, sown, nowMs });
    flight.claims = claims;
    if (peer.meter.rate === undefined) peer.rttMs = Math.min(1000, nowMs - flight.startedMs);
    if (this.#belief.claims(peer.info.group, flight.piece, claims)) return "go";
    this.#care.drop(peer, "claim");
    return "stop";
  }

  progress(request: PieceRequest, bytes: number): void {
    const flight = this.#flights.of(request);
    if (flight !== undefined) this.#flights.progress(flight, bytes);
  }

  /**
   * A piece is whole → whether the driver keeps its bytes; `wait`: it keeps them aside until `judged`
   * says so, for it is not yet known which list is to be believed.
   */
  piece(request: PieceRequest, piece: number, digest: Digest): "kept" | "dropped" | "wait" {
    const flight = this.#flights.of(request);
    if (flight === undefined) return "dropped";
    const { picker } = this.#core;
    flight.donePieces++;
    if (this.held.has(piece)) {
      this.#flights.wasted(pieceLength(this.shape, piece));
      picker.gaveUp(piece);
      return "dropped";
    }
    if (flight.source !== mirrorSource) {
      const verdict = this.#belief.judge(flight, piece, digest);
      this.#pumpAfter(flight);
      return verdict;
    }
    this.#belief.firstHand(piece, digest);
    this.#belief.deliveries.keep(piece, { source: mirrorSource, digest });
    picker.gaveUp(piece);
    this.#keep(flight, piece);
    this.#pumpAfter(flight);
    return "kept";
  }

  /** The request is over, with all of its pieces or before. */
  ended(request: PieceRequest, failure?: Failure): void {
    const flight = this.#flights.of(request);
    if (flight === undefined) return;
    this.#flights.end(flight, "ended");
    const peer = this.#core.book.get(flight.source);
    if (failure === undefined) {
      if (flight.donePieces === flight.count && peer !== undefined) peer.failures = 0;
    } else if (peer === undefined) {
      if (failure.kind !== "busy") this.#mirrorPieces.failed();
    } else if (failure.kind === "busy") {
      this.#care.rest(peer, failure.retryAfterMs);
    } else if (failure.kind === "sown") {
      this.#care.refused(peer, failure.sown);
    } else if (failure.kind === "missing") {
      if (!this.#core.book.lacks(peer, flight)) this.#care.drop(peer, "missing");
    } else {
      this.#care.failed(peer, failure);
    }
    this.#pump();
  }

  /**
   * The mirror's stream has reached `position`. `digest`: of the piece that ends there or before, if
   * the driver has computed it.
   */
  streamed(position: number, digest?: Digest): void {
    this.#core.mirror.meter.received(Math.max(0, position - this.#position), this.#nowMs);
    const last = pieceAt(position - 1);
    const whole = position === this.shape.sizeBytes ? last : pieceAt(position) - 1;
    for (let piece = pieceAt(this.#position); piece <= whole; piece++) {
      if (this.held.has(piece)) continue;
      if (digest !== undefined && piece === whole) this.#belief.firstHand(piece, digest);
      this.#belief.deliveries.keep(piece, { source: mirrorSource, digest });
      this.#hold(piece);
      this.#flights.endRivals(piece, undefined);
    }
    this.#position = Math.max(this.#position, position);
    this.#pump();
  }

  /** The driver has put what was held in order up to there. */
  consumed(position: number): void {
    this.#position = Math.max(this.#position, position);
  }

  /** The mirror cannot give it. */
  streamFailed(): void {
    this.#core.mirror.failed();
    this.#streamWanted = false;
    this.#pump();
  }

  /** SHA-256 of a held piece, if it has been computed. */
  digestOf(piece: number): Digest | undefined {
    return this.#belief.deliveries.digestOf(piece);
  }

  /** Somebody has computed it. */
  noteDigest(piece: number, digest: Digest): void {
    this.#belief.deliveries.note(piece, { source: mirrorSource, digest });
  }

  /** No more than so many pieces beyond the next missing one can be kept from now on. */
  limitAhead(pieces: number): void {
    this.#ahead = Math.min(this.#ahead, pieces);
  }

  /** A held piece is gone. */
  lose(piece: number): void {
    this.#core.picker.lose(piece);
    this.#pump();
  }

  /** Held pieces that must be forgotten: another list is in use now. Emptied by the call. */
  takeLost(): readonly number[] {
    return this.#belief.takeLost();
  }

  /** Who sent what, for status, and for blame when the truth is known. */
  record(): TransferRecord {
    return this.#belief.record();
  }

  get #nowMs(): number {
    return this.#core.clock.monotonicMs();
  }

  /** Pieces from this one on cannot be kept now. */
  get #limit(): number {
    return Math.min(this.shape.pieces, this.#core.picker.next + 1 + this.#ahead);
  }

  #hold(piece: number): void {
    this.#core.picker.hold(piece);
    this.#belief.held(piece);
    this.#keptMs = this.#nowMs;
  }

  #keep(flight: Flight, piece: number): void {
    this.#hold(piece);
    const peer = this.#core.book.get(flight.source);
    if (peer !== undefined) {
      this.#keptPieces++;
      this.#core.book.kept(peer, pieceLength(this.shape, piece));
    }
    this.#flights.endRivals(piece, flight);
    this.#core.port.wake();
  }

  #tickLater(): void {
    if (this.#closed || this.done) return;
    const { clock, mirror, policy } = this.#core;
    const laterMs = Math.min(policy.tickMs, mirror.dueInMs(this.#nowMs));
    this.#cancelTick = clock.after(laterMs, () => {
      this.#tick();
      this.#tickLater();
    });
  }

  /** What only time tells. */
  #tick(): void {
    for (const flight of this.#flights.stalled()) {
      this.#core.counters.add("swarm.requests.stalled");
      this.#flights.end(flight, "cancel");
      const peer = this.#core.book.get(flight.source);
      if (peer !== undefined) this.#care.failed(peer, { kind: "broken" });
      else this.#mirrorPieces.failed();
    }
    this.#pump();
  }

  /** After the last piece of a request its end follows at once, and makes room for the next. */
  #pumpAfter(flight: Flight): void {
    if (flight.donePieces < flight.count) this.#pump();
  }

  /** Looks at everything that may have changed. */
  #pump(): void {
    if (!this.#started || this.#closed || this.#pumping) return;
    this.#pumping = true;
    try {
      if (this.done) {
        this.#setStream(false);
        return;
      }
      this.#care.askAround(this.#belief.wantsLists);
      this.#belief.decide();
      this.#requests.ask({
        sequential: this.#plan.sequential,
        position: this.#position,
        crowd: this.crowd,
        limit: this.#limit,
        idleMs: this.#nowMs - this.#keptMs,
        ...{ kept: this.#keptPieces, refused: this.#refusedPieces },
      });
      this.#useMirror();
      // Whoever waits for the next bytes waits in vain.
      if (this.hopeless) this.#core.port.wake();
    } finally {
      this.#pumping = false;
    }
  }

  #hope(): boolean {
    const { book, picker, policy } = this.#core;
    if (this.#flights.size > 0 || this.crowd > policy.crowd) return true;
    return book.hopeful(picker);
  }

  #useMirror(): void {
    const { picker, mirror, book, policy } = this.#core;
    if (!mirror.usable && !this.#streamWanted) return;
    const [crowd, nowMs] = [this.crowd, this.#nowMs];
    const wanted = mirror.decide({
      ...{ nowMs, position: this.#position, startPosition: this.#startPosition, crowd },
      nextHeld: pieceAt(this.#position) < picker.next,
      ...{ hope: this.#hope(), searching: this.#searching },
      peersRate: book.rate(nowMs),
      nextDueMs: this.#flights.soonestMs(picker.next),
      atBoundary: this.#position % this.#flights.pieceBytes < policy.tasteBytes,
    });
    this.#setStream(wanted);
    this.#mirrorPieces.ask(crowd, { limit: this.#limit, keptPieces: this.#keptPieces });
  }

  #setStream(wanted: boolean): void {
    if (wanted === this.#streamWanted) return;
    this.#streamWanted = wanted;
    this.#core.counters.add(wanted ? "swarm.mirror.streams" : "swarm.mirror.streamsEnded");
    this.#core.port.wake();
  }
}
