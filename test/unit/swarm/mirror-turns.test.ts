/** Who gets a piece, also before those who want it know each other's numbers. */
import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { MirrorTurns } from "../../../src/swarm/mirror-turns.ts";

const members = 48;

/** How many of a crowd take each of many pieces, if everybody knows the numbers of `known` others. */
function takers(known: number, seed: number): readonly number[] {
  const random = new SeededRandom(seed);
  const numbers = Array.from({ length: members }, () => Math.floor(random.next() * 2 ** 32));
  return Array.from({ length: 400 }, (_, piece) => {
    const going = numbers.filter((own, index) => {
      const others = numbers.filter((_other, at) => at !== index);
      const view = { tickets: others.slice(0, known), unknown: others.length - known };
      const decision = { nowMs: 0, others: () => view, claimed: () => false };
      return new MirrorTurns(own).mine([piece], decision) === piece;
    });
    return going.length;
  });
}

const mean = (counts: readonly number[]): number =>
  counts.reduce((sum, count) => sum + count, 0) / counts.length;

describe("Turns at the mirror", () => {
  it("are one member's for each piece when all know all", () => {
    assert.deepEqual(new Set(takers(members - 1, 1)), new Set([1]));
  });

  it("are about one member's as long as numbers are unknown", () => {
    for (const known of [0, 10, 30]) {
      const each = mean(takers(known, 2));
      assert.ok(each > 0.6 && each < 1.4, `${each} go for a piece, ${known} known`);
    }
  });
});
