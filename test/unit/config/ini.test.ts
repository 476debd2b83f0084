import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "mocha";
import { parseIni, shortened } from "../../../src/config/ini.ts";

describe("parseIni()", () => {
  it("reads sections, keys and values with their lines", () => {
    const { entries, sections, problems } = parseIni(
      "\uFEFF# first\r\n[Proxy]\r\nPORT=1\r\n\r\n  bind =  a = b ; why\n[ log ]\nlevel =\n",
    );
    assert.deepEqual(entries, [
      { section: "proxy", key: "port", value: "1", line: 3 },
      { section: "proxy", key: "bind", value: "a = b", line: 5 },
      { section: "log", key: "level", value: "", line: 7 },
    ]);
    assert.deepEqual(sections, [
      { name: "proxy", line: 2 },
      { name: "log", line: 6 },
    ]);
    assert.deepEqual(problems, []);
  });
  it("takes # and ; for comments only at the start or behind white space", () => {
    const { entries } = parseIni("[a]\n;x = 1\n#y = 2\nz = /a#b;c # d\nv = # nothing");
    assert.deepEqual(
      entries.map(({ key, value }) => [key, value]),
      [
        ["z", "/a#b;c"],
        ["v", ""],
      ],
    );
  });
  it("names every line that it cannot read", () => {
    const { entries, problems } = parseIni("x = 1\n[a\nword\n= 3\n[a]\ny = 2");
    assert.deepEqual(
      problems.map(({ line }) => line),
      [1, 2, 3, 4],
    );
    assert.match(problems[0]!.message, /"x = 1" stands before the first \[section\]/);
    assert.match(problems[2]!.message, /cannot read "word"; expected/);
    assert.equal(entries.length, 1);
  });
  it("gives an entry or a problem for every line of any text, and never throws", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        const { entries, sections, problems } = parseIni(text);
        const lines = [...entries, ...sections, ...problems].map(({ line }) => line);
        assert.equal(new Set(lines).size, lines.length);
        assert.ok(Math.max(0, ...lines) <= text.split("\n").length);
      }),
      { seed: 2 },
    );
  });
  it("reads a line of a million blanks in no time", function () {
    this.timeout(1000);
    const { problems } = parseIni(`[a]\nb${" ".repeat(1_000_000)}c`);
    assert.equal(problems.length, 1);
  });
});

describe("shortened()", () => {
  it("keeps messages short and free of control characters", () => {
    assert.equal(shortened("a\u001b[31mb\n"), "a\uFFFD[31mb\uFFFD");
    assert.equal(shortened("x".repeat(81)).length, 80);
    assert.equal(shortened("x".repeat(80)), "x".repeat(80));
  });
});
