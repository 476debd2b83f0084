/**
 * The peers of one file: who is known, who is asked for its state and when, who is chosen.
 *
 * - Addresses from peer exchange are the word of their teller: at most four of each, private ones
 *   only from our own network, no privileged ports; a teller whose words lead nowhere tells no more.
 * - The size of a crowd is what answered for this file over HTTP. A far member counts only once it
 *   has given us something: nobody is talked out of the mirror by names.
 */
import type { Counters } from "../base/counters.ts";
import { scopeOf, subnetOf, type Endpoint } from "../base/endpoint.ts";
import type { Random } from "../base/ports.ts";
import type { Flight } from "./flight.ts";
import { Lots } from "./lots.ts";
import type { Others } from "./mirror-turns.ts";
import { OpenPeers } from "./open-peers.ts";
import { Peer } from "./peer.ts";
import type { Picker } from "./picker.ts";
import { PieceMap } from "./piece-map.ts";
import type { TransferPolicy } from "./policy.ts";
import type { TransferPlan } from "./transfer-plan.ts";
import { Questions } from "./questions.ts";
import { sampleOf } from "./sample.ts";
import type { Load, PeerInfo, PeerState, PieceRequest } from "./types.ts";

/** Peers that one peer may name. */
const namedByOne = 4;
/** Whole peers that are asked for their list of pieces, until one is here. */
const askedForList = 3;
/** What a member said of the mirror counts for so long: it is asked again sooner. */
const newsMs = 3000;

interface BookParts {
  readonly counters: Counters;
  readonly random: Random;
  readonly policy: TransferPolicy;
  readonly picker: Picker;
  readonly admits?: TransferPlan["admits"];
}

/** What is counted over all peers, and when; -Infinity: something has happened since. */
interface BookCounts {
  atMs: number;
  seeds: number;
  members: number;
  /** Whole ones that have not been asked for their list of pieces. */
  unlisted: number;
  rateMs: number;
  rate: number | undefined;
}

/** Only time changes counts without an event: members fall silent, slowly. */
const countedMs = 100;
/** Rates are averages over half a second: for so long one look at them all will do. */
const ratedMs = 25;
const nobody: readonly Peer[] = [];

