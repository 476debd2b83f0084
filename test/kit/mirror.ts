/**
 * An HTTP mirror on loopback that behaves like a good one (Last-Modified, conditional requests,
 * ranges, keep-alive, pipelining, HEAD) until it is told to misbehave, and that remembers every
 * request with the bytes that it sent.
 */
import { open, stat } from "node:fs/promises";
import { createServer } from "node:http";
import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { join, normalize } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { find, takeFaults } from "./faults.ts";
import type { ArmedFault, Fault, FaultLimits } from "./faults.ts";
import { undoable } from "./scratch.ts";
import type { Undoable } from "./scratch.ts";

export interface MirrorOptions {
  readonly root: string;
  /** Loopback address; default 127.0.0.1. */
  readonly host?: string;
  /** Default: any free one. */
  readonly port?: number;
  /** https instead of http. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** For each response; default: as fast as it goes. */
  readonly bytesPerSecond?: number;
}

export interface LoggedRequest {
  /** Address of who asked. */
  readonly from: string;
  readonly method: string;
  /** As it was sent, percent-encoding and all. */
  readonly path: string;
  readonly host: string;
  readonly range: string | undefined;
  readonly conditional: boolean;
  readonly userAgent: string | undefined;
  status: number;
  /** Of the body. */
  bytes: number;
  /** The other side left before the end, or a fault ended the answer. */
  aborted: boolean;
  /** Nothing more comes of it. */
  over: boolean;
}

const CHUNK = 64 * 1024;

export async function startMirror(options: MirrorOptions): Promise<TestMirror> {
  const mirror = new TestMirror(options);
  await mirror.comeBack();
  return mirror;
}

export class TestMirror {
  readonly log: LoggedRequest[] = [];
  readonly #options: MirrorOptions;
  readonly #armed: ArmedFault[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #ending: Undoable;
  #server: Server | undefined;
  #port: number;

  constructor(options: MirrorOptions) {
    this.#options = options;
    this.#port = options.port ?? 0;
    this.#ending = undoable(() => this.#hangUp());
  }

  get host(): string {
    return this.#options.host ?? "127.0.0.1";
  }

  get port(): number {
    return this.#port;
  }

  /** host:port, without the port where it is the scheme's own. */
  get authority(): string {
    const usual = this.#options.tls === undefined ? 80 : 443;
    return this.#port === usual ? this.host : `${this.host}:${this.#port}`;
  }

  get url(): string {
    return `${this.#options.tls === undefined ? "http" : "https"}://${this.authority}`;
  }

  get bodyBytes(): number {
    return this.log.reduce((sum, each) => sum + each.bytes, 0);
  }

  requests(path: RegExp): readonly LoggedRequest[] {
    return this.log.filter((each) => path.test(each.path));
  }

  /** From now on; by default for every matching request. */
  fault(path: RegExp, fault: Fault, limits: FaultLimits = {}): void {
    this.#armed.push({ path, fault, skip: limits.skip ?? 0, times: limits.times ?? Infinity });
  }

  heal(): void {
    this.#armed.length = 0;
  }

  /** Nobody listens any more; connections are refused and open ones are cut. */
  async vanish(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  /** Listens, on the same port as before. */
  async comeBack(): Promise<void> {
    const listener: RequestListener = (request, response) => void this.#answer(request, response);
    const { tls } = this.#options;
    const settings = { keepAlive: true, noDelay: true };
    const server =
      tls === undefined
        ? createServer(settings, listener)
        : createTlsServer({ ...settings, ...tls }, listener);
    server.keepAliveTimeout = 120_000;
    server.requestTimeout = 0;
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#port, this.host, resolve);
    });
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async close(): Promise<void> {
    this.#ending.forget();
    await this.vanish();
  }

