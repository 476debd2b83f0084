/**
 * DHT services of one process: on real sockets, each at its own loopback address, or on the packet
 * network of the laboratory. Both run the same code with the same ids, so that what they do can be
 * compared.
 */
import { setTimeout as delay } from "node:timers/promises";
import { Counters } from "../../src/base/counters.ts";
import { endpoint } from "../../src/base/endpoint.ts";
import type { Endpoint } from "../../src/base/endpoint.ts";
import type { Clock, Log } from "../../src/base/ports.ts";
import type { Sha256 } from "../../src/base/sha256.ts";
import type { DhtRecords } from "../../src/dht/ports.ts";
import type { FoundPeer, PeerLookupSummary } from "../../src/engine/dht-lookup.ts";
import { DhtService } from "../../src/engine/dht-service.ts";
import type { DhtServiceSettings } from "../../src/engine/dht-service.ts";
import type { DatagramPort } from "../../src/engine/ports.ts";
import { nodeHashes } from "../../src/io/node-hashes.ts";
import { systemClock } from "../../src/io/system-clock.ts";
import { UdpSockets } from "../../src/io/udp-sockets.ts";
import { decodeMessage } from "../../src/krpc/decode.ts";
import { encodeMessage } from "../../src/krpc/encode.ts";
import type { FileValue } from "../../src/krpc/value.ts";
import { fixed } from "../../src/sim/net/latency.ts";
import { PacketNetwork } from "../../src/sim/net/packet-network.ts";
import { SeededRandom } from "../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../src/sim/virtual-clock.ts";

export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

export class MemoryRecords implements DhtRecords {
  readonly map = new Map<string, string>();
  *initial(prefix: string): Iterable<readonly [key: string, value: string]> {
    for (const entry of [...this.map]) if (entry[0].startsWith(prefix)) yield entry;
  }
  put(key: string, value: string | undefined): void {
    if (value === undefined) this.map.delete(key);
    else this.map.set(key, value);
  }
}

export interface SwarmNode {
  readonly service: DhtService;
  readonly counters: Counters;
  readonly at: Endpoint;
  readonly close: () => Promise<void>;
}

export interface NodeOptions extends Partial<DhtServiceSettings> {
  readonly index: number;
  readonly bootstrap?: readonly Endpoint[];
  readonly records?: DhtRecords;
  /** UDP; 0 or nothing: the system chooses. */
  readonly port?: number;
  /** Default: one of its own for each index. */
  readonly address?: string;
  readonly random?: SeededRandom;
  /** Whether this node reaches the TCP ports of those who ask it to try. */
  readonly reaches?: () => boolean;
}

export const tcpPort = 9977;

/** Where the services live, and how time passes there. */
export interface SwarmWorld {
  readonly open: (options: NodeOptions) => Promise<SwarmNode>;
  /** False if it does not hold within `limitMs`. */
  readonly until: (condition: () => boolean, limitMs: number) => Promise<boolean>;
}

export class RealWorld implements SwarmWorld {
  readonly #nodes = new Set<SwarmNode>();
  readonly #seed: number;

  constructor(seed: number) {
    this.#seed = seed;
  }