export class PeerBook {
  readonly #parts: BookParts;
  readonly #peers = new Map<string, Peer>();
  /** Not dropped, in the order in which they came. */
  #live: Peer[] = [];
  readonly #open: OpenPeers;
  readonly #questions: Questions;
  readonly #lots: Lots;
  /** Somebody had given something before it was dropped. */
  #proven = false;
  /** undefined: it must be put together again. */
  #sown: PieceMap | undefined;
  readonly #counts: BookCounts = {
    ...{ atMs: -Infinity, seeds: 0, members: 0, unlisted: 0, rateMs: -Infinity, rate: undefined },
  };

  constructor(parts: BookParts) {
    this.#parts = parts;
    this.#open = new OpenPeers(parts.policy, parts.picker);
    this.#lots = new Lots(parts.random);
    this.#questions = new Questions(parts, parts.picker.pieces);
  }

  get(key: string): Peer | undefined {
    return this.#peers.get(key);
  }

  /** How many were ever added. */
  get size(): number {
    return this.#peers.size;
  }

  /** Whether that changes anything. */
  add(info: PeerInfo, nowMs: number): boolean {
    const known = this.#peers.get(info.endpoint.text);
    if (known !== undefined) {
      if (known.dropped || known.have !== undefined || info.state !== "whole") return false;
      this.#setHave(known, "whole");
      return true;
    }
    if (this.#parts.admits?.(info.endpoint) === false) {
      this.#parts.counters.add("swarm.peers.barred");
      return false;
    }
    if (this.#full && !this.#displaces(info)) return false;
    const peer = new Peer(info);
    // A neighbour that said that it is downloading has answered for the file.
    if (info.via === "neighbour" && info.state === "unknown") peer.answeredMs = nowMs;
    if (info.via === "asker") peer.answeredMs = nowMs;
    this.#peers.set(peer.key, peer);
    this.#live.push(peer);
    this.#happened(peer);
    return true;
  }

  /**
   * In a crowd that is larger than what one remembers, those that are there first would be known to all
   * and those that come later to nobody, who then had to be given everything and could give nothing. So
   * lots decide, of those that have not been asked for anything. What others only name has none.
   */
  #displaces({ group, via }: PeerInfo): boolean {
    if (via === "exchange") return false;
    const loser = this.#lots.loserTo(group, this.#live);
    if (loser === undefined) return false;
    this.#parts.counters.add("swarm.peers.displaced");
    this.#remove(loser);
    this.#peers.delete(loser.key);
    return true;
  }

  get #full(): boolean {
    return this.#peers.size >= this.#parts.policy.knownPeers;
  }

  drop(peer: Peer): void {
    if (peer.keptPieces > 0) this.#proven = true;
    this.#remove(peer);
    const teller = peer.info.teller === undefined ? undefined : this.get(peer.info.teller);
    if (teller !== undefined && peer.keptPieces === 0) teller.namedPeers = Infinity;
  }

  /** It was dropped for something that it was not to blame for. */
  restore(peer: Peer): void {
    peer.dropped = false;
    this.#live.push(peer);
    if (peer.saidWhole) this.#setHave(peer, "whole");
    else peer.askedAtMs = undefined;
    this.#happened(peer);
  }

  #remove(peer: Peer): void {
    peer.dropped = true;
    this.toldSown(peer, undefined);
    this.#setHave(peer, undefined);
    this.#live = this.#live.filter((each) => each !== peer);
    this.#happened(peer);
  }

  /** It has told its state. */
  answered(
    peer: Peer,
    { have, fetching, hearsay, ticket, sown }: PeerState,
    { load, nowMs }: { readonly load: Load | undefined; readonly nowMs: number },
  ): void {
    this.#spoke(peer, nowMs);
    if (peer.askedAtMs !== undefined && peer.have === undefined) {
      peer.rttMs = Math.min(1000, nowMs - peer.askedAtMs);
    }
    peer.load = load ?? peer.load;
    peer.fetching = fetching;
    peer.hearsay = hearsay;
    peer.ticket = ticket;
    if (have.whole) this.toldSown(peer, sown);
    peer.stateMs = nowMs;
    peer.failures = 0;
    if (!peer.dropped) this.#setHave(peer, have.whole ? "whole" : have);
  }

  /** What came along with pieces. */
  heard(
    peer: Peer,
    {
      load,
      have,
      sown,
      nowMs,
    }: {
      readonly load: Load | undefined;
      readonly have: PieceMap | undefined;
      readonly sown: PieceMap | undefined;
      readonly nowMs: number;
    },
  ): void {
    peer.load = load ?? peer.load;
    this.#spoke(peer, nowMs);
    if (sown !== undefined) this.toldSown(peer, sown);
    if (have === undefined || peer.dropped || have.pieces !== this.#parts.picker.pieces) return;
    this.#setHave(peer, have.whole ? "whole" : have);
  }

  /**
   * It has not what was asked of it, or not any more. False: it is of no use, since it said to have all:
   * a filter is right in 99 of 100 cases, a value in the DHT as long as its publisher keeps it.
   */
  lacks(peer: Peer, { piece, count }: PieceRequest): boolean {
    if (peer.have === "whole" && peer.info.via !== "exchange") return false;
    if (peer.have === "whole" || peer.have === undefined) {
      this.#setHave(peer, undefined);
      peer.askedAtMs = undefined;
      this.#happened(peer);
      return true;
    }
    const have = peer.have.copy();
    for (let index = 0; index < count; index++) have.remove(piece + index);
    this.#setHave(peer, have);
    return true;
  }

  /** A seed has said what it has given. */
  toldSown(peer: Peer, sown: PieceMap | undefined): void {
    if (sown !== undefined && sown.pieces !== this.#parts.picker.pieces) return;
    peer.sown = sown;
    this.#sown = undefined;
  }

  /** What all seeds have given, as far as is known. Not to be kept. */
  get sown(): PieceMap {
    this.#sown ??= PieceMap.union(
      this.#parts.picker.pieces,
      this.#live.flatMap(({ sown }) => sown ?? []),
    );
    return this.#sown;
  }

  exchange(teller: Peer, endpoints: readonly Endpoint[], nowMs: number): void {
    for (const named of endpoints) {
      if (teller.namedPeers >= namedByOne || this.#full) return;
      if (this.#peers.has(named.text)) continue;
      const { address, port } = named;
      const scope = scopeOf(address);
      const near = scope === "private" || scope === "loopback";
      if (scope === "unusable" || (near && !teller.info.near) || port < 1024) continue;
      // Nobody on another machine knows who listens on this one.
      if (scope === "loopback" && scopeOf(teller.info.endpoint.address) !== scope) continue;
      const info: PeerInfo = {
        ...{ endpoint: named, near, state: "unknown", via: "exchange" },
        ...{ group: groupOf(address, near), teller: teller.key },
      };
      if (this.add(info, nowMs)) teller.namedPeers++;
    }
  }

  /** Its answer to the question for its state is over. */
  replied(peer: Peer): void {
    peer.asking = false;
    this.#questions.answered(peer);
  }

  /** It has not answered the question for its state. */
  unanswered(peer: Peer): void {
    peer.asking = false;
    this.#questions.changed();
  }

  /** A piece of it is kept. */
  kept(peer: Peer, bytes: number): void {
    peer.keptPieces++;
    peer.keptBytes += bytes;
    [peer.failures, peer.refusals] = [0, 0];
    if (peer.keptPieces === 1) this.#happened(peer);
  }

  began(peer: Peer, flight: Flight): void {
    peer.began(flight);
    this.#open.update(peer);
  }

  ended(peer: Peer, flight: Flight): void {
    peer.ended(flight);
    this.#open.update(peer);
  }

  /** It has no piece that is neither here nor under way. */
  hasNothing(peer: Peer): void {
    this.#open.hasNothing(peer);
  }

  /** Whose state is to be asked for now. */
  toAsk(nowMs: number): readonly Peer[] {
    return this.#questions.due(this.#live, nowMs, this.rate(nowMs));
  }

  /** So often at most those that are asked shall tell of themselves. */
  get newsEveryMs(): number {
    return this.#questions.everyMs;
  }

  toAskForList(nowMs: number): readonly Peer[] {
    if (this.#counted(nowMs).unlisted === 0) return nobody;
    this.#counts.atMs = -Infinity;
    return this.#toAskForList();
  }

  #toAskForList(): readonly Peer[] {
    const whole = this.#live.filter(({ have }) => have === "whole");
    const asked = whole.filter(({ list }) => list === "asked" || list === "told").length;
    const others = whole.filter(({ list }) => list === "unasked");
    return others.slice(0, Math.max(0, askedForList - asked));
  }

  /** A list may still come from one of those that were asked, or are about to be. */
  get listsOutstanding(): boolean {
    if (this.#live.some(({ list }) => list === "asked")) return true;
    return this.#toAskForList().length > 0;
  }

  /** Those that another request can go to, and that may have something for us; until the next call. */
  ready(nowMs: number): Peer[] {
    return this.#open.ready(nowMs);
  }

  /** Those that have given something, have the piece and could send it now, whoever else is asked. */
  rivals(piece: number, holder: Peer, nowMs: number): Peer[] {
    const { policy } = this.#parts;
    return this.#live.filter(
      (peer) =>
        peer !== holder && peer.keptPieces > 0 && peer.has(piece) && peer.ready(policy, nowMs),
    );
  }

  /** Of two drawn at random, the one that should be sooner; undefined: there is none. */
  choose(peers: readonly Peer[], nowMs: number): Peer | undefined {
    const { random, policy, picker } = this.#parts;
    if (peers.length <= 1) return peers[0];
    const first = Math.floor(random.next() * peers.length);
    const offset = 1 + Math.floor(random.next() * (peers.length - 1));
    const [a, b] = [peers[first], peers[(first + offset) % peers.length]];
    if (a === undefined || b === undefined) return a ?? b;
    const bytes = pieceBytesOf(picker);
    return a.cost(bytes, policy, nowMs) <= b.cost(bytes, policy, nowMs) ? a : b;
  }

  /** Those that have all of it. */
  seeds(nowMs: number): number {
    return this.#counted(nowMs).seeds;
  }

  /** Those that want the file themselves, ourselves included. */
  crowd(nowMs: number): number {
    return Math.min(this.#parts.policy.largestCrowd, this.#counted(nowMs).members);
  }

  /** Bytes a second of all that have given something and still do; undefined: nobody ever has. */
  rate(nowMs: number): number | undefined {
    const counts = this.#counts;
    if (nowMs - counts.rateMs < ratedMs) return counts.rate;
    let rate: number | undefined;
    for (const peer of this.#live) {
      if (peer.keptPieces === 0) continue;
      const works = peer.flights.length > 0 || nowMs >= peer.restUntilMs;
      rate = (rate ?? 0) + (works ? (peer.meter.current(nowMs) ?? 0) : 0);
    }
    [counts.rateMs, counts.rate] = [nowMs, this.#proven ? (rate ?? 0) : rate];
    return counts.rate;
  }

  /** The other members. */
  others(nowMs: number): Others {
    const { memberMs } = this.#parts.policy;
    const tickets: number[] = [];
    let unknown = 0;
    for (const { ticket, have, failures, answeredMs = -Infinity } of this.#live) {
      if (have === "whole" || nowMs - answeredMs > memberMs) continue;
      // It may have left: what is its turn would not be got.
      if (failures > 0) continue;
      if (ticket === undefined) unknown++;
      else tickets.push(ticket);
    }
    return { tickets, unknown };
  }

  /** Whether a member is getting it from the mirror, as itself or others told lately. */
  isAtMirror(piece: number, nowMs: number): boolean {
    for (const { fetching, hearsay, failures, stateMs = -Infinity } of this.#live) {
      if (nowMs - stateMs > newsMs || failures > 0) continue;
      if (fetching?.has(piece) === true || hearsay?.has(piece) === true) return true;
    }
    return false;
  }

  /** What members themselves told lately that they are getting there: for others to know. */
  heardOf(nowMs: number): ReadonlySet<number> {
    const pieces = new Set<number>();
    for (const { fetching, failures, stateMs = -Infinity } of this.#live) {
      if (fetching === undefined || nowMs - stateMs > newsMs || failures > 0) continue;
      addAll(pieces, fetching);
    }
    return pieces;
  }

  /** Whether a peer has something that is missing here, or may have. */
  hopeful(picker: Picker): boolean {
    return this.#live.some((peer) => {
      const { have } = peer;
      if (have === undefined || have === "whole") return true;
      return hasMore(have, picker.held, picker.next);
    });
  }

  /** Some that others may find useful: those that have answered. */
  sample(most: number): Endpoint[] {
    const good: Endpoint[] = [];
    for (const { answeredMs, info } of this.#live) {
      if (answeredMs !== undefined) good.push(info.endpoint);
    }
    return sampleOf(good, most, this.#parts.random);
  }

  all(): Iterable<Peer> {
    return this.#peers.values();
  }

  #counted(nowMs: number): BookCounts {
    const counts = this.#counts;
    if (nowMs - counts.atMs < countedMs) return counts;
    const { memberMs } = this.#parts.policy;
    [counts.atMs, counts.seeds, counts.members, counts.unlisted] = [nowMs, 0, 1, 0];
    for (const { have, answeredMs, info, keptPieces, list } of this.#live) {
      if (have === "whole") {
        counts.seeds++;
        if (list === "unasked") counts.unlisted++;
      } else if (answeredMs !== undefined && nowMs - answeredMs <= memberMs) {
        if (info.near || keptPieces > 0) counts.members++;
      }
    }
    return counts;
  }

  /** A peer is new, is out, or has become something else. */
  #happened(peer: Peer): void {
    [this.#counts.atMs, this.#counts.rateMs] = [-Infinity, -Infinity];
    this.#questions.changed();
    this.#open.update(peer);
  }

  /** It has answered something. */
  #spoke(peer: Peer, nowMs: number): void {
    if (peer.answeredMs === undefined) this.#counts.atMs = -Infinity;
    peer.answeredMs = nowMs;
  }

  #setHave(peer: Peer, have: PieceMap | "whole" | undefined): void {
    const before = peer.have;
    if (before === "whole" && have === "whole") return;
    peer.have = have;
    if (have === "whole") peer.saidWhole = true;
    else if (have !== undefined) peer.grew = true;
    if (typeof before !== "object" || typeof have !== "object") this.#happened(peer);
    this.#open.changed(peer);
    this.#parts.picker.changed(mapOf(before), mapOf(have));
  }
}

function mapOf(have: PieceMap | "whole" | undefined): PieceMap | undefined {
  return have === "whole" ? undefined : have;
}

/** The unit in which costs are compared; all pieces but the last are alike. */
function pieceBytesOf(picker: Picker): number {
  return picker.pieces > 1 ? 512 * 1024 : 64 * 1024;
}

/** Peers of one group are taken for one voice: of the own network each machine is its own. */
export function groupOf(address: string, near: boolean): string {
  return near ? address : subnetOf(address);
}

function hasMore(theirs: PieceMap, ours: PieceMap, from: number): boolean {
  const [their, our] = [theirs.words, ours.words];
  for (let at = from >>> 5; at < their.length; at++) {
    if (((their[at] ?? 0) & ~(our[at] ?? 0)) !== 0) return true;
  }
  return false;
}

function addAll(pieces: Set<number>, map: PieceMap): void {
  if (map.count === 0) return;
  for (let piece = map.first(0); piece < map.pieces; piece = map.first(piece + 1))
    pieces.add(piece);
}
