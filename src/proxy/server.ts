/**
 * The HTTP server that apt and other daemons talk to: an `express` app that hands every request to
 * the engine. It decides nothing; it keeps strangers out, or to what daemons may have of each other,
 * bounds what a client may take, and counts.
 */
import { setMaxListeners } from "node:events";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import express from "express";
import { AptP2pError, errorText } from "../base/errors.ts";
import type { Counters } from "../base/counters.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Log } from "../base/ports.ts";
import type { Engine } from "../engine/engine.ts";
import { peerPrefix } from "../engine/peer-route.ts";
import { parseTarget } from "../engine/target.ts";
import { textAnswer } from "../engine/headers.ts";
import type { Answer, ClientRequest } from "../engine/types.ts";
import type { Access, Peer } from "./access.ts";
import { answerAlive } from "./alive.ts";
import { handlePeer, type PeerService } from "./peers.ts";
import type { Dial } from "./ports.ts";
import { send } from "./send.ts";
import { Strangers } from "./strangers.ts";
import { tunnel } from "./tunnel.ts";

export interface ProxyComponents {
  readonly engine: Pick<Engine, "answer">;
  readonly access: Access;
  readonly dial: Dial;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly log: Log;
  /** The status page, as HTML. */
  readonly page: () => Promise<string>;
  /** What other daemons get; undefined: nothing. */
  readonly peers?: PeerService | undefined;
}

export interface ProxySettings {
  readonly maxConnections: number;
  /** A log line for each request. */
  readonly logRequests: () => boolean;
}

/** The server, not yet listening. */
export function proxyServer(components: ProxyComponents, settings: ProxySettings): http.Server {
  const turns = new WeakMap<Socket, Turns>();
  const tunnels = new Set<Duplex>();
  const strangers = new Strangers(settings.maxConnections);
  const app = express();
  app.disable("x-powered-by");
  app.set("etag", false);
  app.use((request, response) => {
    if (answerAlive(components, request, response)) return;
    const { socket } = request;
    const turn = turns.get(socket) ?? new Turns(socket, components.access.isClient(ends(socket)));
    turns.set(socket, turn);
    strangers.busy(socket, true);
    turn.take(async (gone) => {
      const work = request.url.startsWith(peerPrefix)
        ? handlePeer(components, request, response, gone)
        : handle({ components, settings, gone }, request, response);
      await work;
      strangers.busy(socket, turn.busy);
    });
  });
  const server = http.createServer({ ...matchedPrototypes(app), ...SERVER_OPTIONS }, app);
  server.maxConnections = settings.maxConnections;
  server.timeout = limits.clientStallMs;
  server.keepAliveTimeout = limits.clientIdleMs;
  server.on("connection", (socket: Socket) => {
    if (components.access.isClient(ends(socket)) || strangers.admit(socket)) return;
    components.counters.add("proxy.refused.connections");
    socket.destroy();
  });
  server.on("connect", (request, socket, head) => {
    tunnel({ ...components, tunnels }, request, socket, head).catch((thrown: unknown) => {
      components.log.error("tunnel.broken", { error: errorText(thrown) });
      socket.destroy();
    });
  });
  server.on("error", (error) => components.log.error("server.error", { error: errorText(error) }));
  // A tunnel is no connection of the server's any more, but it ends with them.
  const closeRequests = server.closeAllConnections.bind(server);
  server.closeAllConnections = (): void => {
    closeRequests();
    for (const end of tunnels) end.destroy();
  };
  return server;
}

const SERVER_OPTIONS: http.ServerOptions = {
  maxHeaderSize: limits.requestHeaderBytes,
  headersTimeout: limits.requestHeadMs,
  requestTimeout: limits.requestHeadMs,
  highWaterMark: limits.readChunkBytes,
};

/**
 * Express swaps the prototypes of each request and response for its own, which costs more than all
 * the rest of a small answer. Objects that are born with them are left alone.
 */
function matchedPrototypes(app: express.Express): http.ServerOptions {
  class Request extends http.IncomingMessage {}
  class Response extends http.ServerResponse {}
  Object.setPrototypeOf(Request.prototype, app.request);
  Object.setPrototypeOf(Response.prototype, app.response);
  Object.defineProperty(Request.prototype, "app", { value: app });
  Object.defineProperty(Response.prototype, "app", { value: app });
  Object.assign(app, { request: Request.prototype, response: Response.prototype });
  return { IncomingMessage: Request, ServerResponse: Response } as http.ServerOptions;
}

/** A connection's pipelined requests: so many at once, so many in the queue. */
class Turns {
  readonly #socket: Socket;
  /** The connection's end. An answer whose turn never came hears of it in no other way. */
  readonly #gone = new AbortController();
  readonly #mostWaiting: number;
  #running = 0;
  #queue: ((gone: AbortSignal) => Promise<void>)[] = [];

