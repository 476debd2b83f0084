import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { secret, secureRandom } from "../../../src/io/secure-random.ts";

describe("secureRandom", () => {
  it("gives numbers from 0 to below 1, all different and evenly spread", () => {
    const numbers = Array.from({ length: 20_000 }, () => secureRandom.next());
    assert.ok(numbers.every((number) => number >= 0 && number < 1));
    // Among 20,000 numbers of 48 bits two are alike once in 1.4 million runs.
    assert.equal(new Set(numbers).size, numbers.length);
    const counts = new Array<number>(16).fill(0);
    for (const number of numbers) counts[Math.floor(number * 16)]! += 1;
    // 1250 expected; 350 is ten standard deviations.
    for (const count of counts) assert.ok(Math.abs(count - 1250) < 350, counts.join());
  });
});

describe("secret()", () => {
  it("is 20 bytes, never the same", () => {
    const texts = Array.from({ length: 100 }, () => Buffer.from(secret()).toString("hex"));
    assert.ok(texts.every((text) => /^[0-9a-f]{40}$/.test(text)));
    assert.equal(new Set(texts).size, 100);
  });
});
