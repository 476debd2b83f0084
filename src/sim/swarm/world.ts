/**
 * A swarm in virtual time: machines with links, a mirror, and a way to find each other. The same
 * scheduler and upload gate as in the daemon; one seed.
 */
import { Counters } from "../../base/counters.ts";
import type { Random } from "../../base/ports.ts";
import type { PieceList } from "../../swarm/piece-lists.ts";
import { PieceMap } from "../../swarm/piece-map.ts";
import { defaultPolicy, type TransferPolicy } from "../../swarm/policy.ts";
import { pieceEnd, pieceLength, pieceStart, shapeOf, type Shape } from "../../swarm/shape.ts";
import type { PeerInfo, PieceRequest } from "../../swarm/types.ts";
import { SeededRandom } from "../seeded-random.ts";
import { VirtualClock } from "../virtual-clock.ts";
import { Host, Stream, type HostRates } from "./links.ts";
import { infoOf, Member } from "./member.ts";

export interface MemberPlan extends HostRates {
  /** When it begins; a seed is there from the start. */
  readonly startMs: number;
  /** It has the file. */
  readonly seed?: boolean;
  /** apt reads in order; an image comes as it may. */
  readonly sequential: boolean;
  readonly slots?: number;
  readonly leaves?: "finished" | undefined;
  /** Trouble: it answers nothing, says that it is busy, sends wrong bytes, tells that it is idle. */
  readonly deaf?: boolean;
  readonly busy?: boolean;
  readonly lies?: "bytes" | "consistently" | undefined;
  readonly claimsIdle?: boolean;
}

export interface SwarmPlan {
  readonly seed: number;
  readonly sizeBytes: number;
  readonly members: readonly MemberPlan[];
  readonly mirror?: { readonly up: number; readonly latencyMs: number } | undefined;
  /** One way. */
  readonly latencyMs: number;
  readonly quantumBytes: number;
  readonly patienceMs: number;
  /**
   * `lan`: everybody is a neighbour. Else look-ups that take so long until the first value and until
   * their end, and what a start and an end need to be known.
   */
  readonly finding:
    | "lan"
    | {
        readonly firstMs: readonly number[];
        readonly doneMs: number;
        readonly publishMs: number;
      };
  readonly policy?: Partial<TransferPolicy>;
  /** No swarm: everybody asks the mirror alone. */
  readonly direct?: boolean;
}

const mirrorQuantumBytes = 16 * 1024;
/** Neighbours that are asked about one file; see engine/neighbours.ts. */
const askedNeighbours = 48;
/** Peers in the answers of one look-up. */
const foundPeers = 50;

export class SwarmWorld {
  readonly clock = new VirtualClock();
  readonly counters = new Counters();
  readonly random: Random;
  readonly shape: Shape;
  readonly allPieces: PieceMap;
  readonly noPieces: PieceMap;
  readonly members: Member[] = [];
  readonly policy: TransferPolicy;
  readonly patienceMs: number;
  readonly latencyMs: number;
  readonly mirror: Host | undefined;
  mirrorRequests: number[] = [];
  readonly #plan: SwarmPlan;
  readonly #byKey = new Map<string, Member>();
  readonly #true: PieceList;
  readonly #false: PieceList;
  /** Known to the DHT since. */
  readonly #published: Member[] = [];
  #left = 0;

  constructor(plan: SwarmPlan) {
    this.#plan = plan;
    this.random = new SeededRandom(plan.seed);
    this.shape = shapeOf(plan.sizeBytes);
    this.allPieces = PieceMap.full(this.shape.pieces);
    this.noPieces = new PieceMap(this.shape.pieces);
    this.policy = { ...defaultPolicy, ...plan.policy };
    this.patienceMs = plan.patienceMs;
    this.latencyMs = plan.latencyMs;
    const { pieces } = this.shape;
    this.#true = list("true", pieces);
    this.#false = list("false", pieces);
    const { clock } = this;
    const { quantumBytes, latencyMs } = plan;
    if (plan.mirror !== undefined) {
      const rates = { up: plan.mirror.up, down: plan.mirror.up };
      // A stream that is ended at once has not sent much: TCP begins with 14 KB.
      const fine = { quantumBytes: Math.min(quantumBytes, mirrorQuantumBytes), latencyMs };
      this.mirror = new Host({ clock, id: -1 }, rates, fine);
    }
    for (const [id, each] of plan.members.entries()) {
      const host = new Host({ clock, id }, each, { quantumBytes, latencyMs });
      const member = new Member(this, id, host, each);
      this.members.push(member);
      this.#byKey.set(member.endpoint.text, member);
      if (each.seed === true) this.#published.push(member);
      else this.#begin(member);
    }
  }