  #hangUp(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "/";
    const entry: LoggedRequest = {
      from: request.socket.remoteAddress ?? "",
      method: request.method ?? "",
      path,
      host: request.headers.host ?? "",
      range: request.headers.range,
      conditional: request.headers["if-modified-since"] !== undefined,
      userAgent: request.headers["user-agent"],
      status: 0,
      bytes: 0,
      aborted: false,
      over: false,
    };
    this.log.push(entry);
    response.once("close", () => {
      entry.over = true;
      if (!response.writableFinished) entry.aborted = true;
    });
    try {
      await this.#respond(request, response, entry, takeFaults(this.#armed, path));
    } catch (error) {
      entry.aborted = true;
      if (!response.destroyed) process.stderr.write(`test mirror: ${String(error)}\n`);
      response.destroy();
    }
  }

  async #respond(
    request: IncomingMessage,
    response: ServerResponse,
    entry: LoggedRequest,
    faults: readonly Fault[],
  ): Promise<void> {
    const late = find(faults, "delay");
    if (late !== undefined) await delay(late.forMs);
    if (find(faults, "hangUp") !== undefined) {
      request.socket.destroy();
      return;
    }
    const plan = await planAnswer(request, this.#options.root, faults);
    const file =
      plan.content === undefined && plan.file !== undefined ? await open(plan.file) : undefined;
    try {
      entry.status = plan.status;
      for (const each of faults) {
        if (each.kind !== "header") continue;
        plan.headers[each.name] = each.value;
      }
      response.statusCode = plan.status;
      for (const [name, value] of Object.entries(plan.headers)) {
        if (value !== undefined) response.setHeader(name, value);
      }
      response.flushHeaders();
      if (request.method === "HEAD") {
        response.end();
        return;
      }
      const rate = find(faults, "rate")?.bytesPerSecond ?? this.#options.bytesPerSecond;
      const read = async (position: number, length: number): Promise<Buffer> => {
        if (plan.content !== undefined) return plan.content.subarray(position, position + length);
        const buffer = Buffer.allocUnsafe(length);
        const { bytesRead } = (await file?.read(buffer, 0, length, position)) ?? { bytesRead: 0 };
        return buffer.subarray(0, bytesRead);
      };
      await sendBody({ response, entry, faults, plan, read, rate });
    } finally {
      await file?.close();
    }
  }
}

interface Plan {
  readonly status: number;
  readonly headers: Record<string, string | undefined>;
  readonly file?: string;
  readonly content?: Buffer;
  /** Of the file: first byte that is sent, and the one after the last. */
  readonly start: number;
  readonly end: number;
}

async function planAnswer(
  request: IncomingMessage,
  root: string,
  faults: readonly Fault[],
): Promise<Plan> {
  const forced = find(faults, "status");
  if (forced !== undefined) return message(forced.status, forced.body ?? "");
  const redirect = find(faults, "redirect");
  if (redirect !== undefined) {
    const plan = message(redirect.status ?? 302, "moved\n");
    plan.headers["location"] = redirect.location;
    return plan;
  }
  const replaced = find(faults, "content")?.bytes;
  const file = join(root, normalize(`/${decodePath(request.url ?? "/")}`));
  const facts = await stat(file).catch(() => undefined);
  if (facts?.isFile() !== true && replaced === undefined) return message(404, "not found\n");
  const surplus = find(faults, "surplus")?.bytes ?? 0;
  const sizeBytes = (replaced?.length ?? facts?.size ?? 0) + surplus;
  const modified = new Date(Math.floor((facts?.mtimeMs ?? 0) / 1000) * 1000);
  const headers: Record<string, string | undefined> = {
    "content-type": contentType(file),
    "last-modified": modified.toUTCString(),
    "accept-ranges": "bytes",
  };
  const since = Date.parse(request.headers["if-modified-since"] ?? "");
  if (find(faults, "ignoreDates") === undefined && since >= modified.getTime()) {
    return { status: 304, headers, start: 0, end: 0 };
  }
  const source = replaced === undefined ? { file } : { content: replaced };
  const range =
    find(faults, "ignoreRange") === undefined
      ? parseRange(request, sizeBytes, modified)
      : undefined;
  if (range === "unsatisfiable") {
    const plan = message(416, "range not satisfiable\n");
    plan.headers["content-range"] = `bytes */${sizeBytes}`;
    return plan;
  }
  const start = range?.start ?? 0;
  const end = range?.end ?? sizeBytes;
  if (range !== undefined) headers["content-range"] = `bytes ${start}-${end - 1}/${sizeBytes}`;
  headers["content-length"] = String(end - start + (find(faults, "length")?.offBy ?? 0));
  return { status: range === undefined ? 200 : 206, headers, ...source, start, end };
}

