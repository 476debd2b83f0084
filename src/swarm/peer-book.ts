/**
 * The peers of one file: who is known, who is asked for its state and when, who is chosen.
 *
 * - Addresses from peer exchange are the word of their teller: at most four of each, private ones
 *   only from our own network, no privileged ports; a teller whose words lead nowhere tells no more.
 * - The size of a crowd is what answered for this file over HTTP. A far member counts only once it
 *   has given us something: nobody is talked out of the mirror by names.
 */
import { endpoint, scopeOf, subnetOf, type Endpoint } from "../base/endpoint.ts";
import type { Random } from "../base/ports.ts";
import { Peer } from "./peer.ts";
import type { Picker } from "./picker.ts";
import { PieceMap } from "./piece-map.ts";
import type { TransferPolicy } from "./policy.ts";
import type { Load, PeerInfo, PeerState, PieceRequest } from "./types.ts";

/** Peers that one peer may name. */
const namedByOne = 4;
/** Files of fewer pieces are over before others would matter. */
const exchangePieces = 4;
/** Whole peers are asked whom else they know; so many, so often. */
const askedWhole = 2;
const askedWholeMs = 2000;
/** Whole peers that are asked for their list of pieces, until one is here. */
const askedForList = 3;
/** What a member said of the mirror counts for so long: it is asked again sooner. */
const newsMs = 3000;

interface BookParts {
  readonly random: Random;
  readonly policy: TransferPolicy;
  readonly picker: Picker;
}

export class PeerBook {
  readonly #parts: BookParts;
  readonly #peers = new Map<string, Peer>();
  /** Not dropped, in the order in which they came. */
  #live: Peer[] = [];
  #asked = 0;
  /** Somebody had given something before it was dropped. */
  #proven = false;

  constructor(parts: BookParts) {
    this.#parts = parts;
  }

  get(key: string): Peer | undefined {
    return this.#peers.get(key);
  }

