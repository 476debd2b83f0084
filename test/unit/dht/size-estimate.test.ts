import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { compareDistance, randomNodeId, type NodeId } from "../../../src/base/node-id.ts";
import { distanceShare, distanceShareOfText } from "../../../src/dht/distance-share.ts";
import { SizeEstimate } from "../../../src/dht/size-estimate.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { idOf } from "./values.ts";

function network(nodes: number, random: SeededRandom): NodeId[] {
  return Array.from({ length: nodes }, () => randomNodeId(random));
}

/** The 8 closest of all, nearest first. */
function closest(ids: readonly NodeId[], target: NodeId): NodeId[] {
  // The nearest lie within 64 nodes' worth of space; sorting the rest would only take time.
  const near = ids.filter((id) => distanceShare(id, target) * ids.length < 64);
  return near.sort((a, b) => compareDistance(target, a, b)).slice(0, 8);
}

describe("distanceShare()", () => {
  it("is the distance as a fraction of the space, for bytes and for texts", () => {
    assert.equal(distanceShare(idOf(), idOf()), 0);
    assert.equal(distanceShare(idOf(0x80), idOf()), 0.5);
    assert.equal(distanceShare(idOf(0xc0), idOf(0x80)), 0.25);
    assert.equal(distanceShare(idOf(0, 0, 0, 0, 0, 1), idOf()), 2 ** -48);
    const text = Buffer.from(idOf(0xc0, 1)).toString("latin1");
    assert.equal(distanceShareOfText(idOf(0x80), text), distanceShare(idOf(0x80), idOf(0xc0, 1)));
  });
});

describe("SizeEstimate", () => {
  for (const nodes of [50, 300, 10_000]) {
    it(`estimates ${nodes} nodes within 20 %`, () => {
      for (let seed = 1; seed <= 3; seed++) {
        const random = new SeededRandom(seed);
        const ids = network(nodes, random);
        const size = new SizeEstimate();
        for (let lookup = 0; lookup < 64; lookup++) {
          const target = randomNodeId(random);
          size.note(target, closest(ids, target));
        }
        const ratio = (size.estimate() ?? 0) / nodes;
        assert.ok(Math.abs(ratio - 1) < 0.2, `seed ${seed}: ${ratio} of the true size`);
      }
    });
  }

  it("says nothing before a few lookups", () => {
    const random = new SeededRandom(1);
    const size = new SizeEstimate();
    assert.equal(size.estimate(), undefined);
    for (let lookup = 0; lookup < 3; lookup++) size.note(randomNodeId(random), network(3, random));
    assert.equal(size.estimate(), undefined);
    size.note(randomNodeId(random), []);
    assert.equal(size.estimate(), undefined, "who finds nobody learns nothing");
    const again = randomNodeId(random);
    for (let lookup = 0; lookup < 3; lookup++) size.note(again, network(3, random));
    assert.equal(Math.round(size.estimate() ?? 0), 3);
  });

  it("counts the same target once", () => {
    const random = new SeededRandom(2);
    const size = new SizeEstimate();
    const target = randomNodeId(random);
    for (let lookup = 0; lookup < 20; lookup++) size.note(target, network(3, random));
    assert.equal(size.estimate(), undefined);
  });

  it("counts a network smaller than k exactly", () => {
    const random = new SeededRandom(3);
    const ids = network(5, random);
    const size = new SizeEstimate();
    for (let lookup = 0; lookup < 10; lookup++) size.note(randomNodeId(random), ids);
    assert.equal(Math.round((size.estimate() ?? 0) * 1e9) / 1e9, 5);
  });

  it("is not moved far by ids planted at a fifth of the targets, nor by failed lookups", () => {
    for (let seed = 1; seed <= 3; seed++) {
      const random = new SeededRandom(seed);
      const ids = network(1000, random);
      const size = new SizeEstimate();
      for (let lookup = 0; lookup < 64; lookup++) {
        const target = randomNodeId(random);
        const planted = Array.from({ length: 8 }, () => target);
        const far = closest(ids, target).slice(0, 2);
        if (lookup % 5 === 0) size.note(target, planted);
        else size.note(target, lookup % 5 === 1 ? far : closest(ids, target));
      }
      const ratio = (size.estimate() ?? 0) / 1000;
      assert.ok(ratio > 0.6 && ratio < 1.6, `seed ${seed}: ${ratio} of the true size`);
    }
  });

  it("forgets old lookups when the network has grown", () => {
    const random = new SeededRandom(4);
    const small = network(100, random);
    const large = [...small, ...network(1900, random)];
    const size = new SizeEstimate();
    for (const ids of [small, large]) {
      for (let lookup = 0; lookup < 64; lookup++) {
        const target = randomNodeId(random);
        size.note(target, closest(ids, target));
      }
    }
    const ratio = (size.estimate() ?? 0) / 2000;
    assert.ok(Math.abs(ratio - 1) < 0.2, `${ratio} of the true size`);
  });

  it("gives no number for ids that are all equal to their targets", () => {
    const random = new SeededRandom(5);
    const size = new SizeEstimate();
    for (let lookup = 0; lookup < 10; lookup++) {
      const target = randomNodeId(random);
      size.note(
        target,
        Array.from({ length: 8 }, () => target),
      );
    }
    assert.equal(size.estimate(), undefined);
  });
});
