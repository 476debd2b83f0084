/** What daemons give each other, over real sockets: answers, bounds, slow readers, strangers. */
import assert from "node:assert/strict";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { afterEach, describe, it } from "mocha";
import { AptP2pError } from "../../src/base/errors.ts";
import { limits } from "../../src/base/limits.ts";
import type { Clock } from "../../src/base/ports.ts";
import { textAnswer } from "../../src/engine/headers.ts";
import { systemClock } from "../../src/io/system-clock.ts";
import { Access } from "../../src/proxy/access.ts";
import type { PeerService } from "../../src/proxy/peers.ts";
import { proxyServer } from "../../src/proxy/server.ts";
import { encodeHaveQuestion, parseHoldings, parseLoad } from "../../src/swarm/peer-wire.ts";
import {
  content,
  digestOf,
  pieceList,
  PeerWorld,
  type PeerWorldOptions,
} from "../kit/peer-world.ts";

const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing };
const piece = limits.pieceBytes;
const long = content(2 * piece + 1000);

/** apt is on 127.0.0.1, neighbours on 127.0.0.x below 100, all others are far. */
const aptAddress = "127.0.0.1";
const nearAddress = "127.0.0.2";
const farAddress = "127.0.0.100";

class TestAccess extends Access {
  override isClient({ remoteAddress }: { readonly remoteAddress: string }): boolean {
    return remoteAddress === aptAddress;
  }
}

/** What takes 20 s for people takes 200 ms here. */
const hurried: Clock = {
  monotonicMs: () => systemClock.monotonicMs(),
  wallMs: () => systemClock.wallMs(),
  after: (delayMs, action) => systemClock.after(delayMs / 100, action),
};

interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

