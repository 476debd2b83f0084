/** Dial-backs to real listeners, to nobody, and to a listener that never accepts. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, Socket, type AddressInfo, type Server } from "node:net";
import { afterEach, describe, it } from "mocha";
import { Counters } from "../../src/base/counters.ts";
import { endpoint, type Endpoint } from "../../src/base/endpoint.ts";
import { tcpDialBack } from "../../src/io/dial-back.ts";
import { resolveBootstrap } from "../../src/io/resolve-bootstrap.ts";

describe("tcpDialBack()", () => {
  const servers: Server[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      await new Promise<void>((resolve) => server.close(() => resolve()));
    }
  });

  async function listener(address: string, serve: (socket: Socket) => void): Promise<Endpoint> {
    const server = createServer(serve);
    servers.push(server);
    server.listen(0, address);
    await once(server, "listening");
    return endpoint(address, (server.address() as AddressInfo).port);
  }

  it("reaches whoever listens, says nothing and hangs up", async () => {
    const counters = new Counters();
    for (const address of ["127.0.0.1", "::1"]) {
      const ended = new Promise<number>((resolve, reject) => {
        listener(address, (socket) => {
          let read = 0;
          socket.on("data", (chunk) => (read += chunk.length));
          socket.on("error", () => undefined);
          socket.once("close", () => resolve(read));
          socket.write("SSH-2.0-hello\r\n");
        }).then((to) => {
          let calls = 0;
          tcpDialBack({ counters }).dial(to, (reached) => {
            calls += 1;
            if (!reached || calls > 1) reject(new Error(`${reached}, ${calls} times`));
          });
        }, reject);
      });
      assert.equal(await ended, 0);
    }
    assert.equal(counters.get("io.dialBack.reached"), 2);
  });

  it("tells that nobody listens", async () => {
    const counters = new Counters();
    const to = await listener("127.0.0.1", () => undefined);
    await new Promise<void>((resolve) => servers.pop()?.close(() => resolve()));
    const dialBack = tcpDialBack({ counters });
    for (const where of [to, endpoint("fe80::1", 9)]) {
      const reached = await new Promise((resolve) => dialBack.dial(where, resolve));
      assert.equal(reached, false, where.text);
    }
    assert.equal(counters.get("io.dialBack.failed"), 2);
  });

  it("waits no longer than it was told to, and calls back once", async () => {
    const counters = new Counters();
    const socket = new Socket();
    const dialBack = tcpDialBack({ counters, timeoutMs: 20, connect: () => socket });
    const results: boolean[] = [];
    await new Promise<void>((resolve) => {
      dialBack.dial(endpoint("198.51.100.1", 9), (reached) => {
        results.push(reached);
        resolve();
      });
    });
    assert.ok(socket.destroyed);
    socket.emit("connect");
    socket.emit("error", new Error("too late"));
    assert.deepEqual(results, [false]);
    assert.equal(counters.get("io.dialBack.failed"), 1);
  });
});

describe("resolveBootstrap()", () => {
  const lines: string[] = [];
  const log = {
    debug: () => undefined,
    info: () => undefined,
    warn: (event: string) => void lines.push(event),
    error: () => undefined,
  };

  it("takes literals without asking, and asks the system for names", async () => {
    const counters = new Counters();
    const found = await resolveBootstrap(
      [
        { host: "192.0.2.1", port: 9977 },
        { host: "2001:db8::1", port: 53 },
        { host: "localhost", port: 7 },
      ],
      { log, counters },
    );
    const texts = found.map(({ text }) => text);
    assert.deepEqual(texts.slice(0, 2), ["192.0.2.1:9977", "[2001:db8::1]:53"]);
    assert.ok(texts.slice(2).length > 0);
    for (const text of texts.slice(2)) assert.match(text, /^(127\.0\.0\.1|\[::1\]):7$/);
  });

  it("gives every address once, and of one name a bounded number", async () => {
    const many = Array.from({ length: 100 }, (_, index) => `198.51.100.${index}`);
    const found = await resolveBootstrap(
      [
        { host: "a", port: 1 },
        { host: "b", port: 1 },
        { host: "2001:DB8::1", port: 1 },
      ],
      {
        log,
        counters: new Counters(),
        lookup: (host) => Promise.resolve(host === "a" ? many : ["2001:db8::1", "198.51.100.0"]),
      },
    );
    assert.equal(found.length, 33);
    assert.equal(found.at(-1)?.text, "[2001:db8::1]:1");
  });

  it("goes without what fails or does not answer in time", async () => {
    const counters = new Counters();
    lines.length = 0;
    const found = await resolveBootstrap(
      ["fails", "silent", "good"].map((host) => ({ host, port: 9 })),
      {
        log,
        counters,
        timeoutMs: 20,
        lookup: (host) => {
          if (host === "fails") return Promise.reject(new Error("no such host"));
          if (host === "silent") return new Promise(() => undefined);
          return Promise.resolve(["203.0.113.7"]);
        },
      },
    );
    assert.deepEqual(
      found.map(({ text }) => text),
      ["203.0.113.7:9"],
    );
    assert.equal(counters.get("io.bootstrap.unresolved"), 2);
    assert.deepEqual(lines, ["bootstrap-unresolved", "bootstrap-unresolved"]);
  });
});