function message(status: number, body: string): Plan {
  const content = Buffer.from(body);
  const headers: Record<string, string | undefined> = { "content-length": String(content.length) };
  if (content.length > 0) headers["content-type"] = "text/plain";
  return { status, headers, content, start: 0, end: content.length };
}

/** One range (RFC 9110, 14.2) whose If-Range holds; undefined: send everything. */
function parseRange(
  request: IncomingMessage,
  sizeBytes: number,
  modified: Date,
): { start: number; end: number } | "unsatisfiable" | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "");
  if (match === null) return undefined;
  const condition = request.headers["if-range"];
  if (condition !== undefined && Date.parse(String(condition)) !== modified.getTime())
    return undefined;
  const [, first = "", last = ""] = match;
  if (first === "" && last === "") return undefined;
  const start = first === "" ? Math.max(0, sizeBytes - Number(last)) : Number(first);
  const end = first === "" || last === "" ? sizeBytes : Math.min(sizeBytes, Number(last) + 1);
  return start >= sizeBytes || end <= start ? "unsatisfiable" : { start, end };
}

async function sendBody(job: {
  readonly response: ServerResponse;
  readonly entry: LoggedRequest;
  readonly faults: readonly Fault[];
  readonly plan: Plan;
  readonly read: (position: number, length: number) => Promise<Buffer>;
  readonly rate: number | undefined;
}): Promise<void> {
  const { response, entry, plan } = job;
  const cutAt = find(job.faults, "cut")?.atByte ?? Infinity;
  const stalls = job.faults.filter((each) => each.kind === "stall");
  const flips = job.faults.filter((each) => each.kind === "flip").map((each) => each.atByte);
  const begun = performance.now();
  let position = plan.start;
  const gone = (): boolean => response.destroyed;
  while (position < plan.end && !gone()) {
    if (position >= cutAt) {
      await settle(response);
      response.destroy();
      return;
    }
    const stall = stalls.find((each) => each.atByte === position);
    if (stall !== undefined) await delay(stall.forMs);
    const stops = [cutAt, ...stalls.map((each) => each.atByte)].filter((each) => each > position);
    const piece = job.rate === undefined ? CHUNK : Math.min(CHUNK, Math.ceil(job.rate / 20));
    const length = Math.min(piece, plan.end - position, ...stops.map((each) => each - position));
    const found = await job.read(position, length);
    const chunk =
      found.length === length
        ? Buffer.from(found)
        : Buffer.concat([found, Buffer.alloc(length - found.length, "x")]);
    for (const at of flips) {
      const offset = at - position;
      if (offset >= 0 && offset < length) chunk[offset] = (chunk[offset] ?? 0) ^ 1;
    }
    if (!response.write(chunk) && !gone()) await drained(response);
    if (gone()) return;
    position += length;
    entry.bytes += length;
    if (job.rate !== undefined) {
      const ahead = ((position - plan.start) / job.rate) * 1000 - (performance.now() - begun);
      if (ahead > 0) await delay(ahead);
    }
  }
  if (find(job.faults, "length") !== undefined) {
    await settle(response);
    response.destroy();
    return;
  }
  response.end();
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.on("drain", done);
    response.on("close", done);
  });
}

/** What was written has reached the kernel, so that a cut comes after it and not instead of it. */
async function settle(response: ServerResponse): Promise<void> {
  const { socket } = response;
  if (socket === null || socket.writableLength === 0) return;
  await new Promise<void>((resolve) =>
    socket.write("", () => {
      resolve();
    }),
  );
}

function decodePath(url: string): string {
  const path = url.split("?")[0] ?? "/";
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function contentType(file: string): string {
  return file.endsWith(".deb")
    ? "application/vnd.debian.binary-package"
    : "application/octet-stream";
}
