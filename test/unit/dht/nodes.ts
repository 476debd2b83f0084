/** Contacts, scripted peers and small live networks for tests of the DHT's parts. */
import { Counters } from "../../../src/base/counters.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import type { Endpoint } from "../../../src/base/endpoint.ts";
import { parseNodeId } from "../../../src/base/node-id.ts";
import type { NodeId } from "../../../src/base/node-id.ts";
import { DhtNode } from "../../../src/dht/node.ts";
import type { DhtComponents, DhtListener, DhtSettings } from "../../../src/dht/node.ts";
import { PeerBook } from "../../../src/dht/peer-book.ts";
import type { Peer } from "../../../src/dht/peer-book.ts";
import type { Contact } from "../../../src/dht/types.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { encodedSize } from "../../../src/krpc/encode.ts";
import type {
  AnswerFields,
  AnswerMessage,
  Message,
  Query,
  QueryMessage,
} from "../../../src/krpc/message.ts";
import { endpointOf } from "../../../src/sim/net/addressing.ts";
import type { HostPort, SimHost } from "../../../src/sim/net/host-port.ts";
import { fixed } from "../../../src/sim/net/latency.ts";
import { PacketNetwork } from "../../../src/sim/net/packet-network.ts";
import type { NetworkParts, Observed } from "../../../src/sim/net/packet-network.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { MemoryRecords } from "./values.ts";

export const version = "AP0.1.0";

/** An id by these first bytes; the last two are taken from `tail`, so that ids differ. */
export function idAt(first: readonly number[], tail = 0): NodeId {
  const id = new Uint8Array(20);
  id.set(first);
  id[18] = tail >> 8;
  id[19] = tail & 255;
  return id as NodeId;
}

export function randomId(random: SeededRandom): NodeId {
  return parseNodeId(random.bytes(20))!;
}

/** A contact at host `index`'s address, or another one. */
export function contactOf(
  id: NodeId,
  at: number | Endpoint,
  known: Partial<Peer> = {},
  book = new PeerBook(),
): Contact {
  const where = typeof at === "number" ? endpointOf(at) : at;
  const peer = book.peer(where);
  Object.assign(peer, known);
  return { id, endpoint: where, peer };
}

export function queryMessage(query: Query, more: Partial<QueryMessage> = {}): QueryMessage {
  const rest = { id: idAt([0xee]), readOnly: false, token: undefined, padding: 0 } as const;
  return { kind: "query", transaction: "tttt", version, ...rest, query, ...more };
}

export function answerTo(
  { transaction }: QueryMessage,
  id: NodeId,
  fields: AnswerFields = {},
  more: Partial<AnswerMessage> = {},
): AnswerMessage {
  const rest = { seen: undefined, token: undefined } as const;
  return { kind: "answer", transaction, version, id, ...rest, fields, ...more };
}

export interface Sent {
  readonly atMs: number;
  readonly to: Endpoint;
  readonly message: Message;
}

/** A port that only notes what is sent. */
export function notingPort(clock: VirtualClock) {
  const sent: Sent[] = [];
  const send = (to: Endpoint, message: Message): void =>
    void sent.push({ atMs: clock.monotonicMs(), to, message });
  return { sent, send };
}

export function queryOf(sent: Sent | undefined): QueryMessage {
  if (sent?.message.kind !== "query") throw new Error("no query was sent");
  return sent.message;
}

export interface Running {
  readonly node: DhtNode;
  readonly port: HostPort;
  readonly counters: Counters;
  readonly records: MemoryRecords;
  readonly stop: () => void;
}

export interface RunningOptions {
  readonly id?: NodeId;
  readonly bootstrap?: () => readonly Endpoint[];
  readonly records?: MemoryRecords;
  readonly host?: Partial<SimHost>;
  readonly settings?: Partial<DhtSettings>;
  readonly components?: Partial<DhtComponents>;
  readonly listener?: DhtListener;
}

/** Live nodes on the laboratory's Internet. Without settings, nothing is lost and all is 50 ms away. */
export class NodeWorld {
  readonly clock = new VirtualClock();
  readonly random: SeededRandom;
  readonly network: PacketNetwork;
  readonly observed: Observed[] = [];
  readonly #secrets: SeededRandom;

  constructor(seed: number, parts: Partial<NetworkParts> & { readonly noting?: boolean } = {}) {
    this.random = new SeededRandom(seed);
    this.#secrets = new SeededRandom(seed + 7);
    const { noting = false, ...others } = parts;
    this.network = new PacketNetwork({
      ...{ clock: this.clock, random: new SeededRandom(seed + 1), latency: fixed(50) },
      sizeOf: encodedSize,
      ...(noting && { watch: (seen: Observed) => void this.observed.push(seen) }),
      ...others,
      settings: { loss: 0, jitter: 0, ...parts.settings },
    });
  }

  add(index: number, options: RunningOptions = {}): Running {
    const held: { node?: DhtNode } = {};
    const counters = new Counters();
    const records = options.records ?? new MemoryRecords();
    const port = this.network.attach({
      ...{ index, endpoint: endpointOf(index) },
      receive: (from, message) => held.node?.receive(from, message, encodedSize(message)),
      ...options.host,
    });
    const node = new DhtNode(
      {
        ...{ clock: this.clock, random: this.random, hashes: nodeHashes },
        ...{ secret: () => this.#secrets.bytes(20), port, records, counters },
        dialBack: { dial: (_to, done) => done(true) },
        bootstrap: { endpoints: () => Promise.resolve(options.bootstrap?.() ?? []) },
        ...options.components,
      },
      { id: options.id ?? randomId(this.random), family: 4, version, ...options.settings },
      options.listener,
    );
    held.node = node;
    const stop = (): void => {
      node.stop();
      port.detach();
    };
    return { node, port, counters, records, stop };
  }

  /** A peer that answers as the script says; it notes what it was asked. */
  peer(
    index: number,
    id: NodeId,
    script: (query: QueryMessage, from: Endpoint) => AnswerFields | Message | undefined,
  ) {
    const asked: QueryMessage[] = [];
    const port: HostPort = this.network.attach({
      ...{ index, endpoint: endpointOf(index) },
      receive: (from, message) => {
        if (message.kind !== "query") return;
        asked.push(message);
        const reply = script(message, from);
        if (reply === undefined) return;
        port.send(from, "kind" in reply ? reply : answerTo(message, id, reply));
      },
    });
    return { id, asked, port, endpoint: endpointOf(index) };
  }

  /** Time in small steps; promises run between them, as bootstrap hosts come by promise. */
  async pass(ms: number, stepMs = 1000): Promise<void> {
    const endMs = this.clock.monotonicMs() + ms;
    while (this.clock.monotonicMs() < endMs) {
      this.clock.advance(Math.min(stepMs, endMs - this.clock.monotonicMs()));
      await Promise.resolve();
      await Promise.resolve();
    }
  }
}

/** Contacts that have been in the table for long and answer in no time. */
export const proven: Partial<Peer> = { srttMs: 50, rttvarMs: 5, provenAtMs: 0, heardAtMs: 0 };

/** Puts nodes into each other's tables. */
export function acquaint(nodes: readonly Running[]): void {
  for (const { node } of nodes) {
    for (const other of nodes) {
      if (other.node === node) continue;
      const { id } = other.node;
      node.keeper.answered(contactOf(id, other.port.endpoint, proven, node.book), Infinity);
    }
  }
}

export function privateEndpoint(last: number): Endpoint {
  return endpoint(`192.168.7.${last}`, 9977);
}
