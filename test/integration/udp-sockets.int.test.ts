/** The DHT's sockets on loopback: both families, errors of sending, and sockets that break. */
import assert from "node:assert/strict";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { afterEach, describe, it } from "mocha";
import { DgramAsPromised } from "dgram-as-promised";
import { Counters } from "../../src/base/counters.ts";
import { endpoint, type Endpoint, type Family } from "../../src/base/endpoint.ts";
import { AptP2pError } from "../../src/base/errors.ts";
import type { Log } from "../../src/base/ports.ts";
import { secureRandom } from "../../src/io/secure-random.ts";
import { systemClock } from "../../src/io/system-clock.ts";
import { UdpSockets, type UdpOptions } from "../../src/io/udp-sockets.ts";
import { VirtualClock } from "../../src/sim/virtual-clock.ts";

const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

interface Heard {
  readonly from: Endpoint;
  readonly text: string;
  readonly family: Family;
}

describe("UdpSockets", () => {
  const closers: (() => Promise<unknown> | undefined)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });

  async function open(options: Partial<UdpOptions> = {}) {
    const counters = new Counters();
    const sockets = await UdpSockets.open({
      addresses: ["127.0.0.1", "::1"],
      port: 0,
      log: silent,
      counters,
      clock: systemClock,
      random: secureRandom,
      ...options,
    });
    closers.push(() => sockets.close());
    const heard: Heard[] = [];
    let wake: () => void = () => undefined;
    sockets.onDatagram((from, bytes, family) => {
      heard.push({ from, text: Buffer.from(bytes).toString(), family });
      wake();
    });
    const hears = async (count: number): Promise<readonly Heard[]> => {
      while (heard.length < count) await new Promise<void>((resolve) => (wake = resolve));
      return heard;
    };
    return { sockets, counters, heard, hears };
  }

  async function plain(type: "udp4" | "udp6", port = 0): Promise<Socket> {
    const socket = createSocket({ type, ipv6Only: type === "udp6" });
    socket.bind(port, type === "udp4" ? "127.0.0.1" : "::1");
    await once(socket, "listening");
    closers.push(() => new Promise<void>((resolve) => socket.close(resolve)));
    return socket;
  }

  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((resolve) => setImmediate(resolve));
  };
  const bytes = (text: string): Buffer => Buffer.from(text);

  it("has one port in both families, and says canonically who sent", async () => {
    const one = await open();
    const other = await open();
    assert.notEqual(one.sockets.port, other.sockets.port);
    one.sockets.send(endpoint("127.0.0.1", other.sockets.port), bytes("four"));
    one.sockets.send(endpoint("::1", other.sockets.port), bytes("six"));
    const heard = [...(await other.hears(2))].sort((a, b) => a.family - b.family);
    assert.deepEqual(heard, [
      { from: endpoint("127.0.0.1", one.sockets.port), text: "four", family: 4 },
      { from: endpoint("::1", one.sockets.port), text: "six", family: 6 },
    ]);
    await until(() => one.counters.get("io.udp.sent") === 2);
    assert.equal(other.counters.get("io.udp.received"), 2);
  });

  it("opens the wildcards of both families next to each other", async () => {
    const one = await open({ addresses: ["0.0.0.0", "::"] });
    const other = await open();
    other.sockets.send(endpoint("127.0.0.1", one.sockets.port), bytes("a"));
    other.sockets.send(endpoint("::1", one.sockets.port), bytes("b"));
    const heard = await one.hears(2);
    assert.deepEqual(heard.map(({ from }) => from.address).sort(), ["127.0.0.1", "::1"]);
  });

  it("loses nothing of a burst while the handler's caller is busy", async () => {
    const one = await open();
    const other = await open();
    for (let count = 0; count < 200; count += 1) {
      one.sockets.send(endpoint("127.0.0.1", other.sockets.port), bytes(`${count}`));
    }
    const texts = (await other.hears(200)).map(({ text }) => text);
    assert.deepEqual(
      texts,
      Array.from({ length: 200 }, (_, index) => `${index}`),
    );
  });

  it("counts what cannot be sent, by its error, and goes on", async () => {
    const { sockets, counters } = await open({ addresses: ["127.0.0.1"] });
    sockets.send(endpoint("127.0.0.1", sockets.port), Buffer.alloc(66_000));
    sockets.send(endpoint("::1", 9), bytes("x"));
    // From loopback no other network can be reached.
    sockets.send(endpoint("192.0.2.99", 9), bytes("x"));
    await until(
      () =>
        counters.get("io.udp.failed.EMSGSIZE") === 1 &&
        counters.get("io.udp.failed.EINVAL") + counters.get("io.udp.failed.ENETUNREACH") === 1,
    );
    assert.equal(counters.get("io.udp.failed.FAMILY"), 1);
    const other = await open();
    sockets.send(endpoint("127.0.0.1", other.sockets.port), bytes("still here"));
    assert.equal((await other.hears(1))[0]?.text, "still here");
  });

  it("is silent after it was closed", async () => {
    const one = await open();
    const other = await open();
    await other.sockets.close();
    one.sockets.send(endpoint("127.0.0.1", other.sockets.port), bytes("x"));
    other.sockets.send(endpoint("127.0.0.1", one.sockets.port), bytes("y"));
    assert.equal(other.counters.get("io.udp.failed.CLOSED"), 1);
    await other.sockets.close();
    assert.deepEqual([...one.heard, ...other.heard], []);
    // The port is free again.
    await plain("udp4", other.sockets.port);
  });

  it("says that the port is taken, in either family, and leaves nothing open", async () => {
    for (const type of ["udp4", "udp6"] as const) {
      const { port } = (await plain(type)).address();
      const isTaken = (thrown: unknown): boolean =>
        thrown instanceof AptP2pError &&
        thrown.code === "IN_USE" &&
        thrown.message.includes(`UDP port ${port} on `) &&
        thrown.message.includes("choose another udp_port");
      await assert.rejects(open({ port }), isTaken);
      await plain(type === "udp4" ? "udp6" : "udp4", port);
    }
  });

  it("refuses addresses that it cannot have", async () => {
    const isConfig = (thrown: unknown): boolean =>
      thrown instanceof AptP2pError && thrown.code === "CONFIG";
    for (const addresses of [[], ["127.0.0.1", "127.0.0.2"], ["192.0.2.254"], ["2001:db8::254"]]) {
      await assert.rejects(open({ addresses }), isConfig, addresses.join());
    }
  });

  it("leaves out an address that the machine lacks, and takes it up when it is there", async () => {
    const clock = new VirtualClock();
    let lacking = true;
    const { sockets, counters, hears } = await open({
      clock,
      createSocket: (options) => {
        const socket = DgramAsPromised.createSocket(options);
        if (options.type === "udp6" && lacking) {
          const error = Object.assign(new Error("no such address"), { code: "EADDRNOTAVAIL" });
          socket.bind = () => Promise.reject(error);
        }
        return socket;
      },
    });
    const { port } = sockets;
    sockets.send(endpoint("::1", port), bytes("lost"));
    assert.equal(counters.get("io.udp.failed.CLOSED"), 1);
    clock.advance(75_000);
    assert.equal(counters.get("io.udp.reopened"), 0);
    await until(() => clock.pendingTimers === 1);
    lacking = false;
    clock.advance(75_000);
    await until(() => counters.get("io.udp.reopened") === 1);
    sockets.send(endpoint("::1", port), bytes("here"));
    assert.deepEqual(await hears(1), [{ from: endpoint("::1", port), text: "here", family: 6 }]);
  });

  it("opens a socket that breaks again at its port, later each time", async () => {
    const clock = new VirtualClock();
    const raw: Socket[] = [];
    const { sockets, counters, hears } = await open({
      addresses: ["127.0.0.1"],
      clock,
      random: { next: () => 0.5 },
      createSocket: (options) => {
        const socket = DgramAsPromised.createSocket(options);
        raw.push(socket.socket);
        return socket;
      },
    });
    const { port } = sockets;
    for (const [index, delayMs] of [1000, 2000, 4000].entries()) {
      raw.at(-1)?.emit("error", new Error("network is down"));
      assert.equal(counters.get("io.udp.broke"), index + 1);
      assert.equal(clock.nextTimerMs, delayMs);
      sockets.send(endpoint("127.0.0.1", port), bytes("lost"));
      clock.advance(delayMs);
      await until(() => counters.get("io.udp.reopened") === index + 1);
      assert.equal(raw.length, index + 2);
    }
    assert.equal(counters.get("io.udp.failed.CLOSED"), 3);
    assert.equal(sockets.port, port);
    sockets.send(endpoint("127.0.0.1", port), bytes("back"));
    assert.equal((await hears(1))[0]?.text, "back");
    // What lived for long may break anew: it begins with a short delay.
    clock.advance(120_000);
    raw.at(-1)?.emit("error", new Error("network is down"));
    assert.equal(clock.nextTimerMs, 1000);
    await sockets.close();
    assert.equal(clock.pendingTimers, 0);
  });

  it("sends to link-local addresses through the interface that it has learnt", async () => {
    const clock = new VirtualClock();
    const sent: string[] = [];
    const { sockets } = await open({
      clock,
      addresses: ["::1"],
      createSocket: (options) => {
        const socket = DgramAsPromised.createSocket(options);
        socket.send = (...given: unknown[]) => {
          sent.push(String(given[2]));
          return Promise.resolve(0);
        };
        setImmediate(() => {
          const from = { address: "fe80::1:2%eth7", port: 5, family: "IPv6", size: 1 };
          socket.socket.emit("message", bytes("x"), from);
        });
        return socket;
      },
    });
    await new Promise((resolve) => setTimeout(resolve, 5));
    sockets.learnZone("fe80::9", "wlan0");
    for (const address of ["fe80::1:2", "fe80::9", "fe80::3", "fe8::1"]) {
      sockets.send(endpoint(address, 5), bytes("x"));
    }
    assert.deepEqual(sent, ["fe80::1:2%eth7", "fe80::9%wlan0", "fe80::3", "fe8::1"]);
  });
});
