/**
 * One machine of a simulated swarm: the scheduler of the daemon, with modelled links in place of
 * HTTP. It downloads one file, serves what it has (see uploads.ts), and may lie, stall or leave.
 */
import type { Endpoint } from "../../base/endpoint.ts";
import { groupOf } from "../../swarm/peer-book.ts";
import type { PieceMap } from "../../swarm/piece-map.ts";
import type { StateQuestion, TransferPort } from "../../swarm/ports.ts";
import { pieceAt, pieceEnd, pieceStart } from "../../swarm/shape.ts";
import { mirrorSource } from "../../swarm/core.ts";
import { Transfer } from "../../swarm/transfer.ts";
import type { Failure, PeerInfo, PieceRequest } from "../../swarm/types.ts";
import type { Host } from "./links.ts";
import type { MemberPlan } from "./plan.ts";
import {
  Upload,
  type Content,
  type Machine,
  type MirrorAnswer,
  type ReaderFigures,
  type Setting,
  type ToldState,
} from "./setting.ts";
import { Uploads } from "./uploads.ts";

/** What one that does not answer costs who asks: the time-outs for connections; see io/got-peers.ts. */
const connectNearMs = 1000;
const connectFarMs = 2000;
/** Between two looks at what others have got, by one that is about to leave; see engine/parting.ts. */
const partingLookMs = 20;
/** apt's pause before it asks again for a file that was not what it should be. */
const refetchMs = 1000;

export class Member implements TransferPort, Machine {
  readonly id: number;
  readonly endpoint: Endpoint;
  readonly host: Host;
  readonly plan: MemberPlan;
  readonly uploads: Uploads;
  readonly figures: ReaderFigures = {
    ...{ startedMs: undefined, firstByteMs: undefined, finishedMs: undefined },
    ...{ longestSilenceMs: 0, refetches: 0 },
  };
  transfer: Transfer | undefined;
  /** It has left, or crashed. */
  gone: "left" | "crashed" | undefined;
  /** Bytes that the reader has, in order. */
  position = 0;
  readonly #world: Setting;
  readonly #running = new Map<PieceRequest, Upload | MirrorAnswer>();
  readonly #infos = new Map<string, PeerInfo>();
  /** Pieces here, or set aside, that are not what they should be. */
  readonly #false = new Set<number>();
  #stream: MirrorAnswer | undefined;
  #streamedFrom = 0;
  #lastByteMs = 0;
  #partedMs: number | undefined;

  constructor(world: Setting, id: number, host: Host) {
    this.#world = world;
    this.id = id;
    this.host = host;
    this.plan = world.planOf(id);
    this.endpoint = world.endpointOf(id);
    this.uploads = new Uploads(world, this);
  }

  /** Whether it has all of the file. */
  get whole(): boolean {
    return this.plan.seed === true || this.figures.finishedMs !== undefined;
  }

  get have(): PieceMap {
    if (this.plan.seed === true) return this.#world.allPieces;
    return this.transfer?.held ?? this.#world.noPieces;
  }

  /** What a piece is that it sends. */
  contentOf(piece: number): Content {
    const { trouble } = this.plan;
    const lies = trouble === "bytes" || trouble === "consistent";
    return lies || this.#false.has(piece) ? "false" : "true";
  }

  /** As others know it. */
  info(state: PeerInfo["state"], via: PeerInfo["via"]): PeerInfo {
    const key = `${state} ${via}`;
    const known = this.#infos.get(key);
    if (known !== undefined) return known;
    const { near } = this.#world;
    const group = groupOf(this.endpoint.address, near);
    const info = { endpoint: this.endpoint, near, group, state, via };
    this.#infos.set(key, info);
    return info;
  }

  /** Begins to download. */
  start(): void {
    const nowMs = this.#world.clock.monotonicMs();
    this.figures.startedMs = nowMs;
    this.#lastByteMs = nowMs;
    this.#open(true);
  }

  /** Goes; who is connected notices only if it leaves. */
  leave(how: "left" | "crashed"): void {
    if (this.gone !== undefined) return;
    this.gone = how;
    this.transfer?.close();
    this.#stream?.cancel();
    this.uploads.close(how === "left");
  }

  // What the transfer wants done.

