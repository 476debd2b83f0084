import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { randomNodeId } from "../../../src/base/node-id.ts";
import type { NodeId } from "../../../src/base/node-id.ts";
import { hour, minute, second } from "../../../src/base/units.ts";
import { publishLimits } from "../../../src/dht/publish-limits.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { entries, FakeNetwork, publisherIn, sizeOf, spread, weak } from "./publisher-network.ts";
import type { Entry, World } from "./publisher-network.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

/** A publisher with these keys, placed. */
function placed(nodes: number, keys: number): World & { readonly all: readonly Entry[] } {
  const network = new FakeNetwork(seed, nodes);
  const world = publisherIn(network);
  const all = entries(network.random, keys);
  world.publisher.start();
  for (const { key, value } of all) world.publisher.publish(key, value);
  network.clock.advance(2 * minute);
  assert.equal(world.publisher.status().pendingStores, 0);
  return { ...world, all };
}

describe(`Publisher (SEED=${seed})`, () => {
  it("stores new keys on all of their closest nodes within a minute, at a bounded pace", () => {
    const network = new FakeNetwork(seed, 300);
    const { publisher, counters } = publisherIn(network);
    const all = entries(network.random, 800);
    publisher.start();
    for (const { key, value } of all) assert.equal(publisher.publish(key, value), true);
    network.clock.advance(minute);

    assert.equal(spread(network, all)[dhtLimits.k], all.length);
    const { lastSweepMs, holders, ...rest } = publisher.status();
    assert.equal(lastSweepMs, undefined);
    assert.ok(holders > 250, `${holders} holders`);
    assert.deepEqual(rest, {
      ...{ keys: 800, placed: 800, pendingStores: 0, pendingLookups: 0, offline: false },
    });
    assert.equal(network.mostLookups, publishLimits.firstLookupsAtOnce);
    assert.ok(network.lookups <= 60, `${network.lookups} lookups`);
    const perSecond = new Map<number, number>();
    for (const { atMs } of network.sent) {
      const at = Math.floor(atMs / second);
      perSecond.set(at, (perSecond.get(at) ?? 0) + 1);
    }
    assert.ok(Math.max(...perSecond.values()) <= 41);
    assert.equal(counters.get("dht.publish.keys"), 800);
    assert.equal(counters.get("dht.publish.stored"), 8 * 800);
    assert.equal(counters.get("dht.publish.stores"), network.count("store_value"));
    assert.ok(counters.get("dht.publish.lookups") > 0);
  });

  it("costs a few dozen bytes a second for 2,000 keys in a steady network", function () {
    this.timeout(10_000);
    const { network, counters, publisher, all } = placed(300, 2000);
    // The first renewals come earlier than an hour, so that they are spread.
    network.clock.advance(hour);
    const [bytes, lookups, sinceMs] = [network.bytes, network.lookups, network.clock.monotonicMs()];
    network.clock.advance(3 * hour);
    const target = randomNodeId(network.random);
    const query = sizeOf({ method: "find_node", target, count: publishLimits.width });
    // A real lookup asks those that it finds, and a few on the way.
    const lookupBytes = (network.lookups - lookups) * (publishLimits.width + 5) * query;
    const perSecond = (network.bytes - bytes + lookupBytes) / (3 * 3600);
    assert.ok(perSecond < 60, `${perSecond} bytes/s`);
    assert.equal(network.count("store_value", sinceMs), 0);
    const renewals = network.count("renew", sinceMs);
    assert.ok(renewals > 820 && renewals < 1000, `${renewals} renewals in three hours`);
    assert.ok(network.lookups - lookups < 90, `${network.lookups - lookups} lookups`);
    assert.equal(counters.get("dht.publish.mismatches"), 0);
    assert.ok(counters.get("dht.publish.sweepLookups") > 0);
    assert.equal(spread(network, all)[dhtLimits.k], all.length);
    const { lastSweepMs } = publisher.status();
    assert.ok(lastSweepMs !== undefined && Math.abs(lastSweepMs - 90 * minute) < 15 * minute);
    // Evenly: no minute has more than a few times the mean of 5 renewals.
    const perMinute = new Map<number, number>();
    for (const { atMs } of network.sent) {
      const at = Math.floor(atMs / minute);
      if (atMs > sinceMs) perMinute.set(at, (perMinute.get(at) ?? 0) + 1);
    }
    assert.ok(Math.max(...perMinute.values()) <= 20);
  });

  it("places a new key within seconds, and keys that come together with the same lookup", () => {
    const { network, publisher } = placed(100, 300);
    network.clock.advance(10 * minute);
    const base = randomNodeId(network.random);
    base[19] = 255;
    const near = Array.from({ length: 20 }, (_, index) => {
      const key = base.slice() as NodeId;
      key[19] = index;
      return { key, value: new Uint8Array([1, index]) };
    });
    const [lookups, sinceMs] = [network.lookups, network.clock.monotonicMs()];
    for (const { key, value } of near) {
      publisher.publish(key, value);
      network.clock.advance(20);
    }
    network.clock.advance(4 * second);
    assert.equal(spread(network, near)[dhtLimits.k], 20);
    assert.ok(network.lookups - lookups <= 2);
    assert.ok(network.count("store_value", sinceMs) <= 16);
    assert.deepEqual(
      publisher.holdersOf(base).map(({ id }) => id),
      [],
    );
    assert.equal(publisher.holdersOf(near[3]!.key).length, dhtLimits.k);
  });

  it("sends nothing for the same value, and a changed one to those who hold the old one", () => {
    const { network, publisher, counters, all } = placed(100, 200);
    const sinceMs = network.clock.monotonicMs();
    for (const { key, value } of all) publisher.publish(key, value.slice());
    network.clock.advance(30 * second);
    assert.equal(network.count("store_value", sinceMs), 0);
    const changed = all.map(({ key }, index) => {
      return { key, value: index < 50 ? new Uint8Array([9, 9]) : all[index]!.value };
    });
    const lookups = network.lookups;
    for (const { key, value } of changed) publisher.publish(key, value);
    network.clock.advance(30 * second);
    assert.ok(network.lookups - lookups <= 3);
    assert.equal(spread(network, changed)[dhtLimits.k], 200);
    network.clock.advance(2 * hour);
    assert.equal(counters.get("dht.publish.mismatches"), 0);
    assert.ok(counters.get("dht.publish.renewals") > 100);
  });

  it("takes a value that changes while the old one is under way", () => {
    const network = new FakeNetwork(seed, 30);
    const { publisher, counters } = publisherIn(network);
    const key = randomNodeId(network.random);
    publisher.start();
    publisher.publish(key, new Uint8Array([1]));
    while (network.count("store_value") < 3) network.clock.advance(10);
    const value = new Uint8Array([2]);
    publisher.publish(key, value);
    network.clock.advance(10 * second);
    assert.equal(network.heldBy(key, value), dhtLimits.k);
    assert.equal(publisher.holdersOf(key).length, dhtLimits.k);
    network.clock.advance(2 * hour);
    assert.equal(counters.get("dht.publish.mismatches"), 0);
  });

  it("has withdrawn keys deleted by their holders, also when they are still under way", () => {
    const { network, publisher, counters, all } = placed(100, 300);
    for (const { key } of all.slice(0, 100)) publisher.withdraw(key);
    publisher.withdraw(randomNodeId(network.random));
    const late = randomNodeId(network.random);
    publisher.publish(late, new Uint8Array([1]));
    const sent = network.count("store_value");
    network.clock.advance(10);
    while (network.copies(late) < 2) network.clock.advance(10);
    assert.ok(network.count("store_value") > sent);
    publisher.withdraw(late);
    network.clock.advance(30 * second);
    for (const { key } of all.slice(0, 100)) assert.equal(network.copies(key), 0);
    assert.equal(network.copies(late), 0);
    assert.equal(publisher.status().keys, 200);
    assert.ok(counters.get("dht.publish.withdrawn") >= 800);
    // Published again, it is as if it had never been away.
    publisher.publish(all[0]!.key, all[0]!.value);
    network.clock.advance(2 * hour);
    assert.equal(spread(network, [all[0]!, ...all.slice(100)])[dhtLimits.k], 201);
    assert.equal(counters.get("dht.publish.mismatches"), 0);
  });

  it("follows a network that grows, and takes back copies that nobody would find", () => {
    const { network, publisher, counters, all } = placed(60, 200);
    for (let index = 60; index < 240; index++) network.add(index);
    network.clock.advance(2 * hour);
    assert.equal(weak(network, all), 0);
    assert.equal(spread(network, all)[dhtLimits.k], 200);
    assert.ok(counters.get("dht.publish.released") > 0);
    for (const { key } of all) {
      const copies = network.copies(key);
      assert.ok(copies <= dhtLimits.k + publishLimits.spareHolders, `${copies} copies`);
    }
    network.clock.advance(hour);
    assert.equal(counters.get("dht.publish.mismatches"), 0);
    assert.equal(publisher.status().pendingStores, 0);
  });

  it("places keys on all nodes of a network that has fewer than k", () => {
    const { network, publisher, all } = placed(3, 50);
    assert.equal(spread(network, all)[3], 50);
    // The first sweep begins somewhere in the middle.
    network.clock.advance(2 * hour);
    const lookups = network.lookups;
    network.clock.advance(6 * hour);
    // One lookup serves all keys: one a sweep.
    assert.ok(network.lookups - lookups <= 5, `${network.lookups - lookups} lookups`);
    assert.equal(publisher.status().placed, 50);
  });

  it("sends the largest value alone, and refuses what is none", () => {
    const network = new FakeNetwork(seed, 8);
    const { publisher } = publisherIn(network);
    const key = randomNodeId(network.random);
    for (const bytes of [0, dhtLimits.valueBytes + 1]) {
      assert.throws(() => publisher.publish(key, new Uint8Array(bytes)), RangeError);
    }
    publisher.start();
    // What is left beside the envelope of our own version and token.
    const most = 1030;
    const all = [0, 1, 2].map(() => ({
      ...{ key: randomNodeId(network.random), value: network.random.bytes(most) },
    }));
    for (const { key: one, value } of all) publisher.publish(one, value);
    network.clock.advance(20 * second);
    assert.equal(spread(network, all)[dhtLimits.k], 3);
    assert.equal(network.count("store_value"), 24);
  });

  it("publishes no more keys than its limit", () => {
    const { publisher, counters } = publisherIn(new FakeNetwork(seed, 0));
    const random = new SeededRandom(seed);
    const value = new Uint8Array([1]);
    for (let each = 0; each < dhtLimits.publishedKeys; each++) {
      publisher.publish(randomNodeId(random), value);
    }
    assert.equal(publisher.publish(randomNodeId(random), value), false);
    assert.equal(publisher.status().keys, dhtLimits.publishedKeys);
    assert.equal(counters.get("dht.publish.tooMany"), 1);
  });

  it("does nothing any more after stop()", () => {
    const { network, publisher } = placed(50, 100);
    publisher.publish(randomNodeId(network.random), new Uint8Array([1]));
    network.clock.advance(second);
    publisher.stop();
    const [sent, lookups] = [network.sent.length, network.lookups];
    network.clock.advance(3 * hour);
    assert.equal(network.sent.length, sent);
    assert.equal(network.lookups, lookups);
    assert.equal(network.clock.pendingTimers, 0);
  });
});
