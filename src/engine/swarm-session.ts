/**
 * Drives one transfer of the swarm for one download: moves the bytes that `Transfer` asks for, keeps
 * the pieces that it accepts until their turn has come, and says from where the next bytes come.
 */
import { parseEndpoint } from "../base/endpoint.ts";
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Counters } from "../base/counters.ts";
import type { Clock, Hasher, Hashes, Random } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { TransferRecord } from "../swarm/blame.ts";
import { PieceMap } from "../swarm/piece-map.ts";
import type { PieceList } from "../swarm/piece-lists.ts";
import type { StateQuestion, TransferPort } from "../swarm/ports.ts";
import { pieceAt, pieceEnd, pieceStart } from "../swarm/shape.ts";
import { mirrorSource } from "../swarm/core.ts";
import type { TransferPlan } from "../swarm/transfer-plan.ts";
import { Transfer } from "../swarm/transfer.ts";
import type { Failure, PeerInfo, PieceRequest } from "../swarm/types.ts";
import {
  askForList,
  askForPieces,
  followState,
  type PeerTarget,
  type PieceEvents,
  type Told,
} from "./peer-requests.ts";
import { askMirrorForPieces } from "./mirror-pieces.ts";
import { part } from "./parting.ts";
import { givePieceBuffer } from "./piece-buffers.ts";
import type { WholePiece } from "./piece-intake.ts";
import type { Mirror, PeerPort } from "./ports.ts";

export interface SessionParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly hashes: Hashes;
  readonly counters: Counters;
  readonly peers: PeerPort;
  readonly mirror: Mirror;
  readonly isNear: (address: string) => boolean;
}

/** Where pieces wait that came before their turn; see cache/unfinished.ts. */
export interface AheadStore {
  putPiece(piece: number, chunks: readonly Buffer[]): boolean;
  dropPiece(piece: number): void;
}

export interface SessionPlan {
  readonly sha256: Sha256;
  readonly sizeBytes: number;
  /** Bytes that are here in order. */
  readonly position: number;
  /** Whole pieces beyond, from an earlier run. */
  readonly ahead: readonly number[];
  readonly store: AheadStore | undefined;
  /** How the mirror is asked for single pieces; undefined: there is none. */
  readonly mirror:
    { readonly url: string; readonly headers: Readonly<Record<string, string>> } | undefined;
  readonly patienceMs: number;
  /** How long the reader may be kept waiting in the end; called when that would be of use. */
  readonly partingMs: () => number;
  readonly manyNear: boolean;
  readonly mirrorRate?: number | undefined;
  readonly sequential: boolean;
  readonly admits?: TransferPlan["admits"];
}

/** Where the next bytes in order are. */
export type Step =
  /** Here: see `take`. */
  | { readonly kind: "here"; readonly piece: number }
  /** In the ahead store: this piece. */
  | { readonly kind: "ahead"; readonly piece: number }
  /** The mirror is to be asked for them. */
  | { readonly kind: "mirror" }
  /** Nowhere: no peer is left, and not the mirror. */
  | { readonly kind: "none" };

/** Pieces in memory, of all sessions. */
const keptInAll = { pieces: 0 };

export class SwarmSession implements TransferPort {
  readonly sha256: Sha256;
  readonly transfer: Transfer;
  readonly #parts: SessionParts;
  readonly #plan: SessionPlan;
  readonly #flights = new Map<PieceRequest, AbortController>();
  readonly #questions = new Set<AbortController>();
  /** Pieces that are in no store: the next ones, or all that the disk does not take. */
  readonly #kept = new Map<number, Buffer>();
  /** Pieces of which it is not decided yet whether they are believed. */
  readonly #aside = new Map<
    number,
    { readonly request: PieceRequest; readonly whole: WholePiece }
  >();
  readonly #waitingForRoom = new Set<() => void>();
  readonly #listeners = new Set<() => void>();
  #onFound: () => void = () => undefined;
  #onClosed: () => void = () => undefined;
  #wakeUp: (() => void) | undefined;
  #woken = false;
  #closed = false;
  #stopStream: (() => void) | undefined;
  #streamHasher: { readonly piece: number; readonly hasher: Hasher } | undefined;
  #localScope = false;
  #mirrorBytes = 0;
  readonly #startedMs: number;
  #firstPeerMs: number | undefined;

