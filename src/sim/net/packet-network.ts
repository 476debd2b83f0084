/**
 * The laboratory's Internet: carries messages between simulated hosts as UDP would, with round trips
 * from a latency model, loss, NATs, overloaded and dead hosts, and partitions.
 *
 * - Messages go by reference; with `wire` each is encoded and decoded, as real ones are.
 * - All chance comes from one seeded generator, so one seed gives one run; `traceHash` shows it.
 * - A datagram ends in exactly one fate. Address and partition are looked at when it is sent; that
 *   the addressee lives, and lets it in, when it arrives.
 * - Order is not kept, as in UDP: two datagrams of one pair have each its own jitter.
 */
import type { Endpoint } from "../../base/endpoint.ts";
import { maxDatagramBytes, type Message } from "../../krpc/message.ts";
import type { SeededRandom } from "../seeded-random.ts";
import type { Job } from "../timer-heap.ts";
import type { VirtualClock } from "../virtual-clock.ts";
import { halfNormalTable, lognormal } from "./distributions.ts";
import { Attachment, gatewayOf, type Carrier, type HostPort, type SimHost } from "./host-port.ts";
import type { Latency } from "./latency.ts";
import { fates, messageTag, TraceHash, type Fate } from "./trace.ts";

export interface NetworkSettings {
  /** Share of datagrams that are lost, each way on its own. */
  readonly loss: number;
  /** Share that is lost besides at each overloaded end. */
  readonly overloadLoss: number;
  /** An overloaded host looks at a datagram so much later: lognormal, median and sigma. */
  readonly overloadMedianMs: number;
  readonly overloadSigma: number;
  /** One way takes half a round trip × (1 + jitter × |N(0, 1)|). */
  readonly jitter: number;
}

export const defaultNetworkSettings: NetworkSettings = {
  loss: 0.01,
  overloadLoss: 0.25,
  overloadMedianMs: 900,
  overloadSigma: 1.1,
  jitter: 0.05,
};

/** The real codec, so that what is simulated is what would go over the wire. */
export interface Wire {
  encode(message: Message): Uint8Array;
  /** undefined if the bytes are no message. */
  decode(bytes: Uint8Array): Message | undefined;
}

/** A datagram at its end, for those who watch. */
export interface Observed {
  readonly atMs: number;
  readonly from: HostPort;
  /** undefined if nobody has the address. */
  readonly to: HostPort | undefined;
  /** Where it was sent to. */
  readonly target: Endpoint;
  readonly message: Message;
  /** 0 without `wire` and `sizeOf`. */
  readonly sizeBytes: number;
  readonly fate: Fate;
}

export interface NetworkParts {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly latency: Latency;
  readonly settings?: Partial<NetworkSettings>;
  /** UDP payload of a message; without it, and without `wire`, bytes are not counted. */
  readonly sizeOf?: (message: Message) => number;
  readonly wire?: Wire;
  /** Called at each datagram's end, before it is handed over. */
  readonly watch?: (observed: Observed) => void;
}

export class PacketNetwork {
  /**
   * Asked about an address that nobody is attached with: may attach a host there and return its
   * port, so that the hosts of a large network are made when they are first sent to.
   */
  lookupHost: ((endpoint: Endpoint) => HostPort | undefined) | undefined;

  readonly #parts: NetworkParts;
  readonly #settings: NetworkSettings;
  /** Loss by the number of overloaded ends: none, one, both. */
  readonly #loss: readonly number[];
  readonly #jitter = halfNormalTable();
  /** As many as the experiment attaches; by outside endpoint, and symmetric NATs by address. */
  readonly #hosts = new Map<string, Attachment>();
  readonly #symmetric = new Map<string, Attachment>();
  /** Host index → number of its part; hosts that are not in it are part 0. */
  #parting: ReadonlyMap<number, number> | undefined;
  readonly #trace = new TraceHash();
  readonly #totals: Record<Fate, number>;
  readonly #carrier: Carrier;
  readonly #arrive = (datagram: Datagram): void => this.#arrived(datagram);

