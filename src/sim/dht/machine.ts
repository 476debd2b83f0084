/**
 * A simulated machine on which a node runs, is stopped, killed and started again: the same DHT node
 * and publisher as the daemon's. What it is (id, NAT, keys) outlives its runs.
 */
import { endpoint } from "../../base/endpoint.ts";
import type { Endpoint } from "../../base/endpoint.ts";
import type { NodeId } from "../../base/node-id.ts";
import { DhtNode } from "../../dht/node.ts";
import type { DhtComponents, DhtSettings } from "../../dht/node.ts";
import { Publisher } from "../../dht/publisher.ts";
import type { Message } from "../../krpc/message.ts";
import type { HostPort } from "../net/host-port.ts";
import type { NatSettings } from "../net/nat.ts";
import type { PacketNetwork } from "../net/packet-network.ts";
import { LabRecords } from "./records.ts";

/** The TCP port that all publishers announce. */
export const labTcpPort = 9977;

/** An address that nobody has, and so nobody has sent to. */
const stranger = endpoint("192.0.2.1", 9977);

export interface MachineTraits {
  /** Its place in the latency model. */
  readonly index: number;
  readonly id: NodeId;
  readonly endpoint: Endpoint;
  readonly nat: NatSettings;
  readonly overloaded: boolean;
  /** Published while it runs; without any there is no publisher. */
  readonly keys: readonly NodeId[];
  /** It publishes so long after each start. */
  readonly publishAfterMs: number;
  /** Holder state and values survive restarts, too; else only contacts do. */
  readonly keepsAll: boolean;
  /** It runs all the time and others begin with it. */
  readonly bootstrap: boolean;
  /** Sees what comes before the node does; true: the node does not get it. */
  readonly intercept?: (machine: Machine, from: Endpoint, message: Message) => boolean;
}

/** What all machines of a world share. */
export interface MachineParts {
  readonly network: PacketNetwork;
  readonly components: Omit<DhtComponents, "port" | "records">;
  readonly policy: DhtSettings["policy"];
  readonly valueOf: (key: NodeId) => Uint8Array;
}

/** From a start to its end. */
export interface Run {
  readonly node: DhtNode;
  readonly publisher: Publisher | undefined;
  readonly port: HostPort;
  readonly sinceMs: number;
}

export class Machine {
  readonly traits: MachineTraits;
  readonly #parts: MachineParts;
  readonly #records: LabRecords;
  #endpoint: Endpoint;
  #run: Run | undefined;

  constructor(parts: MachineParts, traits: MachineTraits) {
    this.#parts = parts;
    this.traits = traits;
    this.#records = new LabRecords(traits.keepsAll);
    this.#endpoint = traits.endpoint;
  }

  get index(): number {
    return this.traits.index;
  }

  /** As seen outside, now or when it last ran. */
  get endpoint(): Endpoint {
    return this.#endpoint;
  }

  /** undefined while it is off. */
  get run(): Run | undefined {
    return this.#run;
  }

  /**
   * Whether it runs and a stranger's datagram reaches it now. So does one to a full cone that has
   * just sent anything, which a node does all the time.
   */
  get reachable(): boolean {
    const nowMs = this.#parts.components.clock.monotonicMs();
    return this.#run?.port.admits(stranger, nowMs) ?? false;
  }

  /** Nothing happens if it runs. */
  start(): void {
    if (this.#run !== undefined) return;
    const { network, components, policy, valueOf } = this.#parts;
    const { index, id, nat, overloaded, keys, publishAfterMs, intercept } = this.traits;
    const made: { node?: DhtNode; publisher?: Publisher } = {};
    const port = network.attach({
      ...{ index, endpoint: this.#endpoint, nat, overloaded },
      receive: (from, message, bytes) => {
        if (intercept?.(this, from, message) !== true) made.node?.receive(from, message, bytes);
      },
    });
    const records = this.#records.open();
    const settings = { id, family: 4, version: "AP0.0.0" } as const;
    const node = new DhtNode(
      { ...components, port, records },
      policy === undefined ? settings : { ...settings, policy },
      { moved: () => made.publisher?.moved() },
    );
    made.node = node;
    const publisher =
      keys.length === 0
        ? undefined
        : new Publisher(
            {
              ...{ ...components, records, asker: node, ownId: id },
              networkSize: () => node.networkSize(),
              measuredSize: () => node.measuredSize(),
              contactOf: (info) => {
                const peer = node.book.peer(info.endpoint);
                return { id: info.id, endpoint: peer.endpoint, peer };
              },
            },
            { tcpPort: labTcpPort, family: 4 },
          );
    if (publisher !== undefined) made.publisher = publisher;
    this.#run = { node, publisher, port, sinceMs: components.clock.monotonicMs() };
    node.start();
    if (publisher === undefined) return;
    publisher.start();
    const publish = (): void => {
      for (const key of keys)
        if (this.#run?.publisher === publisher) publisher.publish(key, valueOf(key));
    };
    if (publishAfterMs === 0) publish();
    else components.clock.after(publishAfterMs, publish);
  }

  /** `kill`: as by a power cut, nothing is written any more. */
  stop(kind: "stop" | "kill"): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#run = undefined;
    if (kind === "kill") this.#records.close();
    run.publisher?.stop();
    run.node.stop();
    this.#records.close();
    run.port.detach();
  }

  /** Another address, as after a reconnect; a running node has to find out. */
  moveTo(endpoint: Endpoint): void {
    this.#endpoint = endpoint;
    this.#run?.port.moveTo(endpoint);
  }
}
