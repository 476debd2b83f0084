/** What the parts of a simulated swarm know of each other. */
import type { Counters } from "../../base/counters.ts";
import type { Endpoint } from "../../base/endpoint.ts";
import type { PieceList } from "../../swarm/piece-lists.ts";
import type { PieceMap } from "../../swarm/piece-map.ts";
import type { StateQuestion } from "../../swarm/ports.ts";
import type { TransferPolicy } from "../../swarm/policy.ts";
import type { Shape } from "../../swarm/shape.ts";
import type { Transfer } from "../../swarm/transfer.ts";
import type { Failure, Load, PeerInfo, PeerState, PieceRequest } from "../../swarm/types.ts";
import type { Slot } from "../../swarm/upload-gate.ts";
import type { SeededRandom } from "../seeded-random.ts";
import type { VirtualClock } from "../virtual-clock.ts";
import type { Host, Stream } from "./links.ts";
import type { MemberPlan } from "./plan.ts";

export type Content = "true" | "false";

/** What a reader has seen, in milliseconds of virtual time. */
export interface ReaderFigures {
  startedMs: number | undefined;
  firstByteMs: number | undefined;
  finishedMs: number | undefined;
  longestSilenceMs: number;
  /** The file was wrong as a whole, and was fetched again. */
  refetches: number;
}

/** What one machine tells another of itself. */
export interface ToldState {
  readonly state: PeerState;
  readonly load: Load;
  /** It tells no more until it is asked again. */
  readonly last: boolean;
}

/** A machine of the swarm as the others see it. */
export interface Machine {
  readonly id: number;
  readonly endpoint: Endpoint;
  readonly host: Host;
  readonly plan: MemberPlan;
  readonly figures: ReaderFigures;
  readonly position: number;
  readonly transfer: Transfer | undefined;
  /** It has left, or crashed. */
  readonly gone: "left" | "crashed" | undefined;
  readonly whole: boolean;
  readonly have: PieceMap;
  readonly uploads: Serving;
  contentOf(piece: number): Content;
  info(state: PeerInfo["state"], via: PeerInfo["via"]): PeerInfo;
  gotPiece(request: PieceRequest, piece: number, content: Content): void;
  gotAll(request: PieceRequest): void;
  failedLater(request: PieceRequest, failure: Failure, delayMs: number): void;
  /** It still wants to know of others. */
  readonly listens: boolean;
  toldState(by: Machine, told: ToldState): void;
  stateFailed(by: Machine, delayMs: number): void;
  streamed(bytes: number): void;
}

/** What others may ask of a machine. */
export interface Serving {
  asked(upload: Upload): void;
  askedState(asker: Machine, question: StateQuestion): void;
}

export interface FindEvents {
  readonly peers: (peers: readonly PeerInfo[]) => void;
  readonly done: () => void;
}

/** An answer of the mirror under way. */
export interface MirrorAnswer {
  readonly cancel: () => void;
}

/** All of them together. */
export interface Setting {
  readonly clock: VirtualClock;
  readonly counters: Counters;
  readonly random: SeededRandom;
  readonly shape: Shape;
  readonly sha256: string;
  readonly allPieces: PieceMap;
  readonly noPieces: PieceMap;
  readonly policy: TransferPolicy;
  readonly patienceMs: number;
  readonly manyNear: boolean;
  /** Whether all are of one network. */
  readonly near: boolean;
  readonly members: readonly Machine[];
  readonly mirror:
    | {
        stream(member: Machine): MirrorAnswer;
        range(member: Machine, request: PieceRequest): MirrorAnswer;
      }
    | undefined;
  readonly finding: { find(asker: Machine, events: FindEvents): void };
  member(key: string): Machine | undefined;
  planOf(id: number): MemberPlan;
  endpointOf(id: number): Endpoint;
  /** One way. */
  latencyMs(a: number, b: number): number;
  /** A seed has sent a piece. */
  sow(piece: number): void;
  finished(member: Machine): void;
  digestOf(content: Content, piece: number): string;
  listOf(member: Machine): PieceList;
}

/** One answer with pieces, from the question to its end. */
export class Upload {
  readonly asker: Machine;
  readonly request: PieceRequest;
  stream: Stream | undefined;
  leaveQueue: (() => void) | undefined;
  slot: Slot | undefined;
  /** Tells a seed how many of the pieces have got there. */
  unsow: ((done: number) => void) | undefined;
  donePieces = 0;
  ended = false;
  /** At whose end it must be forgotten. */
  among: Set<Upload> | undefined;

  constructor(asker: Machine, request: PieceRequest) {
    this.asker = asker;
    this.request = request;
  }

  /** Whoever ends it: nothing more is sent, and its place is free. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.leaveQueue?.();
    this.stream?.cancel();
    this.slot?.end();
    this.unsow?.(this.donePieces);
    this.among?.delete(this);
  }
}
