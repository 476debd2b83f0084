/** One transfer in virtual time, among peers and a mirror that are as fast and as honest as told. */
import { Counters } from "../../../src/base/counters.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { PieceMap } from "../../../src/swarm/piece-map.ts";
import type { TransferPort } from "../../../src/swarm/ports.ts";
import { pieceEnd, pieceLength } from "../../../src/swarm/shape.ts";
import { mirrorSource } from "../../../src/swarm/core.ts";
import { Transfer } from "../../../src/swarm/transfer.ts";
import type { TransferPlan } from "../../../src/swarm/transfer-plan.ts";
import type { Failure, PeerInfo, PieceRequest } from "../../../src/swarm/types.ts";

export const trueDigest = (piece: number): string => piece.toString(16).padStart(64, "0");
export const falseDigest = (piece: number): string => piece.toString(16).padStart(64, "f");

export interface FakePeer {
  /** Bytes a second of each request. */
  rate: number;
  rttMs: number;
  have?: PieceMap;
  /** Says how a request ends; undefined: well. */
  fails?: (request: PieceRequest) => Failure | undefined;
  /** Never answers. */
  silent?: boolean;
  lies?: (piece: number) => boolean;
  /** A list of its own. */
  list?: readonly string[] | "none";
  near?: boolean;
  via?: PeerInfo["via"];
  state?: PeerInfo["state"];
}

const quantumBytes = 64 * 1024;

export class SmallSwarm implements TransferPort {
  readonly clock = new VirtualClock();
  readonly counters = new Counters();
  readonly transfer: Transfer;
  readonly peers = new Map<string, FakePeer>();
  mirrorRate = 10e6;
  mirrorDelayMs = 20;
  /** It gives no ranges. */
  mirrorFails = false;
  mirrorBytes = 0;
  mirrorPieces = 0;
  /** Requests to peers that were under way at once, after three lies. */
  mostAmongLiars = 0;
  finishedMs: number | undefined;
  firstByteMs: number | undefined;
  #position: number;
  #streaming: (() => void) | undefined;
  readonly #tickets = new Map<string, number>();
  readonly #random: SeededRandom;
  readonly #running = new Map<PieceRequest, { cancelled: boolean }>();

  constructor(plan: Partial<TransferPlan> & { sizeBytes: number }, seed = 1) {
    this.#position = plan.position ?? 0;
    this.#random = new SeededRandom(seed + 1000);
    this.transfer = new Transfer(
      { clock: this.clock, random: new SeededRandom(seed), counters: this.counters, port: this },
      { sha256: trueDigest(0), mirror: true, patienceMs: 0, sequential: true, ...plan },
    );
  }

  add(index: number, peer: FakePeer): string {
    const at = endpoint(`192.0.2.${index}`, 9977);
    this.peers.set(at.text, peer);
    this.#tickets.set(at.text, Math.floor(this.#random.next() * 2 ** 32));
    const state = peer.state ?? (peer.have === undefined ? "whole" : "unknown");
    this.transfer.addPeers([
      {
        ...{ endpoint: at, near: peer.near ?? true, group: at.address, state },
        via: peer.via ?? "neighbour",
      },
    ]);
    return at.text;
  }

  /** Runs until the file is there, or for so long. */
  run(mostMs: number): void {
    this.transfer.start();
    const until = this.clock.monotonicMs() + mostMs;
    while (this.finishedMs === undefined && this.clock.monotonicMs() < until) {
      this.clock.advance(5);
      this.#consume();
    }
  }

  fetch(request: PieceRequest): void {
    const state = { cancelled: false };
    this.#running.set(request, state);
    const mirror = request.source === mirrorSource;
    const peer: FakePeer | undefined = mirror
      ? {
          ...{ rate: this.mirrorRate, rttMs: this.mirrorDelayMs },
          fails: () => (this.mirrorFails ? { kind: "wrong", what: "no ranges" } : undefined),
        }
      : this.peers.get(request.source);
    if (peer === undefined) throw new Error(`nobody is ${request.source}`);
    if (mirror) this.mirrorPieces += request.count;
    else if (this.counters.get("swarm.pieces.refused") > 3) this.#countAmongLiars();
    if (peer.silent === true) return;
    this.clock.after(Math.max(1, peer.rttMs), () => {
      if (state.cancelled) return;
      const failure = peer.fails?.(request);
      if (failure !== undefined) {
        this.#end(request, failure);
        return;
      }
      if (this.transfer.offered(request, {}) === "stop") return;
      this.#send(request, peer, { state, piece: request.piece, sent: 0 });
    });
  }

