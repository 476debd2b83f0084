/**
 * Mirrors over HTTP and HTTPS, by `got`. Redirects are followed here, hop by hop, because each hop's
 * address is judged before it is dialled; resuming is the caller's (see engine/download.ts).
 */
import dns from "node:dns";
import http from "node:http";
import https from "node:https";
import type { IncomingMessage } from "node:http";
import net, { type Socket } from "node:net";
import got, { type Method } from "got";
import { AptP2pError } from "../base/errors.ts";
import { mirrorFailure } from "./mirror-failure.ts";
import { BODY_AHEAD_BYTES, ResponseBody } from "./response-body.ts";
import type { Mirror, MirrorRequest, MirrorResponse } from "../engine/ports.ts";

export interface GotMirrorSettings {
  readonly connectTimeoutMs: number;
  /** Until the headers are here. */
  readonly responseTimeoutMs: number;
  /** Without a byte of the body. */
  readonly stallTimeoutMs: number;
  readonly connectionsPerHost: number;
  readonly allowed: (host: string, address: string) => boolean;
  readonly isGlobal: (address: string) => boolean;
  /** Sent as Via, so that a loop ends. */
  readonly via: string;
  readonly userAgent: string;
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** As many as apt follows. */
const MAX_REDIRECTS = 10;
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  ...["connection", "keep-alive", "proxy-authenticate", "proxy-connection", "te", "trailer"],
  ...["transfer-encoding", "upgrade"],
]);

interface Agents {
  readonly http: http.Agent;
  readonly https: https.Agent;
}

interface SendOptions {
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly agents: Agents;
}

export class GotMirror implements Mirror {
  readonly #settings: GotMirrorSettings;
  readonly #agents: Agents;
  /** Connections of their own for what must not wait until large files have come. */
  readonly #urgentAgents: Agents;

  constructor(settings: GotMirrorSettings) {
    this.#settings = settings;
    const options = {
      keepAlive: true,
      maxSockets: settings.connectionsPerHost,
      maxFreeSockets: settings.connectionsPerHost,
      // Idle connections are ours to close first: a mirror often closes after 5 s and more.
      timeout: 4000,
      scheduling: "lifo",
      // A response takes over its socket's mark: below it, reading goes on without a stop.
      readableHighWaterMark: BODY_AHEAD_BYTES,
    } as const;
    const agents = (): Agents => ({
      http: new http.Agent(options),
      https: new https.Agent(options),
    });
    this.#agents = agents();
    this.#urgentAgents = agents();
  }

  close(): void {
    for (const agents of [this.#agents, this.#urgentAgents]) {
      agents.http.destroy();
      agents.https.destroy();
    }
  }

  async fetch(request: MirrorRequest, signal: AbortSignal): Promise<MirrorResponse> {
    let url = request.url;
    let headers = request.headers;
    for (let hops = 0; hops <= MAX_REDIRECTS; hops += 1) {
      const agents = request.urgent ? this.#urgentAgents : this.#agents;
      const response = await this.#sendTwice(request.method, url, { headers, signal, agents });
      const location = response.headers.location;
      if (!REDIRECTS.has(response.statusCode ?? 0) || location === undefined) {
        return this.#answer(response, url);
      }
      response.destroy();
      const next = redirectTarget(url, location);
      if (next.host !== new URL(url).host) {
        // Credentials are for the host that asked for them.
        headers = Object.fromEntries(
          Object.entries(headers).filter(([name]) => name !== "authorization"),
        );
      }
      url = next.href;
    }
    // FORBIDDEN, here and below: final for apt as well; asking again would change nothing.
    throw new AptP2pError(
      "FORBIDDEN",
      `more than ${MAX_REDIRECTS} redirects from ${hostOf(request.url)}`,
    );
  }

  /** A kept connection may end just when it is used again: that says nothing about the mirror. */
  async #sendTwice(method: Method, url: string, options: SendOptions): Promise<IncomingMessage> {
    try {
      return await this.#send(method, url, options);
    } catch (thrown) {
      const code = (thrown as { cause?: { code?: unknown } }).cause?.code;
      if (code !== "ECONNRESET" && code !== "EPIPE") throw thrown;
      return this.#send(method, url, options);
    }
  }

