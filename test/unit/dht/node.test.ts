/** One node: who is heard, how lookups wait for each other, and what liars get. */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import { idText } from "../../../src/base/node-id.ts";
import { minute, second } from "../../../src/base/units.ts";
import type { LookupResult } from "../../../src/dht/lookup.ts";
import { defaultPolicy } from "../../../src/dht/policy.ts";
import type { Contact } from "../../../src/dht/types.ts";
import { encodedSize } from "../../../src/krpc/encode.ts";
import type { HeldValue, NodeInfo, QueryMessage } from "../../../src/krpc/message.ts";
import { endpointOf } from "../../../src/sim/net/addressing.ts";
import {
  acquaint,
  answerTo,
  contactOf,
  idAt,
  NodeWorld,
  privateEndpoint,
  proven,
  queryMessage,
  randomId,
} from "./nodes.ts";
import type { Running } from "./nodes.ts";

const key = idAt([7]);

function meet(
  { node }: Running,
  ...others: readonly { readonly id: Contact["id"]; readonly endpoint: Contact["endpoint"] }[]
): void {
  for (const { id, endpoint: at } of others) {
    node.keeper.answered(contactOf(id, at, proven, node.book), Infinity);
  }
}

function hear({ node }: Running, from: Contact["endpoint"], message: QueryMessage): void {
  node.receive(from, message, encodedSize(message));
}

const someValue: HeldValue = { publisher: endpoint("9.9.9.9", 80), value: Buffer.from("v") };

function hold({ node }: Running, { publisher, value }: HeldValue = someValue): void {
  assert.equal(node.store.store({ key, publisher, value, nowMs: 0 }), "stored");
}

