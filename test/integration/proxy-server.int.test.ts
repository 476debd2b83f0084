/** The HTTP server with real sockets and a scripted engine: order, cuts, bounds, strangers. */
import assert from "node:assert/strict";
import type http from "node:http";
import net, { type AddressInfo } from "node:net";
import { afterEach, describe, it } from "mocha";
import { AptP2pError } from "../../src/base/errors.ts";
import { Counters } from "../../src/base/counters.ts";
import { limits } from "../../src/base/limits.ts";
import { BufferBody, type Body } from "../../src/engine/body.ts";
import { textAnswer } from "../../src/engine/headers.ts";
import type { Answer, ClientRequest } from "../../src/engine/types.ts";
import { systemClock } from "../../src/io/system-clock.ts";
import { Access } from "../../src/proxy/access.ts";
import { proxyServer } from "../../src/proxy/server.ts";

type Engine = (request: ClientRequest, signal: AbortSignal) => Promise<Answer>;

const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing };

describe("proxyServer()", () => {
  let server: http.Server | undefined;
  let counters = new Counters();

  afterEach(() => {
    server?.closeAllConnections();
    server?.close();
  });

  async function serve(answer: Engine, maxConnections = 10): Promise<number> {
    counters = new Counters();
    server = proxyServer(
      {
        engine: { answer },
        access: new Access({ allow: [], hosts: [] }),
        dial: (host, port) =>
          host === "far.example" && port === 443
            ? Promise.resolve(net.connect(farPort, "127.0.0.1"))
            : Promise.reject(new AptP2pError("FORBIDDEN", `${host} is on this machine`)),
        clock: systemClock,
        counters,
        log: silent,
        page: () => Promise.resolve("<!doctype html><title>apt-p2p</title>"),
      },
      { maxConnections, logRequests: () => false },
    );
    return listening(server);
  }

  let farPort = 0;

  it("answers pipelined requests in their order, whichever is ready first", async () => {
    const waiting: (() => void)[] = [];
    const port = await serve(async ({ target }) => {
      if (target.path !== "/9") await new Promise<void>((resolve) => waiting.push(resolve));
      else for (const go of waiting.reverse()) go();
      return text(target.path);
    });
    const paths = Array.from({ length: 10 }, (_, index) => `/${index}`);
    const reply = await talk(port, paths.map(get).join(""), (all) => all.includes("/9\n"));
    assert.deepEqual(reply.match(/^\/\d$/gm), paths);
  });

  it("works on a bounded number of one connection's requests at once", async () => {
    let running = 0;
    let most = 0;
    const port = await serve(async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return text("x");
    });
    const total = 100;
    const reply = await talk(port, get("/x").repeat(total), (all) => count(all, "200 ") === total);
    assert.equal(count(reply, "200 "), total);
    assert.ok(most <= limits.pipelinedAtOnce, `${most} at once`);
  });

  it("closes a connection that queues without end", async () => {
    const port = await serve(() => new Promise(nothing));
    const many = limits.pipelinedAtOnce + limits.pipelinedWaiting + 10;
    await closed(port, get("/x").repeat(many));
  });

  it("sends the answers ahead before it cuts the connection for a later one", async () => {
    const port = await serve(({ target }) =>
      Promise.resolve(
        target.path === "/cut"
          ? { ...text("never whole"), headers: { "content-length": "99" }, body: breaking("begun") }
          : { ...text("x"), headers: { "content-length": "300000" }, body: slow(300_000) },
      ),
    );
    const reply = await closed(port, get("/slow") + get("/cut"));
    const [head = "", ...rest] = reply.split("\r\n\r\n");
    assert.match(head, /^HTTP\/1\.1 200/);
    assert.ok(rest.join("").startsWith("y".repeat(300_000)));
    assert.match(reply, /begun$/);
    assert.equal(counters.get("proxy.cut"), 1);
  });

  it("survives a body that breaks while its first bytes are still on their way", async () => {
    const port = await serve(() =>
      Promise.resolve({
        ...text("x"),
        headers: { "content-length": "99999999" },
        body: breaking("z".repeat(8_000_000)),
      }),
    );
    const socket = net.connect(port, "127.0.0.1", () => socket.write(get("/x")));
    socket.pause();
    await until(() => counters.get("proxy.cut") === 1);
    socket.destroy();
  });

  it("turns a failure before the first byte into 502, and keeps the connection", async () => {
    const port = await serve(({ target }) =>
      Promise.resolve(target.path === "/x" ? { ...text("x"), body: breaking() } : text("next")),
    );
    const reply = await talk(port, get("/x") + get("/y"), (all) => all.includes("next\n"));
    assert.match(reply, /^HTTP\/1\.1 502 [\s\S]*mirror went away[\s\S]*HTTP\/1\.1 200/);
  });

  it("tells the engine when the client leaves", async () => {
    let left = false;
    const port = await serve(
      (_request, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            left = true;
            reject(new AptP2pError("CLOSED", "gone"));
          });
        }),
    );
    const socket = net.connect(port, "127.0.0.1");
    socket.write(get("/x"));
    await until(() => counters.get("proxy.requests") === 1);
    socket.destroy();
    await until(() => left);
  });

  it("lets go of every answer that waits in line when the client dies", async () => {
    const closed: string[] = [];
    const port = await serve(({ target }) =>
      target.path === "/0"
        ? Promise.resolve({ ...text("x"), headers: { "content-length": "9" }, body: never() })
        : Promise.resolve({
            ...text("x"),
            body: { ...breaking("part"), close: () => void closed.push(target.path) },
          }),
    );
    const paths = Array.from({ length: 10 }, (_, index) => `/${index}`);
    const socket = net.connect(port, "127.0.0.1", () => socket.write(paths.map(get).join("")));
    await until(() => counters.get("proxy.requests") === 10);
    socket.destroy();
    await until(() => closed.length === 9);
  });

  it("closes tunnels with its connections", async () => {
    const far = net.createServer(nothing);
    farPort = await listening(far);
    const port = await serve(() => Promise.resolve(text("x")));
    const near = net.connect(port, "127.0.0.1");
    near.on("error", nothing);
    near.write("CONNECT far.example:443 HTTP/1.1\r\nHost: far.example\r\n\r\n");
    await until(() => counters.get("proxy.tunnel.opened") === 1);
    const over = new Promise((resolve) => server?.close(resolve));
    server?.closeAllConnections();
    await over;
    far.close();
  });

  it("understands a request that names itself, as a proxied prefix source does", async () => {
    const port = await serve(({ target, prefixed }) =>
      Promise.resolve(text(`${target.authority} ${prefixed}`)),
    );
    const request = `GET http://localhost:${port}/m.example/x HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    const reply = await talk(port, request, (all) => all.includes("true"));
    assert.match(reply, /m\.example true/);
  });

  it("takes GET and HEAD without a body, in bounds", async () => {
    const port = await serve(() => Promise.resolve(text("x")));
    const host = "Host: localhost\r\n";
    const status = async (request: string): Promise<string> =>
      /^HTTP\/1\.1 (\d+)/.exec(await talk(port, request, (all) => all.includes("\r\n\r\n")))?.[1] ??
      "";
    assert.equal(await status(get("/m.example/x")), "200");
    assert.equal(await status(`POST /m.example/x HTTP/1.1\r\n${host}\r\n`), "405");
    const body = "Content-Length: 5\r\n\r\nhello";
    assert.equal(await status(`GET /m.example/x HTTP/1.1\r\n${host}${body}`), "413");
    const long = `/m.example/${"x".repeat(limits.requestUrlBytes)}`;
    assert.equal(await status(get(long)), "414");
    assert.equal(await status(get(`/m.example/${"x".repeat(20_000)}`)), "431");
    assert.equal(await status("GET / HTTP/1.1\r\n\r\n"), "400");
    assert.equal(await status("nonsense\r\n\r\n"), "400");
    assert.equal(await status(`GET /-/ HTTP/1.1\r\n${host}\r\n`), "400");
    assert.equal(await status("GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n"), "421");
    assert.equal(await status(`GET /m/x HTTP/1.1\r\n${host}Origin: http://x\r\n\r\n`), "403");
  });

  it("shows a browser the status page, and nothing else", async () => {
    const port = await serve(() => Promise.resolve(text("x")));
    const page = await talk(
      port,
      "GET / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Mode: navigate\r\n\r\n",
      (all) => all.includes("</title>"),
    );
    assert.match(page, /content-security-policy: default-src 'none'/i);
  });

  it("tunnels to port 443 of allowed hosts only", async () => {
    const far = net.createServer((socket) => socket.end("far end"));
    farPort = await listening(far);
    const port = await serve(() => Promise.resolve(text("x")));
    const connect = (target: string): Promise<string> =>
      closed(port, `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`);
    assert.match(await connect("far.example:443"), /^HTTP\/1\.1 200 [\s\S]*far end$/);
    assert.match(await connect("far.example:25"), /^HTTP\/1\.1 403 .*443/);
    assert.match(await connect("near.example:443"), /^HTTP\/1\.1 403 .*this machine/);
    far.close();
    assert.equal(counters.get("proxy.tunnel.opened"), 1);
    assert.equal(counters.get("proxy.tunnel.refused"), 1);
    assert.equal(counters.get("proxy.tunnel.failed"), 1);
  });

  it("drops connections beyond the limit", async () => {
    const port = await serve(() => new Promise(nothing), 3);
    const sockets = Array.from({ length: 3 }, () => net.connect(port, "127.0.0.1"));
    await until(() => sockets.every((socket) => !socket.connecting));
    for (const socket of sockets) socket.write(get("/x"));
    await until(() => counters.get("proxy.requests") === 3);
    assert.equal(await closed(port, get("/x")), "");
    for (const socket of sockets) socket.destroy();
  });
});

