/** How a node finds its network, and finds it again. */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { idText } from "../../../src/base/node-id.ts";
import type { Endpoint } from "../../../src/base/endpoint.ts";
import { hour, minute, second } from "../../../src/base/units.ts";
import { endpointOf } from "../../../src/sim/net/addressing.ts";
import { acquaint, idAt, NodeWorld } from "./nodes.ts";
import type { Running } from "./nodes.ts";
import { MemoryRecords } from "./values.ts";

/** Nodes that know each other, started. */
function network(world: NodeWorld, count: number, firstHost = 0): Running[] {
  const nodes = Array.from({ length: count }, (_, n) => world.add(firstHost + n));
  acquaint(nodes);
  for (const { node } of nodes) node.start();
  return nodes;
}

const recordKey = "dht!contacts!4";

function remember(entries: readonly string[]): MemoryRecords {
  const records = new MemoryRecords();
  records.put(recordKey, entries.join(" "));
  return records;
}

const entryOf = ({ node, port }: Running): string => `${idText(node.id)}@${port.endpoint.text}`;

describe("Joining", () => {
  it("asks the hosts when nothing is remembered, meets everybody and saves them", async () => {
    const world = new NodeWorld(1);
    const others = network(world, 20);
    const one = world.add(100, { bootstrap: () => [others[0]!.port.endpoint] });
    assert.equal(one.node.joining.state, "alone");
    one.node.start();
    await world.pass(5 * second, 100);
    assert.equal(one.node.joining.state, "joined");
    assert.ok(one.node.table.size >= 12, `${one.node.table.size} of 20`);
    assert.equal(one.counters.get("dht.join.done"), 1);
    assert.equal(one.counters.get("dht.join.found"), 1);
    const saved = one.records.map.get(recordKey)!.split(" ");
    assert.ok(saved.length >= 8, `${saved.length} saved`);
    one.stop();
    const all = new Set(one.records.map.get(recordKey)!.split(" "));
    assert.equal(all.size, one.node.table.size, "all are saved at the end");
    const known = new Set(others.map(entryOf));
    assert.deepEqual(
      [...all].filter((entry) => !known.has(entry)),
      [],
    );
  });

  it("comes back by what it remembers, with no host at all, past dead ones and rubbish", async () => {
    const world = new NodeWorld(2);
    const others = network(world, 10);
    const dead = Array.from(
      { length: 150 },
      (_, n) => `${idText(idAt([9, n]))}@${endpointOf(500 + n).text}`,
    );
    const records = remember([...dead, "rubbish", "@", entryOf(others[4]!), "zz@1.1.1.1:1"]);
    const one = world.add(100, { records });
    one.node.start();
    await world.pass(2 * minute, 500);
    assert.equal(one.node.joining.state, "joined");
    assert.equal(one.node.table.size, 10);
    assert.ok(one.counters.get("dht.join.tries") >= 3, "64 at a time");
  });

  it("joins by whoever is found on the local network", async () => {
    const world = new NodeWorld(3);
    const [other] = network(world, 5);
    const one = world.add(100);
    one.node.start();
    await world.pass(10 * second);
    assert.equal(one.node.joining.state, "alone");
    one.node.joining.found(endpointOf(999));
    one.node.joining.found(other!.port.endpoint);
    await world.pass(3 * second, 100);
    assert.equal(one.node.joining.state, "joined");
    const asked = one.counters.get("dht.join.found");
    one.node.joining.found(other!.port.endpoint);
    assert.equal(one.counters.get("dht.join.found"), asked, "it is known already");
  });

  it("tries for ever with growing, jittered pauses and a bounded number of datagrams", async () => {
    const world = new NodeWorld(4);
    const tries: number[] = [];
    const dead = Array.from(
      { length: 10 },
      (_, n) => `${idText(idAt([9, n]))}@${endpointOf(500 + n).text}`,
    );
    const bootstrap = (): readonly Endpoint[] => {
      tries.push(world.clock.monotonicMs());
      return [endpointOf(700)];
    };
    const one = world.add(100, { records: remember(dead), bootstrap });
    one.node.start();
    await world.pass(24 * hour, 20 * second);
    const pauses = tries.slice(1).map((atMs, n) => atMs - tries[n]!);
    assert.ok(pauses[0]! >= 1500 && pauses[0]! <= 10 * second, `first ${pauses[0]}`);
    for (const [n, pause] of pauses.entries()) {
      assert.ok(pause <= 1.25 * dhtLimits.longestJoinRetryMs + 1, `pause ${n}: ${pause}`);
      if (n >= 10) assert.ok(pause >= 0.75 * dhtLimits.longestJoinRetryMs, `pause ${n}: ${pause}`);
    }
    assert.ok(new Set(pauses.slice(10).map(Math.round)).size > 50, "they are jittered");
    assert.ok(tries.length >= 230 && tries.length <= 400, `${tries.length} tries in a day`);
    const { sentDatagrams } = one.port.traffic;
    assert.ok(sentDatagrams <= 400 * 11 * 3, `${sentDatagrams} datagrams`);
    assert.ok(sentDatagrams >= 230 * 11, `${sentDatagrams} datagrams`);
    const late = world.add(700);
    late.node.start();
    await world.pass(8 * minute);
    assert.equal(one.node.joining.state, "joined", "and finds it a day later");
  });

  it("does not forget what it remembered while nobody answers", async () => {
    const world = new NodeWorld(5);
    const entry = `${idText(idAt([9]))}@${endpointOf(500).text}`;
    const records = remember([entry]);
    const one = world.add(100, { records });
    one.node.start();
    await world.pass(hour, 10 * second);
    one.stop();
    assert.equal(records.map.get(recordKey), entry);
  });

  it("asks everybody anew after a sleep", async () => {
    for (const jumpMs of [3 * minute, 8 * hour]) {
      const world = new NodeWorld(6);
      network(world, 8);
      const one = world.add(100, { bootstrap: () => [endpointOf(0)] });
      one.node.start();
      await world.pass(5 * minute);
      assert.equal(one.counters.get("dht.join.again"), 0);
      world.clock.jumpWall(jumpMs);
      await world.pass(2 * minute);
      assert.equal(one.counters.get("dht.join.again"), 1);
      assert.equal(one.node.joining.state, "joined");
      await world.pass(10 * minute);
      assert.equal(one.counters.get("dht.join.again"), 1, "once");
    }
  });

  it("does not take a clock that is set back, or a little on, for a sleep", async () => {
    const world = new NodeWorld(7);
    network(world, 8);
    const one = world.add(100, { bootstrap: () => [endpointOf(0)] });
    one.node.start();
    for (const jumpMs of [-8 * hour, minute]) {
      await world.pass(5 * minute);
      world.clock.jumpWall(jumpMs);
    }
    await world.pass(5 * minute);
    assert.equal(one.counters.get("dht.join.again"), 0);
  });

  it("outlives the loss of its network: everybody is still there when it comes back", async () => {
    const world = new NodeWorld(8);
    const others = network(world, 20);
    const one = world.add(100, { bootstrap: () => [endpointOf(0)] });
    one.node.start();
    await world.pass(10 * minute);
    world.network.partition([[100]]);
    await world.pass(2 * hour, 5 * second);
    assert.ok(one.node.table.size >= 15, `${one.node.table.size} contacts are kept`);
    assert.equal(one.counters.get("dht.contact.evicted") <= 3, true);
    world.network.heal();
    await world.pass(5 * minute);
    const good = [...one.node.table.contacts()].filter(({ peer }) => peer.failures === 0);
    assert.ok(good.length >= 15, `${good.length} of ${others.length} answer again`);
    let found = 0;
    one.node.lookup(idAt([1]), { done: ({ closest }) => (found = closest.length) });
    await world.pass(10 * second);
    assert.equal(found, dhtLimits.k);
  });

  it("finds a new network by its hosts when all of the old one have died", async () => {
    const world = new NodeWorld(9);
    const old = network(world, 6);
    const hosts = [endpointOf(0)];
    const one = world.add(100, { bootstrap: () => hosts });
    one.node.start();
    await world.pass(10 * minute);
    for (const { stop } of old) stop();
    network(world, 6, 200);
    hosts.push(endpointOf(200));
    await world.pass(6 * hour, 10 * second);
    assert.ok(
      one.node.table.at(endpointOf(200).text) !== undefined,
      `${one.node.table.size} known`,
    );
  });

  it("sends nothing after it was stopped", async () => {
    const world = new NodeWorld(10);
    const one = world.add(100, { bootstrap: () => [endpointOf(0)] });
    one.node.start();
    await world.pass(minute);
    one.node.stop();
    const { sentDatagrams } = one.port.traffic;
    one.node.joining.found(endpointOf(1));
    one.node.joining.rejoin();
    await world.pass(hour, minute);
    assert.equal(one.port.traffic.sentDatagrams, sentDatagrams);
  });
});
