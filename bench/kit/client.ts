/**
 * A frugal HTTP/1.1 client over raw sockets: one reused receive buffer per connection, nothing kept
 * of a body, so that the generator costs far less than any server it measures.
 */
import { createHash } from "node:crypto";
import { connect, type Socket } from "node:net";

export interface Fetched {
  readonly status: number;
  readonly bodyBytes: number;
  /** From the request's last byte written to the first byte of the answer. */
  readonly firstByteMs: number;
  readonly totalMs: number;
}

export interface Endpoint {
  readonly port: number;
  /** What stands in the request line for a path of the origin. */
  readonly target: (path: string) => string;
  /** Value of the Host field. */
  readonly host: string;
}

interface Pending {
  readonly started: number;
  readonly onBody: ((bytes: Buffer) => void) | undefined;
  readonly resolve: (fetched: Fetched) => void;
  readonly reject: (error: Error) => void;
  firstByteMs: number;
  header: string;
  status: number;
  bodyBytes: number;
  remaining: number;
}

const receiveBytes = 512 * 1024;
const stallMs = 60_000;

/** The connection ended before the first byte of an answer. */
class ClosedEarly extends Error {}

/** One keep-alive connection; one request at a time. */
export class Connection {
  readonly #endpoint: Endpoint;
  #socket: Socket | undefined;
  #pending: Pending | undefined;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /**
   * Fetches a path of the origin; rejects on anything but a complete answer. A kept connection that
   * the server closed without a byte is replaced once, as every HTTP client does.
   */
  async fetch(path: string, onBody?: (bytes: Buffer) => void): Promise<Fetched> {
    const kept = this.#socket !== undefined;
    try {
      return await this.#attempt(path, onBody);
    } catch (error) {
      if (!kept || !(error instanceof ClosedEarly)) throw error;
      return this.#attempt(path, onBody);
    }
  }

  async #attempt(path: string, onBody?: (bytes: Buffer) => void): Promise<Fetched> {
    const socket = this.#socket ?? (await this.#connect());
    const { target, host } = this.#endpoint;
    const head = `GET ${target(path)} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: bench\r\n\r\n`;
    return new Promise<Fetched>((resolve, reject) => {
      const started = performance.now();
      const state = { firstByteMs: -1, header: "", status: 0, bodyBytes: 0, remaining: -1 };
      this.#pending = { started, onBody, resolve, reject, ...state };
      socket.write(head, "latin1");
    });
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #connect(): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect({
        host: "127.0.0.1",
        port: this.#endpoint.port,
        noDelay: true,
        onread: {
          buffer: Buffer.allocUnsafe(receiveBytes),
          callback: (count, buffer) => {
            this.#received(Buffer.from(buffer.buffer, buffer.byteOffset, count));
            return true;
          },
        },
      });
      socket.setTimeout(stallMs, () => socket.destroy(new Error("no byte for 60 s")));
      socket.once("connect", () => resolve(socket));
      socket.once("error", (error) => {
        reject(error);
        this.#failed(error);
      });
      socket.once("close", () => {
        if (this.#socket === socket) this.#failed(new Error("the server closed the connection"));
      });
      this.#socket = socket;
    });
  }

  #failed(error: Error): void {
    this.#socket = undefined;
    const pending = this.#pending;
    this.#pending = undefined;
    const early = pending?.firstByteMs === -1 && pending.header === "";
    pending?.reject(early ? new ClosedEarly(error.message) : error);
  }

  #received(bytes: Buffer): void {
    const pending = this.#pending;
    if (pending === undefined) return;
    if (pending.firstByteMs < 0) pending.firstByteMs = performance.now() - pending.started;
    let body = bytes;
    if (pending.remaining < 0) {
      const end = bytes.indexOf("\r\n\r\n");
      pending.header += bytes.toString("latin1", 0, end < 0 ? bytes.length : end);
      if (end < 0) return;
      body = bytes.subarray(end + 4);
      this.#header(pending);
    }
    pending.bodyBytes += body.length;
    pending.remaining -= body.length;
    pending.onBody?.(body);
    if (pending.remaining === 0) this.#complete(pending);
    else if (pending.remaining < 0) this.#socket?.destroy(new Error("more bytes than announced"));
  }

  #header(pending: Pending): void {
    pending.status = Number(pending.header.slice(9, 12));
    const length = /^content-length:\s*(\d+)/im.exec(pending.header)?.[1];
    if (length === undefined) {
      this.#socket?.destroy(new Error(`answer without Content-Length:\n${pending.header}`));
      return;
    }
    pending.remaining = Number(length);
  }

  #complete(pending: Pending): void {
    const { status, bodyBytes, firstByteMs } = pending;
    const totalMs = performance.now() - pending.started;
    this.#pending = undefined;
    if (/^connection:\s*close/im.test(pending.header)) this.close();
    pending.resolve({ status, bodyBytes, firstByteMs, totalMs });
  }
}

export interface Wanted {
  readonly path: string;
  readonly sizeBytes: number;
}

export interface LoadResult {
  readonly seconds: number;
  readonly bytes: number;
  readonly requests: number;
  readonly fetched: readonly Fetched[];
}

/** Fetches every file once, the next free connection taking the next file. */
export async function fetchAll(
  endpoint: Endpoint,
  files: readonly Wanted[],
  connections: number,
): Promise<LoadResult> {
  let next = 0;
  const fetched: Fetched[] = [];
  const worker = async (): Promise<void> => {
    const connection = new Connection(endpoint);
    for (let file = files[next++]; file !== undefined; file = files[next++]) {
      const one = await connection.fetch(file.path);
      check(file, one);
      fetched.push(one);
    }
    connection.close();
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: connections }, worker));
  const seconds = (performance.now() - started) / 1000;
  const bytes = fetched.reduce((sum, one) => sum + one.bodyBytes, 0);
  return { seconds, bytes, requests: fetched.length, fetched };
}

/** Fetches a file and compares its SHA-256: no server is measured that serves something else. */
export async function fetchVerified(endpoint: Endpoint, path: string, sha256: string) {
  const hash = createHash("sha256");
  const connection = new Connection(endpoint);
  const { status } = await connection.fetch(path, (bytes) => hash.update(bytes));
  connection.close();
  const got = hash.digest("hex");
  if (status !== 200 || got !== sha256) {
    throw new Error(`${path} over port ${String(endpoint.port)}: status ${String(status)}, ${got}`);
  }
}

function check(file: Wanted, { status, bodyBytes }: Fetched): void {
  if (status !== 200 || bodyBytes !== file.sizeBytes) {
    const found = `${String(status)} with ${String(bodyBytes)} bytes`;
    throw new Error(`${file.path}: wanted 200 with ${String(file.sizeBytes)} bytes, got ${found}`);
  }
}
