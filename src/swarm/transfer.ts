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
import type { Counters } from "../base/counters.ts";
import type { Endpoint } from "../base/endpoint.ts";
import type { Clock, Random } from "../base/ports.ts";
import { Flight } from "./flight.ts";
import { MirrorTurns } from "./mirror-turns.ts";
import { MirrorUse } from "./mirror-use.ts";
import { PeerBook } from "./peer-book.ts";
import type { Peer } from "./peer.ts";
import { Picker } from "./picker.ts";
import { PieceLists, type Digest, type PieceList } from "./piece-lists.ts";
import type { PieceMap } from "./piece-map.ts";
import { defaultPolicy, type TransferPolicy } from "./policy.ts";
import type { TransferPort } from "./ports.ts";
import { Deliveries, type TransferRecord } from "./blame.ts";
import { pieceAt, pieceEnd, pieceLength, pieceStart, shapeOf, type Shape } from "./shape.ts";
import type { Failure, Load, PeerInfo, PeerState, PieceRequest } from "./types.ts";

export interface TransferParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly counters: Counters;
  readonly port: TransferPort;
  readonly policy?: TransferPolicy;
}

export interface TransferPlan {
  /** Of the file, 64 hexadecimal digits: what the only piece of a small one must be. */
  readonly sha256: Digest;
  readonly sizeBytes: number;
  /** Whether there is a mirror that has it. */
  readonly mirror: boolean;
  /** Bytes that are here already, in order from 0. */
  readonly position?: number;
  /** Pieces beyond that are here as well, from an earlier run. */
  readonly ahead?: readonly number[];
  /** Pieces beyond the next missing one that can be kept. */
  readonly lookaheadPieces?: number;
  /** How long the mirror may wait for peers at the start. */
  readonly patienceMs: number;
  /** Bytes a second that this mirror has given before, if it has. */
  readonly mirrorRate?: number | undefined;
  /** A reader wants it in order. */
  readonly sequential: boolean;
}

export interface Offer {
  readonly load?: Load | undefined;
  /** SHA-256 of the pieces that come, as the peer says. */
  readonly claims?: readonly Digest[] | undefined;
  readonly have?: PieceMap | undefined;
}

export const mirrorSource = "mirror";

export class Transfer {
  readonly shape: Shape;
  readonly #parts: TransferParts;
  readonly #plan: TransferPlan;
  readonly #policy: TransferPolicy;
  readonly #picker: Picker;
  readonly #lists: PieceLists;
  readonly #book: PeerBook;
  readonly #mirror: MirrorUse;
  readonly #turns: MirrorTurns;
  readonly #deliveries = new Deliveries();
  readonly #flights = new Set<Flight>();
  readonly #startPosition: number;
  #position: number;
  #searching = true;
  #started = false;
  #closed = false;
  #streamWanted = false;
  #duplicateBytes = 0;
  /** From peers. */
  #keptPieces = 0;
  #ahead: number;
  /** When the last piece was kept. */
  #keptMs: number;
  readonly #startedMs: number;
  /** When the first list came; which one is believed is decided a moment later. */
  #firstListMs: number | undefined;
  #decided: boolean;
  /** Pieces that came before. */
  readonly #unjudged = new Map<number, { readonly digest: Digest; readonly flight: Flight }>();
  #mirrorRestUntilMs = -Infinity;
  #pumping = false;
  readonly #lost: number[] = [];
  #cancelTick: (() => void) | undefined;

