/** One peer of one file, as the scheduler sees it. */
import { Meter } from "./meter.ts";
import type { Digest } from "./piece-lists.ts";
import type { PieceMap } from "./piece-map.ts";
import type { TransferPolicy } from "./policy.ts";
import type { Flight } from "./flight.ts";
import type { Load, PeerInfo } from "./types.ts";

export class Peer {
  readonly info: PeerInfo;
  readonly key: string;
  readonly meter = new Meter();
  /** Requests under way: few. */
  readonly flights: Flight[] = [];
  /** What it has; undefined: not known. A whole one has all. */
  have: PieceMap | "whole" | undefined;
  /** What it is fetching from the mirror. */
  fetching: PieceMap | undefined;
  /** What it has heard of others who do. */
  hearsay: PieceMap | undefined;
  ticket: number | undefined;
  /** What it has given, being a seed. */
  sown: PieceMap | undefined;
  /** Times in a row that it had given before what was asked of it. */
  refusals = 0;
  load: Load | undefined;
  /** Of a question and its answer. */
  rttMs = 0;
  /** Not asked for pieces before then. */
  restUntilMs = 0;
  /** Requests in a row that came to nothing. */
  failures = 0;
  /** Its place in a list of OpenPeers; -1: it is not there. */
  openAt = -1;
  /** It is out of this transfer. */
  dropped = false;
  /** Why. */
  droppedFor: string | undefined;
  /** What of it was not what was believed. */
  refused: { readonly piece: number; readonly digest: Digest } | undefined;
  askedAtMs: number | undefined;
  asking = false;
  /** When it was last asked whom it knows. */
  namedMs = -Infinity;
  /** Its list of pieces. */
  list: "unasked" | "asked" | "told" | "none" = "unasked";
  /** When it last answered for this file; undefined: never. */
  answeredMs: number | undefined;
  /** When it last told its state. */
  stateMs: number | undefined;
  /** Peers that it named: it answers for them. */
  namedPeers = 0;
  /** It had only parts when it was first asked: whole or not, it is a member of the crowd. */
  grew = false;
  /** It has ever said that it has all. */
  saidWhole = false;
  keptBytes = 0;
  keptPieces = 0;
  /** It has been asked for pieces. */
  used = false;

  constructor(info: PeerInfo) {
    this.info = info;
    this.key = info.endpoint.text;
    this.have = info.state === "whole" ? "whole" : undefined;
    this.saidWhole = info.state === "whole";
  }

  /** A whole one from the start: many want from it what only it has. */
  get isSeed(): boolean {
    return this.have === "whole" && !this.grew;
  }

  has(piece: number): boolean {
    return this.have === "whole" || this.have?.has(piece) === true;
  }

  /** Whether it has all, or has not said. */
  get count(): number | undefined {
    return this.have === "whole" || this.have === undefined ? undefined : this.have.count;
  }

  /** Bytes that are still to come from it. */
  get pendingBytes(): number {
    let bytes = 0;
    for (const flight of this.flights) bytes += flight.leftBytes;
    return bytes;
  }

  /** Bytes a second, as measured or as assumed: load that it reports makes an unknown one slower. */
  rate(policy: TransferPolicy, nowMs: number): number {
    const measured = this.meter.current(nowMs);
    if (measured !== undefined) return Math.max(1, measured);
    const assumed = this.info.near ? policy.nearRate : policy.farRate;
    const { active, queued, slots } = this.load ?? { active: 0, queued: 0, slots: 1 };
    return policy.feedback ? assumed / (1 + active / slots + queued) : assumed;
  }

  /** When it would have sent so many bytes more, in milliseconds from now. */
  expectedMs(bytes: number, policy: TransferPolicy, nowMs: number): number {
    const rate = this.rate(policy, nowMs);
    return this.rttMs + ((this.pendingBytes + bytes) * 1000) / rate;
  }

  /** For choosing between two: its expected time, longer for who says that others wait there. */
  cost(bytes: number, policy: TransferPolicy, nowMs: number): number {
    const expected = this.expectedMs(bytes, policy, nowMs);
    if (!policy.feedback || this.load === undefined) return expected;
    const { active, queued, slots } = this.load;
    return expected * (1 + (active + 2 * queued) / slots);
  }

  began(flight: Flight): void {
    this.used = true;
    this.flights.push(flight);
  }

  ended(flight: Flight): void {
    const at = this.flights.indexOf(flight);
    if (at >= 0) this.flights.splice(at, 1);
  }

  /** Whether another request could go to it, unless it rests. */
  open(policy: TransferPolicy): boolean {
    if (this.dropped || this.have === undefined) return false;
    return this.flights.length < (this.keptPieces > 0 ? policy.requestsPerPeer : 1);
  }

  /** Whether another request can go to it now. */
  ready(policy: TransferPolicy, nowMs: number): boolean {
    return nowMs >= this.restUntilMs && this.open(policy);
  }
}
