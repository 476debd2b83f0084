/** Clients as raw sockets: what they send is exactly what is written here. */
import { connect, type Socket } from "node:net";

export interface Reply {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** The body has the length that its head promised. */
  readonly whole: boolean;
  readonly milliseconds: number;
}

export class HostileClient {
  readonly socket: Socket;
  #received: Buffer[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(port: number) {
    this.socket = connect(port, "127.0.0.1");
    this.socket.on("data", (chunk: Buffer) => {
      this.#received.push(chunk);
      this.#wake?.();
    });
    this.socket.on("error", () => undefined);
    this.socket.on("close", () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  get received(): Buffer {
    if (this.#received.length > 1) this.#received = [Buffer.concat(this.#received)];
    return this.#received[0] ?? Buffer.alloc(0);
  }

  get receivedBytes(): number {
    return this.#received.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  get ended(): boolean {
    return this.#ended;
  }

  send(text: string): this {
    this.socket.write(text, "latin1");
    return this;
  }

  /** Resolves when `enough` says so or the connection has ended; rejects after `withinMs`. */
  async until(enough: (client: this) => boolean, withinMs = 10_000): Promise<this> {
    const deadline = performance.now() + withinMs;
    while (!enough(this) && !this.#ended) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0) {
        throw new Error(`nothing of the kind came in ${withinMs} ms: ${this.#excerpt()}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return this;
  }

  close(): void {
    this.socket.destroy();
  }

  #excerpt(): string {
    return JSON.stringify(this.received.subarray(0, 300).toString("latin1"));
  }
}

/** One request on a connection of its own. */
export async function ask(
  port: number,
  target: string,
  options: {
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly withinMs?: number;
  } = {},
): Promise<Reply> {
  const { method = "GET", headers = {}, withinMs } = options;
  const begun = performance.now();
  const client = new HostileClient(port);
  const lines = Object.entries({ host: "localhost", ...headers, connection: "close" });
  client.send(
    `${method} ${target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`,
  );
  try {
    await client.until(() => false, withinMs);
  } finally {
    client.close();
  }
  return { ...parseReply(client.received, method), milliseconds: performance.now() - begun };
}

export function parseReply(bytes: Buffer, method = "GET"): Omit<Reply, "milliseconds"> {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return { status: 0, headers: {}, body: Buffer.alloc(0), whole: false };
  const [first = "", ...lines] = bytes.subarray(0, end).toString("latin1").split("\r\n");
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const status = Number(first.split(" ")[1]);
  const rest = bytes.subarray(end + 4);
  if (method === "HEAD" || status === 304) return { status, headers, body: rest, whole: true };
  if (headers["transfer-encoding"] === "chunked") {
    const { body, whole } = dechunk(rest);
    return { status, headers, body, whole };
  }
  const length = headers["content-length"];
  const whole = length === undefined || rest.length === Number(length);
  return { status, headers, body: rest, whole };
}

function dechunk(bytes: Buffer): { body: Buffer; whole: boolean } {
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const line = bytes.indexOf("\r\n", at);
    if (line < 0) return { body: Buffer.concat(parts), whole: false };
    const length = Number.parseInt(bytes.subarray(at, line).toString("latin1"), 16);
    if (length === 0) return { body: Buffer.concat(parts), whole: true };
    parts.push(bytes.subarray(line + 2, line + 2 + length));
    at = line + 2 + length + 2;
  }
}
