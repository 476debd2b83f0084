import assert from "node:assert/strict";
import { describe, it } from "mocha";
import {
  agoText,
  bytesText,
  columns,
  countText,
  durationText,
  percentText,
  plural,
  visible,
  wrap,
} from "../../../src/cli/text.ts";

describe("bytesText()", () => {
  it("has three digits in decimal units", () => {
    const cases: [number, string][] = [
      [0, "0 B"],
      [999, "999 B"],
      [1000, "1.0 kB"],
      [1234567, "1.2 MB"],
      [99_940_000, "99.9 MB"],
      [99_960_000, "100 MB"],
      [999_600_000, "1.0 GB"],
      [1.2e13, "12.0 TB"],
      [5e18, "5000 PB"],
    ];
    for (const [bytes, text] of cases) assert.equal(bytesText(bytes), text);
  });
});

describe("durationText()", () => {
  it("has the two largest units, without zeros", () => {
    const cases: [number, string][] = [
      [0, "0 s"],
      [61_000, "1 min 1 s"],
      [3_600_000, "1 h"],
      [3_605_000, "1 h"],
      [93_784_000, "1 d 2 h"],
    ];
    for (const [ms, text] of cases) assert.equal(durationText(ms), text);
  });
});

describe("agoText()", () => {
  it("has one unit, and a date when the clock was set back", () => {
    assert.equal(agoText(0, 30_000), "just now");
    assert.equal(agoText(0, 11_000_000), "3 h ago");
    assert.equal(agoText(Date.UTC(2026, 1, 3), 0), "2026-02-03");
  });
});

describe("columns()", () => {
  it("aligns all but the last column, some to the right, and leaves no blanks at the end", () => {
    assert.deepEqual(
      columns(
        [
          ["a", "1", "x"],
          ["bbb", "22", ""],
        ],
        [1],
      ),
      ["  a     1  x", "  bbb  22"],
    );
    assert.deepEqual(columns([]), []);
  });
});

describe("wrap()", () => {
  it("breaks between words only", () => {
    assert.deepEqual(wrap("aa bb  cc dddddddd e", 5), ["aa bb", "cc", "dddddddd", "e"]);
  });
});

describe("counts", () => {
  it("have separators, plurals and shares", () => {
    assert.equal(countText(1234567), "1,234,567");
    assert.equal(plural(1, "file"), "1 file");
    assert.equal(plural(2000, "file"), "2,000 files");
    assert.equal(percentText(1, 3), "33 %");
    assert.equal(percentText(1, 0), "");
  });
});

describe("visible()", () => {
  it("lets nothing through that a terminal obeys", () => {
    assert.equal(visible("a\u001b]0;x\u0007\u009b\u202eb ä"), "a\uFFFD]0;x\uFFFD\uFFFD\uFFFDb ä");
  });
});
