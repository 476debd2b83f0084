import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, before, describe, it } from "mocha";
import { parseEndpoint, type Endpoint } from "../../src/base/endpoint.ts";
import { AptP2pError } from "../../src/base/errors.ts";
import type { Sha256 } from "../../src/base/sha256.ts";
import { KiB, MiB } from "../../src/base/units.ts";
import { askForList, askForPieces, askForState } from "../../src/engine/peer-requests.ts";
import { discardBody, readAll, type PieceEvents } from "../../src/engine/peer-requests.ts";
import type { PeerHttpRequest, PeerHttpResponse } from "../../src/engine/ports.ts";
import { GotPeers } from "../../src/io/got-peers.ts";
import { nodeHashes } from "../../src/io/node-hashes.ts";
import { encodeSwarm } from "../../src/swarm/peer-wire.ts";
import { PieceMap } from "../../src/swarm/piece-map.ts";
import { shapeOf } from "../../src/swarm/shape.ts";
import { answer, HostileMirror as HostilePeer, pour, type Script } from "./hostile-mirror.ts";

const sha256 = "ab".repeat(32) as Sha256;
const file = Buffer.alloc(700 * KiB, "apt-p2p ");
const shape = shapeOf(file.length);
const filePath = `/~/sha256/${sha256}`;
const quiet = (): AbortSignal => new AbortController().signal;

function code(expected: string, text: RegExp) {
  return (error: unknown) =>
    error instanceof AptP2pError && error.code === expected && text.test(error.message);
}

function endpointOf(peer: HostilePeer): Endpoint {
  const endpoint = parseEndpoint(peer.authority);
  assert.ok(endpoint !== undefined);
  return endpoint;
}