  /** Runs until all have finished → whether they have, within so long. */
  run(limitMs: number): boolean {
    return this.clock.runUntil(() => this.#left === 0, limitMs);
  }

  member(key: string): Member | undefined {
    return this.#byKey.get(key);
  }

  finished(member: Member): void {
    this.#left--;
    if (member.plan.leaves === "finished") member.leave();
  }

  digestOf({ plan }: Member, piece: number): string {
    return (plan.lies === undefined ? this.#true : this.#false).hashes[piece] ?? "";
  }

  listOf({ plan }: Member): PieceList {
    return plan.lies === "consistently" ? this.#false : this.#true;
  }

  claimsOf(member: Member, { piece, count }: PieceRequest): readonly string[] {
    return this.listOf(member).hashes.slice(piece, piece + count);
  }

  find(
    asker: Member,
    events: {
      readonly peers: (peers: readonly PeerInfo[]) => void;
      readonly done: () => void;
    },
  ): void {
    const { finding, direct } = this.#plan;
    if (direct === true) {
      this.clock.after(0, events.done);
      return;
    }
    if (finding === "lan") this.#findNear(asker, events);
    else {
      const { firstMs, doneMs } = finding;
      const delayMs = firstMs[Math.floor(this.random.next() * firstMs.length)] ?? doneMs;
      this.clock.after(delayMs, () => {
        const known = this.#some(this.#published, foundPeers, asker);
        events.peers(known.map((each) => infoOf(each, each.whole ? "whole" : "unknown", "dht")));
      });
      this.clock.after(Math.max(delayMs, doneMs), events.done);
    }
  }

  /** The mirror sends on from where the member stands. */
  mirrorStream(member: Member): Stream {
    const { shape } = this;
    const bytes = shape.sizeBytes - member.position;
    const stream = new Stream(this.#mirrorHost, member.host, bytes, {
      arrived: (count) => member.streamed(count),
    });
    this.#atMirror(() => {
      if (!stream.cancelled) this.#mirrorHost.send(stream);
    });
    return stream;
  }

  mirrorPieces(
    member: Member,
    request: PieceRequest,
    running: { stream: Stream | undefined; cancelled: boolean },
  ): void {
    const bytes =
      pieceEnd(this.shape, request.piece + request.count - 1) - pieceStart(request.piece);
    let got = 0;
    let { piece } = request;
    const stream = new Stream(this.#mirrorHost, member.host, bytes, {
      arrived: (count) => {
        const { transfer } = member;
        if (running.cancelled || transfer === undefined) return;
        transfer.progress(request, count);
        got += count;
        while (piece < request.piece + request.count && got >= pieceLength(this.shape, piece)) {
          got -= pieceLength(this.shape, piece);
          transfer.piece(request, piece, this.#true.hashes[piece] ?? "");
          member.changed();
          piece++;
        }
        if (piece === request.piece + request.count) transfer.ended(request);
      },
    });
    running.stream = stream;
    this.#atMirror(() => {
      if (running.cancelled) return;
      member.transfer?.offered(request, {});
      this.#mirrorHost.send(stream);
    });
  }

  get #mirrorHost(): Host {
    if (this.mirror === undefined) throw new Error("this world has no mirror");
    return this.mirror;
  }

  #atMirror(then: () => void): void {
    this.mirrorRequests.push(this.clock.monotonicMs());
    this.clock.after(this.#plan.mirror?.latencyMs ?? 0, then);
  }

  #begin(member: Member): void {
    this.#left++;
    this.clock.after(member.plan.startMs, () => {
      member.start();
      const { finding } = this.#plan;
      if (finding === "lan") return;
      this.clock.after(finding.publishMs, () => {
        if (!member.gone) this.#published.push(member);
      });
    });
  }

  #findNear(
    asker: Member,
    events: {
      readonly peers: (peers: readonly PeerInfo[]) => void;
      readonly done: () => void;
    },
  ): void {
    const others = this.#some(this.members, askedNeighbours, asker);
    this.clock.after(2 * this.latencyMs + 1, () => {
      const here = others.filter((each) => !each.gone && each.plan.deaf !== true);
      const know = here.filter((each) => each.whole || each.startedMs !== undefined);
      events.peers(know.map((each) => infoOf(each, each.whole ? "whole" : "unknown", "neighbour")));
      events.done();
    });
  }

  #some(from: readonly Member[], count: number, but: Member): Member[] {
    const left = from.filter((each) => each !== but);
    if (left.length <= count) return left;
    const chosen: Member[] = [];
    while (chosen.length < count) {
      const at = Math.floor(this.random.next() * left.length);
      const [member] = left.splice(at, 1);
      if (member !== undefined) chosen.push(member);
    }
    return chosen;
  }
}

function list(id: string, pieces: number): PieceList {
  return { id, hashes: Array.from({ length: pieces }, (_, piece) => `${id} ${piece}`) };
}
