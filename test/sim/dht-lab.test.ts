/**
 * The living laboratory with few nodes: that it runs, repeats itself, tells what is true, and that a
 * small network does what the large benches (bench/churn.ts and others) measure.
 */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { hour, minute, second } from "../../src/base/units.ts";
import { nodeHashes } from "../../src/io/node-hashes.ts";
import { benchChurn } from "../../src/sim/dht/churn-bench.ts";
import { benchIdle } from "../../src/sim/dht/idle-bench.ts";
import { Prober } from "../../src/sim/dht/prober.ts";
import { benchScale } from "../../src/sim/dht/scale-bench.ts";
import { tableHealth } from "../../src/sim/dht/table-health.ts";
import { DhtWorld } from "../../src/sim/dht/world.ts";
import type { DhtWorldSettings } from "../../src/sim/dht/world.ts";
import { internet } from "../../src/sim/net/latency.ts";
import { SeededRandom } from "../../src/sim/seeded-random.ts";

const seed = 1;
const common = { seed, hashes: nodeHashes, latency: internet(seed) };

async function settled(
  nodes: number,
  settings: Partial<DhtWorldSettings> = {},
  ms = 30 * minute,
): Promise<DhtWorld> {
  const publishAfterMs = 25 * minute;
  const world = new DhtWorld({ ...common, keysPerNode: 2, publishAfterMs, ...settings });
  world.populate(nodes, minute);
  await world.run(ms);
  return world;
}

/** Lookups by chance for so long, one a second → those that found their value. */
async function asked(world: DhtWorld, ms: number): Promise<{ lookups: number; missed: number }> {
  const prober = new Prober(world, { random: new SeededRandom(seed + 8), everyMs: second });
  prober.start();
  await world.run(ms);
  prober.stop();
  await world.run(20 * second);
  return { lookups: prober.probes.length, missed: prober.misses.length };
}

describe("DhtWorld", function () {
  this.timeout(20 * second);

  it("does the same again with the same seed, and something else with another", async () => {
    const hashes: string[] = [];
    for (const each of [seed, seed, seed + 1]) {
      const world = await settled(12, { seed: each, natShare: 0.5 }, 6 * minute);
      hashes.push(world.network.traceHash());
    }
    assert.equal(hashes[0], hashes[1]);
    assert.notEqual(hashes[0], hashes[2]);
  });

  it("joins everybody and finds what everybody publishes", async () => {
    const world = await settled(24);
    assert.ok(world.live.every(({ run }) => run?.node.joining.state === "joined"));
    const { lookups, missed } = await asked(world, 3 * minute);
    assert.ok(lookups > 100, `${lookups} lookups`);
    assert.equal(missed, 0);
    assert.ok(world.counters.get("dht.join.done") >= 24);
  });

  it("tells entries of nodes that left, and the tables lose them", async () => {
    const world = await settled(20);
    assert.equal(tableHealth(world).gone, 0);
    for (const machine of [...world.live].filter(({ traits }) => !traits.bootstrap).slice(0, 5)) {
      world.stop(machine, "kill");
    }
    assert.equal(world.live.length, 15);
    assert.ok(tableHealth(world).gone > 15);
    // In so quiet a network a failure counts only now and then: see `dhtLimits.offlineMs`.
    await world.run(hour);
    assert.equal(tableHealth(world).gone, 0);
    assert.ok(world.counters.get("dht.contact.evicted") > 0);
  });

  it("keeps nodes behind NATs out of the tables", async () => {
    const world = await settled(30, { natShare: 0.5 }, 50 * minute);
    const unreachable = world.live.filter(({ reachable }) => !reachable).length;
    assert.ok(unreachable >= 4, `${unreachable} unreachable`);
    const { hidden, entries } = tableHealth(world);
    // Whoever counts as reachable by mistake is in many tables.
    assert.ok(hidden / entries < 0.1, `${hidden} of ${entries} entries`);
  });

  it("starts a machine again with the contacts that it remembers", async () => {
    const world = await settled(15, {}, 45 * minute);
    const machine = world.live.find(({ traits }) => !traits.bootstrap);
    assert.ok(machine !== undefined);
    world.stop(machine, "kill");
    // The hosts that everybody began with are gone meanwhile.
    for (const other of [...world.live].filter(({ traits }) => traits.bootstrap)) {
      world.stop(other, "stop");
    }
    await world.run(minute);
    world.start(machine);
    await world.run(minute);
    const { node } = world.at(machine.endpoint.text)?.run ?? {};
    assert.equal(node?.joining.state, "joined");
    assert.ok(node.table.size > 0);
  });

  it("heals after a partition", async () => {
    const world = await settled(20);
    const half = world.live.slice(0, 10).map(({ index }) => index);
    world.network.partition([half]);
    await world.run(10 * minute);
    assert.ok(world.network.totals.partitioned > 0);
    world.network.heal();
    await world.run(30 * minute);
    assert.equal((await asked(world, minute)).missed, 0);
  });

  it("finds a node's values under its new address after it has moved", async () => {
    const world = await settled(15);
    const machine = world.live.find(({ traits }) => !traits.bootstrap);
    assert.ok(machine !== undefined);
    const before = machine.endpoint.text;
    world.move(machine);
    assert.notEqual(machine.endpoint.text, before);
    assert.equal(world.at(before), undefined);
    await world.run(hour);
    const prober = new Prober(world, {
      ...{ random: new SeededRandom(seed + 8), everyMs: second },
      mayBeWanted: (other) => other === machine,
    });
    prober.start();
    await world.run(minute);
    prober.stop();
    await world.run(20 * second);
    assert.ok(prober.probes.length > 20, `${prober.probes.length} lookups`);
    assert.equal(prober.misses.length, 0);
    assert.ok(world.counters.get("dht.address.changed") > 0);
  });
});