  constructor(socket: Socket, client: boolean) {
    this.#socket = socket;
    this.#mostWaiting = client ? limits.pipelinedWaiting : limits.pipelinedStrangers;
    // Every answer under way listens, and each writes in pieces.
    setMaxListeners(0, this.#gone.signal);
    socket.once("close", () => {
      this.#queue = [];
      // With a reason of its own the signal need not make one, stack trace and all.
      this.#gone.abort("the client has left");
    });
  }

  /** Beside the work that asks, something is under way or waits. */
  get busy(): boolean {
    return this.#running > 1 || this.#queue.length > 0;
  }

  take(work: (gone: AbortSignal) => Promise<void>): void {
    if (this.#running < limits.pipelinedAtOnce) void this.#run(work);
    else if (this.#queue.length < this.#mostWaiting) this.#queue.push(work);
    else this.#socket.destroy();
  }

  async #run(work: (gone: AbortSignal) => Promise<void>): Promise<void> {
    this.#running += 1;
    await work(this.#gone.signal);
    this.#running -= 1;
    const next = this.#queue.shift();
    if (next !== undefined) void this.#run(next);
  }
}

function ends({ remoteAddress = "", localAddress = "" }: Socket): Peer {
  return { remoteAddress, localAddress };
}

interface Setting {
  readonly components: ProxyComponents;
  readonly settings: ProxySettings;
  readonly gone: AbortSignal;
}

/** One request from head to end. Never rejects. */
async function handle(
  { components, settings, gone }: Setting,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { clock, counters, log } = components;
  const startMs = clock.monotonicMs();
  counters.add("proxy.requests");
  let answer: Answer;
  try {
    answer = await answerTo(components, request, gone);
  } catch (thrown) {
    if (!(thrown instanceof AptP2pError && thrown.code === "CLOSED")) {
      log.error("request.broken", { url: request.url, error: errorText(thrown) });
    }
    response.destroy();
    return;
  }
  const sent = await send(response, answer, gone);
  counters.add(`proxy.bytes.${answer.origin}`, sent.bytes);
  if (sent.failure !== undefined) {
    counters.add(gone.aborted ? "proxy.clientLeft" : "proxy.cut");
  }
  if (!settings.logRequests()) return;
  log.info("request", {
    method: request.method,
    url: request.url,
    status: response.statusCode,
    from: answer.origin,
    known: answer.known,
    bytes: sent.bytes,
    ms: Math.round(clock.monotonicMs() - startMs),
    cut: sent.failure === undefined ? undefined : errorText(sent.failure),
  });
}

async function answerTo(
  components: ProxyComponents,
  request: IncomingMessage,
  signal: AbortSignal,
): Promise<Answer> {
  const { access, counters, engine, page } = components;
  const { url = "", method = "", headers, socket } = request;
  const { remoteAddress = "", localAddress = "" } = socket;
  const refusal = access.refuse({ remoteAddress, localAddress }, { url, headers });
  if (refusal !== undefined) {
    counters.add(`proxy.refused.${refusal.status}`);
    return textAnswer(refusal.status, refusal.text);
  }
  const problem = outOfBounds(request);
  if (problem !== undefined) {
    counters.add(`proxy.refused.${problem.status}`);
    return problem;
  }
  if (url === "/") return pageAnswer(await page());
  // A prefix source under a global proxy: apt asks us, as a proxy, for ourselves.
  const own = access.ownPath(url, socket);
  const target = parseTarget(own ?? url);
  if (target === undefined) {
    counters.add("proxy.refused.400");
    return textAnswer(400, "the request names no mirror: use http://localhost:9977/HOST/PATH");
  }
  const asked: ClientRequest = {
    method: method as "GET" | "HEAD",
    target,
    prefixed: own !== undefined || url.startsWith("/"),
    headers: headers as Readonly<Record<string, string | undefined>>,
  };
  return engine.answer(asked, signal);
}

function outOfBounds({ url = "", method, headers }: IncomingMessage): Answer | undefined {
  if (method !== "GET" && method !== "HEAD") {
    const answer = textAnswer(405, "apt-p2p answers GET and HEAD");
    return { ...answer, headers: { ...answer.headers, allow: "GET, HEAD" } };
  }
  if (url.length > limits.requestUrlBytes) return textAnswer(414, "the URL is too long");
  if (headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0) {
    const answer = textAnswer(413, "apt-p2p takes no request bodies");
    return { ...answer, headers: { ...answer.headers, connection: "close" } };
  }
  return undefined;
}

function pageAnswer(html: string): Answer {
  const answer = textAnswer(200, html);
  return {
    ...answer,
    reason: "OK",
    headers: {
      ...answer.headers,
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
      "x-content-type-options": "nosniff",
      "cache-control": "no-store",
    },
  };
}
