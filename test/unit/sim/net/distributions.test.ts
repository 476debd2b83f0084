/** Samplers and tables against the known medians, means and quantiles; the seeds are fixed. */
import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { hour, minute } from "../../../../src/base/units.ts";
import {
  gamma,
  gammaTable,
  halfNormalTable,
  lognormal,
  normal,
  normalTable,
  QuantileTable,
  session2008Ms,
  sessionHarshMs,
} from "../../../../src/sim/net/distributions.ts";
import { SeededRandom } from "../../../../src/sim/seeded-random.ts";
import { percentile } from "../../../../src/sim/statistics.ts";

const count = 40_000;

function draws(seed: number, draw: (random: SeededRandom) => number): Float64Array {
  const random = new SeededRandom(seed);
  return Float64Array.from({ length: count }, () => draw(random)).sort();
}

function near(actual: number, expected: number, share: number): void {
  const allowed = Math.abs(expected) * share;
  assert.ok(Math.abs(actual - expected) <= allowed, `${actual}, expected ${expected}`);
}

const mean = (values: Float64Array): number => values.reduce((a, b) => a + b, 0) / values.length;

describe("samplers", () => {
  it("normal(): mean 0, 16th and 84th percentile at -1 and 1", () => {
    const values = draws(1, normal);
    assert.ok(Math.abs(mean(values)) < 0.02);
    near(percentile(values, 84.134), 1, 0.03);
    near(percentile(values, 15.866), -1, 0.03);
  });

  it("lognormal(): the median, and sigma in the logarithm", () => {
    const values = draws(2, (random) => lognormal(random, 900, 1.1));
    near(percentile(values, 50), 900, 0.03);
    near(Math.log(percentile(values, 84.134) / 900), 1.1, 0.03);
  });

  it("gamma(): mean and variance", () => {
    const values = draws(3, (random) => gamma(random, 1.67, 88));
    near(mean(values), 1.67 * 88, 0.02);
    near(mean(values.map((value) => (value - 1.67 * 88) ** 2)), 1.67 * 88 ** 2, 0.05);
    assert.throws(() => gamma(new SeededRandom(1), 0.5, 1), RangeError);
  });

  it("session2008Ms(): median 4.12 h, and 84 % below 21.2 h", () => {
    const values = draws(4, session2008Ms);
    near(percentile(values, 50), 4.12 * hour, 0.04);
    near(percentile(values, 84.134), 4.12 * hour * Math.exp(1.64), 0.06);
  });

  it("sessionHarshMs(): 63.2 % below 42.4 minutes, half below 16.2", () => {
    const values = draws(5, sessionHarshMs);
    near(percentile(values, 63.212), 42.4 * minute, 0.06);
    near(percentile(values, 50), 42.4 * minute * Math.LN2 ** (1 / 0.38), 0.06);
  });
});

describe("QuantileTable", () => {
  it("has the normal distribution's quantiles", () => {
    for (const [share, z] of [
      [0.001, -3.0902],
      [0.1, -1.28155],
      [0.75, 0.67449],
      [0.99, 2.32635],
    ] as const) {
      near(normalTable().at(share), z, 0.002);
    }
    assert.ok(Math.abs(normalTable().at(0.5)) < 0.001);
    near(halfNormalTable().at(0.5), 0.67449, 0.002);
  });

  it("has the gamma distribution's, here the exponential's, quantiles", () => {
    const table = gammaTable(1, 10);
    for (const share of [0.01, 0.5, 0.9, 0.999]) {
      near(table.at(share), -10 * Math.log(1 - share), 0.004);
    }
  });

  it("ascends, and is finite at its ends", () => {
    const table = gammaTable(1.67, 88);
    let last = 0;
    for (let step = 0; step < 5000; step++) {
      const value = table.at(step / 5000);
      assert.ok(value > last && value < 2000, `${step}: ${value} after ${last}`);
      last = value;
    }
    assert.ok(table.at(1 - 2 ** -32) < 2000);
  });

  it("goes straight through measured points", () => {
    const table = QuantileTable.through([0, 50, 100], [10, 20, 120]);
    near(table.at(0.25), 15, 0.001);
    near(table.at(0.5), 20, 0.001);
    near(table.at(0.75), 70, 0.001);
  });
});
