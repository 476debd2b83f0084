/**
 * Finds the daemons of the same link, and is found by them, with nothing configured.
 *
 * At the start, and when the interfaces have changed, three announces go out within a second; each
 * receiver answers. After that a presence every five minutes keeps those right who missed them all.
 * Whoever is heard is reported, whether by announce, answer or presence, so that a pair finds itself
 * as soon as one datagram of six has come through. Nothing here proves anything: the DHT pings who
 * was found before it believes in them.
 */
import { BoundedMap } from "../base/bounded-map.ts";
import type { Counters } from "../base/counters.ts";
import { canonicalAddress, endpoint } from "../base/endpoint.ts";
import type { Endpoint } from "../base/endpoint.ts";
import { idText, sameId } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Clock, Random } from "../base/ports.ts";
import { minute, second } from "../base/units.ts";
import { decodeLanDatagram, encodeLanDatagram, networkTag } from "./lan-datagram.ts";
import type { LanDatagram, LanKind } from "./lan-datagram.ts";
import { TokenBucket } from "./token-bucket.ts";
import { LanSockets } from "./lan-sockets.ts";
import type { LanSender, LanSocketOptions, LanTransport } from "./lan-sockets.ts";

export interface LanNeighbour {
  readonly id: NodeId;
  /** Of its DHT node; canonical, without zone. */
  readonly endpoint: Endpoint;
  /** Where it serves peers; 0: nowhere. */
  readonly tcpPort: number;
  /** Through which interface a link-local address is reached. */
  readonly zone: string | undefined;
}

export interface LanDiscoveryParts {
  readonly id: NodeId;
  readonly udpPort: number;
  readonly tcpPort: number;
  /** As configured: `public`, `lan` or a name. */
  readonly network: string;
  /** At most once a minute for each id and endpoint. */
  readonly found: (neighbour: LanNeighbour) => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly counters: Counters;
}

/** Pauses behind the first announces: at 0, 250 ms and 1 s. */
const announceGapsMs = [250, 750];
const presenceMs = 5 * minute;
const watchMs = 30 * second;
/** Where all machines of a room start at once, their datagrams shall not. */
const jitter = 0.2;
const firstDelayMs = 50;
const answerDelayMs = 100;

/** Sustained and at once, of one address: several daemons may be there, and each says three things. */
const sourcePerSecond = 10;
const sourceBurst = 30;
/** Answers to all: a room of 40 machines that start at once. They then hear enough of each other. */
const answersPerSecond = 20;
const answerBurst = 40;
/** One daemon's announces beyond one of these get no answer of their own. */
const answerAgainMs = second / 2;
const reportAgainMs = minute;
/** Larger links exist, but a node needs no more neighbours than this to be in the swarm. */
const knownNeighbours = 1024;
const countedSources = 256;

interface Known {
  reportedMs: number;
  answeredMs: number;
}

export class LanDiscovery {
  readonly #parts: LanDiscoveryParts;
  readonly #transport: LanTransport;
  readonly #network: Uint8Array;
  readonly #known = new BoundedMap<string, Known>(knownNeighbours);
  readonly #sources = new BoundedMap<string, TokenBucket>(countedSources);
  readonly #answers: TokenBucket;
  /** Announces sent since the start or the last change. */
  #announced = 0;
  #cancelRound: () => void = () => undefined;
  #cancelWatch: () => void = () => undefined;
  #closed = false;

  constructor(parts: LanDiscoveryParts, transport: LanTransport) {
    this.#parts = parts;
    this.#transport = transport;
    this.#network = networkTag(parts.network);
    this.#answers = new TokenBucket(answersPerSecond, answerBurst, parts.clock.monotonicMs());
  }

  /** On real sockets, started. Never rejects. */
  static async open(options: LanDiscoveryParts & LanSocketOptions): Promise<LanDiscovery> {
    const discovery = new LanDiscovery(options, await LanSockets.open(options));
    discovery.start();
    return discovery;
  }

  start(): void {
    this.#transport.onDatagram((bytes, from) => this.#received(bytes, from));
    this.#transport.refresh();
    this.#announceSoon();
    this.#watch();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelRound();
    this.#cancelWatch();
    await this.#transport.close();
  }

