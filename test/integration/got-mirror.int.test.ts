import assert from "node:assert/strict";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "mocha";
import { AptP2pError } from "../../src/base/errors.ts";
import { MiB } from "../../src/base/units.ts";
import { GotMirror, type GotMirrorSettings } from "../../src/io/got-mirror.ts";

const settings: GotMirrorSettings = {
  connectTimeoutMs: 2000,
  responseTimeoutMs: 300,
  stallTimeoutMs: 300,
  connectionsPerHost: 4,
  allowed: (host, address) => host !== "forbidden.example" && address !== "127.0.0.9",
  isGlobal: (address) => !address.startsWith("127."),
  via: "1.1 test",
  userAgent: "apt-p2p/test",
};

const big = Buffer.alloc(3 * MiB, "apt-p2p ");

type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void;

const routes: Record<string, Handler> = {
  "/big": (_request, response) => response.end(big),
  "/echo": (request, response) =>
    response.end(JSON.stringify({ url: request.url, ...request.headers })),
  "/gzip": (_request, response) => {
    response.setHeader("content-encoding", "gzip");
    response.end("not gzip at all");
  },
  "/cut": (_request, response) => {
    response.writeHead(200, { "content-length": big.length });
    response.write(big.subarray(0, MiB), () => response.destroy());
  },
  "/stall": (_request, response) => {
    response.writeHead(200, { "content-length": 10 });
    response.write("12345");
  },
  "/silent": () => undefined,
  "/hang-up": (request) => request.socket.destroy(),
  "/hang-up-once": (request, response) => {
    hangUps += 1;
    if (hangUps === 1) request.socket.destroy();
    else response.end("here");
  },
  "/upgrade": (request) => {
    request.socket.write("HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
  },
  "/unchanged": (_request, response) => response.writeHead(304).end(),
  "/to-echo": (_request, response) => response.writeHead(302, { location: "/echo" }).end(),
  "/to-forbidden": (_request, response) =>
    response.writeHead(302, { location: "http://127.0.0.9/x" }).end(),
  "/to-file": (_request, response) => response.writeHead(302, { location: "file:///x" }).end(),
  "/round": (_request, response) => response.writeHead(302, { location: "/round" }).end(),
};

let hangUps = 0;

async function bodyOf(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

function code(expected: string, text: RegExp) {
  return (error: unknown) =>
    error instanceof AptP2pError && error.code === expected && text.test(error.message);
}

describe("GotMirror", () => {
  let server: http.Server;
  let base: string;
  let connections = 0;
  const mirror = new GotMirror(settings);
  const quiet = () => new AbortController().signal;
  const get = (path: string, headers: Record<string, string> = {}, signal = quiet()) =>
    mirror.fetch({ method: "GET", url: base + path, headers, urgent: false }, signal);

  before((done) => {
    server = http.createServer((request, response) => {
      const handler = routes[(request.url ?? "").split("?")[0] ?? ""];
      if (handler === undefined) response.writeHead(404).end("none");
      else handler(request, response);
    });
    server.on("connection", () => (connections += 1));
    server.listen(0, "127.0.0.1", () => {
      base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      done();
    });
  });

  after(() => {
    mirror.close();
    server.closeAllConnections();
    server.close();
  });

  it("gives status, headers and every byte", async () => {
    const response = await get("/big");
    assert.equal(response.status, 200);
    assert.equal(response.headers["content-length"], String(big.length));
    assert.equal(response.global, false);
    assert.ok((await bodyOf(response.body)).equals(big));
  });

  it("sends the path byte for byte, our name and Via", async () => {
    const text = await bodyOf((await get("/echo?a=%2b~:", { "x-test": "1" })).body);
    const seen = JSON.parse(text.toString()) as Record<string, string>;
    assert.equal(seen["url"], "/echo?a=%2b~:");
    assert.equal(seen["user-agent"], "apt-p2p/test");
    assert.equal(seen["via"], "1.1 test");
    assert.equal(seen["x-test"], "1");
    assert.equal(seen["accept-encoding"], undefined);
  });

  it("uses one connection for one request after another", async () => {
    await bodyOf((await get("/echo")).body);
    const before = connections;
    for (let round = 0; round < 10; round += 1) await bodyOf((await get("/echo")).body);
    assert.equal(connections, before);
  });

  it("leaves bodies as they are, whatever their coding claims", async () => {
    const response = await get("/gzip");
    assert.equal(response.headers["content-encoding"], "gzip");
    assert.equal((await bodyOf(response.body)).toString(), "not gzip at all");
  });

  it("passes error statuses on as answers", async () => {
    const response = await get("/none");
    assert.equal(response.status, 404);
    assert.equal((await bodyOf(response.body)).toString(), "none");
  });

  it("takes an answer without a body, which has given its connection back", async () => {
    for (let round = 0; round < 3; round += 1) {
      const response = await get("/unchanged");
      assert.equal(response.status, 304);
      assert.equal((await bodyOf(response.body)).length, 0);
    }
  });

  it("takes a change of protocol as the mirror's failure", async () => {
    await assert.rejects(get("/upgrade"), code("UPSTREAM", /change the protocol/));
  });

  it("follows redirects, but only to addresses and schemes that are allowed", async () => {
    const seen = JSON.parse((await bodyOf((await get("/to-echo")).body)).toString()) as object;
    assert.equal((seen as { url: string }).url, "/echo");
    await assert.rejects(get("/to-forbidden"), code("FORBIDDEN", /127\.0\.0\.9/));
    await assert.rejects(get("/to-file"), code("FORBIDDEN", /file:/));
    await assert.rejects(get("/round"), code("FORBIDDEN", /redirects/));
  });

  it("reports a body that is cut short or stalls as the mirror's failure", async () => {
    await assert.rejects(bodyOf((await get("/cut")).body), code("UPSTREAM", /mirror/));
    await assert.rejects(bodyOf((await get("/stall")).body), code("UPSTREAM", /nothing for/));
  });

  it("gives up on a mirror that accepts and never answers", async () => {
    await assert.rejects(get("/silent"), code("UPSTREAM", /no answer in time/));
  });

  it("asks once more when a connection ends before any answer, but not for ever", async () => {
    assert.equal((await bodyOf((await get("/hang-up-once")).body)).toString(), "here");
    assert.equal(hangUps, 2);
    await assert.rejects(get("/hang-up"), code("UPSTREAM", /closed by the mirror/));
  });

  it("says in words why there is no connection", async () => {
    const fetch = (url: string) =>
      mirror.fetch({ method: "GET", url, headers: {}, urgent: false }, quiet());
    await assert.rejects(fetch("http://127.0.0.1:1/"), code("UPSTREAM", /connection refused/));
    await assert.rejects(fetch("http://no.invalid/"), code("UPSTREAM", /no.invalid/));
    await assert.rejects(fetch("http://127.0.0.9/"), code("FORBIDDEN", /allow_upstreams/));
  });

  it("ends when the caller aborts, before the head and within the body", async () => {
    const early = new AbortController();
    const waiting = get("/silent", {}, early.signal);
    early.abort();
    await assert.rejects(waiting, code("CLOSED", /cancelled/));
    const late = new AbortController();
    const response = await get("/stall", {}, late.signal);
    const reading = bodyOf(response.body);
    late.abort();
    await assert.rejects(reading);
  });
});
