/** What becomes of datagrams: fates, times, NATs, dead and restarted hosts, and the trace. */
import assert from "node:assert/strict";
import { describe, it } from "mocha";
import type { Endpoint } from "../../../../src/base/endpoint.ts";
import type { NodeId } from "../../../../src/base/node-id.ts";
import { hour, second } from "../../../../src/base/units.ts";
import type { Message, Query } from "../../../../src/krpc/message.ts";
import { endpointOf, indexOf } from "../../../../src/sim/net/addressing.ts";
import type { HostPort, SimHost } from "../../../../src/sim/net/host-port.ts";
import { fixed, internet } from "../../../../src/sim/net/latency.ts";
import type { NatKind } from "../../../../src/sim/net/nat.ts";
import { PacketNetwork, type NetworkParts } from "../../../../src/sim/net/packet-network.ts";
import { SeededRandom } from "../../../../src/sim/seeded-random.ts";
import { percentile } from "../../../../src/sim/statistics.ts";
import { VirtualClock } from "../../../../src/sim/virtual-clock.ts";

const id = new Uint8Array(20) as NodeId;

function query(transaction: string, asked: Query = { method: "ping" }): Message {
  const envelope = { transaction, version: "AP0.1.0", id, readOnly: false };
  return { kind: "query", ...envelope, token: undefined, padding: 0, query: asked };
}

function answer(transaction: string): Message {
  const envelope = { transaction, version: "AP0.1.0", id, seen: undefined, token: undefined };
  return { kind: "answer", ...envelope, fields: {} };
}

interface Received {
  readonly at: number;
  readonly from: Endpoint;
  readonly message: Message;
}

interface World {
  readonly clock: VirtualClock;
  readonly network: PacketNetwork;
  /** Attaches a host that notes what it gets. */
  readonly host: (
    index: number,
    more?: Partial<SimHost>,
  ) => HostPort & { readonly got: Received[] };
}

/** Nothing is lost and all round trips are 100 ms without jitter, unless told otherwise. */
function world(parts: Partial<NetworkParts> = {}): World {
  const clock = new VirtualClock();
  const settings = { loss: 0, jitter: 0, ...parts.settings };
  const chance = { random: new SeededRandom(1), latency: fixed(100) };
  const network = new PacketNetwork({ clock, ...chance, ...parts, settings });
  const host: World["host"] = (index, more = {}) => {
    const got: Received[] = [];
    const receive = (from: Endpoint, message: Message) =>
      void got.push({ at: clock.monotonicMs(), from, message });
    const attached = network.attach({ index, endpoint: endpointOf(index), receive, ...more });
    return Object.assign(attached, { got });
  };
  return { clock, network, host };
}

const nat = (kind: NatKind, pinholeMs = 30_000) => ({ nat: { kind, pinholeMs } });