  #send(
    method: Method,
    url: string,
    { headers, signal, agents }: SendOptions,
  ): Promise<IncomingMessage> {
    const { connectTimeoutMs, responseTimeoutMs, userAgent, via } = this.#settings;
    const host = new URL(url).hostname.replace(/^\[|\]$/g, "");
    // A literal is never looked up, so it is judged here.
    if (net.isIP(host) !== 0 && !this.#settings.allowed(host, host)) {
      return Promise.reject(forbidden(host, host));
    }
    return new Promise((resolve, reject) => {
      const stream = got.stream(url, {
        method,
        headers: { "user-agent": userAgent, ...headers, via: chained(headers["via"], via) },
        agent: agents,
        dnsLookup: this.#lookup,
        decompress: false,
        followRedirect: false,
        throwHttpErrors: false,
        retry: { limit: 0 },
        timeout: {
          lookup: connectTimeoutMs,
          connect: connectTimeoutMs,
          response: responseTimeoutMs,
        },
      });
      // got would listen on the signal for good; one download may ask many times.
      const cancel = (): void => void stream.destroy(new AptP2pError("CLOSED", "cancelled"));
      const done = (): void => signal.removeEventListener("abort", cancel);
      signal.addEventListener("abort", cancel);
      if (signal.aborted) cancel();
      stream.on("error", (error: Error) => {
        done();
        reject(mirrorFailure(host, error));
      });
      // Nobody asked for another protocol; left alone, the answer would never end.
      stream.once("request", (request: http.ClientRequest) => {
        request.once("upgrade", (_response, socket: Socket) => {
          socket.destroy();
          stream.destroy(new AptP2pError("UPSTREAM", `${host} wants to change the protocol`));
        });
      });
      // The response itself is read: got's own stream on top would copy every chunk once more.
      stream.once("response", (given: { statusCode: number }) => {
        const response = given as unknown as IncomingMessage;
        if (given.statusCode < 200) {
          stream.destroy(new AptP2pError("UPSTREAM", `${host} answered ${given.statusCode}`));
          return;
        }
        response.once("close", done);
        resolve(response);
      });
    });
  }

  #answer(response: IncomingMessage, url: string): MirrorResponse {
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(response.headers)) {
      if (value === undefined || HOP_BY_HOP.has(name)) continue;
      headers[name] = Array.isArray(value) ? value.join(", ") : value;
    }
    return {
      status: response.statusCode ?? 0,
      headers,
      global: this.#settings.isGlobal(remoteAddress(response)),
      body: new ResponseBody(response, hostOf(url), this.#settings.stallTimeoutMs),
    };
  }

  /** Resolves a name and keeps the addresses that may be dialled. */
  readonly #lookup = (
    host: string,
    options: dns.LookupAllOptions | dns.LookupOneOptions,
    callback: (
      error: NodeJS.ErrnoException | null,
      address: string | dns.LookupAddress[],
      family?: number,
    ) => void,
  ): void => {
    dns.lookup(host, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        callback(error, []);
        return;
      }
      const allowed = addresses.filter(({ address }) => this.#settings.allowed(host, address));
      const [first] = allowed;
      if (first === undefined) {
        callback(forbidden(host, addresses[0]?.address ?? "nothing"), []);
      } else if (options.all === true) {
        callback(null, allowed);
      } else {
        callback(null, first.address, first.family);
      }
    });
  };
}

/** Via names all that a request went through (RFC 9110 section 7.6.3), so that loops are seen. */
function chained(before: string | undefined, own: string): string {
  return before === undefined ? own : `${before}, ${own}`;
}

/** An answer without a body may have given its socket back already, whatever its type says. */
function remoteAddress(response: IncomingMessage): string {
  const socket = response.socket as Socket | null;
  return socket?.remoteAddress ?? "";
}

function redirectTarget(from: string, location: string): URL {
  let url: URL;
  try {
    url = new URL(location, from);
  } catch {
    throw new AptP2pError("FORBIDDEN", `${hostOf(from)} redirects to something that is no URL`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new AptP2pError("FORBIDDEN", `${hostOf(from)} redirects to ${url.protocol}`);
  }
  if (from.startsWith("https:") && url.protocol === "http:") {
    throw new AptP2pError("FORBIDDEN", `${hostOf(from)} redirects from https to http`);
  }
  return url;
}

function hostOf(url: string): string {
  return new URL(url).host;
}

function forbidden(host: string, address: string): AptP2pError {
  return new AptP2pError(
    "FORBIDDEN",
    `${host} is ${address}, on this machine or link; name it in apt's sources or in allow_upstreams`,
  );
}
