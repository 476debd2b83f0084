import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { limits } from "../../../src/base/limits.ts";
import { parseSha256 } from "../../../src/base/sha256.ts";
import { Suspects } from "../../../src/engine/suspects.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

const [a, b, c] = ["a", "b", "c"].map((digit) => parseSha256(digit.repeat(64))!);

describe("Suspects", () => {
  it("lets a mirror have its way when it insists on the same bytes", () => {
    const suspects = new Suspects(new VirtualClock());
    assert.deepEqual([suspects.strike("n", a!), suspects.strike("n", a!)], ["refetch", "pass"]);
  });

  it("lets it have its way with the third wrong body, whatever it is", () => {
    const suspects = new Suspects(new VirtualClock());
    const verdicts = [a, b, c].map((digest) => suspects.strike("n", digest!));
    assert.deepEqual(verdicts, ["refetch", "refetch", "pass"]);
  });

  it("remembers names and digests for a while", () => {
    const clock = new VirtualClock();
    const suspects = new Suspects(clock);
    suspects.strike("n", a!);
    suspects.note(b!);
    assert.deepEqual([suspects.has("n"), suspects.has(b!), suspects.has("m")], [true, true, false]);
    clock.advance(limits.suspectMs + 1);
    assert.deepEqual([suspects.has("n"), suspects.has(b!)], [false, false]);
  });
});