  constructor(parts: NetworkParts) {
    this.#parts = parts;
    this.#settings = { ...defaultNetworkSettings, ...parts.settings };
    const { loss, overloadLoss } = this.#settings;
    this.#loss = [0, 1, 2].map((ends) => 1 - (1 - loss) * (1 - overloadLoss) ** ends);
    this.#totals = Object.fromEntries(fates.map((fate) => [fate, 0])) as Record<Fate, number>;
    this.#carrier = {
      send: (from, to, message) => this.#send(from, to, message),
      detach: (attachment) => this.#detach(attachment),
      move: (attachment, endpoint) => this.#move(attachment, endpoint),
    };
  }

  /** An Error if somebody has that endpoint, or a symmetric NAT that address. */
  attach(host: SimHost): HostPort {
    this.#mustBeFree(host.endpoint);
    const attachment = new Attachment(host, this.#carrier);
    this.#register(attachment);
    return attachment;
  }

  /** Hosts that are attached. */
  get size(): number {
    return this.#hosts.size;
  }

  /** Only hosts (by index) of one set reach each other; those in no set are one more set. */
  partition(sets: Iterable<Iterable<number>>): void {
    const parting = new Map<number, number>();
    let part = 0;
    for (const set of sets) {
      part++;
      for (const index of set) parting.set(index, part);
    }
    this.#parting = parting;
  }

  heal(): void {
    this.#parting = undefined;
  }

  /** Datagrams so far by their fate; those on their way have none. */
  get totals(): Readonly<Record<Fate, number>> {
    return { ...this.#totals };
  }

  /** 16 hexadecimal digits over all datagrams that have ended: time, hosts, kind and fate. */
  traceHash(): string {
    return this.#trace.text;
  }

  #register(attachment: Attachment): void {
    const { endpoint, host } = attachment;
    this.#hosts.set(endpoint.text, attachment);
    if (host.nat?.kind === "symmetric") this.#symmetric.set(endpoint.address, attachment);
  }

  #mustBeFree(endpoint: Endpoint): void {
    if (!this.#hosts.has(endpoint.text) && !this.#symmetric.has(endpoint.address)) return;
    throw new Error(`${endpoint.text} is taken`);
  }

  #unregister(attachment: Attachment): void {
    const { endpoint } = attachment;
    this.#hosts.delete(endpoint.text);
    if (this.#symmetric.get(endpoint.address) === attachment) {
      this.#symmetric.delete(endpoint.address);
    }
    attachment.epoch++;
  }

  #detach(attachment: Attachment): void {
    this.#unregister(attachment);
    attachment.attached = false;
  }

  #move(attachment: Attachment, endpoint: Endpoint): void {
    this.#mustBeFree(endpoint);
    this.#unregister(attachment);
    attachment.endpoint = endpoint;
    attachment.gateway = gatewayOf(attachment.host, endpoint);
    this.#register(attachment);
  }

  #send(from: Attachment, to: Endpoint, message: Message): void {
    const { clock, latency, random, wire, sizeOf } = this.#parts;
    const bytes = wire?.encode(message);
    const sizeBytes = bytes?.length ?? sizeOf?.(message) ?? 0;
    from.traffic.sentDatagrams++;
    from.traffic.sentBytes += sizeBytes;
    const source = from.gateway?.outgoing(to, clock.monotonicMs()) ?? from.endpoint;
    const receiver = this.#find(to);
    const datagram = new Datagram({ from, source, to, message, bytes, sizeBytes }, this.#arrive);
    datagram.receiver = receiver;
    datagram.epoch = receiver?.epoch ?? 0;
    const fate = this.#fateOnLeaving(datagram);
    if (receiver === undefined || fate !== undefined) {
      this.#end(datagram, fate ?? "unreachable");
      return;
    }
    const halfMs = latency.roundTripMs(from.index, receiver.index) / 2;
    const jitter = this.#settings.jitter * this.#jitter.at(random.next());
    clock.schedule(halfMs * (1 + jitter), datagram);
  }

  #find(to: Endpoint): Attachment | undefined {
    const known = this.#hosts.get(to.text) ?? this.#symmetric.get(to.address);
    if (known !== undefined || this.lookupHost === undefined) return known;
    return this.lookupHost(to) === undefined ? undefined : this.#hosts.get(to.text);
  }

  /** undefined if it goes on its way. */
  #fateOnLeaving({ from, to, receiver, sizeBytes }: Datagram): Fate | undefined {
    if (sizeBytes > maxDatagramBytes) return "oversized";
    if (receiver === undefined) return "unreachable";
    if (from.gateway !== undefined && to.address === from.endpoint.address) return "filtered";
    const parting = this.#parting;
    if (parting !== undefined && parting.get(from.index) !== parting.get(receiver.index)) {
      return "partitioned";
    }
    const overloadedEnds = Number(from.overloaded) + Number(receiver.overloaded);
    return this.#parts.random.next() < (this.#loss[overloadedEnds] ?? 0) ? "lost" : undefined;
  }

  #arrived(datagram: Datagram): void {
    const { clock, random } = this.#parts;
    const { source, to, admitted } = datagram;
    if (!admitted && datagram.receiver?.epoch !== datagram.epoch) this.#reroute(datagram);
    const { receiver } = datagram;
    if (receiver?.attached !== true) {
      this.#end(datagram, "unreachable");
    } else if (admitted) {
      this.#handOver(datagram, receiver);
    } else if (receiver.gateway?.admits(source, to, clock.monotonicMs()) === false) {
      this.#end(datagram, "filtered");
    } else if (receiver.overloaded) {
      const { overloadMedianMs, overloadSigma } = this.#settings;
      datagram.admitted = true;
      clock.schedule(lognormal(random, overloadMedianMs, overloadSigma), datagram);
    } else {
      this.#handOver(datagram, receiver);
    }
  }

  /** The addressee has died, moved or been restarted since: whoever is there now gets it. */
  #reroute(datagram: Datagram): void {
    datagram.receiver = this.#find(datagram.to);
    datagram.epoch = datagram.receiver?.epoch ?? 0;
  }

  #handOver(datagram: Datagram, { host, traffic }: Attachment): void {
    const { source, bytes, sizeBytes } = datagram;
    const { wire } = this.#parts;
    const decoded =
      bytes === undefined || wire === undefined ? datagram.message : wire.decode(bytes);
    traffic.receivedDatagrams++;
    traffic.receivedBytes += sizeBytes;
    this.#end(datagram, decoded === undefined ? "undecodable" : "delivered");
    if (decoded !== undefined) host.receive(source, decoded, sizeBytes);
  }

  #end({ from, to, receiver, message, sizeBytes }: Datagram, fate: Fate): void {
    const atMs = this.#parts.clock.monotonicMs();
    const tag = messageTag(message);
    this.#totals[fate]++;
    this.#trace.add(
      { atMs, from: from.index, to: receiver?.index ?? -1, tag },
      fates.indexOf(fate),
    );
    this.#parts.watch?.({ atMs, from, to: receiver, target: to, message, sizeBytes, fate });
  }
}

