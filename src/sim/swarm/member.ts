/**
 * One machine of a simulated swarm: the scheduler and the upload gate of the daemon, with modelled
 * links in place of HTTP. It downloads one file, serves what it has, and may lie, stall or leave.
 */
import { endpoint, type Endpoint } from "../../base/endpoint.ts";
import { limits } from "../../base/limits.ts";
import { PieceMap } from "../../swarm/piece-map.ts";
import type { TransferPort } from "../../swarm/ports.ts";
import { pieceAt, pieceEnd, pieceLength, pieceStart, type Shape } from "../../swarm/shape.ts";
import { mirrorSource, Transfer } from "../../swarm/transfer.ts";
import type { Failure, PeerInfo, PeerState, PieceRequest } from "../../swarm/types.ts";
import { UploadGate, type Slot } from "../../swarm/upload-gate.ts";
import { Stream, type Host } from "./links.ts";
import type { MemberPlan, SwarmWorld } from "./world.ts";

/** What one that does not answer costs who asks: the time-out for connections. */
const connectMs = 1000;

interface Watcher {
  readonly asker: Member;
  readonly seen: number;
}

interface Running {
  stream: Stream | undefined;
  leave: (() => void) | undefined;
  slot: Slot | undefined;
  cancelled: boolean;
}

export class Member implements TransferPort {
  readonly id: number;
  readonly endpoint: Endpoint;
  readonly host: Host;
  readonly plan: MemberPlan;
  readonly gate: UploadGate;
  transfer: Transfer | undefined;
  /** It has gone, or was never there. */
  gone = false;
  startedMs: number | undefined;
  firstByteMs: number | undefined;
  finishedMs: number | undefined;
  longestSilenceMs = 0;
  /** Bytes that apt has, in order. */
  position = 0;
  readonly #world: SwarmWorld;
  #watchers: Watcher[] = [];
  readonly #running = new Map<PieceRequest, Running>();
  #mirror: Stream | undefined;
  #lastByteMs = 0;

  constructor(world: SwarmWorld, id: number, host: Host, plan: MemberPlan) {
    this.#world = world;
    this.id = id;
    this.host = host;
    this.plan = plan;
    this.endpoint = endpoint(`10.${id >> 16}.${(id >> 8) & 255}.${id & 255}`, 9977);
    this.gate = new UploadGate(world.clock, {
      ...{ slots: plan.slots ?? 16, slotsPerPeer: 4, queue: 2 * (plan.slots ?? 16) },
      ...{ farRate: Infinity, nearRate: Infinity, ratePerPeer: Infinity },
    });
  }

  get shape(): Shape {
    return this.#world.shape;
  }

  /** Whether it has all of the file. */
  get whole(): boolean {
    return this.plan.seed === true || this.finishedMs !== undefined;
  }

  get have(): PieceMap {
    if (this.plan.seed === true) return this.#world.allPieces;
    return this.transfer?.held ?? this.#world.noPieces;
  }

