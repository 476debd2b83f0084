import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { MiB, second } from "../../../src/base/units.ts";
import { PieceMap } from "../../../src/swarm/piece-map.ts";
import { SmallSwarm, type FakePeer } from "./small-swarm.ts";

const sizeBytes = 10 * MiB;
const pieces = 20;

/** Someone with all pieces but those of `missing`. */
function unfinished(missing: readonly number[]): FakePeer {
  const have = PieceMap.full(pieces);
  for (const piece of missing) have.remove(piece);
  return { rate: 10e6, rttMs: 2, have };
}

/** One among others, that has all but these. */
function among(others: readonly FakePeer[], missing: readonly number[] = []): SmallSwarm {
  const held = PieceMap.full(pieces);
  for (const piece of missing) held.remove(piece);
  const ahead = Array.from({ length: pieces }, (_, piece) => piece).filter((at) => held.has(at));
  const made = new SmallSwarm({ sizeBytes, mirror: false, ahead });
  for (const [index, peer] of others.entries()) made.add(index + 1, { via: "asker", ...peer });
  // Their states come with the answers to the first questions.
  made.transfer.start();
  made.clock.advance(second / 20);
  return made;
}

const several = (count: number, missing: readonly number[]): FakePeer[] =>
  Array.from({ length: count }, () => unfinished(missing));

describe("What a member may take away with it", () => {
  it("is what too few of a crowd have", () => {
    const { rarity } = among(several(9, [3]), [19]).transfer;
    assert.ok(rarity.has(3) && rarity.some);
    assert.ok(!rarity.has(4), "all have it");
  });

  it("is nothing when a quarter of those that lack it have it, or some have become whole", () => {
    const { rarity } = among([...several(8, [3]), ...several(2, [])], [19]).transfer;
    assert.ok(!rarity.has(3) && !rarity.some);
  });

  it("is nothing where somebody had all from the start", () => {
    const seed: FakePeer = { rate: 1, rttMs: 2, state: "whole" };
    assert.ok(!among([...several(9, [3]), seed], [19]).transfer.rarity.some);
  });

  it("is nothing among few", () => {
    assert.ok(!among(several(2, [3]), [19]).transfer.rarity.some);
  });

  it("is nothing while it lacks much itself", () => {
    const lacking = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19];
    assert.ok(!among(several(9, [3, ...lacking]), lacking).transfer.rarity.some);
  });
});
