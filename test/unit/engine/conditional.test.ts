import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { parseContentRange, rangeStart, select } from "../../../src/engine/conditional.ts";

const validators = { etag: '"abc"', lastModified: "Sat, 01 Aug 2026 12:00:00 GMT", madeUp: false };

function chosen(headers: Record<string, string>, size = 100) {
  return select(headers, validators, size);
}

describe("select()", () => {
  it("gives the whole file when nothing is asked in particular", () => {
    assert.deepEqual(chosen({}), { kind: "whole" });
  });

  it("gives the part that one range names, cut to the file", () => {
    assert.deepEqual(chosen({ range: "bytes=10-19" }), { kind: "part", start: 10, end: 20 });
    assert.deepEqual(chosen({ range: "bytes=90-" }), { kind: "part", start: 90, end: 100 });
    assert.deepEqual(chosen({ range: "bytes=90-900" }), { kind: "part", start: 90, end: 100 });
    assert.deepEqual(chosen({ range: "bytes=-7" }), { kind: "part", start: 93, end: 100 });
    assert.deepEqual(chosen({ range: "bytes=-700" }), { kind: "part", start: 0, end: 100 });
  });

  it("refuses a range behind the end, also of an empty file", () => {
    assert.deepEqual(chosen({ range: "bytes=100-" }), { kind: "unsatisfiable" });
    assert.deepEqual(chosen({ range: "bytes=-0" }), { kind: "unsatisfiable" });
    assert.deepEqual(chosen({ range: "bytes=0-" }, 0), { kind: "unsatisfiable" });
  });

  it("ignores ranges that it need not understand", () => {
    for (const range of ["bytes=1-2,5-6", "pages=1-2", "bytes=9-3", "bytes=-", "bytes=a-b", ""]) {
      assert.deepEqual(chosen({ range }), { kind: "whole" }, range);
    }
  });

  it("honours If-Range by date or tag, and gives the whole file when it has changed", () => {
    const range = "bytes=50-";
    const part = { kind: "part", start: 50, end: 100 };
    assert.deepEqual(chosen({ range, "if-range": validators.lastModified }), part);
    assert.deepEqual(chosen({ range, "if-range": validators.etag }), part);
    const other = "Sat, 01 Aug 2026 12:00:01 GMT";
    assert.deepEqual(chosen({ range, "if-range": other }), { kind: "whole" });
  });

  it("calls a copy current when it is not older than the file", () => {
    const current = { kind: "not-modified" };
    const later = "Sat, 01 Aug 2026 13:00:00 GMT";
    const earlier = "Sat, 01 Aug 2026 11:00:00 GMT";
    assert.deepEqual(chosen({ "if-modified-since": validators.lastModified }), current);
    assert.deepEqual(chosen({ "if-modified-since": later }), current);
    assert.deepEqual(chosen({ "if-modified-since": earlier }), { kind: "whole" });
    assert.deepEqual(chosen({ "if-modified-since": "yesterday" }), { kind: "whole" });
    assert.deepEqual(chosen({ "if-none-match": '"x", W/"abc"' }), current);
    assert.deepEqual(chosen({ "if-none-match": "*" }), current);
    // A tag outranks a date (RFC 9110 section 13.2.2).
    const both = { "if-none-match": '"x"', "if-modified-since": validators.lastModified };
    assert.deepEqual(chosen(both), { kind: "whole" });
  });

  it("tells nothing from a date later than one that was made up", () => {
    const madeUp = { ...validators, madeUp: true };
    const asked = (date: string) => select({ "if-modified-since": date }, madeUp, 100);
    assert.deepEqual(asked(validators.lastModified), { kind: "not-modified" });
    assert.deepEqual(asked("Sat, 01 Aug 2026 13:00:00 GMT"), { kind: "whole" });
  });
});

describe("rangeStart()", () => {
  it("reads where a resume begins", () => {
    assert.equal(rangeStart("bytes=512-"), 512);
    assert.equal(rangeStart("bytes=-5"), undefined);
    assert.equal(rangeStart(undefined), undefined);
  });
});

describe("parseContentRange()", () => {
  it("reads bounds and total, and nothing malformed", () => {
    assert.deepEqual(parseContentRange("bytes 5-9/10"), { start: 5, end: 10, total: 10 });
    assert.deepEqual(parseContentRange("bytes 5-9/*"), { start: 5, end: 10, total: undefined });
    for (const text of ["bytes 9-5/10", "bytes */10", "5-9/10", "", undefined]) {
      assert.equal(parseContentRange(text), undefined);
    }
  });
});