describe("DhtNode", () => {
  it("does not hear other networks, nor answers that nobody asked for", () => {
    const world = new NodeWorld(1);
    const [public_, named] = [world.add(0), world.add(1, { settings: { version: "AP0.1.0/lab" } })];
    const ping = queryMessage({ method: "ping" });
    hear(public_, endpointOf(9), { ...ping, version: "AP0.1.0/lab" });
    hear(named, endpointOf(9), ping);
    hear(named, endpointOf(9), { ...ping, version: "AP0.1.0/other" });
    for (const { port, node } of [public_, named]) {
      assert.equal(port.traffic.sentDatagrams, 0);
      assert.equal(node.keeper.quarantined, 0);
    }
    assert.equal(named.counters.get("dht.heard.otherNetwork"), 2);
    hear(named, endpointOf(9), { ...ping, version: "XY9/lab" });
    assert.ok(named.port.traffic.sentDatagrams > 0, "another program of our network is heard");
    public_.node.receive(endpointOf(9), answerTo(ping, idAt([9])), 50);
    assert.equal(public_.counters.get("dht.heard.unasked"), 1);
    assert.equal(public_.node.table.size + public_.node.keeper.quarantined, 0);
  });

  it("answers wrong datagrams with an error, a flood of queries not at all", () => {
    const world = new NodeWorld(2);
    const one = world.add(0);
    one.node.receiveWrong(endpointOf(9), { transaction: "tt", code: 203, text: "what" }, 100);
    assert.equal(one.port.traffic.sentDatagrams, 1);
    assert.equal(one.counters.get("dht.heard.wrong"), 1);
    const ping = queryMessage({ method: "ping" }, { readOnly: true });
    for (let n = 0; n < 5000; n++) hear(one, endpointOf(9), ping);
    assert.ok(one.port.traffic.sentDatagrams <= 2 * dhtLimits.queryBurst);
    assert.ok(one.counters.get("dht.heard.tooMany") > 4000, "they are counted");
  });

  it("delivers what it holds itself first, before anything comes from others", () => {
    const world = new NodeWorld(3);
    const nodes = [world.add(0), world.add(1)];
    acquaint(nodes);
    hold(nodes[0]!);
    // The other holds that one as well; it is not delivered again.
    hold(nodes[1]!);
    hold(nodes[1]!, { ...someValue, publisher: endpoint("9.9.8.8", 80) });
    const got: string[] = [];
    nodes[0]!.node.lookup(key, {
      values: (values, { endpoint: from }) =>
        void got.push(`${world.clock.monotonicMs()} ${from.text} ${values.length}`),
      done: () => void got.push("done"),
    });
    assert.deepEqual(got, [], "never from inside the call");
    world.clock.advance(second);
    assert.deepEqual(got, ["0 self 1", "50 1.0.1.7:9977 1", "done"]);
    assert.equal(nodes[0]!.counters.get("dht.lookup.started"), 1);
    assert.ok(nodes[0]!.counters.get("dht.lookup.messages") >= 1);
  });

  it("takes a cancel at any time: before it begins, by its first value, twice, after the end", () => {
    const world = new NodeWorld(4);
    const nodes = [world.add(0), world.add(1)];
    acquaint(nodes);
    const [one, other] = nodes as [Running, Running];
    hold(other);
    const never = { done: () => assert.fail("done after cancel") };
    const early = one.node.lookup(key, never);
    early.cancel();
    early.cancel();
    world.clock.advance(second);
    assert.equal(one.port.traffic.sentDatagrams, 0);
    let values = 0;
    const handle = one.node.lookup(key, {
      ...never,
      values: () => {
        values++;
        handle.cancel();
      },
    });
    world.clock.advance(minute);
    hold(one);
    const own = one.node.lookup(key, {
      ...never,
      values: () => {
        values++;
        own.cancel();
      },
    });
    world.clock.advance(minute);
    assert.deepEqual([values, one.node.pendingLookups, one.node.pendingQueries], [2, 0, 0]);
    let done = 0;
    const whole = one.node.lookup(key, { done: () => done++ });
    world.clock.advance(minute);
    whole.cancel();
    assert.equal(done, 1);
  });

  it("delivers nothing more of a holder's pages once it was cancelled", () => {
    const world = new NodeWorld(5);
    const one = world.add(0);
    const value = (n: number): HeldValue => ({
      ...someValue,
      publisher: endpoint(`9.9.9.${n}`, 80),
    });
    const holder = world.peer(1, idAt([0x40]), ({ query }) =>
      query.method === "get_value"
        ? { values: [value(query.from + 1)], held: 9 }
        : { nodes: [], values: [value(1)], held: 9 },
    );
    meet(one, holder);
    let deliveries = 0;
    const handle = one.node.lookup(key, {
      values: () => {
        deliveries++;
        if (deliveries === 3) handle.cancel();
      },
      done: () => undefined,
    });
    world.clock.advance(minute);
    assert.equal(deliveries, 3);
    const finds = holder.asked.filter(({ query }) => query.method !== "ping");
    assert.equal(finds.length, 3);
  });

  it("runs so many lookups at once, the others wait; each ends exactly once", () => {
    const world = new NodeWorld(6);
    const one = world.add(0);
    for (let n = 1; n < 4; n++) meet(one, { id: idAt([n]), endpoint: endpointOf(n) });
    const count = dhtLimits.lookupsAtOnce + 50;
    const ends = new Map<number, number>();
    const lookup = (n: number) =>
      one.node.lookup(randomId(world.random), {
        done: () => void ends.set(n, (ends.get(n) ?? 0) + 1),
      });
    const handles = Array.from({ length: count }, (_, n) => lookup(n));
    world.clock.advance(1);
    assert.equal(one.node.pendingLookups, count);
    assert.ok(one.node.pendingQueries <= 3 * dhtLimits.lookupsAtOnce, "the others have not begun");
    handles[count - 1]!.cancel();
    assert.equal(one.node.pendingLookups, count - 1);
    world.clock.advance(5 * minute);
    assert.equal(one.node.pendingLookups, 0);
    assert.equal(ends.size, count - 1);
    assert.deepEqual(new Set(ends.values()), new Set([1]));
  });

  it("ends thousands of waiting lookups when nobody is left to be asked", () => {
    const world = new NodeWorld(7);
    const one = world.add(0);
    for (let n = 1; n < 4; n++) meet(one, { id: idAt([n]), endpoint: endpointOf(n) });
    let done = 0;
    for (let n = 0; n < 6000; n++) one.node.lookup(randomId(world.random), { done: () => done++ });
    world.clock.advance(1);
    for (const contact of [...one.node.table.contacts()]) one.node.table.remove(contact);
    world.clock.advance(minute);
    assert.equal(done, 6000);
  });

  it("is silent after it was stopped, whatever was asked before", () => {
    const world = new NodeWorld(8);
    const nodes = [world.add(0), world.add(1), world.add(2)];
    acquaint(nodes);
    const [one] = nodes as [Running];
    one.node.start();
    world.clock.advance(minute);
    const fail = { done: () => assert.fail("done after stop") };
    one.node.lookup(key, fail);
    world.clock.advance(1);
    one.node.lookup(key, fail);
    one.node.stop();
    const { sentDatagrams } = one.port.traffic;
    world.clock.advance(60 * minute);
    assert.equal(one.port.traffic.sentDatagrams, sentDatagrams);
    assert.equal(one.node.pendingLookups, 0);
  });

  it("ends a lookup in time when liars name ever nearer nodes that do not exist", () => {
    const world = new NodeWorld(9);
    const one = world.add(0);
    let named = 0;
    const forged = (): NodeInfo[] =>
      Array.from({ length: 32 }, () => {
        named++;
        const left = 2 ** 16 - named;
        const at = endpointOf(10_000 + (named % 40_000));
        return { id: idAt([7, 1, left >> 8, left & 255]), endpoint: at };
      });
    const liars = Array.from({ length: 8 }, (_, n) =>
      world.peer(10 + n, idAt([0x40 + n]), () => ({ nodes: forged() })),
    );
    meet(one, ...liars);
    const results: (readonly [number, LookupResult])[] = [];
    for (let n = 0; n < 40; n++) {
      const startMs = world.clock.monotonicMs();
      one.node.lookup(idAt([7, 1]), {
        done: (result) => void results.push([world.clock.monotonicMs() - startMs, result]),
      });
      world.clock.advance(minute);
    }
    assert.ok(named >= 5000, `${named} were named`);
    assert.equal(results.length, 40);
    for (const [ms] of results) assert.ok(ms <= defaultPolicy.limitMs, `${ms} ms`);
    assert.ok(one.node.table.size <= 8, "who does not answer enters no table");
    assert.ok(one.node.book.size <= dhtLimits.knownPeers, `${one.node.book.size}`);
    assert.ok(one.node.keeper.quarantined <= dhtLimits.quarantine, "bounded");
  });

  it("asks a liar twice, however many ids it claims, and keeps none of them", () => {
    const world = new NodeWorld(10);
    const one = world.add(0);
    const liar = world.peer(1, idAt([0x40]), () => ({
      nodes: Array.from({ length: 30 }, (_, n) => ({ id: idAt([7, n]), endpoint: endpointOf(1) })),
    }));
    meet(one, liar);
    one.node.lookup(key, { done: () => undefined });
    world.clock.advance(minute);
    assert.equal(liar.asked.filter(({ query }) => query.method === "find_value").length, 2);
    assert.deepEqual(
      [...one.node.table.contacts()].map(({ id }) => idText(id)),
      [idText(liar.id)],
    );
  });

  it("keeps honest contacts whose addresses a liar names under other ids", () => {
    const world = new NodeWorld(13);
    const nodes = Array.from({ length: 60 }, (_, n) => world.add(100 + n));
    acquaint(nodes);
    const [one, ...honest] = nodes as [Running, ...Running[]];
    const forged = honest.map(({ port }, n) => ({ id: idAt([7, n]), endpoint: port.endpoint }));
    const liar = world.peer(1, idAt([7, 0xff]), () => ({ nodes: forged.slice(0, 32) }));
    meet(one, liar);
    for (let n = 0; n < 10; n++) {
      one.node.lookup(idAt([7, n]), { done: () => undefined });
      world.clock.advance(minute);
    }
    assert.ok(one.counters.get("dht.answer.wrongId") > 0, "the lie was believed for a while");
    assert.equal(one.counters.get("dht.contact.evicted"), 0);
    assert.equal(one.node.table.size, 60);
  });

  it("contacts no private, loopback or foreign address that somebody on the Internet names", () => {
    const world = new NodeWorld(11, { noting: true });
    const one = world.add(0);
    const local = [privateEndpoint(9), endpoint("127.0.0.1", 9977), endpoint("10.1.2.3", 22)];
    const others = [endpoint("2600::1", 9977), endpoint("224.0.0.1", 9977), endpoint("0.0.0.0", 1)];
    const nodes = [...local, ...others].map((at, n) => ({ id: idAt([7, n]), endpoint: at }));
    meet(
      one,
      world.peer(1, idAt([0x40]), () => ({ nodes })),
    );
    let ended = false;
    one.node.lookup(key, { done: () => (ended = true) });
    world.clock.advance(minute);
    assert.equal(ended, true);
    // Nothing was sent to anybody who does not exist: all of it was delivered.
    assert.equal(world.network.totals.unreachable, 0);
    assert.ok(world.network.totals.delivered >= 2, "the teller was asked");
  });

  it("finds its own neighbours, and never itself among them", () => {
    const world = new NodeWorld(12);
    const nodes = Array.from({ length: 30 }, (_, n) => world.add(n));
    acquaint(nodes);
    let closest: readonly Contact[] = [];
    nodes[0]!.node.findClosest(nodes[0]!.node.id, 12, (found) => (closest = found));
    world.clock.advance(minute);
    assert.equal(closest.length, 12);
    assert.ok(
      closest.every(({ id }) => idText(id) !== idText(nodes[0]!.node.id)),
      "not itself",
    );
  });
});
