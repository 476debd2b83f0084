/**
 * The living laboratory: a network of machines that join, publish, leave, come back and are looked
 * into, in virtual time. One seed gives one run; `traceHash` of the network shows it.
 *
 * Time moves only in `run`, which is asynchronous because the node asks for its bootstrap hosts with
 * a promise: time stands still until that is settled, so the order of events stays the same.
 */
import { Counters } from "../../base/counters.ts";
import type { Endpoint } from "../../base/endpoint.ts";
import { randomNodeId } from "../../base/node-id.ts";
import type { NodeId } from "../../base/node-id.ts";
import type { Hashes } from "../../base/ports.ts";
import type { LookupPolicy } from "../../dht/policy.ts";
import { encodedSize } from "../../krpc/encode.ts";
import { endpointOf } from "../net/addressing.ts";
import type { Latency } from "../net/latency.ts";
import { drawNat, natMixB } from "../net/nat.ts";
import type { NatMix } from "../net/nat.ts";
import { PacketNetwork } from "../net/packet-network.ts";
import type { NetworkSettings, Observed } from "../net/packet-network.ts";
import { SeededRandom } from "../seeded-random.ts";
import { VirtualClock } from "../virtual-clock.ts";
import { Machine } from "./machine.ts";
import type { MachineTraits } from "./machine.ts";

export interface DhtWorldSettings {
  readonly seed: number;
  readonly hashes: Hashes;
  readonly latency: Latency;
  readonly network?: Partial<NetworkSettings>;
  /** Share of the machines that lose much and are slow. */
  readonly overloadedShare?: number;
  /** Share of the machines that are behind a NAT (some of them with a mapped port). */
  readonly natShare?: number;
  /** Keys that each machine publishes. */
  readonly keysPerNode?: number;
  /**
   * Machines publish so long after each start (0). A network that is born whole knows little of
   * itself for its first 20 minutes, and what is published then is stored in wrong places.
   */
  readonly publishAfterMs?: number;
  readonly policy?: LookupPolicy | undefined;
  /** Machines that others begin with: open and always there. */
  readonly bootstrapHosts?: number;
  /** All that is written survives restarts. */
  readonly keepsAll?: boolean;
}

const defaultBootstrapHosts = 3;
/** The value of a complete file of one piece: an empty dictionary. */
const onePiece = Uint8Array.of(0x64, 0x65);

export class DhtWorld {
  readonly clock = new VirtualClock();
  readonly counters = new Counters();
  readonly random: SeededRandom;
  readonly network: PacketNetwork;
  /** Told of the end of each datagram. */
  watch: ((observed: Observed) => void) | undefined;
  readonly #settings: DhtWorldSettings;
  readonly #natMix: NatMix;
  readonly #live: Machine[] = [];
  readonly #places = new Map<Machine, number>();
  readonly #byEndpoint = new Map<string, Machine>();
  readonly #bootstrap: Endpoint[] = [];
  /** Promises of the node wait to be settled. */
  #unsettled = false;
  #nextIndex = 0;

  constructor(settings: DhtWorldSettings) {
    this.#settings = settings;
    this.#natMix = natMixOf(settings.natShare ?? 0);
    this.random = new SeededRandom(settings.seed);
    this.network = new PacketNetwork({
      ...{ clock: this.clock, random: new SeededRandom(settings.seed + 1) },
      ...{ latency: settings.latency, sizeOf: encodedSize },
      ...(settings.network === undefined ? {} : { settings: settings.network }),
      watch: (observed) => this.watch?.(observed),
    });
  }

  /** Machines that run, in no order that means anything. */
  get live(): readonly Machine[] {
    return this.#live;
  }

  /** The running machine with this address and port (`Endpoint.text`). */
  at(endpointText: string): Machine | undefined {
    return this.#byEndpoint.get(endpointText);
  }

