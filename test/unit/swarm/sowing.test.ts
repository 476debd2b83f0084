import assert from "node:assert/strict";

import { Sowing } from "../../../src/swarm/sowing.ts";

const pieces = 10;

describe("what a seed has sown", () => {
  it("gives each piece once, and says which it has given", () => {
    const sowing = new Sowing(pieces);
    assert.notEqual(sowing.sow(3, 2, 0), undefined);
    assert.equal(sowing.sow(4, 1, 0), undefined);
    assert.equal(sowing.sow(1, 3, 0), undefined);
    assert.notEqual(sowing.sow(1, 2, 0), undefined);
    const sown = Array.from({ length: pieces }, (_, piece) => sowing.sown.has(piece));
    assert.deepEqual(
      sown.flatMap((has, piece) => (has ? [piece] : [])),
      [1, 2, 3, 4],
    );
  });

  it("takes back what did not get there", () => {
    const sowing = new Sowing(pieces);
    sowing.sow(0, 4, 0)?.(3);
    assert.equal(sowing.sow(2, 1, 0), undefined);
    assert.notEqual(sowing.sow(3, 1, 0), undefined);
  });

  it("begins again when everything has been given, whatever is still under way", () => {
    const sowing = new Sowing(pieces);
    const first = sowing.sow(0, 5, 0);
    sowing.sow(5, 5, 0);
    assert.equal(sowing.sown.count, 0);
    assert.notEqual(sowing.sow(0, 1, 0), undefined);
    // Of the round before: it says nothing of what was given in this one.
    first?.(0);
    assert.equal(sowing.sown.has(0), true);
  });

  it("forgets a crowd that asks no more", () => {
    const sowing = new Sowing(pieces);
    sowing.sow(0, 1, 0);
    assert.equal(sowing.sow(0, 1, 60_000), undefined);
    assert.notEqual(sowing.sow(0, 1, 120_001), undefined);
  });
});
