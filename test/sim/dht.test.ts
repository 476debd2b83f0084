/** Fifty live nodes from nothing: they join, store, find, and get over the death of a fifth of them. */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { dhtLimits } from "../../src/base/dht-limits.ts";
import { idText } from "../../src/base/node-id.ts";
import type { NodeId } from "../../src/base/node-id.ts";
import { minute, second } from "../../src/base/units.ts";
import type { Contact } from "../../src/dht/types.ts";
import { endpointOf } from "../../src/sim/net/addressing.ts";
import { internet } from "../../src/sim/net/latency.ts";
import { SeededRandom } from "../../src/sim/seeded-random.ts";
import { NodeWorld, randomId } from "../unit/dht/nodes.ts";
import type { Running } from "../unit/dht/nodes.ts";

const count = 50;
const seed = 20;

function ofNodes(nodes: readonly Running[], what: (running: Running) => number): number[] {
  return nodes.map(what).sort((a, b) => a - b);
}

/** Stores through the node's own lookup, as a publisher does → how many took it. */
async function publish(world: NodeWorld, { node }: Running, key: NodeId): Promise<number> {
  let stored = 0;
  const value = Buffer.from("de");
  node.findClosest(key, dhtLimits.k, (closest: readonly Contact[]) => {
    for (const to of closest) {
      node.ask(to, { method: "store_value", port: 9977, values: [{ key, value }] }, (outcome) => {
        if (outcome.kind === "answer") stored += outcome.message.fields.stored ?? 0;
      });
    }
  });
  await world.pass(30 * second, second);
  return stored;
}

function lookup(world: NodeWorld, { node }: Running, key: NodeId) {
  const seen = { values: 0, doneMs: -1 };
  const startMs = world.clock.monotonicMs();
  node.lookup(key, {
    values: (values) => void (seen.values += values.length),
    done: () => void (seen.doneMs = world.clock.monotonicMs() - startMs),
  });
  world.clock.runUntil(() => seen.doneMs >= 0, minute);
  return seen;
}

describe(`a network of ${count} nodes (seed ${seed})`, () => {
  const world = new NodeWorld(seed, {
    ...{ latency: internet(seed), settings: { loss: 0.01, jitter: 0.05 } },
  });
  const random = new SeededRandom(seed + 50);
  const nodes = Array.from({ length: count }, (_, n) =>
    world.add(n, { bootstrap: () => (n === 0 ? [] : [endpointOf(0)]) }),
  );
  const keys = Array.from({ length: 8 }, () => randomId(random));

  it("joins within a minute through one node that all know", async () => {
    for (const { node } of nodes) node.start();
    await world.pass(minute);
    // The first has nobody to ask: it is found by the others.
    const done = nodes.slice(1).map(({ counters }) => counters.get("dht.join.done"));
    assert.ok(Math.min(...done) >= 1, done.join());
  });

  it("fills its tables", async () => {
    await world.pass(14 * minute, 5 * second);
    const sizes = ofNodes(nodes, ({ node }) => node.table.size);
    assert.ok(sizes[0]! >= 20, sizes.join());
    assert.ok(sizes[count >> 1]! >= 35, sizes.join());
    const states = nodes.map(({ node }) => node.joining.state);
    assert.deepEqual(new Set(states), new Set(["joined"]));
    for (const { node, port } of nodes) {
      assert.equal(node.outside.current()?.address, port.endpoint.address);
    }
  });

  it("keeps values where they are found from everywhere", async () => {
    for (const [n, key] of keys.entries()) {
      const stored = await publish(world, nodes[5 * n]!, key);
      assert.ok(stored >= 7, `${stored} of ${dhtLimits.k} took key ${n}`);
    }
    for (const [n, key] of keys.entries()) {
      for (const asker of [nodes[49 - n]!, nodes[20 + n]!]) {
        const { values, doneMs } = lookup(world, asker, key);
        assert.equal(values, 1, `key ${n}`);
        assert.ok(doneMs >= 0 && doneMs < 3 * second, `${doneMs} ms`);
      }
    }
  });

  it("says of nobody that it cannot be reached", async () => {
    await world.pass(12 * minute, 5 * second);
    const nowMs = world.clock.monotonicMs();
    const states = nodes.map(({ node }) => node.reachability.state(nowMs));
    assert.ok(states.filter((state) => state === "reachable").length >= 40, states.join());
    assert.equal(states.includes("unreachable"), false, states.join());
  });

  it("forgets the dead: half an hour after a fifth has died, tables are 95 % alive", async () => {
    const dead = nodes.slice(40);
    for (const { stop } of dead) stop();
    const live = nodes.slice(0, 40);
    await world.pass(30 * minute, 5 * second);
    const liveIds = new Set(live.map(({ node }) => idText(node.id)));
    const entries = live.flatMap(({ node }) => [...node.table.contacts()]);
    const alive = entries.filter(({ id }) => liveIds.has(idText(id))).length;
    assert.ok(alive / entries.length >= 0.95, `${alive} of ${entries.length} live`);
    const sizes = ofNodes(live, ({ node }) => node.table.size);
    assert.ok(sizes[20]! >= 30, sizes.join());
    const found = keys.filter((key, n) => lookup(world, live[39 - n]!, key).values >= 1);
    assert.equal(found.length, keys.length, "what was stored is found all the same");
  });
});
