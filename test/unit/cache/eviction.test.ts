import { describe, it } from "mocha";
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Sha256 } from "../../../src/base/sha256.ts";
import { EvictionPlan, evictionRank, type Candidate } from "../../../src/cache/eviction.ts";

function victims(candidates: readonly Candidate[], wantedBytes: number): readonly Candidate[] {
  const plan = new EvictionPlan(wantedBytes);
  for (const candidate of candidates) plan.consider(candidate);
  return plan.victims();
}

const arbitraryCandidates = fc
  .array(
    fc.record({
      sizeBytes: fc.nat(1000),
      lastUsedMs: fc.nat(50),
      rank: fc.constantFrom(...Object.values(evictionRank)),
    }),
    { maxLength: 4000, size: "max" },
  )
  .map((all) =>
    all.map((one, index) => ({ ...one, sha256: index.toString(16).padStart(64, "0") as Sha256 })),
  );

describe("EvictionPlan.victims()", () => {
  it("picks nothing when nothing is wanted, and all when all is not enough", () => {
    const one = { sha256: "aa" as Sha256, sizeBytes: 5, lastUsedMs: 0, rank: evictionRank.listed };
    assert.deepEqual(victims([one], 0), []);
    assert.deepEqual(victims([one], 6), [one]);
    assert.deepEqual(victims([], 6), []);
  });

  it("agrees with sorting everything and taking from the front", () => {
    fc.assert(
      fc.property(arbitraryCandidates, fc.nat(200_000), (candidates, wantedBytes) => {
        const sorted = [...candidates].sort(
          (a, b) =>
            a.rank - b.rank || a.lastUsedMs - b.lastUsedMs || (a.sha256 < b.sha256 ? -1 : 1),
        );
        const expected: Candidate[] = [];
        let bytes = 0;
        for (const candidate of sorted) {
          if (bytes >= wantedBytes) break;
          expected.push(candidate);
          bytes += candidate.sizeBytes;
        }
        assert.deepEqual(victims(candidates, wantedBytes), expected);
      }),
      { numRuns: 60 },
    );
  });
});
