/**
 * Other daemons over HTTP, by `got`. Kept connections, short patience, nothing followed, nothing
 * unpacked: a peer has no right to send us anywhere.
 */
import http from "node:http";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import got from "got";
import type { Endpoint } from "../base/endpoint.ts";
import { AptP2pError } from "../base/errors.ts";
import { second } from "../base/units.ts";
import type { PeerHttpRequest, PeerHttpResponse, PeerPort } from "../engine/ports.ts";
import { mirrorFailure } from "./mirror-failure.ts";
import { BODY_AHEAD_BYTES, ResponseBody } from "./response-body.ts";

export interface GotPeersSettings {
  /** Where this daemon serves peers; told to those that are asked. undefined: nowhere. */
  readonly tcpPort: () => number | undefined;
  /** Whether an endpoint may be dialled at all: not ourselves, not what no peer can be. */
  readonly mayDial: (to: Endpoint) => boolean;
  readonly userAgent: string;
}

/** To one peer: two that flow, one for news, one for a question. */
const connectionsPerPeer = 6;
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
  readonly #agent: http.Agent;

  constructor(settings: GotPeersSettings) {
    this.#settings = settings;
    this.#agent = new http.Agent({
      keepAlive: true,
      ...{ maxSockets: connectionsPerPeer, maxFreeSockets: connectionsPerPeer },
      ...{ maxTotalSockets: connections, timeout: idleMs, scheduling: "lifo" },
      // A response takes over its socket's mark: below it, reading goes on without a stop.
      ...{ readableHighWaterMark: BODY_AHEAD_BYTES },
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  async send(request: PeerHttpRequest, signal: AbortSignal): Promise<PeerHttpResponse> {
    if (!this.#settings.mayDial(request.to)) {
      throw new AptP2pError("UPSTREAM", `${request.to.text} is no peer`);
    }
    const response = await this.#sendTwice(request, signal);
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(response.headers)) {
      if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
    }
    const body = new ResponseBody(response, request.to.text, stallMs);
    return { status: response.statusCode ?? 0, headers, body };
  }

  /** A kept connection may end just when it is used again: that says nothing about the peer. */
  async #sendTwice(request: PeerHttpRequest, signal: AbortSignal): Promise<IncomingMessage> {
    try {
      return await this.#send(request, signal);
    } catch (thrown) {
      const code = (thrown as { cause?: { code?: unknown } }).cause?.code;
      if ((code !== "ECONNRESET" && code !== "EPIPE") || signal.aborted) throw thrown;
      return this.#send(request, signal);
    }
  }

  #send(request: PeerHttpRequest, signal: AbortSignal): Promise<IncomingMessage> {
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
        agent: { http: this.#agent },
        ...(body !== undefined && { body }),
        ...{ decompress: false, followRedirect: false, throwHttpErrors: false },
        retry: { limit: 0 },
        timeout: { connect: near ? connectNearMs : connectFarMs, response: patienceMs },
      });
      const cancel = (): void => void stream.destroy(new AptP2pError("CLOSED", "cancelled"));
      const done = (): void => signal.removeEventListener("abort", cancel);
      signal.addEventListener("abort", cancel);
      if (signal.aborted) cancel();
      stream.on("error", (error: Error) => {
        done();
        reject(mirrorFailure(to.text, error));
      });
      stream.once("request", (sent: http.ClientRequest) => {
        sent.once("upgrade", (_response, socket: Socket) => {
          socket.destroy();
          stream.destroy(new AptP2pError("UPSTREAM", `${to.text} changes the protocol`));
        });
      });
      // The response itself is read: got's own stream on top would copy every chunk once more.
      stream.once("response", (given: { statusCode: number }) => {
        const response = given as unknown as IncomingMessage;
        if (given.statusCode < 200) {
          stream.destroy(new AptP2pError("UPSTREAM", `${to.text} answered ${given.statusCode}`));
          return;
        }
        response.once("close", done);
        resolve(response);
      });
    });
  }
}