describe("benches of the living laboratory, small", function () {
  this.timeout(20 * second);

  it("benchChurn() has few dead entries and few misses", async () => {
    const { row, firstValueMs } = await benchChurn({
      ...{ ...common, nodes: 30, durationMs: hour, lookupEveryMs: 10 * second },
    });
    assert.ok(row.left > 0);
    assert.ok(row.dead.mean < 0.15, `${row.dead.mean} dead`);
    assert.ok(row.lookups.lookups > 250, `${row.lookups.lookups} lookups`);
    assert.ok(row.lookups.success > 0.95, `${row.lookups.success} success`);
    assert.equal(firstValueMs.length, row.lookups.lookups - row.lookups.missed);
  });

  it("benchIdle() stays below 300 bytes a second, and finds all", async () => {
    const row = await benchIdle({
      ...{ ...common, nodes: 20, keysPerNode: 30, durationMs: hour, lookupEveryMs: 20 * second },
      publishAfterMs: 22 * minute,
    });
    assert.ok(row.placedAfterMinutes !== undefined && row.placedAfterMinutes < 40);
    const { mean, max } = row.bytesPerSecond;
    assert.ok(mean > 1 && max < 300, `${mean} and ${max} bytes/s`);
    assert.ok(row.copies >= 8, `${row.copies} copies`);
    assert.ok(row.lookups.lookups > 100);
    assert.equal(row.lookups.missed, 0);
    const sum = row.flows.reduce((total, { bytesPerSecond }) => total + bytesPerSecond, 0);
    assert.ok(Math.abs(sum - mean) < 0.05 * mean, `${sum} by kind, ${mean} in all`);
  });

  it("benchScale() counts its datagrams", async () => {
    const row = await benchScale({
      ...{ ...common, nodes: 40, durationMs: 24 * minute, joinMs: 2 * minute, publishers: 20 },
    });
    assert.ok(row.datagrams > 5000, `${row.datagrams} datagrams`);
    assert.ok(row.tableSize > 15, `${row.tableSize} entries`);
    assert.ok(row.lookups.lookups > 200, `${row.lookups.lookups} lookups`);
    assert.ok(row.lookups.success > 0.9, `${row.lookups.success} success`);
  });
});
