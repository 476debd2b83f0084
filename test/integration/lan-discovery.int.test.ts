/** Multicast on the loopback interface, and the choice of interfaces. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import type { NetworkInterfaceInfo } from "node:os";
import { afterEach, describe, it } from "mocha";
import { Counters } from "../../src/base/counters.ts";
import { randomNodeId, sameId } from "../../src/base/node-id.ts";
import type { Log } from "../../src/base/ports.ts";
import { lanGroup4 } from "../../src/io/lan-datagram.ts";
import { LanDiscovery, type LanNeighbour } from "../../src/io/lan-discovery.ts";
import { LanSockets, type LanSocketOptions } from "../../src/io/lan-sockets.ts";
import { secureRandom } from "../../src/io/secure-random.ts";
import { systemClock } from "../../src/io/system-clock.ts";

const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

describe("LAN discovery on real sockets", () => {
  const open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((each) => each.close()));
  });

  const parts = (counters: Counters): LanSocketOptions => ({
    log: silent,
    counters,
    clock: systemClock,
    random: secureRandom,
    loopback: true,
  });

  /** Of no other program, nor of a test that runs at the same time. */
  async function freePort(): Promise<number> {
    const socket = createSocket("udp4");
    socket.bind(0);
    await once(socket, "listening");
    const { port } = socket.address();
    socket.close();
    return port;
  }

  async function daemon(port: number, { network = "public", udpPort = 9977 } = {}) {
    const counters = new Counters();
    const id = randomNodeId(secureRandom);
    const found: LanNeighbour[] = [];
    let wake: () => void = () => undefined;
    const own = { id, udpPort, tcpPort: 9977, network };
    const discovery = await LanDiscovery.open({
      ...own,
      ...parts(counters),
      port,
      found: (neighbour) => {
        found.push(neighbour);
        wake();
      },
    });
    open.push(discovery);
    const finds = async (count: number): Promise<void> => {
      while (found.length < count) await new Promise<void>((resolve) => (wake = resolve));
    };
    return { id, counters, found, finds, discovery };
  }

  it("lets daemons of one machine find each other within 1.5 s", async () => {
    const port = await freePort();
    const first = await daemon(port, { udpPort: 1001 });
    await new Promise((resolve) => setTimeout(resolve, 100));
    const before = performance.now();
    const second = await daemon(port, { udpPort: 1002 });
    await Promise.all([first.finds(1), second.finds(1)]);
    assert.ok(performance.now() - before < 1500);
    assert.equal(first.found[0]?.endpoint.text, "127.0.0.1:1002");
    assert.equal(second.found[0]?.endpoint.text, "127.0.0.1:1001");
    const third = await daemon(port, { udpPort: 1003 });
    await Promise.all([first.finds(2), second.finds(2), third.finds(2)]);
    assert.ok(second.found[1] !== undefined && sameId(second.found[1].id, third.id));
    assert.ok(first.counters.get("io.lan.answered") > 0);
    assert.ok(first.counters.get("io.lan.announced") > 0);
  });

  it("leaves those of other networks alone", async () => {
    const port = await freePort();
    const first = await daemon(port, { network: "office" });
    const other = await daemon(port, { network: "public" });
    const same = await daemon(port, { network: "office" });
    await Promise.all([first.finds(1), same.finds(1)]);
    assert.deepEqual(other.found, []);
    assert.ok(other.counters.get("io.lan.otherNetworks") > 0);
  });

  it("goes on without a port that another program keeps for itself", async () => {
    const taken = createSocket("udp4");
    taken.bind(0);
    await once(taken, "listening");
    const { port } = taken.address();
    taken.addMembership(lanGroup4, "127.0.0.1");
    const { discovery, counters } = await daemon(port);
    // Its announces are heard all the same.
    const [bytes] = (await once(taken, "message").finally(() => taken.close())) as [Uint8Array];
    assert.equal(bytes.length, 42);
    await discovery.close();
    assert.ok(counters.get("io.udp.sent") > 0);
  });

  const card = (address: string, cidr: string, internal = false): NetworkInterfaceInfo => {
    const netmask = "";
    const mac = "02:00:00:00:00:01";
    return address.includes(":")
      ? { family: "IPv6", address, cidr, internal, netmask, mac, scopeid: 0 }
      : { family: "IPv4", address, cidr, internal, netmask, mac };
  };

  it("believes private senders and those of its own networks, not the world", async () => {
    const interfaces = () => ({ eth0: [card("203.0.113.5", "203.0.113.5/24")] });
    const options = { ...parts(new Counters()), port: await freePort(), interfaces };
    const sockets = await LanSockets.open({ ...options, loopback: false });
    open.push(sockets);
    sockets.refresh();
    for (const address of ["203.0.113.77", "10.0.0.1", "127.0.0.1", "fe80::1", "fd00::1"]) {
      assert.ok(sockets.isNear(address), address);
    }
    for (const address of ["198.51.100.5", "192.0.2.5", "2001:db8::1", "224.0.0.1", "0.0.0.0"]) {
      assert.ok(!sockets.isNear(address), address);
    }
  });

  it("tells changes of the interfaces, and survives those that cannot multicast", async () => {
    let cards: Record<string, NetworkInterfaceInfo[]> = {};
    const counters = new Counters();
    const options = { ...parts(counters), port: await freePort(), interfaces: () => cards };
    const sockets = await LanSockets.open({ ...options, loopback: false });
    open.push(sockets);
    assert.equal(sockets.refresh(), false);
    cards = { lo: [card("127.0.0.1", "127.0.0.1/8", true)] };
    assert.equal(sockets.refresh(), false);
    cards = {
      gone8: [card("198.51.100.1", "198.51.100.1/24"), card("2001:db8::1", "2001:db8::1/64")],
      gone9: [card("203.0.113.1", "203.0.113.1/24")],
    };
    assert.equal(sockets.refresh(), true);
    assert.equal(sockets.refresh(), false);
    sockets.announce(Buffer.from("x"));
    const failed = Object.entries(counters.snapshot()).filter(([name]) =>
      name.startsWith("io.lan.failed."),
    );
    // Two refreshes joined neither, and the announce found no interface.
    assert.equal(
      failed.reduce((sum, [, count]) => sum + count, 0),
      6,
    );
    cards = {};
    assert.equal(sockets.refresh(), true);
  });
});
