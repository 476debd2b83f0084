import { describe, it } from "mocha";
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  decodeFile,
  decodeOffer,
  decodePart,
  encodeFile,
  encodeOffer,
  encodePart,
  type FileRecord,
} from "../../../src/cache/records.ts";
import { content } from "./world.ts";

const record: FileRecord = {
  sizeBytes: 1234,
  mtimeMs: 5,
  addedAtMs: 6,
  verifiedAtMs: 7,
  lastUsedMs: 8,
  names: ["ftp.us.debian.org/debian/a_1%3a2.deb", "ä"],
  lastModified: "Thu, 01 Jan 2026 00:00:00 GMT",
  contentType: "x/y",
  scope: "local",
  origin: "mirror",
};
const offered: FileRecord = { ...record, path: "/var/cache/apt/archives/a.deb", origin: "offer" };
const sha256 = content(1, 1).sha;
const part = { sizeBytes: 9, proofs: [{ bytes: 524_288, sha256 }], bootId: "b" };

describe("records", () => {
  it("decode to what was encoded", () => {
    assert.deepEqual(decodeFile(encodeFile(record)), record);
    assert.deepEqual(decodeFile(encodeFile(offered)), offered);
    assert.deepEqual(decodePart(encodePart(part)), part);
    const unsized = { proofs: part.proofs, bootId: part.bootId };
    assert.deepEqual(decodePart(encodePart(unsized)), unsized);
    const offer = { sha256, sizeBytes: 1, mtimeMs: 2 };
    assert.deepEqual(decodeOffer(encodeOffer(offer)), offer);
  });

  it("refuse what has not the right shape", () => {
    const wrong: Record<string, unknown>[] = [
      { sizeBytes: -1 },
      { sizeBytes: 1.5 },
      { mtimeMs: "5" },
      { verifiedAtMs: null },
      { names: "x" },
      { names: [1] },
      { scope: "everybody" },
      { origin: undefined },
      { path: 1 },
      { lastModified: {} },
    ];
    for (const change of wrong) {
      assert.equal(
        decodeFile(JSON.stringify({ ...record, ...change })),
        undefined,
        JSON.stringify(change),
      );
    }
    const proofs = (pairs: unknown): string => JSON.stringify({ bootId: "b", proofs: pairs });
    assert.ok(decodePart(proofs([])));
    for (const pairs of [
      [[5, "x"]],
      [[5]],
      [[-5, sha256]],
      [5],
      "x",
      [
        [5, sha256],
        [5, sha256],
      ],
    ]) {
      assert.equal(decodePart(proofs(pairs)), undefined, JSON.stringify(pairs));
    }
    assert.equal(decodeOffer(JSON.stringify({ sha256: "x", sizeBytes: 1, mtimeMs: 1 })), undefined);
  });

  it("never throw, whatever the text", () => {
    const good = [encodeFile(record), encodePart(part)];
    const mutated = fc
      .tuple(fc.constantFrom(...good), fc.nat(400), fc.string({ maxLength: 3 }))
      .map(([text, at, change]) => text.slice(0, at) + change + text.slice(at + change.length));
    fc.assert(
      fc.property(fc.oneof(mutated, fc.string(), fc.json()), (text) => {
        for (const decode of [decodeFile, decodePart, decodeOffer]) decode(text);
      }),
    );
  });
});
