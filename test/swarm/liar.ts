/**
 * A peer that lies: it promises every file that its map names, and then does one thing wrong. It speaks
 * the peers' HTTP of PROTOCOL.md with nothing of our code in it but Node's server.
 */
import { createHash } from "node:crypto";
import { closeSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { connect } from "node:net";
import type { AddressInfo, Socket } from "node:net";

export const liarKinds = [
  /** Right heads, right lists; bytes with a wrong bit in each piece. */
  "wrong bytes",
  /** Right bytes, and lists of hashes that are not theirs. */
  "wrong list",
  /** Wrong bytes, and the lists that belong to them. */
  "consistent lie",
  /** A list for a large file with too few entries. */
  "list too short",
  /** "No pieces": an empty list. */
  "empty list",
  /** A list that never ends. */
  "endless list",
  /** The connection is closed in the middle of a body. */
  "short",
  /** A body without length that never ends. */
  "endless",
  /** 200 and the whole file instead of 206 and a part. */
  "200",
  /** 206 for another range than was asked for. */
  "wrong range",
  /** Content-Encoding: gzip. */
  "gzip",
  /** 302 to a machine that has nothing to do with it. */
  "redirect",
  /** A byte a second. */
  "slow body",
  /** The head of an answer, a byte a second. */
  "slow head",
  /** Accepts connections and never says anything. */
  "silent",
  /** Claims to be idle, and is always busy. */
  "busy",
  /** Names twenty peers that do not exist, and holds nothing. */
  "bogus peers",
  /** Opens as many connections to the others as it can, and keeps each busy with an endless head. */
  "flood",
  /** Asks the others for large answers and reads a byte a second. */
  "slow reader",
] as const;

export type LiarKind = (typeof liarKinds)[number];

export interface LiarOptions {
  readonly kind: LiarKind;
  readonly address: string;
  readonly port: number;
  /** SHA-256 in hex → path of the true file. */
  readonly files: Readonly<Record<string, string>>;
  /** address:port of those who are flooded. */
  readonly victims: readonly string[];
}

const pieceBytes = 512 * 1024;
const idle = "0 0 16";

export async function startLiar(options: LiarOptions): Promise<Liar> {
  const liar = new Liar(options);
  await liar.listen();
  return liar;
}

export class Liar {
  /** Requests by what they asked for. */
  readonly asked = new Map<string, number>();
  readonly #options: LiarOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(options: LiarOptions) {
    this.#options = options;
    this.#server = createServer({ keepAlive: true, noDelay: true }, (request, response) => {
      this.#answer(request, response);
    });
    this.#server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.once("close", () => this.#sockets.delete(socket));
    });
  }

  get endpoint(): string {
    return `${this.#options.address}:${(this.#server.address() as AddressInfo).port}`;
  }

  async listen(): Promise<void> {
    const { address, port, kind } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject).listen(port, address, resolve);
    });
    if (kind === "flood") this.#every(200, () => this.#flood());
    if (kind === "slow reader") this.#every(200, () => this.#readSlowly());
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { kind } = this.#options;
    const path = request.url ?? "";
    const what = /^\/~\/sha256\/[0-9a-f]{64}(\/\w+)?/.exec(path)?.[1] ?? path.split("/")[2] ?? "";
    const name = path.startsWith("/~/sha256/") ? (what.startsWith("/") ? what : "file") : what;
    this.asked.set(name, (this.asked.get(name) ?? 0) + 1);
    response.on("error", () => undefined);
    response.setHeader("apt-p2p-load", idle);
    if (kind === "silent") return;
    if (kind === "slow head") {
      this.#drip(request.socket, "HTTP/1.1 206 Partial Content\r\nx: ");
      return;
    }
    if (path === "/~/filter") promiseAll(response);
    else if (path === "/~/have") confirmAll(request, response);
    else this.#file(request, response);
  }

  #file(request: IncomingMessage, response: ServerResponse): void {
    const match = /^\/~\/sha256\/([0-9a-f]{64})(\/pieces|\/swarm)?/.exec(request.url ?? "");
    const path = this.#options.files[match?.[1] ?? ""];
    if (match === null || path === undefined) {
      end(response, 404);
      return;
    }
    const file = { sha256: match[1] ?? "", path, sizeBytes: statSync(path).size };
    if (match[2] === "/swarm") {
      this.#swarm(response, file);
      return;
    }
    if (match[2] === "/pieces") {
      this.#list(response, file);
      return;
    }
    this.#range(request, response, file);
  }

  /** Bencoded: whole, of this size; see PROTOCOL.md. */
  #swarm(response: ServerResponse, { sizeBytes }: TrueFile): void {
    const peers = Array.from({ length: 20 }, (_, index) =>
      Buffer.from([198, 19, 7, index, 39, 16]),
    );
    const told =
      this.#options.kind === "bogus peers"
        ? Buffer.concat([
            Buffer.from("1:pl"),
            ...peers.flatMap((each) => [Buffer.from("6:"), each]),
            Buffer.from("e"),
          ])
        : Buffer.alloc(0);
    const size = Buffer.from(`1:si${sizeBytes}ee`);
    response.end(Buffer.concat([Buffer.from("d"), told, size]));
  }

  #list(response: ServerResponse, file: TrueFile): void {
    const { kind } = this.#options;
    response.setHeader("content-type", "application/octet-stream");
    if (kind === "endless list") {
      this.#endless(response);
      return;
    }
    const hashes = this.#hashes(file, 0, Math.ceil(file.sizeBytes / pieceBytes));
    if (kind === "list too short") hashes.pop();
    response.end(kind === "empty list" ? "" : Buffer.concat(hashes));
  }

  #range(request: IncomingMessage, response: ServerResponse, file: TrueFile): void {
    const { kind } = this.#options;
    if (kind === "bogus peers") {
      end(response, 404);
      return;
    }
    if (kind === "busy") {
      response.setHeader("retry-after", "1");
      end(response, 503);
      return;
    }
    if (kind === "redirect") {
      response.setHeader("location", "http://198.19.7.7/elsewhere");
      end(response, 302);
      return;
    }
    const { start, last } = rangeOf(request, file.sizeBytes);
    const shift = kind === "wrong range" ? pieceBytes : 0;
    response.setHeader("etag", `"${file.sha256}"`);
    response.setHeader("accept-ranges", "bytes");
    response.setHeader("content-type", "application/octet-stream");
    response.setHeader("apt-p2p-pieces", this.#claims(file, start, last));
    if (kind === "gzip") response.setHeader("content-encoding", "gzip");
    if (kind === "200") {
      response.setHeader("content-length", file.sizeBytes);
      response.writeHead(200);
      response.end(readFileSync(file.path));
      return;
    }
    response.setHeader("content-range", `bytes ${start + shift}-${last + shift}/${file.sizeBytes}`);
    if (kind !== "endless") response.setHeader("content-length", last - start + 1);
    response.writeHead(206);
    if (kind === "endless") {
      this.#endless(response);
      return;
    }
    this.#body(response, this.#bytes(file, start, last));
  }

  #body(response: ServerResponse, bytes: Buffer): void {
    const { kind } = this.#options;
    if (kind === "short") {
      response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy());
    } else if (kind === "slow body") {
      response.write(bytes.subarray(0, 1000));
      let sent = 1000;
      const timer = this.#every(1000, () => response.write(bytes.subarray(sent, ++sent)));
      response.once("close", () => clearInterval(timer));
    } else {
      response.end(bytes);
    }
  }

  #claims(file: TrueFile, start: number, last: number): string {
    const first = Math.ceil(start / pieceBytes);
    const whole = last + 1 === file.sizeBytes ? file.sizeBytes + pieceBytes - 1 : last + 1;
    const end = Math.max(first, Math.floor(whole / pieceBytes));
    const hashes = this.#hashes(file, first, Math.min(end, first + 8));
    return hashes.map((each) => each.toString("hex")).join(",");
  }

  /** Of what it would send, except where the list is the lie. */
  #hashes(file: TrueFile, first: number, end: number): Buffer[] {
    const { kind } = this.#options;
    return Array.from({ length: Math.max(0, end - first) }, (_, index) => {
      const start = (first + index) * pieceBytes;
      const last = Math.min(start + pieceBytes, file.sizeBytes) - 1;
      const honest =
        kind === "consistent lie" ? this.#bytes(file, start, last) : read(file, start, last);
      const hash = createHash("sha256").update(honest).digest();
      if (kind === "wrong list") hash[0] = (hash[0] ?? 0) ^ 1;
      return hash;
    });
  }

  #bytes(file: TrueFile, start: number, last: number): Buffer {
    const bytes = read(file, start, last);
    if (this.#options.kind !== "wrong bytes" && this.#options.kind !== "consistent lie")
      return bytes;
    for (let at = 100 - (start % pieceBytes); at < bytes.length; at += pieceBytes) {
      if (at >= 0) bytes[at] = (bytes[at] ?? 0) ^ 1;
    }
    return bytes;
  }

  #endless(response: ServerResponse): void {
    const chunk = Buffer.alloc(64 * 1024, "x");
    const more = (): void => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on("drain", more);
    more();
  }

  #drip(socket: Socket, text: string): void {
    let sent = 0;
    const timer = this.#every(1000, () => socket.write(text[sent++] ?? "x"));
    socket.once("close", () => clearInterval(timer));
  }

  #flood(): void {
    for (const victim of this.#options.victims) {
      for (let count = 0; count < 20 && this.#sockets.size < 500; count++) {
        const socket = this.#dial(victim);
        this.#drip(socket, "GET /~/filter HTTP/1.1\r\nHost: x\r\nX: ");
      }
    }
  }

  #readSlowly(): void {
    const digests = Object.keys(this.#options.files);
    for (const victim of this.#options.victims) {
      if (this.#sockets.size >= 100) return;
      const sha256 = digests[this.#sockets.size % digests.length] ?? "";
      const socket = this.#dial(victim);
      socket.write(`GET /~/sha256/${sha256} HTTP/1.1\r\nHost: ${victim}\r\n\r\n`);
      socket.pause();
      this.#every(1000, () => void socket.read(1));
    }
  }

  #dial(victim: string): Socket {
    const [host = "", port = ""] = victim.split(":");
    const socket = connect({ host, port: Number(port), localAddress: this.#options.address });
    this.#sockets.add(socket);
    socket.on("error", () => undefined).once("close", () => this.#sockets.delete(socket));
    return socket;
  }

  #every(ms: number, action: () => void): NodeJS.Timeout {
    const timer = setInterval(action, ms);
    this.#timers.add(timer);
    return timer;
  }
}

interface TrueFile {
  readonly sha256: string;
  readonly path: string;
  readonly sizeBytes: number;
}

function end(response: ServerResponse, status: number): void {
  response.writeHead(status, { "content-length": "0" });
  response.end();
}

/** A Bloom filter in which every bit is set has everything. */
function promiseAll(response: ServerResponse): void {
  const bytes = Buffer.alloc(8 + 1024, 0xff);
  bytes.set([1, 4, 0, 0, 0, 0, 4, 0]);
  response.setHeader("content-type", "application/octet-stream");
  response.setHeader("content-length", bytes.length);
  response.end(bytes);
}

/** 2: whole. */
function confirmAll(request: IncomingMessage, response: ServerResponse): void {
  let asked = 0;
  request.on("data", (chunk: Buffer) => (asked += chunk.length));
  request.on("end", () => response.end(Buffer.alloc(asked / 32, 2)));
}

function rangeOf(request: IncomingMessage, sizeBytes: number): { start: number; last: number } {
  const [, first = "", last = ""] = /^bytes=(\d*)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  const start = Math.min(Number(first), sizeBytes - 1);
  return { start, last: last === "" ? sizeBytes - 1 : Math.min(Number(last), sizeBytes - 1) };
}

function read({ path }: TrueFile, start: number, last: number): Buffer {
  const bytes = Buffer.alloc(last - start + 1);
  const fd = openSync(path, "r");
  readSync(fd, bytes, 0, bytes.length, start);
  closeSync(fd);
  return bytes;
}