  constructor(parts: SessionParts, plan: SessionPlan) {
    this.sha256 = plan.sha256;
    this.#parts = parts;
    this.#plan = plan;
    this.#startedMs = parts.clock.monotonicMs();
    this.transfer = new Transfer(
      { ...parts, port: this },
      {
        ...{
          sha256: plan.sha256,
          sizeBytes: plan.sizeBytes,
          position: plan.position,
          ahead: plan.ahead,
        },
        ...{ mirror: plan.mirror !== undefined, patienceMs: plan.patienceMs },
        ...{ mirrorRate: plan.mirrorRate, manyNear: plan.manyNear },
        ...{ sequential: plan.sequential, admits: plan.admits },
        ...(plan.store === undefined && { lookaheadPieces: limits.piecesInMemory }),
      },
    );
  }

  /** Bytes from peers only came from those whose copy may leave the own network. */
  get publicPeers(): boolean {
    return !this.#localScope;
  }

  get mirrorBytes(): number {
    return this.#mirrorBytes;
  }

  /** Until the first piece of a peer was kept; undefined: none was. */
  get firstPeerMs(): number | undefined {
    return this.#firstPeerMs;
  }

  record(): TransferRecord {
    return this.transfer.record();
  }

  /** Called once, when the first piece of a peer has been kept. */
  whenFound(found: () => void): void {
    this.#onFound = found;
  }

  /** Called once. */
  whenClosed(closed: () => void): void {
    this.#onClosed = closed;
  }