/** Waits until it is so; the test's own time-out ends that. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe("GotPeers", () => {
  let peer: HostilePeer;
  let to: Endpoint;
  const peers = new GotPeers({
    ...{ tcpPort: () => 9977, userAgent: "apt-p2p/test", connections: 12 },
    mayDial: ({ port }) => port !== 9,
  });

  before(async () => {
    peer = await HostilePeer.start();
    to = endpointOf(peer);
  });

  after(async () => {
    peers.close();
    await peer.close();
  });

  const send = (
    path: string,
    more: Partial<PeerHttpRequest> = {},
    signal = quiet(),
  ): Promise<PeerHttpResponse> =>
    peers.send({ to, near: true, method: "GET", path, headers: {}, ...more }, signal);

  const pieces = (
    script: Script,
    events: Partial<PieceEvents> = {},
    signal = quiet(),
    unsown = false,
  ) => {
    peer.script(filePath, script);
    const request = { source: to.text, piece: 0, count: 2, unsown };
    const target = { endpoint: to, near: true };
    return askForPieces(
      { peers, hashes: nodeHashes },
      { to: target, sha256, shape, request },
      {
        events: {
          offered: () => "go",
          received: () => undefined,
          whole: () => undefined,
          room: () => undefined,
          ...events,
        },
        signal,
      },
    );
  };

  const part = {
    "content-range": `bytes 0-${file.length - 1}/${file.length}`,
    "apt-p2p-load": "1 0 16",
  };

  it("sends what was asked for, says where it serves peers, and keeps its connection", async () => {
    peer.script("/~/echo", (asked, socket) =>
      socket.write(answer("200 OK", { "apt-p2p-load": "1 0 16" }, JSON.stringify(asked))),
    );
    const before = peer.connections;
    for (let round = 0; round < 5; round++) {
      const response = await send("/~/echo", { headers: { range: "bytes=0-9" } });
      assert.equal(response.status, 200);
      assert.equal(response.headers["apt-p2p-load"], "1 0 16");
      const seen = JSON.parse(String(await readAll(response, MiB))) as {
        path: string;
        headers: Record<string, string>;
      };
      assert.equal(seen.path, "/~/echo");
      assert.equal(seen.headers["range"], "bytes=0-9");
      assert.equal(seen.headers["apt-p2p-port"], "9977");
      assert.equal(seen.headers["user-agent"], "apt-p2p/test");
      assert.equal(seen.headers["accept-encoding"], undefined);
    }
    assert.equal(peer.connections, before + 1);
  });

  it("keeps its connection over answers that nobody wants to read, if they are short", async () => {
    const used = new Set<Socket>();
    const says = (path: string, bytes: Buffer): void =>
      peer.script(path, (_asked, socket) => {
        used.add(socket);
        socket.write(bytes);
      });
    says("/~/none", answer("404 Not Found", {}, "no\n"));
    says("/~/same", answer("304 Not Modified", { etag: '"x"', "content-length": "0" }));
    peer.script("/~/long", (_asked, socket) => {
      socket.write(answer("200 OK", { "content-length": `${64 * MiB}` }));
      pour(socket, Buffer.alloc(64 * KiB), 64 * MiB);
    });
    for (const path of ["/~/none", "/~/same", "/~/none", "/~/same", "/~/none"]) {
      discardBody(await send(path));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.equal(used.size, 1);
    const before = peer.connections;
    discardBody(await send("/~/long"));
    await until(() => peer.connections < before);
  });

  it("sends a question's body with its length", async () => {
    const question = Buffer.alloc(64, 7);
    // The script sees heads only: the body is what follows them on the connection.
    peer.script("/~/have", ({ method, headers }, socket) => {
      assert.equal(method, "POST");
      assert.equal(headers["content-length"], "64");
      socket.write(answer("200 OK", { connection: "close" }, Buffer.from([0, 2])));
      socket.end();
    });
    const response = await send("/~/have", { method: "POST", body: question });
    assert.deepEqual(await readAll(response, 2), Buffer.from([0, 2]));
  });

  it("dials nobody that it may not, and says in words why there is no connection", async () => {
    const other = (text: string) => send("/", { to: parseEndpoint(text) ?? to });
    await assert.rejects(other("127.0.0.1:9"), code("UPSTREAM", /is no peer/));
    await assert.rejects(other("127.0.0.1:1"), code("UPSTREAM", /connection refused/));
  });

  it("asks again only when a kept connection was closed before any answer", async () => {
    peer.script("/~/bye", ({ times }, socket) => {
      if (times === 1) socket.destroy();
      else socket.write(answer("200 OK", {}, "here"));
    });
    for (let round = 0; round < 2; round++) {
      assert.equal(String(await readAll(await send("/~/bye"), 10)), "here");
    }
    assert.equal(peer.timesAsked("/~/bye"), 3);
    const stranger = await HostilePeer.start();
    stranger.script("/~/bye", (_asked, socket) => socket.destroy());
    const dialled = send("/~/bye", { to: endpointOf(stranger) });
    await assert.rejects(dialled, code("UPSTREAM", /connection closed/));
    assert.equal(stranger.timesAsked("/~/bye"), 1);
    await stranger.close();
  });

  it("follows nothing and unpacks nothing", async () => {
    peer.script("/~/away", (_asked, socket) =>
      socket.write(answer("302 Found", { location: `http://${to.text}/~/elsewhere` })),
    );
    peer.script("/~/gzip", (_asked, socket) =>
      socket.write(answer("200 OK", { "content-encoding": "gzip" }, "no gzip at all")),
    );
    assert.equal((await send("/~/away")).status, 302);
    assert.equal(peer.timesAsked("/~/elsewhere"), 0);
    assert.equal(String(await readAll(await send("/~/gzip"), 100)), "no gzip at all");
  });

  it("ends at heads that are none", async () => {
    const heads: [string, string, RegExp][] = [
      ["/~/huge", `HTTP/1.1 200 OK\r\nx: ${"y".repeat(128 * KiB)}`, /Header overflow/i],
      ["/~/early", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", /interim/],
      ["/~/go-on", "HTTP/1.1 100 Continue\r\n\r\n", /interim/],
      ["/~/switch", "HTTP/1.1 101 X\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", /the protocol/],
      ["/~/ssh", "SSH-2.0-OpenSSH_9\r\n", /./],
      ["/~/two", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", /./],
    ];
    for (const [path, head, text] of heads) {
      peer.script(path, (_asked, socket) => socket.write(head));
      await assert.rejects(send(path), code("UPSTREAM", text), path);
    }
  });

  it("waits for a head as long as it was told to, also for one that trickles", async () => {
    peer.script("/~/silent", () => undefined);
    peer.script("/~/trickle", (_asked, socket) => {
      socket.write("HTTP/1.1 200 OK\r\nx: ");
      const timer = setInterval(() => socket.write("y"), 10);
      socket.once("close", () => clearInterval(timer));
    });
    for (const path of ["/~/silent", "/~/trickle"]) {
      const startMs = performance.now();
      await assert.rejects(send(path, { patienceMs: 150 }), code("UPSTREAM", /no answer in time/));
      const tookMs = performance.now() - startMs;
      assert.ok(tookMs > 140 && tookMs < 1000, `${path} took ${tookMs} ms`);
    }
  });

  it("ends when the caller aborts: before the head, in the queue, within the body", async () => {
    const early = new AbortController();
    const asked = Array.from({ length: 8 }, () => send("/~/silent", {}, early.signal));
    setTimeout(() => early.abort(), 50);
    for (const each of asked) await assert.rejects(each, code("CLOSED", /cancelled/));
    const late = new AbortController();
    peer.script("/~/half", (_asked, socket) =>
      socket.write(answer("200 OK", { "content-length": "10" }, "12345")),
    );
    const reading = readAll(await send("/~/half", {}, late.signal), 10);
    late.abort();
    await assert.rejects(reading, AptP2pError);
    assert.equal((await send("/~/none")).status, 404);
  });

  it("lets pieces pass questions whose answers are held back", async () => {
    const held = new AbortController();
    const waiting = Array.from({ length: 8 }, () =>
      send("/~/silent", { patienceMs: 15_000, news: true }, held.signal),
    );
    const before = performance.now();
    assert.equal((await send("/~/none")).status, 404);
    assert.ok(performance.now() - before < 500);
    held.abort();
    for (const each of waiting) await assert.rejects(each, code("CLOSED", /cancelled/));
  });

  it("lets idle connections make room, and refuses what is beyond all room", async () => {
    const others = await Promise.all(Array.from({ length: 14 }, () => HostilePeer.start()));
    try {
      for (const other of others) {
        other.script("/~/none", (_asked, socket) => socket.write(answer("404 None", {}, "none")));
        other.script("/~/silent", () => undefined);
        const startMs = performance.now();
        await readAll(await send("/~/none", { to: endpointOf(other) }), 10);
        assert.ok(performance.now() - startMs < 500, "it waited for an idle connection to end");
      }
      const open = (): number => others.reduce((sum, other) => sum + other.connections, 0);
      await until(() => open() <= 12);
      const aborts = others.map(() => new AbortController());
      const busy = others.map((other, index) =>
        send("/~/silent", { to: endpointOf(other) }, aborts[index]?.signal).catch(
          (error: unknown) => error,
        ),
      );
      await assert.rejects(send("/~/none"), code("UPSTREAM", /in use/));
      for (const abort of aborts) abort.abort();
      const ends = await Promise.all(busy);
      assert.equal(ends.filter(code("CLOSED", /cancelled/)).length, 12);
      assert.equal(ends.filter(code("UPSTREAM", /in use/)).length, 2);
      assert.equal((await send("/~/none")).status, 404);
    } finally {
      await Promise.all(others.map((other) => other.close()));
    }
  });

  it("takes pieces from an honest peer, each with its digest", async () => {
    const offers: unknown[] = [];
    const got: number[] = [];
    const failure = await pieces(
      (_asked, socket) => socket.write(answer("206 Partial", part, file)),
      {
        offered: (offer) => {
          offers.push(offer.load);
          return "go";
        },
        whole: ({ piece, digest, bytes }) => {
          assert.equal(digest, Buffer.from(nodeHashes.of(bytes)).toString("hex"));
          got.push(piece);
        },
      },
    );
    assert.equal(failure, undefined);
    assert.deepEqual(got, [0, 1]);
    assert.deepEqual(offers, [{ active: 1, queued: 0, slots: 16 }]);
  });

  it("mixes up no bytes of many connections, read at once, slowly, or not for a while", async () => {
    const bodies = Array.from({ length: 6 }, (_, index) => Buffer.alloc(2 * MiB, `body ${index} `));
    for (const [index, body] of bodies.entries()) {
      peer.script(`/~/body/${index}`, (_asked, socket) => socket.write(answer("200 OK", {}, body)));
    }
    const one = async (index: number): Promise<void> => {
      const response = await send(`/~/body/${index}`);
      const chunks: Buffer[] = [];
      if (index === 0) await new Promise((resolve) => setTimeout(resolve, 100));
      for await (const chunk of response.body) {
        chunks.push(chunk);
        if (index < 3) await new Promise((resolve) => setImmediate(resolve));
      }
      assert.ok(Buffer.concat(chunks).equals(bodies[index] ?? Buffer.of()), `body ${index}`);
    };
    await Promise.all([...bodies.keys()].map(one));
    await Promise.all([...bodies.keys()].map(one));
  });

  it("asks for more pieces of a body only when there is room", async () => {
    const seen: string[] = [];
    const failure = await pieces(
      (_asked, socket) => socket.write(answer("206 Partial", part, file)),
      {
        whole: ({ piece }) => seen.push(`piece ${piece}`),
        room: async () => {
          await new Promise((resolve) => setTimeout(resolve, 20));
          seen.push("room");
        },
      },
    );
    assert.equal(failure, undefined);
    assert.deepEqual(seen, ["piece 0", "room", "piece 1", "room"]);
  });

  it("names every other answer to a request for pieces for what it is", async () => {
    const range = (text: string) => ({ ...part, "content-range": text });
    const answers: [string, Record<string, string>, string][] = [
      ["200 OK", {}, "wrong"],
      ["302 Found", { location: "http://127.0.0.1/" }, "wrong"],
      ["206 Partial", { "content-encoding": "gzip", ...part }, "wrong"],
      ["206 Partial", range(`bytes 0-9/${file.length}`), "wrong"],
      ["206 Partial", range(`bytes 0-${file.length - 1}/*`), "wrong"],
      ["206 Partial", range("nonsense"), "wrong"],
      ["206 Partial", { ...part, "content-length": "10" }, "wrong"],
      ["404 Not Found", {}, "missing"],
      ["416 Range Not Satisfiable", {}, "missing"],
      ["503 Busy", { "retry-after": "1" }, "busy"],
      ["500 Broken", {}, "wrong"],
    ];
    for (const [status, headers, kind] of answers) {
      const whole: number[] = [];
      const failure = await pieces(
        (_asked, socket) => socket.write(answer(status, headers, file.subarray(0, 10))),
        { whole: ({ piece }) => whole.push(piece) },
      );
      assert.equal(failure?.kind, kind, `${status} ${JSON.stringify(headers)}`);
      assert.deepEqual(whole, []);
    }
  });

  it("keeps whole pieces of a body that is cut, and reads no more than it asked for", async () => {
    const whole: number[] = [];
    const cut: Script = (_asked, socket) => {
      socket.end(
        answer(
          "206 Partial",
          { ...part, "content-length": `${file.length}` },
          file.subarray(0, 600 * KiB),
        ),
      );
    };
    const broken = pieces(cut, { whole: ({ piece }) => whole.push(piece) });
    await assert.rejects(broken, code("UPSTREAM", /cut short|closed/));
    assert.deepEqual(whole, [0]);
    let received = 0;
    const endless: Script = (_asked, socket) => {
      const head = answer("206 Partial", { ...part, "transfer-encoding": "chunked" });
      socket.write(head);
      const chunk = Buffer.concat([
        Buffer.from("10000\r\n"),
        Buffer.alloc(64 * KiB),
        Buffer.from("\r\n"),
      ]);
      pour(socket, chunk, 64 * MiB);
    };
    const failure = await pieces(endless, { received: (bytes) => void (received += bytes) });
    assert.deepEqual(failure, { kind: "wrong", what: "more bytes than asked for" });
    assert.ok(received <= file.length, `${received} bytes`);
  });

  it("wants to be the first, and hears what others have got before", async () => {
    const wanted: (string | undefined)[] = [];
    const script: Script = ({ headers }, socket) => {
      wanted.push(headers["apt-p2p-unsown"]);
      socket.write(answer("409 Conflict", { "apt-p2p-sown": "QA", "content-length": "0" }));
    };
    const refused = await pieces(script, {}, quiet(), true);
    assert.ok(refused?.kind === "sown");
    assert.deepEqual([refused.sown?.has(0), refused.sown?.has(1)], [false, true]);
    // Who did not ask for that is refused in this way by no honest peer.
    assert.equal((await pieces(script))?.kind, "wrong");
    assert.deepEqual(wanted, ["1", undefined]);
  });

  it("reads lists and states up to their bounds only", async () => {
    const target = { to: { endpoint: to, near: true }, sha256 };
    const parts = { peers, hashes: nodeHashes };
    const list = () => askForList(parts, { ...target, pieces: 2 }, quiet());
    const state = () =>
      askForState(peers, { ...target, names: true, seen: undefined, waitMs: 0 }, quiet());
    const says = (path: string, script: Script) => peer.script(`${filePath}${path}`, script);
    const flood: Script = (_asked, socket) => {
      socket.write(answer("200 OK", { "content-length": `${64 * MiB}` }));
      pour(socket, Buffer.alloc(64 * KiB), 64 * MiB);
    };
    says("/pieces", (_asked, socket) => socket.write(answer("200 OK", {}, Buffer.alloc(64, 1))));
    const good = await list();
    assert.ok("list" in good && good.list.hashes.length === 2);
    says("/pieces", (_asked, socket) => socket.write(answer("200 OK", {}, Buffer.alloc(32, 1))));
    assert.deepEqual(await list(), {
      failure: { kind: "wrong", what: "a list of another length" },
    });
    for (const [path, ask] of [
      ["/pieces", list],
      ["/swarm", state],
    ] as const) {
      says(path, flood);
      const answered = await ask();
      assert.ok("failure" in answered && answered.failure.kind === "wrong", path);
    }
    const said = { sizeBytes: file.length, have: PieceMap.full(2), fetching: undefined, peers: [] };
    says("/swarm", (_asked, socket) =>
      socket.write(answer("200 OK", { "apt-p2p-load": "0 0 4" }, Buffer.from(encodeSwarm(said)))),
    );
    const answered = await state();
    assert.ok("state" in answered && answered.state.have.whole && answered.load?.slots === 4);
  });
});
