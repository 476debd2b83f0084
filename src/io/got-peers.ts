/**
 * Other daemons over HTTP, by `got`. Kept connections, short patience, nothing followed, nothing
 * unpacked: a peer has no right to send us anywhere.
 */
import type http from "node:http";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import got from "got";
import type { Endpoint } from "../base/endpoint.ts";
import { AptP2pError } from "../base/errors.ts";
import { second } from "../base/units.ts";
import type { PeerHttpRequest, PeerHttpResponse, PeerPort } from "../engine/ports.ts";
import { ConnectionPool } from "./connection-pool.ts";
import { mirrorFailure } from "./mirror-failure.ts";
import { ResponseBody } from "./response-body.ts";

export interface GotPeersSettings {
  /** Where this daemon serves peers; told to those that are asked. undefined: nowhere. */
  readonly tcpPort: () => number | undefined;
  /** Whether an endpoint may be dialled at all: not ourselves, not what no peer can be. */
  readonly mayDial: (to: Endpoint) => boolean;
  readonly userAgent: string;
  /** In all; default 256. */
  readonly connections?: number;
}

interface Way {
  readonly agent: http.Agent;
  readonly signal: AbortSignal;
  /** Called when the answer is over. */
  readonly leave: () => void;
}

/** To one peer: those that bring pieces of a run of small files, and one for a question. */
const connectionsPerPeer = 6;
/** As many as a peer tells its news at the same time (limits.heldQuestionsPerPeer). */
const newsPerPeer = 8;
const connections = 256;
/** On the own network a machine answers at once or is not there. */
const connectNearMs = second;
const connectFarMs = 2 * second;
const headMs = 10 * second;
const stallMs = 5 * second;
/** The other side keeps idle connections for 150 s. */
const idleMs = 60 * second;

export class GotPeers implements PeerPort {
  readonly #settings: GotPeersSettings;
  readonly #pool: ConnectionPool;
  /** Answers that go on for long have connections of their own: pieces must not wait. */
  readonly #newsPool: ConnectionPool;

  constructor(settings: GotPeersSettings) {
    this.#settings = settings;
    const total = settings.connections ?? connections;
    this.#pool = new ConnectionPool({ perHost: connectionsPerPeer, total, idleMs });
    this.#newsPool = new ConnectionPool({ perHost: newsPerPeer, total, idleMs });
  }

  close(): void {
    this.#pool.close();
    this.#newsPool.close();
  }

  async send(request: PeerHttpRequest, signal: AbortSignal): Promise<PeerHttpResponse> {
    if (!this.#settings.mayDial(request.to)) {
      throw new AptP2pError("UPSTREAM", `${request.to.text} is no peer`);
    }
    const pool = request.news === true ? this.#newsPool : this.#pool;
    const leave = pool.enter();
    try {
      const response = await this.#sendTwice(request, { agent: pool.agent, signal, leave });
      const headers: Record<string, string> = {};
      for (const [name, value] of Object.entries(response.headers)) {
        if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
      }
      const body = new ResponseBody(response, request.to.text, stallMs);
      return { status: response.statusCode ?? 0, headers, body };
    } catch (thrown) {
      leave();
      throw thrown;
    }
  }

  /** A kept connection may end just when it is used again: that says nothing about the peer. */
  async #sendTwice(request: PeerHttpRequest, way: Way): Promise<IncomingMessage> {
    const kept = { used: false };
    try {
      return await this.#send(request, way, kept);
    } catch (thrown) {
      const code = (thrown as { cause?: { code?: unknown } }).cause?.code;
      const closed = code === "ECONNRESET" || code === "EPIPE";
      if (!closed || !kept.used || way.signal.aborted) throw thrown;
      return this.#send(request, way, kept);
    }
  }

  /** `kept` is told whether the request went by a connection that was there already. */
  #send(
    request: PeerHttpRequest,
    { agent, signal, leave }: Way,
    kept: { used: boolean },
  ): Promise<IncomingMessage> {
    const { to, near, method, path, body, patienceMs = headMs } = request;
    const { tcpPort, userAgent } = this.#settings;
    const port = tcpPort();
    return new Promise((resolve, reject) => {
      const stream = got.stream(`http://${to.text}${path}`, {
        method,
        headers: {
          "user-agent": userAgent,
          ...(port !== undefined && { "apt-p2p-port": `${port}` }),
          ...request.headers,
        },
        agent: { http: agent },
        ...(body !== undefined && { body }),
        ...{ decompress: false, followRedirect: false, throwHttpErrors: false },
        retry: { limit: 0 },
        timeout: { connect: near ? connectNearMs : connectFarMs, response: patienceMs },
      });
      // Rejected at once: the head of an answer may follow before the stream has ended.
      const end = (error: AptP2pError): void => {
        done();
        reject(error);
        stream.destroy(error);
      };
      const cancel = (): void => end(new AptP2pError("CLOSED", "cancelled"));
      const refuse = (what: string): void => end(new AptP2pError("UPSTREAM", `${to.text} ${what}`));
      const done = (): void => signal.removeEventListener("abort", cancel);
      stream.on("error", (error: Error) => {
        done();
        reject(mirrorFailure(to.text, error));
      });
      signal.addEventListener("abort", cancel);
      if (signal.aborted) cancel();
      stream.once("request", (sent: http.ClientRequest) => {
        sent.once("socket", () => (kept.used = sent.reusedSocket));
        // Nobody asked for interim answers: a thousand of them are one more way to keep us busy.
        sent.once("information", () => refuse("sends interim answers"));
        sent.once("upgrade", (_response, socket: Socket) => {
          socket.destroy();
          refuse("changes the protocol");
        });
      });
      // The response itself is read: got's own stream on top would copy every chunk once more.
      stream.once("response", (given: { statusCode: number }) => {
        const response = given as unknown as IncomingMessage;
        // An answer without a body may be over before anybody could listen for it later.
        response.once("close", done).once("close", leave);
        resolve(response);
      });
    });
  }
}
