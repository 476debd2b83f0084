/**
 * Kept connections to many hosts, so many to each and so many in all. The agent's own total would
 * let connections that idle elsewhere keep a request waiting until they time out; here one of them
 * makes room.
 */
import http from "node:http";
import type { Socket } from "node:net";
import { AptP2pError } from "../base/errors.ts";
import { KiB } from "../base/units.ts";
import { BODY_AHEAD_BYTES } from "./response-body.ts";

/**
 * All connections read into the same memory: the parser copies what it hands on, so that the bytes of
 * a read are done with before the next one. A buffer for each read would be mapped, cleared and
 * unmapped by the kernel 16 times a MiB.
 */
const shared = Buffer.allocUnsafeSlow(32 * KiB);

export interface PoolLimits {
  /** Requests beyond wait for one of these. */
  readonly perHost: number;
  /** Requests beyond are refused. */
  readonly total: number;
  readonly idleMs: number;
}

export class ConnectionPool {
  readonly agent: http.Agent;
  readonly #total: number;
  #active = 0;

  constructor({ perHost, total, idleMs }: PoolLimits) {
    this.#total = total;
    this.agent = new http.Agent({
      ...{ keepAlive: true, maxSockets: perHost, maxFreeSockets: perHost, timeout: idleMs },
      scheduling: "lifo",
      // A response takes over its socket's mark: below it, reading goes on without a stop.
      ...{ readableHighWaterMark: BODY_AHEAD_BYTES, onread: { buffer: shared, callback: onRead } },
    });
  }

  /** Another request begins → to be called at its end, more than once if need be. Throws UPSTREAM. */
  enter(): () => void {
    if (this.#active >= this.#total) {
      throw new AptP2pError("UPSTREAM", `all ${this.#total} connections to peers are in use`);
    }
    this.#active++;
    this.#makeRoom();
    let left = false;
    return () => {
      if (!left) this.#active--;
      left = true;
    };
  }

  close(): void {
    this.agent.destroy();
  }

  /** Ends the connection that has idled for longest at the host that has idled for longest. */
  #makeRoom(): void {
    const idle = Object.values(this.agent.freeSockets).flatMap((sockets) => sockets ?? []);
    for (const socket of idle.slice(0, Math.max(0, this.#active + idle.length - this.#total))) {
      socket.destroy();
    }
  }
}

/** Passes bytes on as the stream would; those that nobody takes at once get memory of their own. */
function onRead(this: Socket, count: number): boolean {
  const read = shared.subarray(0, count);
  const waitingBytes = this.readableLength;
  const isFlowing = this.readableFlowing === true && this.listenerCount("data") > 0;
  const taken = isFlowing && waitingBytes === 0;
  const more = this.push(taken ? read : Buffer.from(read));
  // Never seen: then the next read would change bytes that somebody has still to take.
  if (taken && this.readableLength > waitingBytes)
    this.destroy(new Error("bytes were not taken at once"));
  return more;
}