  open = async (options: NodeOptions): Promise<SwarmNode> => {
    const counters = new Counters();
    const random = new SeededRandom(this.#seed + options.index);
    const address = options.address ?? addressOf(options.index);
    const sockets = await UdpSockets.open({
      ...{ addresses: [address], port: options.port ?? 0 },
      ...{ log: silentLog, counters, clock: systemClock, random },
    });
    const parts = { clock: systemClock, counters, port: sockets, address, random };
    const service = makeService(parts, options);
    sockets.onDatagram((from, bytes) => service.receive(from, bytes));
    service.start();
    const node: SwarmNode = {
      ...{ service, counters, at: endpoint(address, sockets.port) },
      close: async () => {
        if (!this.#nodes.delete(node)) return;
        service.stop();
        await sockets.close();
      },
    };
    this.#nodes.add(node);
    return node;
  };

  until = async (condition: () => boolean, limitMs: number): Promise<boolean> => {
    const endMs = performance.now() + limitMs;
    while (!condition()) {
      if (performance.now() > endMs) return false;
      await delay(20);
    }
    return true;
  };

  async close(): Promise<void> {
    await Promise.all([...this.#nodes].map((node) => node.close()));
  }
}

export class LabWorld implements SwarmWorld {
  readonly #clock = new VirtualClock();
  readonly #network: PacketNetwork;
  readonly #seed: number;

  constructor(seed: number, roundTripMs: number) {
    this.#seed = seed;
    this.#network = new PacketNetwork({
      ...{ clock: this.#clock, random: new SeededRandom(seed), latency: fixed(roundTripMs) },
      settings: { loss: 0 },
    });
  }

  open = (options: NodeOptions): Promise<SwarmNode> => {
    const counters = new Counters();
    const random = new SeededRandom(this.#seed + options.index);
    const at = endpoint(options.address ?? addressOf(options.index), options.port ?? 9977);
    const held: { service?: DhtService } = {};
    const host = this.#network.attach({
      ...{ index: options.index, endpoint: at },
      receive: (from, message) => held.service?.receive(from, encodeMessage(message)),
    });
    const port: DatagramPort = {
      send: (to, bytes) => {
        const message = decodeMessage(bytes);
        if (message.kind !== "undecodable") host.send(to, message);
      },
    };
    const parts = { clock: this.#clock, counters, port, address: at.address, random };
    const service = makeService(parts, options);
    held.service = service;
    service.start();
    const close = (): Promise<void> => {
      service.stop();
      host.detach();
      return Promise.resolve();
    };
    return Promise.resolve({ service, counters, at, close });
  };

  /** Nothing is looked at meanwhile. */
  pass(ms: number): void {
    this.#clock.advance(ms);
  }

  until = async (condition: () => boolean, limitMs: number): Promise<boolean> => {
    for (let leftMs = limitMs; !condition(); leftMs -= 20) {
      if (leftMs <= 0) return false;
      this.#clock.advance(20);
      // Whoever resolves hosts gets them now.
      await new Promise(setImmediate);
    }
    return true;
  };
}

interface MadeParts {
  readonly clock: Clock;
  readonly counters: Counters;
  readonly port: DatagramPort;
  readonly address: string;
  readonly random: SeededRandom;
}

function makeService(parts: MadeParts, options: NodeOptions): DhtService {
  const { clock, counters, port, address } = parts;
  const { bootstrap = [], records = new MemoryRecords() } = options;
  const random = options.random ?? parts.random;
  return new DhtService(
    {
      ...{ clock, random, hashes: nodeHashes, counters, port, records },
      secret: () => random.bytes(20),
      dialBack: { dial: (_to, done) => done(options.reaches?.() ?? false) },
      bootstrap: { endpoints: () => Promise.resolve(bootstrap) },
      ownAddresses: () => new Set([address]),
      isNear: () => true,
    },
    {
      ...{ families: [4], network: "public", version: "0.1.0", share: "fresh" },
      serving: { tcpPort, addresses: ["0.0.0.0"] },
      ...options,
    },
  );
}

/** 127.77.x.y: of this machine, and of no other test. */
export function addressOf(index: number): string {
  return `127.77.${index >> 8}.${(index & 255) + 1}`;
}

export const wholeFile: FileValue = {
  state: { kind: "complete" },
  pieces: { kind: "none" },
  privateAddresses: [],
};

export function digestOf(text: string): Sha256 {
  return Buffer.from(nodeHashes.of(text)).toString("hex") as Sha256;
}

export interface LookedUp extends PeerLookupSummary {
  readonly peers: readonly FoundPeer[];
}

/** Looks up in one world or the other. */
export async function lookUp(
  world: SwarmWorld,
  { service }: SwarmNode,
  sha256: Sha256,
): Promise<LookedUp> {
  const peers: FoundPeer[] = [];
  const ended: { summary?: PeerLookupSummary } = {};
  service.lookup(sha256, {
    peers: (found) => peers.push(...found),
    done: (summary) => (ended.summary = summary),
  });
  if (!(await world.until(() => ended.summary !== undefined, 25_000))) {
    throw new Error("a lookup has not ended");
  }
  // On a machine that is held up everybody seems late, and the late bring their values after the end.
  await world.until(() => peers.length > 0, 2000);
  return { ...ended.summary!, peers };
}