  /** A new machine, switched off; `traits` instead of what chance would give it. */
  add(traits: Partial<MachineTraits> = {}): Machine {
    const { random } = this;
    const { overloadedShare = 0, keysPerNode = 0, keepsAll = false } = this.#settings;
    const { bootstrapHosts = defaultBootstrapHosts, publishAfterMs = 0 } = this.#settings;
    const index = this.#nextIndex++;
    const bootstrap = index < bootstrapHosts;
    const id = randomNodeId(random);
    const nat = drawNat(random, bootstrap ? [["open", 1]] : this.#natMix);
    const overloaded = random.chance(bootstrap ? 0 : overloadedShare);
    const drawn = { index, id, nat, overloaded, bootstrap, keepsAll, endpoint: endpointOf(index) };
    const keys = traits.keys ?? this.newKeys(keysPerNode);
    const machine = new Machine(this.#machineParts, { ...drawn, publishAfterMs, keys, ...traits });
    if (machine.traits.bootstrap) this.#bootstrap.push(machine.endpoint);
    return machine;
  }

  newKeys(count: number): NodeId[] {
    return Array.from({ length: count }, () => randomNodeId(this.random));
  }

  start(machine: Machine): void {
    if (machine.run !== undefined) return;
    machine.start();
    this.#places.set(machine, this.#live.length);
    this.#live.push(machine);
    this.#byEndpoint.set(machine.endpoint.text, machine);
  }

  stop(machine: Machine, kind: "stop" | "kill"): void {
    const place = this.#places.get(machine);
    if (place === undefined) return;
    machine.stop(kind);
    this.#byEndpoint.delete(machine.endpoint.text);
    this.#places.delete(machine);
    const last = this.#live.pop();
    if (last === undefined || last === machine) return;
    this.#live[place] = last;
    this.#places.set(last, place);
  }

  /** A machine gets an address that nobody had before. */
  move(machine: Machine): void {
    const running = this.#byEndpoint.delete(machine.endpoint.text);
    machine.moveTo(endpointOf(this.#nextIndex++));
    if (running) this.#byEndpoint.set(machine.endpoint.text, machine);
  }

  /** Adds so many machines, the bootstrap hosts first; they start at times spread over `spreadMs`. */
  populate(count: number, spreadMs: number, started?: (machine: Machine) => void): Machine[] {
    return Array.from({ length: count }, () => {
      const machine = this.add();
      const delayMs = machine.traits.bootstrap ? 0 : this.random.next() * spreadMs;
      this.clock.after(delayMs, () => {
        this.start(machine);
        started?.(machine);
      });
      return machine;
    });
  }

  /** Lets so much time pass. */
  async run(ms: number): Promise<void> {
    const endMs = this.clock.monotonicMs() + ms;
    for (;;) {
      const leftMs = endMs - this.clock.monotonicMs();
      if (!this.clock.runUntil(() => this.#unsettled, leftMs)) return;
      this.#unsettled = false;
      // Twice: the promise itself, and whoever waits for it.
      await Promise.resolve();
      await Promise.resolve();
    }
  }

  /** Checks at every interval; false if the condition does not hold within `limitMs`. */
  async runUntil(condition: () => boolean, limitMs: number, intervalMs: number): Promise<boolean> {
    for (let passedMs = 0; passedMs < limitMs; passedMs += intervalMs) {
      if (condition()) return true;
      await this.run(intervalMs);
    }
    return condition();
  }

  get #machineParts(): ConstructorParameters<typeof Machine>[0] {
    const { clock, random, counters, network } = this;
    const { hashes, policy } = this.#settings;
    return {
      ...{ network, policy, valueOf: labValue },
      components: {
        ...{ clock, random, hashes, counters, secret: () => random.bytes(20) },
        dialBack: { dial: (_to, done) => void clock.after(50, () => done(true)) },
        bootstrap: {
          endpoints: () => {
            this.#unsettled = true;
            return Promise.resolve(this.#bootstrap);
          },
        },
      },
    };
  }
}

/** Of the mix's NAT kinds so many in all, the rest open. */
function natMixOf(share: number): NatMix {
  const open = natMixB.find(([kind]) => kind === "open")?.[1] ?? 0;
  return natMixB.map(([kind, part]) => {
    return [kind, kind === "open" ? 1 - share : (part * share) / (1 - open)] as const;
  });
}

/** Of 20 files 17 have one piece, 2 two to four, 1 a list under another key. */
function labValue(key: NodeId): Uint8Array {
  const draw = (key[19] ?? 0) % 20;
  if (draw < 17) return onePiece;
  return new Uint8Array(draw < 19 ? 70 + 32 * ((key[18] ?? 0) % 3) : 29).fill(draw);
}
