import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "mocha";
import {
  boolean,
  duration,
  hours,
  integer,
  list,
  oneOf,
  orWord,
  path,
  size,
} from "../../../src/config/kinds.ts";
import type { Kind } from "../../../src/config/kinds.ts";

const refused = "refused";

function read<V>(kind: Kind<V>, text: string): V | typeof refused {
  const parsed = kind.parse(text);
  return "value" in parsed ? parsed.value : refused;
}

describe("integer()", () => {
  it("takes whole numbers within its bounds only", () => {
    const kind = integer(1, 100);
    const cases = { "1": 1, "100": 100, "007": 7, "0": refused, "101": refused };
    for (const [text, value] of Object.entries(cases)) assert.equal(read(kind, text), value, text);
    for (const text of ["", "-1", "1.5", "1e1", "0x10", "1 ", "ten", "1".repeat(400)]) {
      assert.equal(read(kind, text), refused, text);
    }
  });
});

describe("boolean", () => {
  it("takes the usual words in any case, and no property of objects", () => {
    for (const text of ["yes", "True", "ON", "1"]) assert.equal(read(boolean, text), true, text);
    for (const text of ["no", "FALSE", "off", "0"]) assert.equal(read(boolean, text), false, text);
    for (const text of ["", "y", "2", "constructor", "toString"]) {
      assert.equal(read(boolean, text), refused, text);
    }
  });
});

describe("duration()", () => {
  const kind = duration("1ms", "30d");
  it("takes fractions and every unit", () => {
    const cases = {
      "2.5h": 9_000_000,
      "90s": 90_000,
      "10 m": 600_000,
      "250ms": 250,
      "1D": 86_400_000,
    };
    for (const [text, value] of Object.entries(cases)) assert.equal(read(kind, text), value, text);
  });
  it("refuses a bare number and says with which unit it would be right", () => {
    assert.deepEqual(kind.parse("90"), { hint: "with a unit, such as 90s" });
  });
  it("refuses what is out of bounds, of another form or of another unit", () => {
    for (const text of ["0s", "31d", "", "s", "1w", "1h30m", "-1s", "1,5h", ".5h", "1 0 s"]) {
      assert.equal(read(kind, text), refused, text);
    }
  });
  it("gives the same value for the same time in another unit", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 500 }), (hours) => {
        assert.equal(read(kind, `${hours}h`), read(kind, `${hours * 60}m`));
        assert.equal(read(kind, `${hours}m`), read(kind, `${hours * 60_000}ms`));
      }),
      { seed: 1 },
    );
  });
});

describe("size", () => {
  it("knows decimal and binary units, and takes bare letters as binary", () => {
    const cases = {
      "10GB": 10e9,
      "512 MiB": 512 * 2 ** 20,
      "1.5kB": 1500,
      "2k": 2048,
      "3M": 3 * 2 ** 20,
      "4g": 4 * 2 ** 30,
      "1T": 2 ** 40,
      "7B": 7,
      "0": 0,
    };
    for (const [text, value] of Object.entries(cases)) assert.equal(read(size, text), value, text);
  });
  it("refuses a bare number and says with which unit it would be right", () => {
    assert.deepEqual(size.parse("500"), { hint: "with a unit, such as 500MB" });
  });
  it("refuses other units, signs and sizes that no number holds exactly", () => {
    for (const text of ["", "GB", "1PB", "-1GB", "1e3MB", "999999999999TB", "1 KB B"]) {
      assert.equal(read(size, text), refused, text);
    }
  });
});

describe("orWord()", () => {
  it("takes the word beside the other kind's values", () => {
    const kind = orWord("auto", size);
    assert.equal(read(kind, "Auto"), "auto");
    assert.equal(read(kind, "1kB"), 1000);
    assert.equal(read(kind, "automatic"), refused);
  });
});

describe("hours", () => {
  it("takes a part of the day, also over midnight", () => {
    const cases = {
      "22:00-06:30": { fromMinute: 1320, untilMinute: 390 },
      "0:00 - 24:00": { fromMinute: 0, untilMinute: 1440 },
      "9:05-9:06": { fromMinute: 545, untilMinute: 546 },
    };
    for (const [text, value] of Object.entries(cases)) {
      assert.deepEqual(read(hours, text), value, text);
    }
  });
  it("refuses what is no part of a day", () => {
    for (const text of ["", "22:00", "24:00-1:00", "1:00-24:01", "1:60-2:00", "3:00-3:00", "-"]) {
      assert.equal(read(hours, text), refused, text);
    }
    assert.deepEqual(hours.parse("22-6"), { hint: "with minutes" });
  });
});

describe("oneOf()", () => {
  it("takes its choices in any case", () => {
    const kind = oneOf(["info", "warn"]);
    assert.equal(read(kind, "WARN"), "warn");
    assert.equal(read(kind, "warning"), refused);
  });
});

describe("path", () => {
  it("normalizes absolute paths", () => {
    const cases = { "/": "/", "//var///cache/./x/": "/var/cache/x", "/a b": "/a b" };
    for (const [text, value] of Object.entries(cases)) assert.equal(read(path, text), value, text);
  });
  it("refuses relative paths, climbing and control characters", () => {
    for (const text of ["", "var", "~/x", "./x", "/a/../b", "/a\u0000", "/a\nb"]) {
      assert.equal(read(path, text), refused, text);
    }
    assert.deepEqual(path.parse('"/var"'), { hint: "without quotes" });
  });
});

describe("list()", () => {
  const kind = list(oneOf(["a", "b"]));
  it("splits at commas; nothing is the empty list", () => {
    assert.deepEqual(read(kind, " a ,b,a"), ["a", "b", "a"]);
    assert.deepEqual(read(kind, ""), []);
  });
  it("names the item that is wrong", () => {
    assert.deepEqual(kind.parse("a, c"), { hint: 'not "c"' });
    assert.deepEqual(kind.parse("a,,b"), { hint: "there is an empty item" });
    assert.deepEqual(list(path).parse("/a, '/b'"), { hint: `not "'/b'": without quotes` });
  });
  it("has a longest length", () => {
    assert.deepEqual(kind.parse(Array(1025).fill("a").join()), { hint: "at most 1024 of them" });
  });
});