describe("peers over HTTP", () => {
  let server: http.Server | undefined;
  const agent = new http.Agent({ keepAlive: true });

  afterEach(() => {
    agent.destroy();
    server?.closeAllConnections();
    server?.close();
  });

  async function serve(
    options: PeerWorldOptions & {
      readonly clock?: Clock;
      readonly maxConnections?: number;
      readonly service?: "none" | PeerService;
    } = {},
  ): Promise<{ world: PeerWorld; port: number }> {
    const { clock = systemClock, maxConnections = 100, service } = options;
    const isNear = (address: string): boolean => Number(address.split(".")[3]) < 100;
    const world = new PeerWorld(clock, { isNear, ...options });
    server = proxyServer(
      {
        engine: { answer: () => Promise.resolve(textAnswer(200, "for apt")) },
        access: new TestAccess({ allow: [], hosts: ["apt.lab.example"] }),
        dial: () => Promise.reject(new AptP2pError("FORBIDDEN", "no tunnels here")),
        ...{ clock, counters: world.counters, log: silent },
        page: () => Promise.resolve("the page"),
        peers: service === "none" ? undefined : (service ?? world.answers),
      },
      { maxConnections, logRequests: () => false },
    );
    return { world, port: await listening(server) };
  }

  function ask(
    port: number,
    path: string,
    { from = nearAddress, ...options }: http.RequestOptions & { from?: string; body?: Buffer } = {},
  ): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const settings = { host: "127.0.0.1", port, path, localAddress: from, agent, ...options };
      const request = http.request(settings, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const { statusCode: status = 0, headers } = response;
          resolve({ status, headers, body: Buffer.concat(chunks) });
        });
      });
      request.on("error", reject);
      request.end(options.body);
    });
  }

  it("gives files, ranges, lists, news and filters", async () => {
    const { world, port } = await serve();
    const sha256 = world.add(long);
    const url = `/~/sha256/${sha256}`;
    for (const from of [nearAddress, farAddress]) {
      const whole = await ask(port, url, { from });
      assert.equal(whole.status, 200);
      assert.ok(whole.body.equals(long));
      const headers = { range: `bytes=${piece}-${2 * piece - 1}` };
      const part = await ask(port, url, { from, headers });
      assert.equal(part.status, 206);
      assert.equal(part.headers["content-range"], `bytes ${piece}-${2 * piece - 1}/${long.length}`);
      assert.equal(part.headers["apt-p2p-pieces"], digestOf(long.subarray(piece, 2 * piece)));
      assert.ok(part.body.equals(long.subarray(piece, 2 * piece)));
      const list = await ask(port, `${url}/pieces`, { from });
      assert.ok(list.body.equals(pieceList(long)));
      assert.equal((await ask(port, `${url}/swarm`, { from })).status, 200);
    }
    const beyond = await ask(port, url, { headers: { range: "bytes=9999999-" } });
    assert.equal(beyond.status, 416);
    const head = await ask(port, url, { method: "HEAD" });
    assert.deepEqual([head.status, head.headers["content-length"]], [200, `${long.length}`]);
    const missing = await ask(port, `/~/sha256/${"0".repeat(64)}`);
    assert.equal(missing.status, 404);
    assert.equal(parseLoad(missing.headers["apt-p2p-load"] as string)?.slots, 8);
    assert.equal((await ask(port, "/~/filter")).status, 200);
    assert.equal((await ask(port, "/~/filter", { from: farAddress })).status, 403);
    assert.equal(world.counters.get("peers.bytes.uploaded.far"), long.length + piece);
    assert.equal(world.open, 0);
  });

  it("is busy, not silent, when there is no slot", async () => {
    const { world, port } = await serve({ limits: { slots: 1, slotsPerPeer: 1, queue: 0 } });
    const url = `/~/sha256/${world.add(Buffer.alloc(32 * piece, "y"))}`;
    const reader = await idle(port, nearAddress, get(url));
    const refused = await ask(port, url, { from: "127.0.0.3" });
    assert.deepEqual([refused.status, refused.headers["retry-after"]], [503, "1"]);
    reader.destroy();
    await until(() => world.gate.load().active === 0);
    assert.equal(world.open, 0);
  });

  it("cuts readers that take nothing, and has their slots back", async () => {
    const { world, port } = await serve({ clock: hurried, limits: { farRate: Infinity } });
    const url = `/~/sha256/${world.add(Buffer.alloc(32 * piece, "y"))}`;
    const readers = await Promise.all([1, 2].map(() => idle(port, farAddress, get(url))));
    assert.equal(world.gate.load().active, 2);
    await until(() => world.counters.get("peers.stalled") === 2);
    await until(() => world.gate.load().active === 0);
    assert.equal(world.counters.get("peers.cut"), 2);
    assert.equal(world.open, 0);
    for (const reader of readers) reader.destroy();
  });

  it("keeps the rate to far peers on the wire", async () => {
    const farRate = 2_000_000;
    const { world, port } = await serve({ limits: { farRate } });
    const url = `/~/sha256/${world.add(long)}`;
    const startMs = performance.now();
    const replies = await Promise.all([1, 2].map(() => ask(port, url, { from: farAddress })));
    const seconds = (performance.now() - startMs) / 1000;
    assert.ok(replies.every(({ body }) => body.equals(long)));
    const rate = (2 * long.length) / seconds;
    assert.ok(rate < 1.2 * farRate && rate > farRate / 3, `${Math.round(rate)} bytes/s`);
  });

  it("answers no web page and no foreign name, and addresses whatever they are", async () => {
    const { world, port } = await serve();
    const url = `/~/sha256/${world.add(long)}`;
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await ask(port, url, { method: "HEAD", headers })).status;
    for (const host of ["203.0.113.9:9977", "[2001:db8::1]:9977", "localhost", "apt.lab.example"]) {
      assert.equal(await status({ host }), 200, host);
    }
    assert.equal(await status({ host: "evil.example" }), 421);
    for (const name of ["origin", "referer", "sec-fetch-site", "sec-fetch-mode"]) {
      assert.equal(await status({ [name]: "x" }), 403, name);
    }
    assert.equal(world.counters.get("peers.refused.403"), 4);
    assert.equal(world.counters.get("peers.refused.421"), 1);
  });

  it("gives strangers nothing else", async () => {
    const { port } = await serve();
    const headers = { host: "mirror.example" };
    const foreign = "http://mirror.example/debian/x";
    assert.equal((await ask(port, foreign, { from: aptAddress, headers })).status, 200);
    for (const from of [nearAddress, farAddress]) {
      assert.equal((await ask(port, foreign, { from, headers })).status, 403);
      assert.equal((await ask(port, "/", { from })).status, 403);
      const own = `http://127.0.0.1:${port}/~/filter`;
      assert.equal((await ask(port, own, { from })).status, 403);
    }
  });

  it("gives nothing where there is nothing to give", async () => {
    const { world, port } = await serve({ service: "none" });
    const url = `/~/sha256/${world.add(long)}`;
    assert.equal((await ask(port, url)).status, 404);
    assert.equal((await ask(port, "/~/filter")).status, 404);
  });

  it("reads questions within bounds", async () => {
    const { world, port } = await serve({ clock: hurried });
    const sha256 = world.add(long);
    const post = (body: Buffer, headers: http.OutgoingHttpHeaders = {}): Promise<Reply> =>
      ask(port, "/~/have", { method: "POST", headers, body });
    const question = encodeHaveQuestion([sha256, digestOf(Buffer.alloc(0))]);
    for (const headers of [{}, { "transfer-encoding": "chunked" }]) {
      const { body } = await post(question, headers);
      assert.deepEqual(
        parseHoldings(body, 2)?.map(({ have }) => have),
        ["whole", "no"],
      );
    }
    const long16 = Buffer.alloc(limits.pieceBytes);
    const tooLong = await closed(port, `${head("POST", "/~/have")}content-length: 9999999\r\n\r\n`);
    assert.match(tooLong, /^HTTP\/1\.1 413[\s\S]*connection: close/i);
    const chunk = `${head("POST", "/~/have")}transfer-encoding: chunked\r\n\r\n80000\r\n`;
    assert.match(await closed(port, chunk + long16.toString("latin1")), /^HTTP\/1\.1 413/);
    // What never comes is not waited for.
    const never = `${head("POST", "/~/have")}content-length: 64\r\n\r\nhalf`;
    assert.match(await closed(port, never), /^HTTP\/1\.1 413/);
  });

  it("lets a request that waits behind another hold no slot", async () => {
    const { world, port } = await serve();
    const bytes = content(long.length, 2);
    const download = world.download(long, [0]);
    const url = `/~/sha256/${digestOf(long)}/swarm?seen=1&wait=9000`;
    const file = `/~/sha256/${world.add(bytes)}`;
    const socket = net.connect({ port, host: "127.0.0.1", localAddress: nearAddress });
    let read = 0;
    socket.on("data", (chunk: Buffer) => (read += chunk.length));
    socket.write(get(url) + get(file));
    await until(() => download.listeners.size === 1);
    await until(() => world.counters.get("peers.requests") === 2);
    assert.equal(world.gate.load().active, 0);
    download.gain(1);
    await until(() => read > bytes.length);
    socket.destroy();
  });

  it("ends the connection of a body that breaks, whether its head was sent or not", async () => {
    const { world, port } = await serve();
    const download = world.download(long, [0]);
    download.gone = true;
    const url = `/~/sha256/${digestOf(long)}`;
    const reply = await closed(port, `${head("GET", url)}range: bytes=0-9\r\n\r\n`);
    assert.equal(reply, "");
    await until(() => world.counters.get("peers.cut") === 1);
  });

  it("keeps half of the connections for apt, whatever strangers do", async () => {
    const { world, port } = await serve({ maxConnections: 8 });
    world.download(long, [0]);
    const held = get(`/~/sha256/${digestOf(long)}/swarm?seen=1&wait=9000`);
    const hosts = [100, 101, 102, 103];
    const strangers = await Promise.all(hosts.map((host) => idle(port, `127.0.0.${host}`, held)));
    await until(() => world.counters.get("peers.requests") === 4);
    assert.equal(await closed(port, held, "127.0.0.104"), "");
    assert.equal(world.counters.get("proxy.refused.connections"), 1);
    const headers = { host: "mirror.example" };
    const reply = await ask(port, "http://mirror.example/x", { from: aptAddress, headers });
    assert.equal(reply.status, 200);
    for (const socket of strangers) socket.destroy();
  });

  it("gives the place of a stranger that asks nothing to the next one", async () => {
    const { world, port } = await serve({ maxConnections: 8 });
    const url = `/~/sha256/${world.add(long)}`;
    const silentOnes = await Promise.all(
      [100, 101, 102, 103].map((host) => idle(port, `127.0.0.${host}`, "")),
    );
    const ended = new Promise((resolve) => silentOnes[0]?.once("close", resolve).resume());
    assert.equal((await ask(port, url, { from: "127.0.0.104" })).status, 200);
    await ended;
    assert.deepEqual(
      silentOnes.map(({ destroyed }) => destroyed),
      [true, false, false, false],
    );
    for (const socket of silentOnes) socket.destroy();
  });

  it("lets a machine have so many connections, and requests waiting on one of them", async () => {
    const { world, port } = await serve({ maxConnections: 1000 });
    const many = limits.connectionsPerStranger;
    const sockets = await Promise.all(
      Array.from({ length: many }, () => idle(port, farAddress, "")),
    );
    await settled(port, nearAddress);
    assert.equal(await closed(port, get("/~/filter"), farAddress), "");
    assert.equal(world.counters.get("proxy.refused.connections"), 1);
    world.download(long, [0]);
    const held = get(`/~/sha256/${digestOf(long)}/swarm?seen=1&wait=9000`);
    const tooMany = limits.pipelinedAtOnce + limits.pipelinedStrangers + 1;
    assert.equal(await closed(port, held.repeat(tooMany), nearAddress), "");
    for (const socket of sockets) socket.destroy();
  });
});