  cancel(request: PieceRequest): void {
    const state = this.#running.get(request);
    if (state !== undefined) state.cancelled = true;
    this.#running.delete(request);
  }

  askState(key: string): void {
    const peer = this.peers.get(key);
    if (peer === undefined || peer.silent === true) return;
    this.clock.after(Math.max(1, peer.rttMs), () => {
      const { sizeBytes, pieces } = this.transfer.shape;
      const have = peer.have?.copy() ?? PieceMap.full(pieces);
      this.transfer.peerState(
        key,
        { sizeBytes, have, fetching: undefined, peers: [], ticket: this.#tickets.get(key) },
        { active: 0, queued: 0, slots: 8 },
      );
      this.transfer.answerEnded(key);
    });
  }

  askList(key: string): void {
    const peer = this.peers.get(key);
    if (peer === undefined || peer.silent === true) return;
    this.clock.after(Math.max(1, peer.rttMs), () => {
      const { pieces } = this.transfer.shape;
      const list = peer.list ?? Array.from({ length: pieces }, (_, piece) => trueDigest(piece));
      if (list === "none") this.transfer.peerFailed(key, { kind: "missing" });
      else this.transfer.pieceList(key, { id: list.join(""), hashes: list });
    });
  }

  judged(): void {
    this.#consume();
  }

  wake(): void {
    this.#consume();
  }

  #countAmongLiars(): void {
    const sources = [...this.#running.keys()].map(({ source }) => source);
    const peers = sources.filter((source) => source !== mirrorSource).length;
    this.mostAmongLiars = Math.max(this.mostAmongLiars, peers);
  }

  #send(
    request: PieceRequest,
    peer: Pick<FakePeer, "rate" | "lies">,
    at: { state: { cancelled: boolean }; piece: number; sent: number },
  ): void {
    const left = pieceLength(this.transfer.shape, at.piece) - at.sent;
    const bytes = Math.min(quantumBytes, left);
    this.clock.after(Math.max(1, (bytes * 1000) / peer.rate), () => {
      if (at.state.cancelled) return;
      if (request.source === mirrorSource) this.mirrorBytes += bytes;
      this.transfer.progress(request, bytes);
      if (bytes < left) {
        this.#send(request, peer, { ...at, sent: at.sent + bytes });
        return;
      }
      const lie = peer.lies?.(at.piece) === true;
      this.transfer.piece(request, at.piece, (lie ? falseDigest : trueDigest)(at.piece));
      this.#consume();
      if (isCancelled(at.state)) return;
      if (at.piece + 1 === request.piece + request.count) {
        this.#end(request);
        return;
      }
      this.#send(request, peer, { ...at, piece: at.piece + 1, sent: 0 });
    });
  }

  #end(request: PieceRequest, failure?: Failure): void {
    this.#running.delete(request);
    this.transfer.ended(request, failure);
  }

  /** What the daemon's session and download do. */
  #consume(): void {
    const { shape, held } = this.transfer;
    for (;;) {
      const piece = Math.floor(this.#position / (512 * 1024));
      if (this.#position >= shape.sizeBytes || !held.has(piece)) break;
      this.#position = pieceEnd(shape, piece);
      this.firstByteMs ??= this.clock.monotonicMs();
      this.transfer.consumed(this.#position);
    }
    if (this.#position >= shape.sizeBytes) {
      this.finishedMs ??= this.clock.monotonicMs();
      return;
    }
    if (this.transfer.streamWanted && this.#streaming === undefined) this.#stream();
    if (!this.transfer.streamWanted) {
      this.#streaming?.();
      this.#streaming = undefined;
    }
  }

  #stream(): void {
    const state = { cancelled: false };
    this.#streaming = () => {
      state.cancelled = true;
    };
    const step = (): void => {
      const bytes = Math.min(quantumBytes, this.transfer.shape.sizeBytes - this.#position);
      this.clock.after(Math.max(1, (bytes * 1000) / this.mirrorRate), () => {
        if (state.cancelled) return;
        this.mirrorBytes += bytes;
        this.#position += bytes;
        this.firstByteMs ??= this.clock.monotonicMs();
        const ended = this.#position % (512 * 1024) === 0;
        const digest = trueDigest(this.#position / (512 * 1024) - 1);
        this.transfer.streamed(this.#position, ended ? digest : undefined);
        this.#consume();
        if (!isCancelled(state) && this.finishedMs === undefined) step();
      });
    };
    this.clock.after(Math.max(1, this.mirrorDelayMs), () => {
      if (!state.cancelled) step();
    });
  }
}

/** Asked anew each time: a call that lies between may have cancelled it. */
function isCancelled(state: { readonly cancelled: boolean }): boolean {
  return state.cancelled;
}