  /** Called when other pieces are held; the returned function ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.transfer.close();
    for (const abort of this.#questions) abort.abort();
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
    keptInAll.pieces -= this.#kept.size;
    this.#kept.clear();
    this.#makeRoom();
    this.#onClosed();
    this.#wake();
  }

  /** What is at `position`. Called by one reader, in order. */
  async next(position: number): Promise<Step> {
    for (;;) {
      this.#woken = false;
      if (this.#closed) return { kind: "none" };
      this.transfer.consumed(position);
      this.#makeRoom();
      const piece = pieceAt(position);
      if (this.transfer.held.has(piece)) {
        return { kind: this.#kept.has(piece) ? "here" : "ahead", piece };
      }
      if (this.transfer.streamWanted) return { kind: "mirror" };
      if (this.transfer.hopeless) return { kind: "none" };
      await this.#change();
    }
  }

  /** Resolves when the reader may have the end. */
  part(): Promise<void> {
    return part(this.#parts, {
      rare: () => this.transfer.rarity.some,
      allowMs: this.#plan.partingMs,
      over: () => this.#closed,
    });
  }

  /** Bytes of a held piece that have not been put in order yet; undefined: they are elsewhere. */
  waiting(piece: number): Buffer | undefined {
    return this.#kept.get(piece);
  }

  /** The same, for putting them in order; they are the caller's from now on. */
  take(piece: number): Buffer | undefined {
    const bytes = this.#kept.get(piece);
    if (this.#kept.delete(piece)) keptInAll.pieces -= 1;
    return bytes;
  }

  /**
   * The mirror's stream runs from now on; `stop` ends it → how many bytes are wanted of it; undefined:
   * as many as come.
   */
  streamStarts(stop: () => void): number | undefined {
    this.#stopStream = stop;
    this.#streamHasher = undefined;
    const { streamBytes } = this.transfer.mirror;
    if (streamBytes !== undefined) this.#parts.counters.add("swarm.mirror.tastes");
    return streamBytes;
  }

  /** A chunk of the stream was put in order, up to `position` → whether it shall go on. */
  streamed(chunk: Buffer, position: number): boolean {
    this.#mirrorBytes += chunk.length;
    const held = this.transfer.held.count;
    this.transfer.streamed(position, this.#streamDigest(chunk, position));
    if (this.transfer.held.count !== held) this.#changed();
    return this.transfer.streamWanted && !this.transfer.held.has(pieceAt(position));
  }

  streamEnds(): void {
    this.#stopStream = undefined;
  }

  streamFailed(): void {
    this.#stopStream = undefined;
    this.transfer.streamFailed();
  }

  /** A piece could not be taken from the ahead store: it is fetched again. */
  lost(piece: number): void {
    this.transfer.lose(piece);
  }

  addPeers(peers: readonly PeerInfo[]): void {
    if (!this.#closed) this.transfer.addPeers(peers);
  }

  searchEnded(): void {
    if (!this.#closed) this.transfer.searchEnded();
  }

  tellList(teller: string, group: string, list: PieceList): void {
    if (!this.#closed) this.transfer.tellList(teller, group, list);
  }

  // What the transfer wants done.

  fetch(request: PieceRequest): void {
    const abort = new AbortController();
    this.#flights.set(request, abort);
    // Others shall not ask the mirror for the same.
    if (request.source === mirrorSource) this.#changed();
    this.#run(request, abort.signal)
      .then((failure) => {
        if (this.#flights.delete(request)) this.transfer.ended(request, failure);
      })
      .catch(() => {
        // No connection, or it was cut: which of both does not matter.
        if (this.#flights.delete(request)) this.transfer.ended(request, { kind: "broken" });
      });
  }

  cancel(request: PieceRequest): void {
    const abort = this.#flights.get(request);
    this.#flights.delete(request);
    abort?.abort();
  }

  askState(peer: string, question: StateQuestion): void {
    this.#ask(peer, async (to, signal) => {
      const { sha256, transfer } = this;
      const told = ({ state, load }: Told): void => transfer.peerState(peer, state, load);
      const what = { to, sha256, ...question };
      const failure = await followState(this.#parts, what, { told, signal });
      if (failure === undefined) transfer.answerEnded(peer);
      else transfer.peerFailed(peer, failure);
    });
  }

  askList(peer: string): void {
    this.#ask(peer, async (to, signal) => {
      const { shape } = this.transfer;
      const { peers, hashes } = this.#parts;
      const what = { to, sha256: this.sha256, pieces: shape.pieces };
      const answer = await askForList({ peers, hashes }, what, signal);
      if ("failure" in answer) this.transfer.peerFailed(peer, answer.failure);
      else this.transfer.pieceList(peer, answer.list);
    });
  }

  wake(): void {
    for (const piece of this.transfer.takeLost()) {
      this.take(piece);
      this.#plan.store?.dropPiece(piece);
    }
    if (!this.transfer.streamWanted) {
      const stop = this.#stopStream;
      this.#stopStream = undefined;
      stop?.();
    }
    this.#wake();
  }

  #run(request: PieceRequest, signal: AbortSignal): Promise<Failure | undefined> {
    const { transfer } = this;
    const events: PieceEvents = {
      offered: (offer) => {
        if (offer.local === true) this.#localScope = true;
        return transfer.offered(request, offer);
      },
      received: (bytes) => transfer.progress(request, bytes),
      whole: (whole) => this.#take(request, whole),
      room: () => this.#room(signal),
    };
    const { hashes, mirror, peers } = this.#parts;
    const { shape } = transfer;
    if (request.source === mirrorSource) {
      const { mirror: asked } = this.#plan;
      if (asked === undefined) throw new Error("there is no mirror to be asked");
      return askMirrorForPieces(
        { mirror, hashes },
        { ...asked, shape, request },
        { events, signal },
      );
    }
    const to = this.#endpoint(request.source);
    const what = { to, sha256: this.sha256, shape, request };
    return askForPieces({ peers, hashes }, what, { events, signal });
  }

  #take(request: PieceRequest, whole: WholePiece): void {
    const verdict = this.transfer.piece(request, whole.piece, whole.digest);
    if (verdict === "wait") this.#aside.set(whole.piece, { request, whole });
    else if (verdict === "kept") this.#accept(request, whole);
    else givePieceBuffer(whole.bytes);
  }

  judged(piece: number, kept: boolean): void {
    const aside = this.#aside.get(piece);
    this.#aside.delete(piece);
    if (aside === undefined) return;
    if (kept) this.#accept(aside.request, aside.whole);
    else givePieceBuffer(aside.whole.bytes);
    this.#makeRoom();
  }

  #accept(request: PieceRequest, whole: WholePiece): void {
    const { counters, clock } = this.#parts;
    const bytes = pieceEnd(this.transfer.shape, whole.piece) - pieceStart(whole.piece);
    if (request.source === mirrorSource) {
      this.#mirrorBytes += bytes;
      counters.add("engine.bytes.fromMirror", bytes);
    } else {
      if (this.#firstPeerMs === undefined) {
        this.#firstPeerMs = clock.monotonicMs() - this.#startedMs;
        this.#onFound();
      }
      counters.add("engine.bytes.fromPeers", bytes);
    }
    this.#keep(whole);
    this.#changed();
    this.#wake();
  }

  #keep({ piece, bytes }: WholePiece): void {
    const { store } = this.#plan;
    // The next ones in order go on in a moment.
    const soon = keptInAll.pieces < limits.soonPiecesInAll ? limits.soonPieces : 1;
    const isSoon = piece - pieceAt(this.transfer.position) < soon;
    if (!isSoon && store?.putPiece(piece, [bytes]) === true) return;
    this.take(piece);
    this.#kept.set(piece, bytes);
    keptInAll.pieces += 1;
    if (!isSoon && this.#kept.size > limits.piecesInMemory / 2) {
      this.transfer.limitAhead(limits.piecesInMemory);
    }
  }

  /** Peers must not be faster than the disk and the hashing, or their pieces fill the memory. */
  #room(signal: AbortSignal): Promise<void> | undefined {
    if (!this.#isBehind() || this.#closed || signal.aborted) return undefined;
    return new Promise((resolve) => {
      const go = (): void => {
        cancel();
        this.#waitingForRoom.delete(go);
        resolve();
      };
      const cancel = this.#parts.clock.after(limits.soonMs, go);
      this.#waitingForRoom.add(go);
    });
  }

  #makeRoom(): void {
    if (this.#waitingForRoom.size === 0 || (this.#isBehind() && !this.#closed)) return;
    for (const go of [...this.#waitingForRoom]) go();
  }

  /** Whether many of the next pieces are here: then it is not the peers for whom the reader waits. */
  #isBehind(): boolean {
    const { held, position, shape } = this.transfer;
    // Or they wait until it is known which list is to be believed.
    if (this.#aside.size >= limits.soonPieces) return true;
    const first = pieceAt(position);
    const end = Math.min(shape.pieces, first + limits.readyPieces);
    for (let piece = first; piece < end; piece++) if (!held.has(piece)) return false;
    return end > first;
  }

  #ask(peer: string, ask: (to: PeerTarget, signal: AbortSignal) => Promise<void>): void {
    const abort = new AbortController();
    this.#questions.add(abort);
    ask(this.#endpoint(peer), abort.signal)
      .catch((thrown: unknown) => {
        if (!(thrown instanceof AptP2pError)) throw thrown;
        if (!this.#closed) this.transfer.peerFailed(peer, { kind: "broken" });
      })
      .finally(() => this.#questions.delete(abort));
  }

  #endpoint(text: string): PeerTarget {
    const endpoint = parseEndpoint(text);
    if (endpoint === undefined) throw new Error(`${text} is no endpoint`);
    return { endpoint, near: this.#parts.isNear(endpoint.address) };
  }

  /** SHA-256 of the piece that ends at `position`, if it came whole by the stream and is of use. */
  #streamDigest(chunk: Buffer, position: number): string | undefined {
    const { transfer } = this;
    if (!transfer.comparesStream) return undefined;
    let from = position - chunk.length;
    let digest: string | undefined;
    while (from < position) {
      const piece = pieceAt(from);
      const end = Math.min(position, pieceEnd(transfer.shape, piece));
      if (from === pieceStart(piece)) {
        this.#streamHasher = { piece, hasher: this.#parts.hashes.start() };
      }
      const current = this.#streamHasher;
      if (current?.piece === piece) {
        const start = position - chunk.length;
        current.hasher.update(chunk.subarray(from - start, end - start));
        const whole = end === pieceEnd(transfer.shape, piece);
        if (whole) digest = Buffer.from(current.hasher.digest()).toString("hex");
        if (whole) this.#streamHasher = undefined;
      }
      from = end;
    }
    return digest;
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #wake(): void {
    this.#woken = true;
    const wakeUp = this.#wakeUp;
    this.#wakeUp = undefined;
    wakeUp?.();
  }

  #change(): Promise<void> {
    if (this.#woken) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wakeUp = resolve;
    });
  }
}

/** A map of the pieces, for messages. */
export function mapOf(pieces: readonly number[], count: number): PieceMap | undefined {
  if (pieces.length === 0) return undefined;
  const map = new PieceMap(count);
  for (const piece of pieces) map.add(piece);
  return map;
}