function head(method: string, path: string): string {
  return `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n`;
}

function get(path: string): string {
  return `${head("GET", path)}\r\n`;
}

function listening(server: net.Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

/** Sends, and reads nothing; resolves when the other side has had the time to do something. */
async function idle(port: number, from: string, request: string): Promise<net.Socket> {
  const socket = net.connect({ port, host: "127.0.0.1", localAddress: from });
  socket.on("error", nothing);
  socket.pause();
  socket.write(request);
  await new Promise((resolve) => socket.once("connect", resolve));
  await new Promise((resolve) => setTimeout(resolve, 50));
  return socket;
}

/** A connection made and answered: all earlier ones are known to the server by now. */
async function settled(port: number, from: string): Promise<void> {
  assert.match(await closed(port, `${head("GET", "/~/x")}connection: close\r\n\r\n`, from), /404/);
}

/** Sends, and reads until the other side closes. */
function closed(port: number, request: string, from = nearAddress): Promise<string> {
  return new Promise((resolve) => {
    let all = "";
    const socket = net.connect({ port, host: "127.0.0.1", localAddress: from });
    socket.write(request, "latin1");
    socket.on("error", nothing);
    socket.on("close", () => resolve(all));
    socket.on("data", (chunk: Buffer) => (all += chunk.toString("latin1")));
  });
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

function nothing(): void {
  // Nothing.
}