describe("PacketNetwork", () => {
  it("delivers the message itself after half a round trip, from the sender's endpoint", () => {
    const { clock, network, host } = world();
    const [a, b] = [host(0), host(1)];
    const message = query("aa");
    a.send(b.endpoint, message);
    clock.advance(49.9);
    assert.equal(b.got.length, 0);
    clock.advance(1);
    assert.equal(b.got.length, 1);
    assert.equal(b.got[0]!.message, message);
    assert.deepEqual([b.got[0]!.at, b.got[0]!.from], [50, a.endpoint]);
    assert.equal(network.totals.delivered, 1);
  });

  it("lengthens a way by a twentieth of a half normal", () => {
    const { clock, host } = world({ settings: { jitter: 0.05 } });
    const [a, b] = [host(0), host(1)];
    for (let turn = 0; turn < 5000; turn++) a.send(b.endpoint, query("aa"));
    clock.advance(second);
    const late = b.got.map(({ at }) => (at / 50 - 1) / 0.05);
    assert.ok(late.every((each) => each >= 0 && each < 8.01));
    const sorted = late.sort((x, y) => x - y);
    assert.ok(Math.abs(percentile(sorted, 50) - 0.674) < 0.05, "median of |N(0,1)|");
    assert.ok(Math.abs(percentile(sorted, 95) - 1.96) < 0.1);
  });

  it("loses the share it is told to, more at overloaded ends, which also are slow", () => {
    const { clock, network, host } = world({ settings: { loss: 0.01 } });
    const hosts = [host(0), host(1), host(2, { overloaded: true }), host(3, { overloaded: true })];
    const count = 4000;
    const lostShare = (from: number, to: number): number => {
      const before = network.totals.lost;
      for (let turn = 0; turn < count; turn++) hosts[from]!.send(hosts[to]!.endpoint, query("aa"));
      return (network.totals.lost - before) / count;
    };
    const near = (actual: number, expected: number): void =>
      assert.ok(Math.abs(actual - expected) < 0.02, `${actual} not ${expected}`);
    near(lostShare(0, 1), 0.01);
    assert.ok(network.totals.lost > 10);
    near(lostShare(2, 1), 1 - 0.99 * 0.75);
    near(lostShare(2, 3), 1 - 0.99 * 0.75 ** 2);
    near(lostShare(0, 3), 1 - 0.99 * 0.75);
    clock.advance(hour);
    assert.ok(hosts[1]!.got.every(({ at }) => at === 50));
    const waits = hosts[3]!.got.map(({ at }) => at - 50).sort((x, y) => x - y);
    assert.ok(Math.abs(percentile(waits, 50) / 900 - 1) < 0.05, `${percentile(waits, 50)}`);
    assert.ok(Math.abs(Math.log(percentile(waits, 84.134) / 900) - 1.1) < 0.06);
  });

  it("drops what goes to nobody, and to a host that died on the way", () => {
    const { clock, network, host } = world();
    const [a, b] = [host(0), host(1)];
    a.send(endpointOf(5), query("aa"));
    assert.equal(network.totals.unreachable, 1);
    a.send(b.endpoint, query("aa"));
    b.send(a.endpoint, query("bb"));
    clock.advance(10);
    b.detach();
    b.detach();
    b.send(a.endpoint, query("cc"));
    clock.advance(second);
    assert.equal(b.got.length, 0);
    assert.deepEqual(
      a.got.map(({ message }) => message.transaction),
      ["bb"],
      "sent before it died, and nothing after",
    );
    assert.deepEqual([network.totals.unreachable, network.size, b.attached], [2, 1, false]);
    assert.deepEqual(
      b.traffic,
      { sentDatagrams: 1, sentBytes: 0, receivedDatagrams: 0, receivedBytes: 0 },
      "readable after death",
    );
  });

  it("gives a restarted host what still was on its way, but not what the old one had not read", () => {
    const { clock, host } = world({ settings: { overloadMedianMs: 1000, overloadLoss: 0 } });
    const a = host(0);
    const old = host(1, { overloaded: true });
    a.send(old.endpoint, query("read by the kernel"));
    clock.advance(60);
    a.send(old.endpoint, query("on its way"));
    clock.advance(10);
    old.detach();
    const restarted = host(1);
    clock.advance(hour);
    assert.equal(old.got.length, 0);
    assert.deepEqual(
      restarted.got.map(({ message }) => message.transaction),
      ["on its way"],
    );
  });

  it("lets a host change its address", () => {
    const { clock, network, host } = world();
    const [a, b] = [host(0, nat("port-restricted")), host(1)];
    a.send(b.endpoint, query("1"));
    b.send(a.endpoint, query("on its way to the old address"));
    const before = a.endpoint;
    a.moveTo(endpointOf(70));
    clock.advance(second);
    b.send(before, query("2"));
    b.send(endpointOf(70), query("new gateway, no pinhole"));
    clock.advance(second);
    assert.equal(a.got.length, 0);
    assert.deepEqual([network.totals.unreachable, network.totals.filtered], [2, 1]);
    a.send(b.endpoint, query("3"));
    clock.advance(second);
    b.send(endpointOf(70), query("4"));
    clock.advance(second);
    assert.deepEqual(
      b.got.map(({ from }) => indexOf(from)),
      [0, 70],
    );
    assert.equal(a.got[0]?.message.transaction, "4");
  });

  it("refuses two hosts in one place", () => {
    const { host } = world();
    const a = host(0);
    host(1, nat("symmetric"));
    assert.throws(() => host(0), /1\.0\.0\.7:9977 is taken/);
    assert.throws(() => a.moveTo(endpointOf(1)), /taken/);
    assert.deepEqual(a.endpoint, endpointOf(0));
  });

  it("divides hosts into sets, and joins them again", () => {
    const { clock, network, host } = world();
    const hosts = [0, 1, 2, 3, 4].map((index) => host(index));
    const reached = (from: number): number[] => {
      for (const { endpoint } of hosts) hosts[from]!.send(endpoint, query("aa"));
      clock.advance(second);
      return hosts.flatMap(({ got, index }) => (got.splice(0).length > 0 ? [index] : []));
    };
    network.partition([[0, 1], new Set([2])]);
    assert.deepEqual([0, 2, 4].map(reached), [[0, 1], [2], [3, 4]]);
    assert.equal(network.totals.partitioned, 3 + 4 + 3);
    network.heal();
    assert.deepEqual(reached(0), [0, 1, 2, 3, 4]);
  });

  it("makes a host when it is first sent to", () => {
    const { clock, network, host } = world();
    const made: number[] = [];
    network.lookupHost = (to) => {
      const index = indexOf(to);
      if (index === undefined || index >= 1000) return undefined;
      made.push(index);
      return host(index);
    };
    const a = host(0);
    for (const index of [7, 999, 7, 1000]) a.send(endpointOf(index), query("aa"));
    clock.advance(second);
    assert.deepEqual(made, [7, 999]);
    assert.deepEqual([network.totals.delivered, network.totals.unreachable], [3, 1]);
  });
});

