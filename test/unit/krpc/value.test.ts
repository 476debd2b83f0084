import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "mocha";
import { endpoint } from "../../../src/base/endpoint.ts";
import type { Endpoint } from "../../../src/base/endpoint.ts";
import { idText } from "../../../src/base/node-id.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { wireLimits } from "../../../src/krpc/sizes.ts";
import {
  encodeFileValue,
  encodePieceList,
  mostListedPieces,
  parseValue,
  pieceListKey,
} from "../../../src/krpc/value.ts";
import type { FileValue, PieceSource } from "../../../src/krpc/value.ts";
import * as make from "./messages.ts";

const hash = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const hashes = (count: number): Uint8Array[] => [...new Array(count).keys()].map(hash);
const whole: FileValue = {
  ...{ state: { kind: "complete" }, pieces: { kind: "none" }, privateAddresses: [] },
};
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("latin1");

const digests = fc.uint8Array({ minLength: 32, maxLength: 32 });
const pieces: fc.Arbitrary<PieceSource> = fc.oneof(
  fc.constant({ kind: "none" } as const),
  fc.record({
    kind: fc.constant("inline" as const),
    hashes: fc.array(digests, { minLength: 2, maxLength: 4 }),
  }),
  fc.record({ kind: fc.constant("key" as const), key: fc.constant(make.answerer) }),
  fc.record({ kind: fc.constant("peer" as const), digest: digests }),
);
const near: fc.Arbitrary<Endpoint> = fc
  .tuple(
    fc.constantFrom("10.1.2.3", "192.168.0.9", "fd00::7", "169.254.1.1"),
    fc.integer({ min: 1, max: 65_535 }),
  )
  .map(([address, port]) => endpoint(address, port));
const fileValues: fc.Arbitrary<FileValue> = fc.record({
  state: fc.oneof(
    fc.constant({ kind: "complete" } as const),
    fc.record({
      kind: fc.constant("unfinished" as const),
      eighths: fc.integer({ min: 0, max: 7 }),
    }),
  ),
  pieces,
  privateAddresses: fc.array(near, { maxLength: 2 }),
});

describe("values", () => {
  it("come back as they were", () => {
    fc.assert(
      fc.property(fileValues, (value) => {
        const encoded = encodeFileValue(value);
        assert.ok(encoded.length <= 190, `${encoded.length} bytes`);
        assert.deepEqual(make.plain(parseValue(encoded)), make.plain({ kind: "file", value }));
      }),
      { numRuns: 500 },
    );
    for (let count = 2; count <= mostListedPieces; count++) {
      const list = { hashes: hashes(count) };
      assert.deepEqual(parseValue(encodePieceList(list)), { kind: "pieces", list });
    }
  });

  it("are as small as the protocol says", () => {
    assert.equal(text(encodeFileValue(whole)), "de");
    const half: FileValue = { ...whole, state: { kind: "unfinished", eighths: 4 } };
    assert.equal(text(encodeFileValue(half)), "d1:si4ee");
    const keyed: FileValue = { ...whole, pieces: { kind: "key", key: make.answerer } };
    assert.equal(text(encodeFileValue(keyed)), "d1:h20:mnopqrstuvwxyz123456e");
    const most = encodePieceList({ hashes: hashes(mostListedPieces) });
    assert.equal(most.length, 1034);
    assert.ok(parseValue(most).kind === "pieces");
  });

  it("may have keys that we do not know", () => {
    assert.deepEqual(parseValue(make.bytes("d1:z3:abce")), { kind: "file", value: whole });
    const list = `d1:p64:${"x".repeat(64)}1:zlee`;
    assert.equal(parseValue(make.bytes(list)).kind, "pieces");
  });

  it("are refused when a key that we know is wrong", () => {
    const private6 = "6:\u000a\u0001\u0002\u0003\u0026\u00f9";
    const wrong: readonly [RegExp, readonly string[]][] = [
      [/value/, ["", "x", "d"]],
      [/dictionary/, ["le", "i1e", "2:de"]],
      [/bad s/, ["d1:si8ee", "d1:si-1ee", "d1:s1:1e"]],
      [/bad t/, ["t", "l", "h"].map((key) => `d1:${key}5:abcdee`)],
      [/bad t/, [32, 63, 65, 160].map((count) => `d1:t${count}:${"x".repeat(count)}e`)],
      [/bad t/, [`d1:h20:${"x".repeat(20)}1:l32:${"x".repeat(32)}e`]],
      [/bad p/, ["d1:pi1ee", ...[32, 63, 65].map((n) => `d1:p${n}:${"x".repeat(n)}e`)]],
      [/bytes/, [`d1:p1056:${"x".repeat(1056)}e`]],
      [/bad a/, ["d1:ai1ee", "d1:al1:xee", "d1:ali1eee", `d1:al${private6.repeat(3)}ee`]],
      [
        /bad a/,
        [
          "6:\u00c0\u0000\u0002\u0007\u0026\u00f9",
          "6:\u0008\u0008\u0008\u0008\u0026\u00f9",
          "6:\u007f\0\0\u0001\u0026\u00f9",
        ].map((one) => `d1:al${one}ee`),
      ],
      [/bytes/, [`d1:z${wireLimits.valueBytes}:${"x".repeat(wireLimits.valueBytes)}e`]],
    ];
    for (const [pattern, texts] of wrong) {
      for (const each of texts) {
        const parsed = parseValue(make.bytes(each));
        assert.ok(parsed.kind === "bad", each);
        assert.match(parsed.problem, pattern, each);
      }
    }
    assert.equal(parseValue(make.bytes(`d1:al${private6.repeat(2)}ee`)).kind, "file");
  });

  it("cannot be made wrong", () => {
    const wrong: readonly Partial<FileValue>[] = [
      { state: { kind: "unfinished", eighths: 8 } },
      { state: { kind: "unfinished", eighths: 1.5 } },
      { pieces: { kind: "inline", hashes: hashes(1) } },
      { pieces: { kind: "inline", hashes: hashes(5) } },
      { pieces: { kind: "peer", digest: new Uint8Array(20) } },
      { privateAddresses: [endpoint("8.8.8.8", 1)] },
      { privateAddresses: [1, 2, 3].map((port) => endpoint("10.0.0.1", port)) },
    ];
    for (const change of wrong) {
      assert.throws(() => encodeFileValue({ ...whole, ...change }), RangeError);
    }
    for (const count of [0, 1, 33]) {
      assert.throws(() => encodePieceList({ hashes: hashes(count) }), RangeError);
    }
  });

  it("never make the parser throw", () => {
    const mutated = fc
      .tuple(fileValues, fc.nat(190), fc.uint8Array({ maxLength: 2 }))
      .map(([value, at, change]) => {
        const encoded = Buffer.from(encodeFileValue(value));
        return Buffer.concat([
          encoded.subarray(0, at),
          change,
          encoded.subarray(at + change.length),
        ]);
      });
    fc.assert(
      fc.property(mutated, (input) => {
        assert.ok(["file", "pieces", "bad"].includes(parseValue(input).kind));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("pieceListKey()", () => {
  it("is the beginning of the SHA-256 of the hashes one after another", () => {
    // printf of 64 zero bytes | sha256sum
    const list = { hashes: [hash(0), hash(0)] };
    assert.equal(
      idText(pieceListKey(nodeHashes, list)),
      "f5a5fd42d16a20302798ef6ed309979b43003d23",
    );
  });
});
