import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { matrix } from "../../../../src/sim/net/latency-matrix.ts";
import {
  fixed,
  internet,
  planetLab,
  planetLabMeasured,
  type Latency,
} from "../../../../src/sim/net/latency.ts";
import { percentile } from "../../../../src/sim/statistics.ts";

const models = { planetLab, planetLabMeasured, internet };

/** Quantiles over all pairs of so many hosts. */
function quantiles(latency: Latency, hosts: number, percents: readonly number[]): number[] {
  const values: number[] = [];
  for (let a = 0; a < hosts; a++) {
    for (let b = 0; b < a; b++) values.push(latency.roundTripMs(a, b));
  }
  values.sort((a, b) => a - b);
  return percents.map((percent) => percentile(values, percent));
}

function near(actual: readonly number[], expected: readonly number[], share: number): void {
  const good = expected.every((value, i) => Math.abs(actual[i]! - value) <= share * value);
  assert.ok(good && actual.length === expected.length, `${actual.join()} not ${expected.join()}`);
}

describe("latency models", () => {
  it("are symmetric, positive, repeatable for a seed, and different for others", () => {
    for (const [name, model] of Object.entries(models)) {
      const draw = (seed: number): number[] => {
        const latency = model(seed);
        return Array.from({ length: 200 }, (_, i) => latency.roundTripMs(i, (7 * i) % 100_003));
      };
      assert.deepEqual(draw(5), draw(5), name);
      assert.ok(draw(5).every((ms) => ms > 0 && ms < 5000));
      for (const other of [6, 5 + 2 ** 32, -5]) assert.notDeepEqual(draw(5), draw(other), name);
      const latency = model(5);
      for (let a = 0; a < 100; a++) {
        const b = 99_999 - 13 * a;
        assert.equal(latency.roundTripMs(a, b), latency.roundTripMs(b, a), name);
      }
    }
  });

  it("planetLab() is Gamma(1.67, 88 ms), near the measured p90", () => {
    const actual = quantiles(planetLab(1), 400, [10, 50, 90, 99]);
    near(actual, [32, 119, 297, 528], 0.04);
    near(actual.slice(2, 3), [291], 0.1);
    // The median is where this distribution misses the measured one most.
    near(actual.slice(1, 2), [135], 0.15);
  });

  it("planetLabMeasured() has the quantiles that were measured", () => {
    const percents = [1, 5, 10, 25, 50, 75, 90, 95, 99];
    const expected = [6, 19, 32, 59, 135, 202, 291, 325, 413];
    near(quantiles(planetLabMeasured(2), 400, percents), expected, 0.05);
  });

  it("internet() has p10, p50, p90 and p99 at 62, 156, 302 and 425 ms", () => {
    for (const seed of [1, 2]) {
      const actual = quantiles(internet(seed), 800, [10, 50, 90, 99]);
      near(actual, [62, 156, 302, 425], 0.1);
    }
  });

  it("internet() gives a host with a slow line long ways to everybody", () => {
    const latency = internet(3);
    const median = (host: number): number =>
      percentile(
        Array.from({ length: 199 }, (_, i) => latency.roundTripMs(host, 1000 + i)).sort(
          (a, b) => a - b,
        ),
        50,
      );
    const medians = Array.from({ length: 60 }, (_, host) => median(host)).sort((a, b) => a - b);
    assert.ok(percentile(medians, 90) > 1.3 * percentile(medians, 10), medians.join());
  });

  it("fixed() is the same for all", () => {
    assert.equal(fixed(80).roundTripMs(1, 2), 80);
  });
});

describe("matrix()", () => {
  it("takes the mean of both directions, or the one that was measured", () => {
    const latency = matrix("0 10 30\r\n20\t0\tNaN\n0 40 0\n\n");
    assert.equal(latency.roundTripMs(0, 1), 15);
    assert.equal(latency.roundTripMs(1, 0), 15);
    assert.equal(latency.roundTripMs(0, 2), 30);
    assert.equal(latency.roundTripMs(1, 2), 40);
  });

  it("takes the rows' medians where nothing was measured, and repeats itself beyond its size", () => {
    const latency = matrix("0 10 nan\n10 0 50\n0 50 0\n");
    assert.equal(latency.roundTripMs(0, 2), (10 + 50) / 2);
    assert.equal(latency.roundTripMs(3, 4), 10);
    assert.equal(latency.roundTripMs(1, 4), 30, "two hosts of one row");
  });

  it("names the line that is wrong", () => {
    const bad = [
      ["", /line 1: there are no rows/],
      ["0 1\n1 x\n", /line 2: .*x/],
      ["0 1\n1 -2\n", /line 2: .*-2/],
      ["0 1\n\n1 0 2\n", /line 3: there must be 2 numbers/],
      ["0 1 2\n1 0 2\n0 nan 0\n", /line 3: no other host/],
      ["0 1\nInfinity 0\n", /line 2/],
    ] as const;
    for (const [text, message] of bad) {
      assert.throws(() => matrix(text), { name: "AptP2pError", code: "FORMAT", message });
    }
    assert.throws(() => matrix("1\n".repeat(4097)), /line 4097: more than 4096 rows/);
  });
});