  /** Begins to download. */
  start(): void {
    const { clock, random, counters, shape, policy } = this.#world;
    this.startedMs = clock.monotonicMs();
    this.#lastByteMs = this.startedMs;
    const { mirror, patienceMs } = this.#world;
    this.transfer = new Transfer(
      { clock, random, counters, port: this, policy },
      {
        ...{ sha256: "whole", sizeBytes: shape.sizeBytes, mirror: mirror !== undefined },
        ...{ patienceMs, sequential: this.plan.sequential },
      },
    );
    this.#world.find(this, {
      peers: (peers) => {
        if (!this.gone) this.transfer?.addPeers(peers);
      },
      done: () => {
        if (!this.gone) this.transfer?.searchEnded();
      },
    });
    this.transfer.start();
  }

  /** Leaves without a word. */
  leave(): void {
    this.gone = true;
    this.transfer?.close();
    this.#mirror?.cancel();
    for (const running of this.#serving) running.stream?.cancel();
    this.#serving.clear();
  }

  readonly #serving = new Set<Running>();

  fetch(request: PieceRequest): void {
    const running: Running = {
      ...{ stream: undefined, leave: undefined, slot: undefined, cancelled: false },
    };
    this.#running.set(request, running);
    if (request.source === mirrorSource) {
      this.#world.mirrorPieces(this, request, running);
      // Others shall not ask for the same.
      this.#world.clock.after(0, () => this.changed(true));
    } else {
      const target = this.#world.member(request.source);
      this.#world.clock.after(this.#world.latencyMs, () => {
        if (!running.cancelled) target?.asked(this, request, running);
      });
      if (target === undefined || target.gone || target.plan.deaf === true) {
        this.#later(connectMs, request, { kind: "broken" });
      }
    }
  }

  cancel(request: PieceRequest): void {
    const running = this.#running.get(request);
    this.#running.delete(request);
    if (running !== undefined) this.#stop(running);
  }

  askState(peer: string, seen: number | undefined, waitMs: number): void {
    const target = this.#world.member(peer);
    const { clock, latencyMs } = this.#world;
    if (target === undefined || target.gone || target.plan.deaf === true) {
      clock.after(connectMs, () => {
        if (!this.gone) this.transfer?.peerFailed(peer, { kind: "broken" });
      });
      return;
    }
    clock.after(latencyMs, () => target.askedState(this, seen, waitMs));
  }

  askList(peer: string): void {
    const target = this.#world.member(peer);
    this.#world.clock.after(2 * this.#world.latencyMs, () => {
      if (this.gone || target === undefined || target.gone) return;
      if (target.plan.seed !== true && target.finishedMs === undefined) {
        this.transfer?.peerFailed(peer, { kind: "missing" });
      } else this.transfer?.pieceList(peer, this.#world.listOf(target));
    });
  }

  judged(): void {
    this.#consume();
  }

  wake(): void {
    this.#consume();
  }

  /** Somebody asks for pieces. */
  asked(asker: Member, request: PieceRequest, running: Running): void {
    if (this.gone || this.plan.deaf === true) return;
    const { have } = this;
    for (let index = 0; index < request.count; index++) {
      if (have.has(request.piece + index)) continue;
      asker.#later(this.#world.latencyMs, request, { kind: "missing" });
      return;
    }
    this.transfer?.addPeers([infoOf(asker, "unknown", "asker")]);
    if (this.plan.busy === true) {
      asker.#later(this.#world.latencyMs, request, { kind: "busy", retryAfterMs: 1000 });
      return;
    }
    const leave = this.gate.enter({ address: asker.endpoint.address, near: true }, (slot) => {
      if (running.cancelled || this.gone) {
        slot.end();
        return;
      }
      running.slot = slot;
      this.#serving.add(running);
      const verdict = asker.transfer?.offered(request, {
        load: this.load(),
        claims: this.#world.claimsOf(this, request),
        have: this.whole ? undefined : have.copy(),
      });
      if (verdict !== "go") return;
      this.#send(asker, request, running);
    });
    if (leave === undefined) {
      asker.#later(this.#world.latencyMs, request, { kind: "busy", retryAfterMs: 1000 });
    } else running.leave = leave;
  }

  load(): { active: number; queued: number; slots: number } {
    return this.plan.claimsIdle === true ? { active: 0, queued: 0, slots: 16 } : this.gate.load();
  }

  askedState(asker: Member, seen: number | undefined, waitMs: number): void {
    if (this.gone) return;
    this.transfer?.addPeers([infoOf(asker, "unknown", "asker")]);
    const { count } = this.have;
    if (seen === undefined || seen !== count || waitMs === 0) {
      this.#tellState(asker);
      return;
    }
    const watcher = { asker, seen };
    this.#watchers.push(watcher);
    this.#world.clock.after(waitMs, () => {
      if (!this.#watchers.includes(watcher)) return;
      this.#watchers = this.#watchers.filter((each) => each !== watcher);
      this.#tellState(asker);
    });
  }

  /** Bytes of the mirror's stream have come. */
  streamed(bytes: number): void {
    this.#take(bytes);
    this.transfer?.streamed(this.position);
    this.#consume();
  }

  #send(asker: Member, request: PieceRequest, running: Running): void {
    let piece = request.piece;
    let got = 0;
    const end = request.piece + request.count;
    const bytes = pieceEnd(this.shape, end - 1) - pieceStart(request.piece);
    const stream = new Stream(this.host, asker.host, bytes, {
      arrived: (count) => {
        if (running.cancelled || asker.gone) return;
        asker.transfer?.progress(request, count);
        got += count;
        while (piece < end && got >= pieceLength(this.shape, piece)) {
          got -= pieceLength(this.shape, piece);
          asker.transfer?.piece(request, piece, this.#world.digestOf(this, piece));
          asker.changed();
          piece++;
          if (running.cancelled || asker.gone) return;
        }
        if (piece === end) {
          asker.#finish(request, running);
          asker.#consume();
        }
      },
    });
    running.stream = stream;
    this.host.send(stream);
  }

  #finish(request: PieceRequest, running: Running): void {
    this.#running.delete(request);
    this.#stop(running);
    this.transfer?.ended(request);
  }

  #stop(running: Running): void {
    running.cancelled = true;
    running.leave?.();
    running.stream?.cancel();
    running.slot?.end();
  }

  #later(delayMs: number, request: PieceRequest, failure: Failure): void {
    this.#world.clock.after(delayMs, () => {
      const running = this.#running.get(request);
      if (running === undefined || this.gone) return;
      this.#running.delete(request);
      this.#stop(running);
      this.transfer?.ended(request, failure);
    });
  }

  #tellState(asker: Member): void {
    const have = this.have.copy();
    const { transfer } = this;
    const fetching = transfer?.fetching ?? [];
    const map = fetching.length === 0 ? undefined : new PieceMap(this.shape.pieces);
    for (const piece of fetching) map?.add(piece);
    const state: PeerState = {
      ...{ sizeBytes: this.shape.sizeBytes, have, fetching: map },
      peers: transfer?.knownPeers(20) ?? [],
    };
    const load = this.load();
    this.#world.clock.after(this.#world.latencyMs, () => {
      if (!asker.gone) asker.transfer?.peerState(this.endpoint.text, state, load);
    });
  }

  /** Others wait for news of it. */
  changed(fetching = false): void {
    if (this.#watchers.length === 0) return;
    const watchers = this.#watchers;
    this.#watchers = [];
    for (const { asker, seen } of watchers) {
      if (!fetching && seen === this.have.count) this.#watchers.push({ asker, seen });
      else this.#tellState(asker);
    }
  }

  #take(bytes: number): void {
    const nowMs = this.#world.clock.monotonicMs();
    this.longestSilenceMs = Math.max(this.longestSilenceMs, nowMs - this.#lastByteMs);
    this.#lastByteMs = nowMs;
    this.firstByteMs ??= nowMs;
    this.position += bytes;
  }

  /** What the daemon's session and download do. */
  #consume(): void {
    const { transfer, shape } = this;
    if (transfer === undefined || this.gone || this.finishedMs !== undefined) return;
    while (this.position < shape.sizeBytes && transfer.held.has(pieceAt(this.position))) {
      this.#take(pieceEnd(shape, pieceAt(this.position)) - this.position);
      transfer.consumed(this.position);
    }
    this.changed();
    if (this.position >= shape.sizeBytes) {
      this.finishedMs = this.#world.clock.monotonicMs();
      this.#mirror?.cancel();
      transfer.close();
      this.#world.finished(this);
      return;
    }
    if (transfer.streamWanted) {
      this.#mirror ??= this.#world.mirrorStream(this);
      return;
    }
    this.#mirror?.cancel();
    this.#mirror = undefined;
  }
}

export function infoOf(member: Member, state: PeerInfo["state"], via: PeerInfo["via"]): PeerInfo {
  const { endpoint: at } = member;
  return { endpoint: at, near: true, group: at.address, state, via };
}

/** Of one piece; the unit of what is counted. */
export const pieceBytes = limits.pieceBytes;