  /** Whether that changes anything. */
  add(info: PeerInfo, nowMs: number): boolean {
    const known = this.#peers.get(info.endpoint.text);
    if (known !== undefined) {
      if (known.dropped || known.have !== undefined || info.state !== "whole") return false;
      known.have = "whole";
      return true;
    }
    if (this.#peers.size >= this.#parts.policy.knownPeers) return false;
    const peer = new Peer(info);
    // A neighbour that said that it is downloading has answered for the file.
    if (info.via === "neighbour" && info.state === "unknown") peer.answeredMs = nowMs;
    if (info.via === "asker") peer.answeredMs = nowMs;
    this.#peers.set(peer.key, peer);
    this.#live.push(peer);
    return true;
  }

  drop(peer: Peer): void {
    peer.dropped = true;
    if (peer.keptPieces > 0) this.#proven = true;
    this.#setHave(peer, undefined);
    this.#live = this.#live.filter((each) => each !== peer);
    const teller = peer.info.teller === undefined ? undefined : this.get(peer.info.teller);
    if (teller !== undefined && peer.keptPieces === 0) teller.namedPeers = Infinity;
  }

  /** It has answered the question for its state. */
  answered(
    peer: Peer,
    { have, fetching, hearsay, ticket }: PeerState,
    { load, nowMs }: { readonly load: Load | undefined; readonly nowMs: number },
  ): void {
    peer.asking = false;
    peer.answeredMs = nowMs;
    if (peer.askedAtMs !== undefined && peer.have === undefined) {
      peer.rttMs = Math.min(1000, nowMs - peer.askedAtMs);
    }
    peer.load = load ?? peer.load;
    peer.fetching = fetching;
    peer.hearsay = hearsay;
    peer.ticket = ticket;
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
      nowMs,
    }: {
      readonly load: Load | undefined;
      readonly have: PieceMap | undefined;
      readonly nowMs: number;
    },
  ): void {
    peer.load = load ?? peer.load;
    peer.answeredMs = nowMs;
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
      return true;
    }
    const have = peer.have.copy();
    for (let index = 0; index < count; index++) have.remove(piece + index);
    this.#setHave(peer, have);
    return true;
  }

  exchange(teller: Peer, endpoints: readonly Endpoint[], nowMs: number): void {
    for (const { address, port } of endpoints) {
      if (teller.namedPeers >= namedByOne) return;
      const scope = scopeOf(address);
      const near = scope === "private" || scope === "loopback";
      if (scope === "unusable" || (near && !teller.info.near) || port < 1024) continue;
      // Nobody on another machine knows who listens on this one.
      if (scope === "loopback" && scopeOf(teller.info.endpoint.address) !== scope) continue;
      const info: PeerInfo = {
        ...{ endpoint: endpoint(address, port), near, state: "unknown", via: "exchange" },
        ...{ group: groupOf(address, near), teller: teller.key },
      };
      if (this.add(info, nowMs)) teller.namedPeers++;
    }
  }

  /** Whose state is to be asked for now. */
  toAsk(nowMs: number): Peer[] {
    const { policy, picker } = this.#parts;
    const idle = this.#live.filter((peer) => !peer.asking && nowMs >= peer.restUntilMs);
    const due = (peer: Peer, pauseMs: number): boolean =>
      nowMs - (peer.askedAtMs ?? -Infinity) >= pauseMs;
    const asking = this.#live.filter((peer) => peer.asking);
    const news = asking.filter(({ have }) => have === undefined).length;
    const strangers = idle
      .filter(({ have }) => have === undefined)
      .slice(0, Math.max(0, policy.askedAtOnce - news))
      .filter((peer) => peer.askedAtMs !== undefined || this.#asked++ < policy.askedPeers);
    const members = idle
      .filter((peer) => peer.have instanceof PieceMap && due(peer, policy.watchPauseMs))
      .slice(0, Math.max(0, policy.watchedPeers - (asking.length - news)));
    const whole = picker.pieces <= exchangePieces ? 0 : askedWhole;
    const seeds = idle
      .filter(({ have }) => have === "whole")
      .slice(0, whole)
      .filter((peer) => due(peer, askedWholeMs));
    return [...strangers, ...members, ...seeds];
  }

  toAskForList(): Peer[] {
    const whole = this.#live.filter(({ have }) => have === "whole");
    const asked = whole.filter(({ list }) => list === "asked" || list === "told").length;
    const others = whole.filter(({ list }) => list === "unasked");
    return others.slice(0, Math.max(0, askedForList - asked));
  }

  /** A list may still come from one of those that were asked, or are about to be. */
  get listsOutstanding(): boolean {
    if (this.#live.some(({ list }) => list === "asked")) return true;
    return this.toAskForList().length > 0;
  }

  /** Those that another request can go to. */
  ready(nowMs: number): Peer[] {
    return this.#live.filter((peer) => peer.ready(this.#parts.policy, nowMs));
  }

  /** Of two drawn at random among those that have the piece, the one that should be sooner. */
  choose(
    ready: readonly Peer[],
    piece: number,
    nowMs: number,
    gives = (peer: Peer, wanted: number): boolean => peer.has(wanted),
  ): Peer | undefined {
    return this.#better(
      ready.filter((peer) => gives(peer, piece)),
      nowMs,
    );
  }

  /** Those that have all of it. */
  get seeds(): number {
    let seeds = 0;
    for (const { have } of this.#live) if (have === "whole") seeds++;
    return seeds;
  }

  /** `ready` must not be empty. */
  cheapest(ready: readonly Peer[], nowMs: number): Peer {
    const peer = this.#better(ready, nowMs);
    if (peer === undefined) throw new RangeError("there is no peer to choose from");
    return peer;
  }

  /** Bytes a second of all that have given something and still do; undefined: nobody ever has. */
  rate(nowMs: number): number | undefined {
    let rate: number | undefined;
    for (const peer of this.#live) {
      if (peer.keptPieces === 0) continue;
      const works = peer.flights.size > 0 || nowMs >= peer.restUntilMs;
      rate = (rate ?? 0) + (works ? (peer.meter.current(nowMs) ?? 0) : 0);
    }
    return this.#proven ? (rate ?? 0) : rate;
  }

  /** Those that want the file themselves, ourselves included. */
  crowd(nowMs: number): number {
    const { policy } = this.#parts;
    let members = 1;
    for (const { have, answeredMs, info, keptPieces } of this.#live) {
      if (have === "whole" || answeredMs === undefined) continue;
      if (nowMs - answeredMs <= policy.memberMs && (info.near || keptPieces > 0)) members++;
    }
    return Math.min(policy.largestCrowd, members);
  }

  /** The numbers of the other members, as far as they are known. */
  tickets(nowMs: number): number[] {
    const { memberMs } = this.#parts.policy;
    const tickets: number[] = [];
    for (const { ticket, have, answeredMs = -Infinity } of this.#live) {
      if (ticket === undefined || have === "whole" || nowMs - answeredMs > memberMs) continue;
      tickets.push(ticket);
    }
    return tickets;
  }

  /** Pieces that members are getting from the mirror, as they or others told lately. */
  atMirror(nowMs: number): ReadonlySet<number> {
    const pieces = new Set<number>();
    for (const { fetching, hearsay, stateMs = -Infinity } of this.#live) {
      if (nowMs - stateMs > newsMs) continue;
      for (const map of [fetching, hearsay]) if (map !== undefined) addAll(pieces, map);
    }
    return pieces;
  }

  /** What members themselves told lately that they are getting there: for others to know. */
  heardOf(nowMs: number): ReadonlySet<number> {
    const pieces = new Set<number>();
    for (const { fetching, stateMs = -Infinity } of this.#live) {
      if (fetching !== undefined && nowMs - stateMs <= newsMs) addAll(pieces, fetching);
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
    const good = this.#live.filter(({ answeredMs }) => answeredMs !== undefined);
    const chosen: Endpoint[] = [];
    while (chosen.length < most && good.length > 0) {
      const [peer] = good.splice(Math.floor(this.#parts.random.next() * good.length), 1);
      if (peer !== undefined) chosen.push(peer.info.endpoint);
    }
    return chosen;
  }

  all(): Iterable<Peer> {
    return this.#peers.values();
  }

  #better(peers: readonly Peer[], nowMs: number): Peer | undefined {
    const { random, policy, picker } = this.#parts;
    if (peers.length <= 1) return peers[0];
    const first = Math.floor(random.next() * peers.length);
    const offset = 1 + Math.floor(random.next() * (peers.length - 1));
    const [a, b] = [peers[first], peers[(first + offset) % peers.length]];
    if (a === undefined || b === undefined) return a ?? b;
    const bytes = pieceBytesOf(picker);
    return a.cost(bytes, policy, nowMs) <= b.cost(bytes, policy, nowMs) ? a : b;
  }

  #setHave(peer: Peer, have: PieceMap | "whole" | undefined): void {
    const before = peer.have === "whole" ? undefined : peer.have;
    peer.have = have;
    if (have === "whole") peer.saidWhole = true;
    this.#parts.picker.changed(before, have === "whole" ? undefined : have);
  }
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
  const [their, our] = [theirs.bytes, ours.bytes];
  for (let at = from >> 3; at < their.length; at++) {
    if (((their[at] ?? 0) & ~(our[at] ?? 0)) !== 0) return true;
  }
  return false;
}

function addAll(pieces: Set<number>, map: PieceMap): void {
  if (map.count === 0) return;
  for (let piece = map.first(0); piece < map.pieces; piece = map.first(piece + 1))
    pieces.add(piece);
}
