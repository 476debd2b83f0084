/**
 * The DHT's two sockets, one of each family, on one port. The shape, for an adapter that encodes and
 * decodes messages:
 *
 *     port: number
 *     send(to: Endpoint, bytes: Uint8Array): void
 *     onDatagram(handler: (from: Endpoint, bytes: Uint8Array, family: Family) => void): void
 *     close(): Promise<void>
 *
 * Two sockets, since one of both families shows IPv4 senders in mapped form and takes no others.
 * Endpoints are canonical and have no zone. Link-local IPv6 addresses need one to be sent to: it is
 * remembered from what they sent to us, or told by `learnZone`.
 */
import { BoundedMap } from "../base/bounded-map.ts";
import { canonicalAddress, endpoint, familyOf } from "../base/endpoint.ts";
import type { Endpoint, Family } from "../base/endpoint.ts";
import { AptP2pError, errorText } from "../base/errors.ts";
import { codeOf, UdpSocket } from "./udp-socket.ts";
import type { UdpParts } from "./udp-socket.ts";

export type DatagramHandler = (from: Endpoint, bytes: Uint8Array, family: Family) => void;

export interface UdpOptions extends UdpParts {
  /** At most one of each family; wildcards are `0.0.0.0` and `::`. */
  readonly addresses: readonly string[];
  /** 0: the system chooses one that is free in both families. */
  readonly port: number;
}

/** A port that the system chose for one family may be taken in the other. */
const portTries = 10;
/** A link with more neighbours that use IPv6 link-local addresses is rare; a zone is learnt again. */
const knownZones = 1024;

export class UdpSockets {
  readonly #parts: UdpParts;
  readonly #sockets = new Map<Family, UdpSocket>();
  readonly #zones = new BoundedMap<string, string>(knownZones);
  #handler: DatagramHandler = () => undefined;
  #port = 0;

  private constructor(parts: UdpParts) {
    this.#parts = parts;
  }

  /**
   * An address of a family that the machine lacks is left out at first, unless none remains; it is
   * tried again every minute. Rejects with AptP2pError IN_USE when the port is taken, CONFIG when
   * the system allows no socket there.
   */
  static async open(options: UdpOptions): Promise<UdpSockets> {
    const families = options.addresses.map(familyOf);
    if (families.length === 0 || new Set(families).size < families.length) {
      throw new AptP2pError("CONFIG", "one UDP address of each family is possible, and one needed");
    }
    for (let left = options.port === 0 ? portTries : 1; ; left -= 1) {
      const sockets = new UdpSockets(options);
      try {
        await sockets.#open(options);
        return sockets;
      } catch (thrown) {
        await sockets.close();
        if (left > 1 && thrown instanceof AptP2pError && thrown.code === "IN_USE") continue;
        throw thrown;
      }
    }
  }

  /** 1 to 65535. */
  get port(): number {
    return this.#port;
  }

  /** Replaces the handler before. Datagrams that come before the first are lost. */
  onDatagram(handler: DatagramHandler): void {
    this.#handler = handler;
  }

  /** Never throws, never waits. What cannot be sent is counted by its error and lost. */
  send({ address, port }: Endpoint, bytes: Uint8Array): void {
    const socket = this.#sockets.get(familyOf(address));
    if (socket === undefined) {
      this.#parts.counters.add("io.udp.failed.FAMILY");
      return;
    }
    const zone = isLinkLocal(address) ? this.#zones.get(address) : undefined;
    socket.send(bytes, port, zone === undefined ? address : `${address}%${zone}`);
  }

  /** On which interface a link-local address is, if another part of the program has heard from it. */
  learnZone(address: string, zone: string): void {
    this.#zones.set(address, zone);
  }

  async close(): Promise<void> {
    this.#handler = () => undefined;
    await Promise.all([...this.#sockets.values()].map((socket) => socket.close()));
  }

  async #open({ addresses, port }: UdpOptions): Promise<void> {
    this.#port = port;
    const lacking: { socket: UdpSocket; thrown: unknown }[] = [];
    for (const address of addresses) {
      const family = familyOf(address);
      const socket = new UdpSocket(
        { family, address, port: this.#port },
        this.#parts,
        (bytes, from) => this.#received(bytes, from, family),
      );
      this.#sockets.set(family, socket);
      try {
        this.#port = await socket.open();
      } catch (thrown) {
        if (!isLacking(thrown)) throw problem(thrown, address, this.#port);
        lacking.push({ socket, thrown });
        this.#parts.log.info("udp-address-lacking", { address, reason: errorText(thrown) });
      }
    }
    if (lacking.length === addresses.length) {
      throw problem(lacking[0]?.thrown, addresses.join(", "), this.#port);
    }
    for (const { socket } of lacking) socket.openLater(this.#port);
  }

  #received(
    bytes: Uint8Array,
    from: { readonly address: string; readonly port: number },
    family: Family,
  ): void {
    // Port 0 is legal for a datagram that wants no answer; nobody can be met there.
    const address = family === 4 ? from.address : canonicalAddress(from.address);
    if (address === undefined || from.port === 0) {
      this.#parts.counters.add("io.udp.received.unusable");
      return;
    }
    this.#parts.counters.add("io.udp.received");
    const zone = from.address.indexOf("%");
    if (zone !== -1) this.#zones.set(address, from.address.slice(zone + 1));
    this.#handler(endpoint(address, from.port), bytes, family);
  }
}

function isLinkLocal(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/.test(address);
}

function isLacking(thrown: unknown): boolean {
  const code = codeOf(thrown);
  return code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL";
}

function problem(thrown: unknown, address: string, port: number): AptP2pError {
  const where = `UDP port ${port} on ${address}`;
  const code = codeOf(thrown);
  if (code === "EADDRINUSE") {
    return new AptP2pError(
      "IN_USE",
      `${where} is taken: is another apt-p2p running? Stop it, or choose another udp_port`,
      { cause: thrown },
    );
  }
  const advice =
    code === "EACCES" || code === "EPERM"
      ? "ports below 1024 need a privilege; choose another udp_port"
      : "udp_bind must name addresses of this machine";
  return new AptP2pError("CONFIG", `cannot open ${where} (${errorText(thrown)}): ${advice}`, {
    cause: thrown,
  });
}