  #received(bytes: Uint8Array, from: LanSender): void {
    if (this.#closed) return;
    const address = canonicalAddress(from.address);
    if (address === undefined || from.port === 0 || !this.#transport.isNear(address)) {
      this.#parts.counters.add("io.lan.strangers");
      return;
    }
    const datagram = decodeLanDatagram(bytes);
    // The group sends our own datagrams back to us.
    if (datagram !== undefined && sameId(datagram.id, this.#parts.id)) return;
    const fault = this.#fault(datagram, address);
    if (fault !== undefined) this.#parts.counters.add(`io.lan.${fault}`);
    else if (datagram !== undefined) this.#heard(datagram, address, from);
  }

  #fault(datagram: LanDatagram | undefined, address: string): string | undefined {
    if (!this.#sourceMay(address)) return "limited";
    if (datagram === undefined) return "malformed";
    const same = datagram.network.every((byte, index) => byte === this.#network[index]);
    return same ? undefined : "otherNetworks";
  }

  #heard(datagram: LanDatagram, address: string, from: LanSender): void {
    const { clock, counters, found } = this.#parts;
    const nowMs = clock.monotonicMs();
    const { id, kind, tcpPort, udpPort } = datagram;
    const at = endpoint(address, udpPort);
    const key = `${idText(id)} ${at.text}`;
    const before = this.#known.get(key);
    const known = before ?? { reportedMs: -Infinity, answeredMs: -Infinity };
    this.#known.set(key, known);
    const wanted = kind === "announce" || (kind === "presence" && before === undefined);
    if (wanted && nowMs - known.answeredMs >= answerAgainMs) {
      known.answeredMs = nowMs;
      this.#answerSoon(from);
    }
    if (nowMs - known.reportedMs < reportAgainMs) return;
    known.reportedMs = nowMs;
    counters.add("io.lan.found");
    const zoneAt = from.address.indexOf("%");
    const zone = zoneAt === -1 ? undefined : from.address.slice(zoneAt + 1);
    found({ id, endpoint: at, tcpPort, zone });
  }

  #answerSoon(to: LanSender): void {
    const { clock, random, counters } = this.#parts;
    // So the bucket also bounds how many answers wait.
    if (!this.#answers.take(clock.monotonicMs())) {
      counters.add("io.lan.limited");
      return;
    }
    clock.after(random.next() * answerDelayMs, () => {
      if (this.#closed) return;
      counters.add("io.lan.answered");
      this.#transport.answer(this.#datagram("answer"), to);
    });
  }

  #announceSoon(): void {
    this.#announced = 0;
    this.#roundAfter(this.#parts.random.next() * firstDelayMs);
  }

  #roundAfter(delayMs: number): void {
    this.#cancelRound();
    this.#cancelRound = this.#parts.clock.after(delayMs, () => {
      const { counters } = this.#parts;
      if (this.#transport.refresh() && this.#announced > announceGapsMs.length) this.#announced = 0;
      const kind = this.#announced <= announceGapsMs.length ? "announce" : "presence";
      counters.add(kind === "announce" ? "io.lan.announced" : "io.lan.presences");
      this.#transport.announce(this.#datagram(kind));
      const gapMs = announceGapsMs[this.#announced] ?? presenceMs;
      this.#announced += 1;
      this.#roundAfter(gapMs * (1 - jitter + 2 * jitter * this.#parts.random.next()));
    });
  }

  #watch(): void {
    this.#cancelWatch = this.#parts.clock.after(watchMs, () => {
      if (this.#transport.refresh()) this.#announceSoon();
      this.#watch();
    });
  }

  #datagram(kind: LanKind): Uint8Array {
    const { id, udpPort, tcpPort } = this.#parts;
    return encodeLanDatagram({ kind, id, udpPort, tcpPort, network: this.#network });
  }

  #sourceMay(address: string): boolean {
    const nowMs = this.#parts.clock.monotonicMs();
    const bucket =
      this.#sources.get(address) ?? new TokenBucket(sourcePerSecond, sourceBurst, nowMs);
    this.#sources.set(address, bucket);
    return bucket.take(nowMs);
  }
}