function text(body: string): Answer {
  return { ...textAnswer(200, body), reason: "OK" };
}

/** A body that breaks after these bytes. */
function breaking(...parts: string[]): Body {
  return {
    next: () => {
      const part = parts.shift();
      if (part !== undefined) return Promise.resolve(Buffer.from(part));
      return Promise.reject(new AptP2pError("UPSTREAM", "the mirror went away"));
    },
    close: nothing,
  };
}

/** A body that never comes. */
function never(): Body {
  return { next: () => new Promise(nothing), close: nothing };
}

/** `bytes` times y, in small chunks over many turns. */
function slow(bytes: number): Body {
  let left = bytes;
  return {
    next: async () => {
      await new Promise((resolve) => setImmediate(resolve));
      const size = Math.min(left, 10_000);
      left -= size;
      return size === 0 ? undefined : new BufferBody(Buffer.alloc(size, "y")).next();
    },
    close: nothing,
  };
}

function get(path: string): string {
  return `GET ${path.startsWith("/m.") ? path : `http://m.example${path}`} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
}

function count(all: string, part: string): number {
  return all.split(part).length - 1;
}

function listening(server: net.Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

/** Sends, and reads until `enough`; then leaves. */
function talk(port: number, request: string, enough: (all: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    let all = "";
    const socket = net.connect(port, "127.0.0.1", () => socket.write(request));
    socket.on("error", reject);
    socket.on("close", () => resolve(all));
    socket.on("data", (chunk: Buffer) => {
      all += chunk.toString();
      if (enough(all)) socket.destroy();
    });
  });
}

/** Sends, and reads until the other side closes. */
function closed(port: number, request: string): Promise<string> {
  return new Promise((resolve) => {
    let all = "";
    const socket = net.connect(port, "127.0.0.1", () => socket.write(request));
    socket.on("error", nothing);
    socket.on("close", () => resolve(all));
    socket.on("data", (chunk: Buffer) => (all += chunk.toString()));
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

function nothing(): void {
  // Nothing.
}
