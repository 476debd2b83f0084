import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { percentile, summary } from "../../../src/sim/statistics.ts";

describe("percentile()", () => {
  it("is the value at a rank, and between two ranks the way from one to the other", () => {
    assert.equal(percentile([10, 20, 30], 0), 10);
    assert.equal(percentile([10, 20, 30], 50), 20);
    assert.equal(percentile([10, 20, 30], 75), 25);
    assert.equal(percentile([10, 20, 30], 100), 30);
    assert.equal(percentile([10, 20, 30], 120), 30);
    assert.equal(percentile([7], 99), 7);
    assert.ok(Number.isNaN(percentile([], 50)));
  });
});

describe("summary()", () => {
  it("sorts as numbers and rounds to milliseconds", () => {
    const values = Array.from({ length: 101 }, (_, index) => 1000 - 10 * index + 0.4);
    assert.deepEqual(summary(values), { count: 101, mean: 500, p50: 500, p90: 900, p99: 990 });
    assert.deepEqual(summary(new Set([9, 100])).p50, 55);
  });

  it("says NaN, not 0, when nothing was measured", () => {
    assert.deepEqual(summary([]), { count: 0, mean: NaN, p50: NaN, p90: NaN, p99: NaN });
  });
});