describe("PacketNetwork and NATs", () => {
  it("lets answers in, strangers not, and nobody after the pinhole has closed", () => {
    const { clock, network, host } = world();
    const [a, b, c] = [host(0, nat("port-restricted")), host(1), host(2)];
    b.send(a.endpoint, query("unasked"));
    clock.advance(second);
    a.send(b.endpoint, query("aa"));
    clock.advance(second);
    assert.deepEqual(b.got[0]?.from, a.endpoint);
    b.send(b.got[0].from, answer("aa"));
    c.send(b.got[0].from, query("stranger"));
    clock.advance(second);
    b.send(a.endpoint, query("still open"));
    clock.advance(28 * second);
    b.send(a.endpoint, query("closed"));
    clock.advance(second);
    assert.deepEqual(
      a.got.map(({ message }) => message.transaction),
      ["aa", "still open"],
    );
    assert.equal(network.totals.filtered, 3);
    assert.equal(a.traffic.receivedDatagrams, 2);
  });

  it("reaches a symmetric NAT only at the port that it used for the asker", () => {
    const { clock, network, host } = world();
    const [a, b, c] = [host(0, nat("symmetric")), host(1), host(2)];
    a.send(b.endpoint, query("to b"));
    a.send(c.endpoint, query("to c"));
    clock.advance(second);
    const [atB, atC] = [b.got[0]!.from, c.got[0]!.from];
    assert.notEqual(atB.port, atC.port);
    b.send(atB, answer("to b"));
    c.send(atB, query("by b's port"));
    b.send(endpointOf(0), query("by the nominal port"));
    clock.advance(second);
    assert.equal(a.got.length, 1);
    assert.deepEqual([network.totals.filtered, network.totals.unreachable], [2, 0]);
    a.detach();
    b.send(atB, answer("to b"));
    assert.equal(network.totals.unreachable, 1);
  });

  it("has no hairpin: nobody behind a NAT reaches its own outside address", () => {
    const { clock, network, host } = world();
    const [a, b] = [host(0, nat("mapped")), host(1)];
    a.send(a.endpoint, query("aa"));
    b.send(b.endpoint, query("bb"));
    clock.advance(second);
    assert.deepEqual([a.got.length, b.got.length, network.totals.filtered], [0, 1, 1]);
  });
});

