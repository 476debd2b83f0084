/**
 * Multicast on the links of this machine. Two sockets of each family: one at the group's port, which
 * all daemons of a machine share and where the group is heard; one at a port of its own, from which
 * everything is sent, so that answers find this daemon among several.
 *
 * Interfaces come and go, so memberships are asked for again with every `refresh`; that costs some
 * dozen system calls, and the kernel refuses those that exist.
 */
import os from "node:os";
import ipaddr from "ipaddr.js";
import { canonicalAddress, scopeOf } from "../base/endpoint.ts";
import type { Family } from "../base/endpoint.ts";
import { errorText } from "../base/errors.ts";
import { lanGroup4, lanGroup6, lanPort } from "./lan-datagram.ts";
import { codeOf, UdpSocket } from "./udp-socket.ts";
import type { UdpParts } from "./udp-socket.ts";

/** A sender as the socket names it: the address may have a zone. */
export interface LanSender {
  readonly address: string;
  readonly port: number;
}

export type LanHandler = (bytes: Uint8Array, from: LanSender) => void;

/** What the discovery needs of the network. */
export interface LanTransport {
  /** Looks at the interfaces and joins; whether there are others than at the last call. */
  refresh(): boolean;
  /** To the group, on every interface. Never throws. */
  announce(bytes: Uint8Array): void;
  answer(bytes: Uint8Array, to: LanSender): void;
  /** Whether an address is of this machine's links, or private. */
  isNear(address: string): boolean;
  onDatagram(handler: LanHandler): void;
  close(): Promise<void>;
}

export interface LanSocketOptions extends UdpParts {
  /** Default 9978; tests take another, so that they hear nobody else. */
  readonly port?: number;
  /** Speaks on the loopback interface alone, for tests. */
  readonly loopback?: boolean;
  /** Default: the machine's. */
  readonly interfaces?: typeof os.networkInterfaces;
}

/** A socket may join 20 groups (Linux); a host of containers has more bridges than neighbours. */
const mostLinks = 16;

interface Link {
  readonly family: Family;
  /** As `addMembership` wants it: the interface's address, or `::%name`. */
  readonly membership: string;
  /** Where the group is on this link. */
  readonly group: string;
}

export class LanSockets implements LanTransport {
  readonly #options: LanSocketOptions;
  readonly #port: number;
  readonly #group = new Map<Family, UdpSocket>();
  readonly #own = new Map<Family, UdpSocket>();
  #handler: LanHandler = () => undefined;
  #links: readonly Link[] = [];
  /** Networks of all interfaces, as `isNear` compares. */
  #networks: readonly [ipaddr.IPv4 | ipaddr.IPv6, number][] = [];

  private constructor(options: LanSocketOptions) {
    this.#options = options;
    this.#port = options.port ?? lanPort;
  }

  /** Never rejects: what cannot be opened now is tried again, at least every minute. */
  static async open(options: LanSocketOptions): Promise<LanSockets> {
    const sockets = new LanSockets(options);
    for (const family of [4, 6] as const) {
      const address = family === 4 ? "0.0.0.0" : "::";
      const at = { family, address };
      await sockets.#add(sockets.#group, { ...at, port: sockets.#port, shared: true });
      await sockets.#add(sockets.#own, { ...at, port: 0 });
    }
    return sockets;
  }

  refresh(): boolean {
    const all = Object.entries((this.#options.interfaces ?? os.networkInterfaces)());
    const before = this.#links.map(({ membership }) => membership).join();
    this.#networks = all.flatMap(([, list = []]) =>
      list.flatMap(({ cidr }) => (cidr === null ? [] : [ipaddr.parseCIDR(cidr)])),
    );
    const links = all.flatMap(([name, list = []]) => linksOf(name, list, this.#options.loopback));
    this.#links = ([4, 6] as const).flatMap((family) =>
      links.filter((link) => link.family === family).slice(0, mostLinks),
    );
    for (const link of this.#links) this.#join(link);
    return this.#links.map(({ membership }) => membership).join() !== before;
  }

  announce(bytes: Uint8Array): void {
    for (const { family, membership, group } of this.#links) {
      const socket = this.#own.get(family);
      try {
        // IPv6 has the interface in the address; with IPv4 it is an option that the next send obeys.
        if (family === 4) socket?.configure((raw) => raw.setMulticastInterface(membership));
        socket?.send(bytes, this.#port, group);
      } catch (thrown) {
        // The interface has gone since the last refresh.
        this.#options.counters.add(`io.lan.failed.${codeOf(thrown)}`);
      }
    }
  }

  answer(bytes: Uint8Array, { address, port }: LanSender): void {
    this.#own.get(address.includes(":") ? 6 : 4)?.send(bytes, port, address);
  }

  isNear(address: string): boolean {
    const scope = scopeOf(address);
    if (scope === "private" || scope === "loopback") return true;
    const parsed = ipaddr.parse(address);
    return this.#networks.some(
      ([network, bits]) => network.kind() === parsed.kind() && parsed.match(network, bits),
    );
  }

  onDatagram(handler: LanHandler): void {
    this.#handler = handler;
  }

  async close(): Promise<void> {
    const sockets = [...this.#group.values(), ...this.#own.values()];
    await Promise.all(sockets.map((socket) => socket.close()));
  }

  async #add(
    to: Map<Family, UdpSocket>,
    at: ConstructorParameters<typeof UdpSocket>[0],
  ): Promise<void> {
    const socket = new UdpSocket(at, this.#options, (bytes, from) => this.#handler(bytes, from));
    to.set(at.family, socket);
    try {
      await socket.open();
    } catch (thrown) {
      this.#options.log.info("lan-socket-lacking", { ...at, reason: errorText(thrown) });
      socket.openLater(at.port);
    }
  }

  #join({ family, membership }: Link): void {
    try {
      this.#group
        .get(family)
        ?.configure((raw) => raw.addMembership(family === 4 ? lanGroup4 : lanGroup6, membership));
    } catch (thrown) {
      // EADDRINUSE: it is a member already.
      const code = codeOf(thrown);
      if (code !== "EADDRINUSE") this.#options.counters.add(`io.lan.failed.${code}`);
    }
  }
}

/** IPv4 by its first address; IPv6 if there is a link-local address, which the group needs. */
function linksOf(
  name: string,
  addresses: readonly os.NetworkInterfaceInfo[],
  loopback = false,
): Link[] {
  const here = addresses.filter(({ internal }) => internal === loopback);
  const first4 = here.find(({ family }) => family === "IPv4")?.address;
  const links: Link[] = [];
  if (first4 !== undefined) links.push({ family: 4, membership: first4, group: lanGroup4 });
  if (here.some(({ address }) => canonicalAddress(address)?.startsWith("fe80:") === true)) {
    links.push({ family: 6, membership: `::%${name}`, group: `${lanGroup6}%${name}` });
  }
  return links;
}
