import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { compareDistance } from "../../../src/base/node-id.ts";
import { crowdedRegion } from "../../../src/dht/publish-region.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { contactOf, idAt, randomId } from "./nodes.ts";

describe("crowdedRegion()", () => {
  const random = new SeededRandom(3);
  const key = idAt([0x40, 1, 2]);
  const honest = Array.from({ length: 300 }, (_, n) => contactOf(randomId(random), n));
  const crowd = Array.from({ length: 24 }, (_, n) => contactOf(idAt([0x40, 1, 2, 3], n), 1000 + n));
  const near = (all: readonly ReturnType<typeof contactOf>[]) =>
    [...all].sort((a, b) => compareDistance(key, a.id, b.id)).slice(0, 48);
  const parts = { hashes: nodeHashes, salt: randomId(random), size: 300 };

  it("finds nothing amiss among honest nodes, nor while the size is unknown", () => {
    assert.equal(crowdedRegion(parts, key, near(honest)), undefined);
    const crowded = near([...honest, ...crowd]);
    assert.equal(crowdedRegion({ ...parts, size: undefined }, key, crowded), undefined);
  });

  it("gives honest nodes of the region their share, in an order of each publisher's own", () => {
    const crowded = near([...honest, ...crowd]);
    const region = crowdedRegion(parts, key, crowded);
    assert.ok(region !== undefined, "24 nodes at one key are a crowd");
    const isHonest = ({ endpoint }: (typeof region)[number]): boolean =>
      honest.some((one) => one.endpoint.text === endpoint.text);
    const count = region.filter(isHonest).length;
    assert.ok(count >= 3 && count <= 16, `${count} honest ones in the region`);
    const other = crowdedRegion({ ...parts, salt: randomId(random) }, key, crowded);
    assert.notDeepEqual(
      region.map(({ endpoint }) => endpoint.text),
      other?.map(({ endpoint }) => endpoint.text),
    );
  });
});