describe("PacketNetwork's bytes", () => {
  it("counts what each host sends and gets, and drops what is too large", () => {
    const sizes: Record<string, number> = { small: 100, full: 1200, large: 1201 };
    const { clock, network, host } = world({ sizeOf: (message) => sizes[message.transaction]! });
    const [a, b] = [host(0), host(1)];
    for (const name of Object.keys(sizes)) a.send(b.endpoint, query(name));
    clock.advance(second);
    assert.deepEqual([a.traffic.sentDatagrams, a.traffic.sentBytes], [3, 2501]);
    assert.deepEqual([b.traffic.receivedDatagrams, b.traffic.receivedBytes], [2, 1300]);
    assert.equal(network.totals.oversized, 1);
  });

  it("encodes and decodes every datagram in wire mode", () => {
    const encode = (message: Message): Uint8Array => Buffer.from(message.transaction);
    const decode = (bytes: Uint8Array): Message | undefined =>
      Buffer.from(bytes).toString() === "garbage"
        ? undefined
        : query(`decoded ${Buffer.from(bytes).toString()}`);
    const { clock, network, host } = world({ wire: { encode, decode } });
    const [a, b] = [host(0), host(1)];
    a.send(b.endpoint, query("aa"));
    a.send(b.endpoint, query("garbage"));
    clock.advance(second);
    assert.deepEqual(
      b.got.map(({ message }) => message.transaction),
      ["decoded aa"],
    );
    assert.equal(network.totals.undecodable, 1);
    assert.deepEqual([a.traffic.sentBytes, b.traffic.receivedBytes], [9, 9]);
  });

  it("shows every end of a datagram to who watches", () => {
    const seen: string[] = [];
    const { clock, host } = world({
      sizeOf: () => 70,
      watch: ({ atMs, from, to, message, sizeBytes, fate }) =>
        void seen.push([atMs, from.index, to?.index, message.kind, sizeBytes, fate].join(" ")),
    });
    const [a, b] = [host(0), host(1)];
    a.send(b.endpoint, query("aa"));
    a.send(endpointOf(9), answer("bb"));
    clock.advance(second);
    assert.deepEqual(seen, ["0 0  answer 70 unreachable", "50 0 1 query 70 delivered"]);
  });
});

describe("PacketNetwork.traceHash()", () => {
  /** Thirty hosts of all kinds that ask each other at random and answer. */
  function run(seed: number, method: "ping" | "find_value" = "ping"): string {
    const random = new SeededRandom(seed);
    const { clock, network, host } = world({
      ...{ random, latency: internet(seed) },
      settings: { loss: 0.01, jitter: 0.05 },
    });
    const asked: Query = method === "ping" ? { method } : { method, key: id };
    for (let index = 0; index < 30; index++) {
      const more = index % 3 === 0 ? nat("symmetric") : { overloaded: index % 10 === 1 };
      const port: HostPort = host(index, {
        ...more,
        receive: (from, message) => {
          if (message.kind === "query") port.send(from, answer(message.transaction));
        },
      });
      const ask = (): void => {
        port.send(endpointOf(random.below(31)), query("aa", asked));
        clock.after(random.next() * second, ask);
      };
      ask();
    }
    clock.advance(20 * second);
    const { totals } = network;
    assert.ok(totals.delivered > 500 && totals.lost > 0 && totals.filtered > 0);
    return network.traceHash();
  }

  it("is the same for the same seed, and another for another or for other messages", () => {
    const hash = run(1);
    assert.match(hash, /^[0-9a-f]{16}$/);
    assert.equal(run(1), hash);
    assert.notEqual(run(2), hash);
    assert.notEqual(run(1, "find_value"), hash);
  });

  it("notices a single datagram that is late by a microsecond, or goes elsewhere", () => {
    const hash = (delayMs: number, to: number): string => {
      const { clock, network, host } = world();
      const hosts = [host(0), host(1), host(2)];
      clock.after(delayMs, () => hosts[0]!.send(endpointOf(to), query("aa")));
      clock.advance(second);
      return network.traceHash();
    };
    assert.equal(new Set([hash(5, 1), hash(5.001, 1), hash(5, 2), hash(5, 9)]).size, 4);
    assert.equal(hash(5, 1), hash(5, 1));
  });
});
