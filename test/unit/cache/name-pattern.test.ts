import { describe, it } from "mocha";
import assert from "node:assert/strict";
import fc from "fast-check";
import { matchesPattern } from "../../../src/cache/name-pattern.ts";

describe("matchesPattern()", () => {
  it("knows * as any text and ? as one character", () => {
    assert.ok(matchesPattern("h/pool/libc6_2.36_amd64.deb", "*/libc6_*.deb"));
    assert.ok(matchesPattern("abc", "a?c"));
    assert.ok(matchesPattern("", ""));
    assert.ok(matchesPattern("", "**"));
    assert.ok(!matchesPattern("abc", "ab"));
    assert.ok(!matchesPattern("ab", "a?b"));
    assert.ok(!matchesPattern("a.c", "abc"));
    assert.ok(matchesPattern("a.(c", "a.(c"));
  });

  it("agrees with the regular expression of the same meaning", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "/"), maxLength: 12 });
    const pattern = fc.string({ unit: fc.constantFrom("a", "b", "/", "*", "?"), maxLength: 8 });
    fc.assert(
      fc.property(text, pattern, (name, glob) => {
        const source = glob.replaceAll("*", ".*").replaceAll("?", ".").replaceAll("/", "\\/");
        assert.equal(matchesPattern(name, glob), new RegExp(`^${source}$`, "s").test(name));
      }),
      { numRuns: 2000 },
    );
  });

  it("answers fast where a backtracking matcher would not", () => {
    assert.equal(matchesPattern("a".repeat(4000), `${"a*".repeat(200)}b`), false);
  });
});
