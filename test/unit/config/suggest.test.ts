import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { suggest } from "../../../src/config/suggest.ts";

describe("suggest()", () => {
  const names = ["port", "bind", "cache_dir", "state_dir", "max_connections"];
  it("finds the nearest candidate over wrong, missing, extra and swapped letters", () => {
    const cases = {
      prot: "port",
      por: "port",
      ports: "port",
      "cache-dir": "cache_dir",
      CACHEDIR: "cache_dir",
      max_conections: "max_connections",
    };
    for (const [word, meant] of Object.entries(cases))
      assert.equal(suggest(word, names), meant, word);
  });
  it("has no suggestion for words far from all, nor for very long ones", () => {
    for (const word of ["", "quota", "x".repeat(100_000)])
      assert.equal(suggest(word, names), undefined);
  });
  it("compares without regard to case on both sides", () => {
    assert.equal(suggest("APT_P2P_LOG_LEVL", ["APT_P2P_LOG_LEVEL"]), "APT_P2P_LOG_LEVEL");
  });
});
