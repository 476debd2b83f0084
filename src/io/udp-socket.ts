/**
 * One UDP socket of one family that outlives its errors: when the network goes away under it, or the
 * machine wakes from sleep, it is opened again at the same address, after a growing delay.
 *
 * Of `dgram-as-promised` only bind, send and close are used. Its `recv` loses what arrives while
 * nobody waits, so datagrams come from the socket below it, and its `setTimeout` makes later sends
 * fail.
 */
import { DgramAsPromised } from "dgram-as-promised";
import type { RemoteInfo, SocketAsPromised, SocketAsPromisedOptions } from "dgram-as-promised";
import type { Counters } from "../base/counters.ts";
import type { Family } from "../base/endpoint.ts";
import { errorText } from "../base/errors.ts";
import type { Clock, Log, Random } from "../base/ports.ts";
import { minute, MiB, second } from "../base/units.ts";

export interface UdpParts {
  readonly log: Log;
  readonly counters: Counters;
  readonly clock: Clock;
  readonly random: Random;
  /** Default: the package's own; tests look inside. */
  readonly createSocket?: (options: SocketAsPromisedOptions) => SocketAsPromised;
}

export interface UdpAddress {
  readonly family: Family;
  /** Of this machine, perhaps with a zone, or the wildcard of the family. */
  readonly address: string;
  /** 0: the system chooses. */
  readonly port: number;
  /** Others may bind the same port: for multicast. */
  readonly shared?: boolean;
}

/** The kernel's 208 KiB hold 256 small datagrams, fewer than a busy loop turn may bring. */
const receiveBufferBytes = 4 * MiB;
/** What waits for the network card; beyond that datagrams are dropped, as routers do. */
const sendQueueBytes = 1 * MiB;

const firstReopenMs = second;
const lastReopenMs = minute;

/** An address is never a name here, and the package's look-up would cost a turn of the loop. */
const literalsOnly: NonNullable<SocketAsPromisedOptions["lookup"]> = (address, family, callback) =>
  callback(null, address, typeof family === "number" ? family : 0);

/** Rejects with the system's error; nothing stays open then. */
export async function bindUdp(
  { family, address, port, shared = false }: UdpAddress,
  createSocket: NonNullable<UdpParts["createSocket"]> = (options) =>
    DgramAsPromised.createSocket(options),
): Promise<SocketAsPromised> {
  const socket = createSocket({
    type: family === 4 ? "udp4" : "udp6",
    // Linux refuses the option for IPv4.
    ipv6Only: family === 6,
    reuseAddr: shared,
    recvBufferSize: receiveBufferBytes,
    lookup: literalsOnly,
  });
  try {
    await socket.bind({ address, port, exclusive: !shared });
    return socket;
  } catch (thrown) {
    await socket.close().catch(() => undefined);
    throw thrown;
  }
}

export class UdpSocket {
  readonly #parts: UdpParts;
  readonly #handler: (bytes: Uint8Array, from: RemoteInfo) => void;
  #at: UdpAddress;
  #socket: SocketAsPromised | undefined;
  #openedMs = -Infinity;
  /** Failures to open, or short lives, in a row. */
  #failures = 0;
  #cancelReopen: (() => void) | undefined;
  #closed = false;

  constructor(
    at: UdpAddress,
    parts: UdpParts,
    handler: (bytes: Uint8Array, from: RemoteInfo) => void,
  ) {
    this.#at = at;
    this.#parts = parts;
    this.#handler = handler;
  }

  /** Returns the port; rejects with the system's error. Keeps the port from then on. */
  async open(): Promise<number> {
    const socket = await bindUdp(this.#at, this.#parts.createSocket);
    if (this.#closed) {
      await socket.close();
      return this.#at.port;
    }
    this.#at = { ...this.#at, port: socket.address().port };
    this.#socket = socket;
    this.#openedMs = this.#parts.clock.monotonicMs();
    socket.socket.on("message", this.#handler);
    socket.socket.on("error", (error) => this.#broke(socket, error));
    return this.#at.port;
  }

  /** Goes on trying, from then on at this port. */
  openLater(port: number): void {
    this.#at = { ...this.#at, port };
    this.#failures = Infinity;
    this.#reopenLater();
  }

  /** Never throws and never waits; what could not be sent is counted by its error. */
  send(bytes: Uint8Array, port: number, address: string): void {
    const { counters } = this.#parts;
    const socket = this.#socket;
    if (socket === undefined) {
      counters.add("io.udp.failed.CLOSED");
      return;
    }
    if (socket.socket.getSendQueueSize() > sendQueueBytes) {
      counters.add("io.udp.failed.QUEUE");
      return;
    }
    socket.send(bytes, port, address).then(
      () => counters.add("io.udp.sent"),
      (thrown: unknown) => counters.add(`io.udp.failed.${codeOf(thrown)}`),
    );
  }

  /** Sets options, if it is open; rejected ones throw the system's error. */
  configure(action: (socket: SocketAsPromised) => void): void {
    if (this.#socket !== undefined) action(this.#socket);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelReopen?.();
    const socket = this.#socket;
    this.#socket = undefined;
    await socket?.close().catch(() => undefined);
  }

  #broke(socket: SocketAsPromised, error: Error): void {
    if (this.#socket !== socket) return;
    const { counters, log, clock } = this.#parts;
    counters.add("io.udp.broke");
    log.warn("udp-broke", { address: this.#at.address, reason: errorText(error) });
    this.#socket = undefined;
    socket.close().catch(() => undefined);
    if (clock.monotonicMs() - this.#openedMs > lastReopenMs) this.#failures = 0;
    this.#reopenLater();
  }

  #reopenLater(): void {
    if (this.#closed) return;
    const { clock, random } = this.#parts;
    const growing = Math.min(firstReopenMs * 2 ** this.#failures, lastReopenMs);
    this.#failures += 1;
    this.#cancelReopen = clock.after(growing * (0.75 + random.next() / 2), () => {
      this.open().then(
        () => {
          if (this.#closed) return;
          this.#parts.counters.add("io.udp.reopened");
          this.#parts.log.info("udp-reopened", { address: this.#at.address, port: this.#at.port });
        },
        () => this.#reopenLater(),
      );
    });
  }
}

export function codeOf(thrown: unknown): string {
  const code = (thrown as { code?: unknown }).code;
  return typeof code === "string" ? code : "UNKNOWN";
}