  constructor(parts: TransferParts, plan: TransferPlan) {
    this.#parts = parts;
    this.#plan = plan;
    this.#policy = parts.policy ?? defaultPolicy;
    this.shape = shapeOf(plan.sizeBytes);
    this.#picker = new Picker(this.shape.pieces);
    this.#lists = new PieceLists(this.shape.pieces);
    if (this.shape.pieces === 1) this.#lists.firstHand(0, plan.sha256);
    this.#decided = this.shape.pieces === 1;
    const { random, clock } = parts;
    this.ticket = Math.floor(random.next() * 2 ** 32);
    this.#turns = new MirrorTurns(this.ticket);
    this.#book = new PeerBook({ random, policy: this.#policy, picker: this.#picker });
    this.#ahead = plan.lookaheadPieces ?? Infinity;
    this.#keptMs = clock.monotonicMs();
    this.#startedMs = this.#keptMs;
    this.#position = plan.position ?? 0;
    this.#startPosition = this.#position;
    for (let piece = 0; pieceEnd(this.shape, piece) <= this.#position; piece++) {
      this.#picker.hold(piece);
      if (piece === this.shape.pieces - 1) break;
    }
    for (const piece of plan.ahead ?? []) this.#picker.hold(piece);
    this.#mirror = new MirrorUse(
      { policy: this.#policy, random },
      {
        ...{ nowMs: this.#keptMs, position: this.#position, patienceMs: plan.patienceMs },
        ...{ usable: plan.mirror, knownRate: plan.mirrorRate },
      },
    );
  }

  /** Pieces that are here, or whose bytes the driver keeps. */
  get held(): PieceMap {
    return this.#picker.held;
  }

  /** Next byte that is not here in order. */
  get position(): number {
    return this.#position;
  }

  get done(): boolean {
    return this.#picker.held.whole;
  }

  /** Whether the driver shall run the mirror's stream from `position` on. */
  get streamWanted(): boolean {
    return this.#streamWanted;
  }

  /** Nobody is left who could give what is missing: no peer, none to come, and not the mirror. */
  get hopeless(): boolean {
    if (this.done || this.#mirror.usable) return false;
    if (!this.#searching && !this.#hope()) return true;
    return this.#nowMs - this.#keptMs >= this.#policy.hopelessMs;
  }

  /** The best that the mirror has given, bytes a second; undefined: it was not asked for long. */
  get mirrorRate(): number | undefined {
    return this.#mirror.bestRate;
  }

  /** Whether peers have, or may have, something that is missing. */
  get hopeful(): boolean {
    return this.#searching || this.#hope();
  }

  /** Members of the swarm that have answered, ourselves included. */
  get crowd(): number {
    return this.#book.crowd(this.#nowMs);
  }

  /** What is being fetched from the mirror piece by piece: others need not. */
  get fetching(): readonly number[] {
    const pieces: number[] = [];
    for (const flight of this.#flights)
      if (flight.source === mirrorSource) pieces.push(flight.piece);
    return pieces;
  }

  /** Our number in the crowd; see mirror-turns.ts. */
  readonly ticket: number;

  /** What others told that they are fetching there. */
  get hearsay(): ReadonlySet<number> {
    return this.#book.heardOf(this.#nowMs);
  }

  /** Peers worth telling others of. */
  knownPeers(most: number): Endpoint[] {
    return this.#book.sample(most);
  }

  start(): void {
    this.#started = true;
    this.#pump();
    this.#tickLater();
  }

  /** Everything ends; nothing is called any more. */
  close(): void {
    this.#closed = true;
    this.#cancelTick?.();
    for (const flight of [...this.#flights]) this.#end(flight, "cancel");
    this.#streamWanted = false;
  }

  addPeers(infos: readonly PeerInfo[]): void {
    let some = false;
    for (const info of infos) some = this.#book.add(info, this.#nowMs) || some;
    if (some) this.#pump();
  }

  /** Nobody else is expected to be named soon. */
  searchEnded(): void {
    this.#searching = false;
    this.#pump();
  }

  peerState(key: string, state: PeerState, load: Load | undefined): void {
    const peer = this.#book.get(key);
    if (peer === undefined || this.#closed) return;
    if (state.sizeBytes !== this.shape.sizeBytes || state.have.pieces !== this.shape.pieces) {
      this.#drop(peer, "size");
      return;
    }
    this.#book.answered(peer, state, { load, nowMs: this.#nowMs });
    this.#book.exchange(peer, state.peers, this.#nowMs);
    this.#pump();
  }

  peerFailed(key: string, failure: Failure): void {
    const peer = this.#book.get(key);
    if (peer === undefined || this.#closed) return;
    peer.asking = false;
    if (failure.kind === "busy") this.#rest(peer, failure.retryAfterMs);
    else if (failure.kind === "missing" && peer.have === "whole") peer.list = "none";
    else if (failure.kind === "missing") this.#drop(peer, "missing");
    else this.#failed(peer, failure);
    this.#pump();
  }

  pieceList(key: string, list: PieceList): void {
    const peer = this.#book.get(key);
    if (peer === undefined || this.#closed) return;
    peer.list = "told";
    this.tellList(key, peer.info.group, list);
  }

  /** A list that was found elsewhere, by the word of `teller`. */
  tellList(teller: string, group: string, list: PieceList): void {
    if (!this.#lists.add(teller, group, list)) {
      this.#parts.counters.add("swarm.lists.refused");
      const peer = this.#book.get(teller);
      if (peer !== undefined) this.#drop(peer, "list");
      return;
    }
    this.#parts.counters.add("swarm.lists.taken");
    this.#firstListMs ??= this.#nowMs;
    if (this.#decided) this.#chooseList();
    else this.#decide();
    this.#pump();
  }

  /** An answer's head has come → whether its body is wanted. */
  offered(request: PieceRequest, { load, claims, have }: Offer): "go" | "stop" {
    const flight = this.#flight(request);
    if (flight === undefined) return "stop";
    const nowMs = this.#nowMs;
    flight.headMs = nowMs;
    flight.lastMs = nowMs;
    const peer = this.#book.get(flight.source);
    if (peer === undefined) return "go";
    this.#book.heard(peer, { load, have, nowMs });
    if (peer.meter.rate === undefined) peer.rttMs = Math.min(1000, nowMs - flight.startedMs);
    for (const [index, digest] of (claims ?? []).entries()) {
      const piece = flight.piece + index;
      const expected = this.#lists.expected(piece);
      if (expected !== undefined && expected !== digest && this.#lists.hasList) {
        this.#parts.counters.add("swarm.claims.contradicting");
        this.#drop(peer, "claim");
        return "stop";
      }
      this.#lists.claim(peer.info.group, piece, digest);
    }
    return "go";
  }

  progress(request: PieceRequest, bytes: number): void {
    const flight = this.#flight(request);
    if (flight === undefined) return;
    flight.receivedBytes += bytes;
    flight.lastMs = this.#nowMs;
    this.#meterOf(flight.source)?.received(bytes, flight.lastMs);
  }

  /**
   * A piece is whole → whether the driver keeps its bytes; `wait`: it keeps them aside until `judged`
   * says so, for it is not yet known which list is to be believed.
   */
  piece(request: PieceRequest, piece: number, digest: Digest): "kept" | "dropped" | "wait" {
    const flight = this.#flight(request);
    if (flight === undefined) return "dropped";
    flight.donePieces++;
    if (this.held.has(piece)) {
      this.#wasted(pieceLength(this.shape, piece));
      this.#picker.gaveUp(piece);
      return "dropped";
    }
    const fromMirror = flight.source === mirrorSource;
    if (!fromMirror && !this.#decided) {
      // It stays under way, as it were: nobody else is asked for it meanwhile.
      this.#unjudged.set(piece, { digest, flight });
      this.#decide();
      return this.held.has(piece) ? "kept" : this.#unjudged.has(piece) ? "wait" : "dropped";
    }
    if (fromMirror) this.#firstHand(piece, digest);
    if (!fromMirror && !this.#believes(flight, piece, digest)) {
      return this.#refuse(flight, piece, digest);
    }
    this.#deliveries.kept(piece, { source: flight.source, digest });
    this.#picker.gaveUp(piece);
    this.#hold(piece);
    this.#credit(flight, piece);
    this.#endRivals(piece, flight);
    this.#parts.port.wake();
    this.#pump();
    return "kept";
  }

  /** The request is over, with all of its pieces or before. */
  ended(request: PieceRequest, failure?: Failure): void {
    const flight = this.#flight(request);
    if (flight === undefined) return;
    this.#end(flight, "ended");
    const peer = this.#book.get(flight.source);
    if (failure === undefined) {
      if (peer !== undefined && flight.donePieces === flight.count) peer.failures = 0;
    } else if (peer === undefined) {
      if (failure.kind !== "busy") this.#mirrorPieceFailed();
    } else if (failure.kind === "busy") {
      this.#rest(peer, failure.retryAfterMs);
    } else if (failure.kind === "missing") {
      this.#lacks(peer, flight);
    } else {
      this.#failed(peer, failure);
    }
    this.#pump();
  }

  /**
   * The mirror's stream has reached `position`. `digest`: of the piece that ends there or before, if
   * the driver has computed it.
   */
  streamed(position: number, digest?: Digest): void {
    this.#mirror.meter.received(Math.max(0, position - this.#position), this.#nowMs);
    const last = pieceAt(position - 1);
    const whole = position === this.shape.sizeBytes ? last : pieceAt(position) - 1;
    for (let piece = pieceAt(this.#position); piece <= whole; piece++) {
      if (this.held.has(piece)) continue;
      if (digest !== undefined && piece === whole) this.#firstHand(piece, digest);
      this.#deliveries.kept(piece, { source: mirrorSource, digest });
      this.#hold(piece);
      this.#endRivals(piece, undefined);
    }
    this.#position = Math.max(this.#position, position);
    this.#pump();
  }

  /** The driver has put what was held in order up to there. */
  consumed(position: number): void {
    this.#position = Math.max(this.#position, position);
  }

  streamFailed(): void {
    this.#mirror.failed();
    this.#streamWanted = false;
    this.#pump();
  }

  /** SHA-256 of a held piece, if it has been computed. */
  digestOf(piece: number): Digest | undefined {
    return this.#deliveries.pieces.get(piece)?.digest;
  }

  /** Somebody has computed it. */
  noteDigest(piece: number, digest: Digest): void {
    const delivery = this.#deliveries.pieces.get(piece);
    if (delivery?.digest === undefined) {
      this.#deliveries.kept(piece, { source: delivery?.source ?? mirrorSource, digest });
    }
  }

  /** No more than so many pieces beyond the next missing one can be kept from now on. */
  limitAhead(pieces: number): void {
    this.#ahead = Math.min(this.#ahead, pieces);
  }

  /** Whether the digest of a piece of the stream would tell anything. */
  get comparesStream(): boolean {
    return this.#lists.hasList;
  }

  /** A held piece is gone. */
  lose(piece: number): void {
    this.#picker.lose(piece);
    this.#pump();
  }

  /** Held pieces that must be forgotten: another list is in use now. Emptied by the call. */
  takeLost(): readonly number[] {
    return this.#lost.splice(0);
  }

  /** Who sent what, for status, and for blame when the truth is known. */
  record(): TransferRecord {
    return this.#deliveries.record([...this.#lists.told()], (key) => this.#book.get(key));
  }

  get #nowMs(): number {
    return this.#parts.clock.monotonicMs();
  }

  #flight(request: PieceRequest): Flight | undefined {
    return request instanceof Flight && this.#flights.has(request) ? request : undefined;
  }

  #meterOf(source: string): Peer["meter"] | undefined {
    return source === mirrorSource ? this.#mirror.meter : this.#book.get(source)?.meter;
  }

  #hold(piece: number): void {
    this.#picker.hold(piece);
    this.#lists.settle(piece);
    this.#keptMs = this.#nowMs;
  }

  #firstHand(piece: number, digest: Digest): void {
    if (!this.#lists.firstHand(piece, digest)) return;
    this.#parts.counters.add("swarm.lists.refuted");
    this.#chooseList();
  }

  /** With another list, what was kept by the old one and not handed on is looked at again. */
  #chooseList(): void {
    const handedOn = new Map<number, Digest>();
    for (const [piece, { source, digest }] of this.#deliveries.pieces) {
      const done = pieceEnd(this.shape, piece) <= this.#position;
      if (done && digest !== undefined && source !== mirrorSource) handedOn.set(piece, digest);
    }
    if (!this.#lists.choose(handedOn)) return;
    for (const [piece, { digest }] of this.#deliveries.pieces) {
      if (handedOn.has(piece) || digest === undefined || !this.held.has(piece)) continue;
      const expected = this.#lists.expected(piece);
      if (expected === undefined || expected === digest) continue;
      if (pieceEnd(this.shape, piece) <= this.#position) continue;
      this.#parts.counters.add("swarm.pieces.reconsidered");
      this.#deliveries.reconsidered(piece);
      this.#picker.lose(piece);
      this.#lost.push(piece);
    }
  }

  /**
   * Which list is believed first: one that two tell, or the best one when nobody else is asked or a
   * moment has passed. Without any list the peers' claims must do, and the whole digest in the end.
   */
  #decide(): void {
    if (this.#decided) return;
    const nowMs = this.#nowMs;
    const { listPatienceMs } = this.#policy;
    const waitedMs = nowMs - (this.#firstListMs ?? this.#startedMs);
    const outstanding = this.#book.listsOutstanding;
    const agreed = this.#lists.agreement >= 2;
    // A peer that has to read the file for its list needs a while for a long one.
    const readingMs = (this.shape.sizeBytes * 1000) / this.#policy.readRate;
    const enough =
      this.#firstListMs === undefined ? 5 * listPatienceMs + readingMs : listPatienceMs;
    if (!agreed && outstanding && waitedMs < enough) return;
    // Nobody has been asked yet: the first peer may still come.
    if (!agreed && this.#firstListMs === undefined && this.#unjudged.size === 0) return;
    this.#decided = true;
    this.#chooseList();
    const waiting = [...this.#unjudged];
    this.#unjudged.clear();
    for (const [piece, { digest, flight }] of waiting) this.#judge(piece, digest, flight);
  }

  /** Where nobody has said anything of it, the piece speaks for itself. */
  #believes({ source }: Flight, piece: number, digest: Digest): boolean {
    const expected = this.#lists.expected(piece);
    if (expected !== undefined) return expected === digest;
    this.#lists.claim(this.#book.get(source)?.info.group ?? source, piece, digest);
    return true;
  }

  #judge(piece: number, digest: Digest, flight: Flight): void {
    this.#picker.gaveUp(piece);
    const kept = !this.held.has(piece) && this.#believes(flight, piece, digest);
    if (kept) {
      this.#deliveries.kept(piece, { source: flight.source, digest });
      this.#hold(piece);
      this.#credit(flight, piece);
    } else if (!this.held.has(piece)) {
      this.#blame(flight, piece, digest);
    }
    this.#parts.port.judged(piece, kept);
  }

  #refuse(flight: Flight, piece: number, digest: Digest): "dropped" {
    this.#picker.gaveUp(piece);
    flight.donePieces = piece - flight.piece + 1;
    this.#blame(flight, piece, digest);
    this.#pump();
    return "dropped";
  }

  /** It sent something else than is believed: it is out. */
  #blame(flight: Flight, piece: number, digest: Digest): void {
    const { counters } = this.#parts;
    counters.add("swarm.pieces.refused");
    counters.add("swarm.bytes.refused", pieceLength(this.shape, piece));
    this.#deliveries.refused({ piece, digest, source: flight.source });
    this.#end(flight, "cancel");
    const peer = this.#book.get(flight.source);
    if (peer !== undefined) this.#drop(peer, "piece");
  }

  #credit(flight: Flight, piece: number): void {
    const peer = this.#book.get(flight.source);
    if (peer === undefined) return;
    this.#keptPieces++;
    peer.keptPieces++;
    peer.keptBytes += pieceLength(this.shape, piece);
    peer.failures = 0;
  }

  /** Others that are asked for the same piece, and nothing else, are not needed any more. */
  #endRivals(piece: number, winner: Flight | undefined): void {
    if (this.#picker.flights(piece) === 0) return;
    for (const flight of [...this.#flights]) {
      if (flight === winner || !flight.covers(piece)) continue;
      // A longer request has other pieces to bring; this one is counted as waste when it comes.
      const last = flight.piece + flight.count - 1;
      if (piece !== last && flight.count > 1) continue;
      this.#end(flight, "cancel");
    }
  }

  #wasted(bytes: number): void {
    this.#duplicateBytes += bytes;
    this.#parts.counters.add("swarm.bytes.duplicate", bytes);
  }

  #end(flight: Flight, how: "cancel" | "ended"): void {
    if (!this.#flights.delete(flight)) return;
    for (
      let piece = flight.piece + flight.donePieces;
      piece < flight.piece + flight.count;
      piece++
    ) {
      this.#picker.gaveUp(piece);
    }
    const loose = flight.looseBytes;
    if (loose > 0) this.#wasted(loose);
    const peer = this.#book.get(flight.source);
    peer?.flights.delete(flight);
    const idle = peer === undefined ? !this.#mirror.streaming : peer.flights.size === 0;
    if (idle) this.#meterOf(flight.source)?.idle(this.#nowMs);
    if (how === "cancel") this.#parts.port.cancel(flight);
  }

  #drop(peer: Peer, why: string): void {
    if (peer.dropped) return;
    this.#parts.counters.add(`swarm.peers.dropped.${why}`);
    this.#deliveries.dropped(peer.key, why);
    for (const flight of [...peer.flights]) this.#end(flight, "cancel");
    this.#book.drop(peer);
  }

  #failed(peer: Peer, failure: Failure): void {
    peer.failures++;
    const never = peer.keptPieces === 0 && peer.answeredMs === undefined;
    if (failure.kind === "wrong") this.#drop(peer, "wrong");
    else if (peer.failures > (never ? 1 : 2)) this.#drop(peer, "broken");
    else this.#rest(peer, this.#policy.restMs * peer.failures);
  }

  #rest(peer: Peer, forMs: number | undefined): void {
    this.#parts.counters.add("swarm.peers.rested");
    const { busyRestMs } = this.#policy;
    const pauseMs = Math.max(busyRestMs, forMs ?? 0) * (0.5 + this.#parts.random.next());
    peer.restUntilMs = this.#nowMs + pauseMs;
  }

  /** It has not what it said, or not any more. */
  #lacks(peer: Peer, flight: Flight): void {
    if (peer.have === "whole" && peer.info.via !== "exchange") {
      // A filter is right in 99 of 100 cases, a value in the DHT as long as its publisher keeps it.
      this.#drop(peer, "missing");
      return;
    }
    this.#book.lacks(peer, flight.piece, flight.count);
  }

  #mirrorPieceFailed(): void {
    this.#parts.counters.add("swarm.mirror.piecesFailed");
    this.#mirrorRestUntilMs = this.#nowMs + this.#policy.restMs;
  }

  #tickLater(): void {
    if (this.#closed || this.done) return;
    this.#cancelTick = this.#parts.clock.after(this.#policy.tickMs, () => {
      this.#tick();
      this.#tickLater();
    });
  }

