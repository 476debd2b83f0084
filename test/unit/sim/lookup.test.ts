/** The lookup bench's network, small: what it finds, and that one seed gives one run. */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { compareDistance, idText, randomNodeId } from "../../../src/base/node-id.ts";
import type { NodeId } from "../../../src/base/node-id.ts";
import { commonPrefix, idWithPrefix } from "../../../src/base/node-id.ts";
import { defaultPolicy } from "../../../src/dht/policy.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { contenders } from "../../../src/sim/lookup/contenders.ts";
import { LazyTable } from "../../../src/sim/lookup/lazy-table.ts";
import { networkModels } from "../../../src/sim/lookup/networks.ts";
import type { NetworkModel } from "../../../src/sim/lookup/networks.ts";
import { benchBound, benchContender } from "../../../src/sim/lookup/run.ts";
import type { BenchRow } from "../../../src/sim/lookup/run.ts";
import { StaticWorld } from "../../../src/sim/lookup/static-world.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { contactOf, randomId } from "../dht/nodes.ts";

const model = networkModels.find(({ name }) => name === "pl-300")!;
const ours = contenders.at(-1)!;
const named = (name: string) => contenders.find(({ policy }) => policy.name === name)!;

function run(
  contender = ours,
  more: { seed?: number; lookups?: number; model?: NetworkModel } = {},
): BenchRow {
  return benchContender({ model, seed: 1, lookups: 60, hashes: nodeHashes, ...more }, contender)
    .row;
}

describe("the lookup bench", () => {
  it("has the contenders that are compared, ours last", () => {
    assert.deepEqual(
      contenders.map(({ policy }) => policy.name),
      [
        ...["original", "retransmit", "leapfrog", "abort", "reping"],
        ...["nr128", "libtorrent", "dht-rpc", "default"],
      ],
    );
    assert.equal(ours.policy, defaultPolicy);
  });

  it("finds with the default policy every value and most of the closest, in half a second", () => {
    const row = run(ours, { lookups: 150 });
    assert.equal(row.missed, 0);
    assert.ok(row.recall >= 0.85, `recall ${row.recall}`);
    assert.ok(row.done.p50 < 700, `p50 ${row.done.p50}`);
    assert.ok(row.firstValue.p50 < row.done.p50, "values come before the end");
    assert.ok(row.messages >= 8 && row.messages < 25, `${row.messages} messages`);
    assert.ok(row.bytesSent > 500 && row.bytesReceived > 500, "bytes are counted");
  });

  it("does the same with the same seed, and something else with another", () => {
    const rows = [run(), run(), run(ours, { seed: 2 })];
    assert.deepEqual(rows[0], rows[1]);
    assert.notEqual(rows[0]!.traceHash, rows[2]!.traceHash);
    assert.notEqual(run(named("nr128")).traceHash, rows[0]!.traceHash);
  });

  it("is quicker with every step of 2008, and with ours by far", () => {
    const means = ["original", "leapfrog", "reping", "default"].map(
      (name) => run(named(name), { lookups: 40 }).done.mean,
    );
    for (let n = 1; n < means.length; n++) assert.ok(means[n]! < means[n - 1]!, means.join(" > "));
    assert.ok(means[3]! < means[2]! / 5, means.join(" > "));
  });

  it("has a bound that nobody beats by much", () => {
    const task = { model, seed: 1, lookups: 60, hashes: nodeHashes };
    const bound = benchBound(task, ours).row;
    assert.equal(bound.policy, "bound");
    assert.ok(bound.done.mean < run().done.mean, `${bound.done.mean}`);
  });

  it("finds everybody and every value where nothing is wrong", () => {
    const ideal = { ...model, deadShare: 0, overloadedShare: 0 };
    const row = run(ours, { model: ideal, lookups: 100 });
    assert.equal(row.missed, 0);
    assert.ok(row.recall >= 0.9, `recall ${row.recall}`);
  });
});

describe("StaticWorld", () => {
  const keys = Array.from({ length: 20 }, () => randomNodeId(new SeededRandom(3)));
  const world = (seed: number): StaticWorld =>
    new StaticWorld({
      model,
      contender: ours,
      seed,
      hashes: nodeHashes,
      latency: model.latency(seed),
      keys,
    });

  it("knows the closest as a search through all would", () => {
    const some = world(4);
    const random = new SeededRandom(5);
    const asker = some.freshAsker(1);
    const all = some.trueClosest(asker, randomId(random), 299);
    assert.equal(new Set(all.map(idText)).size, 299);
    assert.ok(!all.map(idText).includes(idText(asker.node.id)), "all but the asker");
    for (let n = 0; n < 50; n++) {
      const key = n % 2 === 0 ? randomId(random) : idWithPrefix(all[n]!, 12, random);
      const expected = [...all].sort((a, b) => compareDistance(key, a, b)).slice(0, 8);
      assert.deepEqual(
        some.trueClosest(asker, key, 8).map(idText),
        expected.map(idText),
        `seed 5, ${n}`,
      );
    }
  });

  it("gives every asker the tables of its policy, with the dead among them", () => {
    const some = world(6);
    const asker = some.freshAsker(1);
    const { node } = asker;
    const live = new Set(some.trueClosest(asker, node.id, 1000).map(idText));
    const contacts = node.table.closest(node.id, 1000);
    const dead = contacts.filter(({ id }) => !live.has(idText(id)));
    assert.ok(contacts.length > 150, `${contacts.length} contacts`);
    const share = dead.length / contacts.length;
    assert.ok(share > 0.04 && share < 0.22, `${share} dead`);
    for (const [depth, size] of node.table.shape().entries()) {
      assert.ok(size <= node.table.capacity(depth), `bucket ${depth}: ${size}`);
    }
  });
});

describe("LazyTable", () => {
  it("answers as the full table would, whichever target comes first", () => {
    const random = new SeededRandom(8);
    const own: NodeId = randomId(random);
    const settings = { bucketSizes: [32, 16, 8], rttBias: false };
    const byDepth = Array.from({ length: 9 }, (_, depth) =>
      Array.from({ length: 1 + random.below(8) }, (_unused, n) =>
        contactOf(idWithPrefix(own, depth, random), 20 * depth + n),
      ),
    );
    const fill = (depth: number) => byDepth[depth];
    const all = byDepth.flat();
    for (let n = 0; n < 100; n++) {
      const table = new LazyTable(own, settings, fill);
      const target = n % 2 === 0 ? randomId(random) : idWithPrefix(own, random.below(12), random);
      const expected = [...all].sort((a, b) => compareDistance(target, a.id, b.id)).slice(0, 8);
      const found = table.closest(target, 8).map(({ id }) => idText(id));
      assert.deepEqual(
        found,
        expected.map(({ id }) => idText(id)),
        `depth ${commonPrefix(own, target)}`,
      );
    }
  });
});