interface DatagramParts {
  readonly from: Attachment;
  /** The sender as seen outside. */
  readonly source: Endpoint;
  readonly to: Endpoint;
  readonly message: Message;
  /** In wire mode, what is decoded at the other end. */
  readonly bytes: Uint8Array | undefined;
  readonly sizeBytes: number;
}

/** A datagram on its way; the clock runs it when it arrives, and again when it is looked at. */
class Datagram implements Job, DatagramParts {
  readonly cancelled = false;
  readonly from: Attachment;
  readonly source: Endpoint;
  readonly to: Endpoint;
  readonly message: Message;
  readonly bytes: Uint8Array | undefined;
  readonly sizeBytes: number;
  receiver: Attachment | undefined;
  /** The receiver's, when it was found under this address. */
  epoch = 0;
  /** It is past the NAT and waits in the addressee's own buffer, wherever that moves. */
  admitted = false;
  readonly #arrive: (datagram: Datagram) => void;

  constructor(parts: DatagramParts, arrive: (datagram: Datagram) => void) {
    this.from = parts.from;
    this.source = parts.source;
    this.to = parts.to;
    this.message = parts.message;
    this.bytes = parts.bytes;
    this.sizeBytes = parts.sizeBytes;
    this.#arrive = arrive;
  }

  run(): void {
    this.#arrive(this);
  }
}
