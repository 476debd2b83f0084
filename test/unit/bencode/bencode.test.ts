import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "mocha";
import { decodeBencode, encodeBencode } from "../../../src/bencode/bencode.ts";
import { mostDepth, mostItems } from "../../../src/bencode/check.ts";
import type { BencodeValue } from "../../../src/bencode/values.ts";

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "latin1"));

function decoded(text: string): BencodeValue {
  const result = decodeBencode(bytes(text));
  if ("problem" in result) assert.fail(`${text}: ${result.problem}`);
  return result.value;
}

function problem(text: string): string {
  const result = decodeBencode(bytes(text));
  if ("value" in result) assert.fail(`taken: ${text}`);
  assert.match(result.problem, /^[ -~]{1,64}$/);
  return result.problem;
}

describe("decodeBencode()", () => {
  const good: readonly [string, BencodeValue][] = [
    ["0:", bytes("")],
    ["3:a\u0000\u00ff", bytes("a\u0000\u00ff")],
    ["i0e", 0],
    ["i-7e", -7],
    ["i999999999999999e", 999_999_999_999_999],
    ["le", []],
    ["li1e0:lee", [1, bytes(""), []]],
    ["de", new Map()],
    [
      "d0:i1e1:ai2e2:aai3e1:bdee",
      new Map<string, BencodeValue>(Object.entries({ "": 1, a: 2, aa: 3, b: new Map() })),
    ],
    [
      "d11:constructori1e8:toString1:xe",
      new Map<string, BencodeValue>([
        ["constructor", 1],
        ["toString", bytes("x")],
      ]),
    ],
  ];
  for (const [text, value] of good) {
    it(`takes ${JSON.stringify(text)}`, () => {
      assert.deepEqual(decoded(text), value);
      assert.deepEqual([...encodeBencode(value)], [...bytes(text)]);
    });
  }

  const wrong: readonly [what: string, texts: readonly string[], RegExp][] = [
    ["what kills the package", ["l-3:e", "d1:al-3:ee", "li1e-6:e", "d-3:i1ee"], /length/],
    ["nothing", [""], /no value/],
    ["other languages", ["{}", "GET / HTTP/1.1", "\n", "e", "x", ":", "-"], /no value/],
    ["lengths that are none", ["003:abc", "01:a", "+3:abc", "-1:a", ":abc", "3"], /length/],
    ["lengths without colon", ["3abc", "3.9:abc", "12345678:a"], /colon|length/],
    ["strings that are cut off", ["1:", "10:abc", "9999999:a"], /cut off/],
    ["integers that are none", ["ie", "i-e", "i-0e", "i007e", "i-01e", "i+5e", "i e"], /integer/],
    ["integers without end", ["i1", "i1.5e", "i1x", "i1234567890123456e"], /integer/],
    ["containers without end", ["l", "d", "d1:a", "li1e", "d1:ai1e", "ld", "d1:a2:be"], /no value/],
    ["more than one value", ["i1ei2e", "dee", "0:x", "le\n"], /more than one value/],
    ["keys without value", ["d1:ae", "d1:ai1e1:be"], /without a value/],
    ["keys that are no strings", ["di1ei1ee", "dlei1ee", "ddei1ee"], /no value/],
    ["keys in another order", ["d1:bi1e1:ai1ee", "d2:aai1e1:ai1ee", "d1:ai1e0:i1ee"], /order/],
    ["a key twice", ["d1:ai1e1:ai1ee", "d0:i1e0:i1ee"], /order/],
    [
      "keys that are not printable",
      ["d1:\u0000i1ee", "d1:\u00ffi1ee", "d1:\u007fi1ee"],
      /printable/,
    ],
    ["a prototype", ["d9:__proto__d1:ai1eee", "ld9:__proto__leee"], /forbidden/],
  ];
  for (const [what, texts, pattern] of wrong) {
    it(`refuses ${what}`, () => {
      for (const text of texts) assert.match(problem(text), pattern, JSON.stringify(text));
    });
  }

  it("takes as many levels and items as it says, and not one more", () => {
    const levels = (count: number): string => "l".repeat(count) + "e".repeat(count);
    decoded(levels(mostDepth));
    assert.match(problem(levels(mostDepth + 1)), /levels/);
    assert.match(problem("l".repeat(1500)), /levels/);
    assert.match(problem("d1:a".repeat(300)), /levels/);
    decoded(`l${"le".repeat(mostItems - 1)}e`);
    assert.match(problem(`l${"le".repeat(mostItems)}e`), /items/);
  });

  it("obeys the limit on bytes", () => {
    assert.ok("value" in decodeBencode(bytes("4:abcd"), 6));
    assert.deepEqual(decodeBencode(bytes("4:abcd"), 5), { problem: "more than 5 bytes" });
    decoded(`1495:${"x".repeat(1495)}`);
    assert.match(problem(`1496:${"x".repeat(1496)}`), /1500 bytes/);
  });

  it("gives strings that have nothing to do with the input any more", () => {
    const input = Buffer.from("xx3:abcyy").subarray(2, 7);
    const result = decodeBencode(input);
    input.fill(0);
    assert.deepEqual(result, { value: bytes("abc") });
  });

  it("says where, and changes no prototype", () => {
    assert.equal(problem("d1:ai1e1:ai1ee"), "a key out of order at byte 10");
    problem("d9:__proto__d8:pollutedi1eee");
    assert.equal(({} as Record<string, unknown>)["polluted"], undefined);
  });

  it("takes all that encodeBencode() makes, and gives the same value", () => {
    const { value } = fc.letrec<{ value: BencodeValue }>((tie) => ({
      value: fc.oneof(
        { depthSize: "small", maxDepth: mostDepth - 1 },
        fc.integer(),
        fc.integer({ min: -999_999_999_999_999, max: 999_999_999_999_999 }),
        fc.uint8Array({ maxLength: 120 }),
        fc.array(tie("value"), { maxLength: 5 }),
        fc
          .dictionary(fc.string({ unit: "grapheme-ascii", maxLength: 12 }), tie("value"), {
            maxKeys: 5,
          })
          .filter((entries) => !Object.hasOwn(entries, "__proto__"))
          .map((entries) => new Map(Object.entries(entries))),
      ),
    }));
    fc.assert(
      fc.property(value, (made) => {
        const encoded = encodeBencode(made);
        const result = decodeBencode(encoded, Infinity);
        assert.deepEqual(result, { value: made });
        if ("value" in result) assert.deepEqual(encodeBencode(result.value), encoded);
      }),
      { numRuns: 500 },
    );
  });

  it("gives a value or a problem for any bytes, and what it takes is canonical", () => {
    const piece = fc.constantFrom("d", "l", "e", "i", "1", "-", "0", ":", "1:a", "i1e", "3:", "de");
    const near = fc.array(piece, { maxLength: 30 }).map((parts) => bytes(parts.join("")));
    let taken = 0;
    fc.assert(
      fc.property(fc.oneof(near, fc.uint8Array({ maxLength: 60 })), (input) => {
        const result = decodeBencode(input);
        if ("problem" in result) return;
        taken++;
        assert.deepEqual([...encodeBencode(result.value)], [...input]);
      }),
      { numRuns: 5000 },
    );
    assert.ok(taken > 0);
  });
});

describe("encodeBencode()", () => {
  it("sorts keys", () => {
    const dict = new Map([
      ["b", 1],
      ["aa", 2],
      ["7", 3],
      ["a", 4],
    ]);
    assert.equal(Buffer.from(encodeBencode(dict)).toString(), "d1:7i3e1:ai4e2:aai2e1:bi1ee");
  });

  it("refuses numbers that would come out as others", () => {
    for (const number of [0.5, NaN, Infinity, 1e15, -1e15]) {
      assert.throws(() => encodeBencode(number), RangeError);
      assert.throws(() => encodeBencode([new Map([["a", number]])]), RangeError);
    }
  });
});
