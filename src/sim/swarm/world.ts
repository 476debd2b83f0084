/**
 * A swarm in virtual time: machines with links, a mirror, and a way to find each other. The same
 * scheduler and upload gate as in the daemon; one seed.
 */
import { Counters } from "../../base/counters.ts";
import { endpoint, type Endpoint } from "../../base/endpoint.ts";
import type { PieceList } from "../../swarm/piece-lists.ts";
import { PieceMap } from "../../swarm/piece-map.ts";
import { defaultPolicy, type TransferPolicy } from "../../swarm/policy.ts";
import { shapeOf, type Shape } from "../../swarm/shape.ts";
import { endpointOf } from "../net/addressing.ts";
import { SeededRandom } from "../seeded-random.ts";
import { VirtualClock } from "../virtual-clock.ts";
import { Finding } from "./finding.ts";
import { Host } from "./links.ts";
import { Member } from "./member.ts";
import { SimMirror } from "./mirror.ts";
import type { MemberPlan, SwarmPlan } from "./plan.ts";
import type { Content, Machine, Setting } from "./setting.ts";

const watchMs = 250;

export class SwarmWorld implements Setting {
  readonly clock = new VirtualClock();
  readonly counters = new Counters();
  readonly random: SeededRandom;
  readonly shape: Shape;
  readonly sha256 = "true 0";
  readonly allPieces: PieceMap;
  readonly noPieces: PieceMap;
  readonly members: Member[] = [];
  readonly policy: TransferPolicy;
  readonly patienceMs: number;
  /** Whether all are of one network. */
  readonly near: boolean;
  readonly manyNear: boolean;
  readonly mirror: SimMirror | undefined;
  readonly finding: Finding;
  /** Pieces that seeds have sent whole, and when the last of all had been sent once. */
  readonly sown: PieceMap;
  sownMs: number | undefined;
  readonly #plan: SwarmPlan;
  readonly #byKey = new Map<string, Member>();
  readonly #true: PieceList;
  readonly #false: PieceList;
  #left = 0;

  constructor(plan: SwarmPlan) {
    this.#plan = plan;
    this.random = new SeededRandom(plan.seed);
    this.shape = shapeOf(plan.sizeBytes);
    this.allPieces = PieceMap.full(this.shape.pieces);
    this.noPieces = new PieceMap(this.shape.pieces);
    this.sown = new PieceMap(this.shape.pieces);
    this.policy = { ...defaultPolicy, ...plan.policy };
    this.patienceMs = plan.patienceMs;
    this.near = plan.finding === "lan";
    this.manyNear = this.near && plan.members.length > this.policy.crowd;
    this.#true = list("true", this.shape.pieces);
    this.#false = list("false", this.shape.pieces);
    if (plan.mirror !== undefined) this.mirror = new SimMirror(this, plan.mirror);
    this.finding = new Finding(this, plan);
    for (const [id, rates] of plan.members.entries()) {
      const member = new Member(this, id, new Host(this.clock, rates, plan.quantumBytes));
      this.members.push(member);
      this.#byKey.set(member.endpoint.text, member);
      this.#begin(member);
    }
    const sink = new Host(this.clock, { up: 1, down: Infinity }, plan.quantumBytes);
    for (const member of this.members) member.uploads.startBackground(sink);
  }

  /** Runs until all have finished or are gone → whether that is so within so long. */
  run(limitMs: number): boolean {
    this.#watch();
    return this.clock.runUntil(() => this.#left === 0, limitMs);
  }

  /** Tells how far it has come, a few times in a second of virtual time. */
  #watch(): void {
    const { watch } = this.#plan;
    if (watch === undefined) return;
    const clients = this.members.filter(({ plan }) => plan.seed !== true);
    const tell = (): void => {
      const pieces = clients.reduce((sum, { have }) => sum + have.count, 0);
      const wanted = clients.length * this.shape.pieces;
      watch({ nowMs: this.clock.monotonicMs(), pieces, wanted, left: this.#left });
      this.clock.after(watchMs, tell);
    };
    this.clock.after(watchMs, tell);
  }

  member(key: string): Member | undefined {
    return this.#byKey.get(key);
  }

  planOf(id: number): MemberPlan {
    const plan = this.#plan.members[id];
    if (plan === undefined) throw new RangeError(`there is no member ${id}`);
    return plan;
  }

  /** Of one network, or each in a /24 of its own. */
  endpointOf(id: number): Endpoint {
    if (!this.near) return endpointOf(id);
    return endpoint(`10.${id >> 16}.${(id >> 8) & 255}.${id & 255}`, 9977);
  }

  /** One way. */
  latencyMs(a: number, b: number): number {
    return this.#plan.latencyMs(a, b);
  }

  /** A seed has sent a piece. */
  sow(piece: number): void {
    if (this.sown.add(piece) && this.sown.whole) this.sownMs = this.clock.monotonicMs();
  }

  finished({ id, plan }: Machine): void {
    this.#left--;
    if (plan.leaves === true) this.members[id]?.leave("left");
  }

  digestOf(content: Content, piece: number): string {
    return (content === "true" ? this.#true : this.#false).hashes[piece] ?? "";
  }

  listOf({ plan }: Machine): PieceList {
    return plan.trouble === "list" || plan.trouble === "consistent" ? this.#false : this.#true;
  }

  #begin(member: Member): void {
    const { seed, startMs, crashMs } = member.plan;
    if (seed === true) this.finding.began(member);
    else {
      this.#left++;
      this.clock.after(startMs, () => {
        member.start();
        this.finding.began(member);
      });
    }
    if (crashMs === undefined) return;
    this.clock.after(crashMs, () => {
      if (seed !== true && !member.whole) this.#left--;
      member.leave("crashed");
    });
  }
}

function list(id: string, pieces: number): PieceList {
  return { id, hashes: Array.from({ length: pieces }, (_, piece) => `${id} ${piece}`) };
}