  /** What only time tells. */
  #tick(): void {
    const nowMs = this.#nowMs;
    const { headPatienceMs, bodyPatienceMs } = this.#policy;
    for (const flight of [...this.#flights]) {
      const patienceMs = flight.headMs === undefined ? headPatienceMs : bodyPatienceMs;
      if (nowMs - flight.lastMs < patienceMs) continue;
      this.#parts.counters.add("swarm.requests.stalled");
      this.#end(flight, "cancel");
      const peer = this.#book.get(flight.source);
      if (peer !== undefined) this.#failed(peer, { kind: "broken" });
      else this.#mirrorPieceFailed();
    }
    this.#pump();
  }

  /** Looks at everything that may have changed. */
  #pump(): void {
    if (!this.#started || this.#closed || this.#pumping) return;
    this.#pumping = true;
    try {
      if (!this.done) {
        this.#askAround();
        this.#request();
        this.#hedge();
        this.#useMirror();
        // Whoever waits for the next bytes waits in vain.
        if (this.hopeless) this.#parts.port.wake();
      } else {
        this.#setStream(false);
      }
    } finally {
      this.#pumping = false;
    }
  }

  #askAround(): void {
    const { port } = this.#parts;
    const nowMs = this.#nowMs;
    for (const peer of this.#book.toAsk(nowMs)) {
      peer.asking = true;
      peer.askedAtMs = nowMs;
      const seen = peer.count;
      port.askState(peer.key, seen, seen === undefined ? 0 : this.#policy.watchWaitMs);
    }
    if (this.shape.pieces === 1 || this.#lists.agreement >= 2) return;
    for (const peer of this.#book.toAskForList()) {
      peer.list = "asked";
      port.askList(peer.key);
    }
    this.#decide();
  }

  /** How many pieces may be under way. */
  #budget(nowMs: number): number {
    const { ms, fewest, most } = this.#policy.ahead;
    const bytes = ((this.#book.rate(nowMs) ?? 0) * ms) / 1000;
    return Math.min(most, Math.max(fewest, Math.ceil(bytes / pieceLength(this.shape, 0))));
  }

  get #limit(): number {
    return Math.min(this.shape.pieces, this.#picker.next + 1 + this.#ahead);
  }

  #request(): void {
    const nowMs = this.#nowMs;
    let room = this.#budget(nowMs);
    for (const flight of this.#flights) room -= flight.count - flight.donePieces;
    const ready = this.#book.ready(nowMs);
    while (room > 0 && ready.length > 0 && this.#picker.freeCount > 0) {
      const flight = this.#nextFor(ready, nowMs);
      if (flight === undefined) return;
      room -= flight.count;
    }
  }

  /** One more request. Peers that have nothing more to give are taken out of `ready`. */
  #nextFor(ready: Peer[], nowMs: number): Flight | undefined {
    if (this.#plan.sequential) {
      const { windowPieces } = this.#policy;
      const any = (piece: number): boolean =>
        this.#mayTake(piece) && ready.some((p) => p.has(piece));
      const piece = this.#picker.inOrder(windowPieces, this.#limit, any);
      const peer = piece === undefined ? undefined : this.#book.choose(ready, piece, nowMs);
      if (piece !== undefined && peer !== undefined)
        return this.#ask(peer, piece, { ready, nowMs });
    }
    while (ready.length > 0) {
      const peer = this.#book.cheapest(ready, nowMs);
      const piece = this.#rarestOf(peer);
      if (piece !== undefined) {
        const other = this.#book.choose(ready, piece, nowMs) ?? peer;
        return this.#ask(other, piece, { ready, nowMs });
      }
      ready.splice(ready.indexOf(peer), 1);
    }
    return undefined;
  }

  /** What the mirror's stream is about to bring is not asked for beside it. */
  #mayTake(piece: number): boolean {
    return !(this.#mirror.streaming && piece === pieceAt(this.#position));
  }

  #rarestOf(peer: Peer): number | undefined {
    const has = (piece: number): boolean => peer.has(piece) && this.#mayTake(piece);
    const { sampledPieces } = this.#policy;
    return this.#picker.rarest(this.#parts.random, {
      ...{ sample: sampledPieces, limit: this.#limit, has },
    });
  }

  #ask(
    peer: Peer,
    piece: number,
    { ready, nowMs }: { readonly ready: Peer[]; readonly nowMs: number },
  ): Flight {
    const { requestMs, requestPieces } = this.#policy;
    const rate = peer.meter.rate ?? 0;
    const wanted = Math.floor((rate * requestMs) / 1000 / pieceLength(this.shape, 0));
    const most = Math.min(requestPieces, Math.max(1, wanted));
    let count = 1;
    while (count < most && this.#mayFollow(peer, piece + count)) count++;
    const flight = this.#begin({ source: peer.key, piece, count }, nowMs);
    if (!peer.ready(this.#policy, nowMs)) ready.splice(ready.indexOf(peer), 1);
    return flight;
  }

  #mayFollow(peer: Peer, piece: number): boolean {
    return piece < this.#limit && this.#picker.isFree(piece) && peer.has(piece);
  }

  #begin(request: PieceRequest, nowMs: number): Flight {
    const flight = new Flight(request, this.shape, nowMs);
    this.#flights.add(flight);
    this.#book.get(request.source)?.flights.add(flight);
    this.#meterOf(request.source)?.began(nowMs);
    for (let index = 0; index < request.count; index++) this.#picker.took(request.piece + index);
    this.#parts.counters.add("swarm.requests");
    this.#parts.port.fetch(flight);
    return flight;
  }

  /** The next piece of a waiting reader, or the last ones: asked elsewhere too if that is sooner. */
  #hedge(): void {
    const nowMs = this.#nowMs;
    const next = this.#picker.next;
    const share = this.#policy.duplicateShare * this.shape.sizeBytes;
    const allowed = Math.max(2 * pieceLength(this.shape, 0), share);
    if (this.#duplicateBytes + this.#rivalBytes() >= allowed) return;
    if (this.#picker.flights(next) === 1 && this.#plan.sequential) this.#hedgePiece(next, nowMs);
    if (this.#picker.freeCount > 0) return;
    const left: number[] = [];
    for (const flight of this.#flights) {
      for (let at = flight.donePieces; at < flight.count; at++) left.push(flight.piece + at);
    }
    for (const piece of left) {
      if (this.#duplicateBytes + this.#rivalBytes() >= allowed) return;
      if (this.#picker.flights(piece) === 1) this.#hedgePiece(piece, nowMs);
    }
  }

  #rivalBytes(): number {
    let bytes = 0;
    for (const flight of this.#flights) {
      if (this.#picker.flights(flight.piece + flight.donePieces) > 1) bytes += flight.leftBytes / 2;
    }
    return bytes;
  }

  #hedgePiece(piece: number, nowMs: number): void {
    let flight: Flight | undefined;
    for (const each of this.#flights) if (each.covers(piece)) flight = each;
    const holder = flight === undefined ? undefined : this.#book.get(flight.source);
    if (flight === undefined || holder === undefined) return;
    const { hedgeFactor, hedgeGainMs } = this.#policy;
    const leftMs = this.#dueMs(flight, piece, nowMs) - nowMs;
    const lateMs = nowMs - flight.lastMs;
    const dueMs = Math.max(leftMs, lateMs);
    const ready = this.#book
      .ready(nowMs)
      .filter((peer) => peer !== holder && peer.has(piece) && peer.keptPieces > 0);
    const other = this.#book.choose(ready, piece, nowMs);
    if (other === undefined) return;
    const otherMs = other.expectedMs(pieceLength(this.shape, piece), this.#policy, nowMs);
    if (otherMs * hedgeFactor > dueMs || dueMs - otherMs < hedgeGainMs) return;
    this.#parts.counters.add("swarm.requests.hedged");
    this.#begin({ source: other.key, piece, count: 1 }, nowMs);
  }

  /** When the piece should be here, by the rate of who was asked for it. */
  #dueMs(flight: Flight, piece: number, nowMs: number): number {
    const peer = this.#book.get(flight.source);
    const rate = peer?.rate(this.#policy, nowMs) ?? this.#mirror.meter.current(nowMs) ?? 1;
    return nowMs + (flight.leftBefore(piece) * 1000) / rate;
  }

  #hope(): boolean {
    if (this.#flights.size > 0 || this.crowd > this.#policy.crowd) return true;
    return this.#book.hopeful(this.#picker);
  }

  #useMirror(): void {
    const nowMs = this.#nowMs;
    const next = this.#picker.next;
    const crowd = this.crowd;
    const view = {
      ...{ nowMs, position: this.#position, startPosition: this.#startPosition, crowd },
      nextHeld: pieceAt(this.#position) < next,
      ...{ hope: this.#hope(), searching: this.#searching },
      peersRate: this.#book.rate(nowMs),
      nextDueMs: this.#nextDueMs(next, nowMs),
      atBoundary: this.#position % pieceLength(this.shape, 0) < this.#policy.tasteBytes,
    };
    this.#setStream(this.#mirror.decide(view));
    if (crowd > this.#policy.crowd && !this.#streamWanted) this.#askMirrorForPiece(nowMs);
  }

  /** In a crowd: the piece that a starving reader needs, or one that nobody has, if it may. */
  #askMirrorForPiece(nowMs: number): void {
    if (nowMs < this.#mirrorRestUntilMs || this.fetching.length > 0) return;
    const claimed = this.#book.atMirror(nowMs);
    const some = this.#picker.unseen(this.#policy.mirrorWindow, this.#limit);
    let piece: number | undefined;
    if (this.#plan.sequential && this.#mirror.starves(nowMs, this.#keptPieces)) {
      // Somebody else may be getting it: then it will be here in a moment, but not much later.
      const other = claimed.has(this.#picker.next) && !this.#mirror.starvesLong(nowMs);
      if (!other) piece = this.#picker.next;
    } else if (this.#mirror.mayAskPieces(nowMs)) {
      piece = this.#turns.mine(some, this.#book.tickets(nowMs), { nowMs, claimed });
    }
    if (piece === undefined) return;
    this.#parts.counters.add("swarm.mirror.pieces");
    this.#begin({ source: mirrorSource, piece, count: 1 }, nowMs);
  }

  #nextDueMs(next: number, nowMs: number): number {
    let due = Infinity;
    for (const flight of this.#flights) {
      if (flight.covers(next)) due = Math.min(due, this.#dueMs(flight, next, nowMs));
    }
    return due;
  }

  #setStream(wanted: boolean): void {
    if (wanted === this.#streamWanted) return;
    this.#streamWanted = wanted;
    this.#parts.counters.add(wanted ? "swarm.mirror.streams" : "swarm.mirror.streamsEnded");
    this.#parts.port.wake();
  }
}

/** Where a piece begins, for drivers. */
export { pieceStart };
