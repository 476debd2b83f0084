/**
 * Kept connections to many hosts, so many to each and so many in all. The agent's own total would
 * let connections that idle elsewhere keep a request waiting until they time out; here one of them
 * makes room.
 */
import http from "node:http";
import { AptP2pError } from "../base/errors.ts";
import { BODY_AHEAD_BYTES } from "./response-body.ts";

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
      ...{ readableHighWaterMark: BODY_AHEAD_BYTES },
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