  fetch(request: PieceRequest): void {
    const { clock, mirror } = this.#world;
    if (request.source === mirrorSource) {
      if (mirror !== undefined) this.#running.set(request, mirror.range(this, request));
      // Others shall not ask for the same. Not now: the transfer is in the middle of something.
      clock.after(0, () => this.uploads.changed());
      return;
    }
    const upload = new Upload(this, request);
    this.#running.set(request, upload);
    const target = this.#world.member(request.source);
    const unreachableMs = this.#unreachableMs(target);
    if (target === undefined || unreachableMs !== undefined) {
      this.failedLater(request, { kind: "broken" }, unreachableMs ?? 0);
      return;
    }
    clock.after(this.#world.latencyMs(this.id, target.id), () => {
      if (upload.ended) return;
      if (target.gone === undefined) target.uploads.asked(upload);
      else if (target.gone === "left") this.failedLater(request, { kind: "broken" }, 0);
    });
  }

  cancel(request: PieceRequest): void {
    this.#stop(request);
  }

  askState(peer: string, question: StateQuestion): void {
    const target = this.#world.member(peer);
    const unreachableMs = this.#unreachableMs(target);
    if (target === undefined || unreachableMs !== undefined) {
      this.#stateFailed(peer, { kind: "broken" }, unreachableMs ?? 0);
      return;
    }
    this.#world.clock.after(this.#world.latencyMs(this.id, target.id), () => {
      if (target.gone === undefined) target.uploads.askedState(this, question);
      else this.#stateFailed(peer, { kind: "broken" }, connectNearMs);
    });
  }

  askList(peer: string): void {
    const target = this.#world.member(peer);
    const unreachableMs = this.#unreachableMs(target);
    if (target === undefined || unreachableMs !== undefined) {
      this.#stateFailed(peer, { kind: "broken" }, unreachableMs ?? 0);
      return;
    }
    this.#world.clock.after(2 * this.#world.latencyMs(this.id, target.id), () => {
      if (!this.#going) return;
      if (target.whole) this.transfer?.pieceList(peer, this.#world.listOf(target));
      else this.transfer?.peerFailed(peer, { kind: "missing" });
    });
  }

  judged(piece: number, kept: boolean): void {
    if (!kept) this.#false.delete(piece);
    else this.uploads.changed();
    this.#consume();
  }

  wake(): void {
    for (const piece of this.transfer?.takeLost() ?? []) this.#false.delete(piece);
    this.#consume();
  }

  // What comes of it.

  /** A whole piece has come. */
  gotPiece(request: PieceRequest, piece: number, content: Content): void {
    const { transfer } = this;
    if (transfer === undefined) return;
    const fresh = content === "false" && !transfer.held.has(piece);
    if (fresh) this.#false.add(piece);
    const verdict = transfer.piece(request, piece, this.#world.digestOf(content, piece));
    if (verdict === "kept") this.uploads.changed();
    else if (verdict === "dropped" && fresh) this.#false.delete(piece);
  }

  /** All of a request has come. */
  gotAll(request: PieceRequest): void {
    this.#stop(request);
    this.transfer?.ended(request);
    this.#consume();
  }

  failedLater(request: PieceRequest, failure: Failure, delayMs: number): void {
    this.#world.clock.after(delayMs, () => {
      if (this.#stop(request) && this.#going) this.transfer?.ended(request, failure);
    });
  }

  get listens(): boolean {
    return this.#going;
  }

  toldState(by: Machine, { state, load, last }: ToldState): void {
    if (!this.#going) return;
    this.transfer?.peerState(by.endpoint.text, state, load);
    if (last) this.transfer?.answerEnded(by.endpoint.text);
  }

  stateFailed(by: Machine, delayMs: number): void {
    this.#stateFailed(by.endpoint.text, { kind: "broken" }, delayMs);
  }

  /** Bytes of the mirror's stream have come. */
  streamed(bytes: number): void {
    const { transfer } = this;
    const { shape } = this.#world;
    this.#take(bytes);
    const at = this.position === shape.sizeBytes ? shape.pieces : pieceAt(this.position);
    const whole = at - 1;
    const compares = transfer?.comparesStream === true && whole >= 0;
    const fromStart = compares && pieceStart(whole) >= this.#streamedFrom;
    const digest = fromStart ? this.#world.digestOf("true", whole) : undefined;
    const before = transfer?.held.count;
    transfer?.streamed(this.position, digest);
    if (transfer?.held.count !== before) this.uploads.changed();
    this.#consume();
  }

  get #going(): boolean {
    return this.gone === undefined && this.figures.finishedMs === undefined;
  }

  #open(search: boolean): void {
    const { clock, random, counters, shape, policy, mirror, patienceMs } = this.#world;
    const transfer = new Transfer(
      { clock, random, counters, port: this, policy },
      {
        ...{ sha256: this.#world.sha256, sizeBytes: shape.sizeBytes, mirror: mirror !== undefined },
        ...{ patienceMs: search ? patienceMs : 0, sequential: this.plan.sequential },
        manyNear: this.#world.manyNear,
      },
    );
    this.transfer = transfer;
    const current = (): boolean => this.#going && this.transfer === transfer;
    if (search) {
      this.#world.finding.find(this, {
        peers: (peers) => {
          if (current()) transfer.addPeers(peers);
        },
        done: () => {
          if (current()) transfer.searchEnded();
        },
      });
    }
    transfer.start();
    if (!search) transfer.searchEnded();
  }

  /** After how long it is clear that a peer cannot be reached; undefined: it can. */
  #unreachableMs(target: Machine | undefined): number | undefined {
    const connectMs = this.#world.near ? connectNearMs : connectFarMs;
    if (target === undefined || target.plan.trouble === "deaf") return connectMs;
    if (target.gone === "crashed") return connectMs;
    if (target.gone === "left") return 2 * this.#world.latencyMs(this.id, target.id);
    return undefined;
  }

  /** Whether it was under way. */
  #stop(request: PieceRequest): boolean {
    const running = this.#running.get(request);
    if (running === undefined) return false;
    this.#running.delete(request);
    if (running instanceof Upload) running.end();
    else running.cancel();
    return true;
  }

  #stateFailed(peer: string, failure: Failure, delayMs: number): void {
    this.#world.clock.after(delayMs, () => {
      if (this.#going) this.transfer?.peerFailed(peer, failure);
    });
  }

  #take(bytes: number): void {
    const nowMs = this.#world.clock.monotonicMs();
    const { figures } = this;
    figures.longestSilenceMs = Math.max(figures.longestSilenceMs, nowMs - this.#lastByteMs);
    this.#lastByteMs = nowMs;
    figures.firstByteMs ??= nowMs;
    this.position += bytes;
  }

  /** What the daemon's session and download do. */
  #consume(): void {
    const { transfer } = this;
    const { shape, mirror } = this.#world;
    if (transfer === undefined || !this.#going) return;
    while (this.position < shape.sizeBytes && transfer.held.has(pieceAt(this.position))) {
      this.#take(pieceEnd(shape, pieceAt(this.position)) - this.position);
      transfer.consumed(this.position);
    }
    if (this.position >= shape.sizeBytes) this.#part(transfer);
    else if (!transfer.streamWanted) this.#stopStream();
    else if (this.#stream === undefined && mirror !== undefined) {
      this.#streamedFrom = this.position;
      this.#stream = mirror.stream(this);
    }
  }

  #stopStream(): void {
    this.#stream?.cancel();
    this.#stream = undefined;
  }

  /** The end may wait for a moment; see swarm/rarity.ts. */
  #part(transfer: Transfer): void {
    const { clock, counters, patienceMs } = this.#world;
    if (this.#partedMs !== undefined) return;
    this.#partedMs = clock.monotonicMs();
    const untilMs = this.#partedMs + patienceMs;
    if (transfer.rarity.some) counters.add("swarm.partings");
    const look = (): void => {
      if (!this.#going) return;
      if (!transfer.rarity.some || clock.monotonicMs() >= untilMs) this.#finish(transfer);
      else clock.after(partingLookMs, look);
    };
    look();
  }

  #finish(transfer: Transfer): void {
    this.#stopStream();
    transfer.close();
    if (this.#false.size > 0) {
      this.#again();
      return;
    }
    this.figures.finishedMs = this.#world.clock.monotonicMs();
    this.uploads.changed();
    this.#world.finished(this);
  }

  /** The file as a whole is wrong: apt asks again, and the mirror alone is believed. */
  #again(): void {
    this.#false.clear();
    this.figures.refetches++;
    this.transfer = undefined;
    this.#partedMs = undefined;
    this.position = 0;
    if (this.#world.mirror === undefined) return;
    this.#world.clock.after(refetchMs, () => {
      if (this.#going) this.#open(false);
    });
  }
}
