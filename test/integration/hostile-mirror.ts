/**
 * A mirror that obeys no rule: raw bytes on raw sockets, by path. What no script claims is answered
 * from a tree of files, honestly but plainly (no ranges, no dates).
 */
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";

export interface Asked {
  readonly method: string;
  readonly path: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** How often this path was asked before. */
  readonly times: number;
}

export type Script = (asked: Asked, socket: Socket) => void;

export interface HostileMirrorOptions {
  readonly files?: (path: string) => Buffer | undefined;
  /** Default: any free one. */
  readonly port?: number;
}

/** Larger heads are nobody's here. */
const HEAD_BYTES = 64 * 1024;

export class HostileMirror {
  readonly asked: Asked[] = [];
  readonly #scripts = new Map<string, Script>();
  readonly #sockets = new Set<Socket>();
  readonly #files: (path: string) => Buffer | undefined;
  readonly #server: Server;

  constructor({ files }: HostileMirrorOptions = {}) {
    this.#files = files ?? (() => undefined);
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async start(options: HostileMirrorOptions = {}): Promise<HostileMirror> {
    const mirror = new HostileMirror(options);
    await new Promise<void>((resolve, reject) => {
      mirror.#server.once("error", reject);
      mirror.#server.listen(options.port ?? 0, "127.0.0.1", resolve);
    });
    return mirror;
  }

  get authority(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  script(path: string, script: Script): void {
    this.#scripts.set(path, script);
  }

  /** Requests for a path so far. */
  timesAsked(path: string): number {
    return this.asked.filter((each) => each.path === path).length;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    let text = "";
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      text += chunk;
      if (text.length > HEAD_BYTES) socket.destroy();
      for (let end = text.indexOf("\r\n\r\n"); end >= 0; end = text.indexOf("\r\n\r\n")) {
        const head = text.slice(0, end);
        text = text.slice(end + 4);
        this.#answer(head, socket);
      }
    });
  }

  #answer(head: string, socket: Socket): void {
    const [first = "", ...lines] = head.split("\r\n");
    const [method = "", path = ""] = first.split(" ");
    const headers: Record<string, string> = {};
    for (const line of lines) {
      const colon = line.indexOf(":");
      headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
    const asked = { method, path, headers, times: this.timesAsked(path) };
    this.asked.push(asked);
    const script = this.#scripts.get(path);
    if (script !== undefined) {
      script(asked, socket);
      return;
    }
    const bytes = this.#files(path);
    if (bytes === undefined) socket.write(answer("404 Not Found", {}, "none\n"));
    else socket.write(answer("200 OK", {}, bytes));
  }
}

/** A whole answer; its length is told unless `headers` say something about it. */
export function answer(
  status: string,
  headers: Readonly<Record<string, string>>,
  body: Buffer | string = "",
): Buffer {
  const bytes = Buffer.from(body);
  const framed = "content-length" in headers || "transfer-encoding" in headers;
  const all = framed ? headers : { ...headers, "content-length": String(bytes.length) };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status}\r\n${lines.join("")}\r\n`), bytes]);
}

/** Writes chunks as fast as they are taken, for as long as somebody takes them, up to a bound. */
export function pour(socket: Socket, chunk: Buffer, boundBytes: number): void {
  let left = boundBytes;
  const more = (): void => {
    while (left > 0 && !socket.destroyed) {
      left -= chunk.length;
      if (!socket.write(chunk)) return;
    }
    if (left <= 0) socket.end();
  };
  socket.on("drain", more);
  more();
}

/** A chunk of the chunked transfer coding. */
export function chunked(bytes: Buffer): Buffer {
  return Buffer.concat([
    Buffer.from(`${bytes.length.toString(16)}\r\n`),
    bytes,
    Buffer.from("\r\n"),
  ]);
}
