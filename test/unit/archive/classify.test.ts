import { strict as assert } from "node:assert";
import { describe, it } from "mocha";
import { classify } from "../../../src/archive/classify.ts";
import { sniffCompression } from "../../../src/archive/compression.ts";
import { gzip } from "./kit.ts";

const hex = "0123456789abcdef".repeat(4);

describe("classify()", () => {
  const cases: readonly [string, object][] = [
    ["h/debian/dists/sid/InRelease", { kind: "inrelease" }],
    ["h/debian/dists/sid/Release", { kind: "release" }],
    ["h/debian/dists/sid/Release.gpg", { kind: "release-signature" }],
    ["h/d/dists/s/main/binary-amd64/Packages", { kind: "index", of: "packages" }],
    ["h/d/dists/s/main/binary-amd64/Packages.zst", { kind: "index", of: "packages" }],
    ["h/d/dists/s/main/source/Sources.bz2", { kind: "index", of: "sources" }],
    ["h/flat/Packages.gz", { kind: "index", of: "packages" }],
    ["h/flat/Packages.zip", { kind: "file" }],
    ["h/d/main/binary-amd64/Packages.diff/Index", { kind: "diff-index" }],
    ["h/d/main/Contents-amd64.diff/Index", { kind: "diff-index" }],
    ["h/d/main/binary-amd64/Packages.diff/T-1-F-2.gz", { kind: "diff-patch" }],
    [`h/x/by-hash/SHA256/${hex}`, { kind: "by-hash", hash: "SHA256", hex }],
    [`h/x/by-hash/SHA512/${hex}${hex}`, { kind: "by-hash", hash: "SHA512", hex: hex + hex }],
    [
      `h/x/by-hash/MD5Sum/${hex.slice(32)}`,
      { kind: "by-hash", hash: "MD5Sum", hex: hex.slice(32) },
    ],
    [`h/x/Packages.diff/by-hash/SHA256/${hex}`, { kind: "by-hash", hash: "SHA256", hex }],
    [`h/x/by-hash/SHA256/${hex.slice(1)}`, { kind: "file" }],
    [`h/x/by-hash/SHA256/${hex.toUpperCase()}`, { kind: "file" }],
    [`h/x/by-hash/SHA3/${hex}`, { kind: "file" }],
    ["h/cd/SHA256SUMS", { kind: "sums" }],
    ["h/cd/SHA256SUMS.sign", { kind: "sums-signature" }],
    ["h/cd/SHA256SUMS.gpg", { kind: "sums-signature" }],
    ["h/d/main/i18n/Translation-en.bz2", { kind: "file" }],
    ["h/d/pool/main/a/a_1.deb", { kind: "file" }],
  ];
  for (const [name, expected] of cases) {
    it(`takes ${name.slice(0, 60)} as ${JSON.stringify(expected).slice(0, 50)}`, () => {
      assert.deepEqual(classify(name), expected);
    });
  }
});

describe("sniffCompression()", () => {
  it("tells every format by its first bytes", () => {
    const cases: readonly [string, string][] = [
      ["fd377a585a00", "xz"],
      ["28b52ffd0000", "zstd"],
      ["04224d186440", "lz4"],
      ["425a68393141", "bzip2"],
      ["5d0000800000", "lzma"],
      ["5061636b6167", "none"],
      ["fd377a585a", "none"],
      ["", "none"],
    ];
    for (const [bytes, expected] of cases) {
      assert.equal(sniffCompression(Buffer.from(bytes, "hex")), expected, bytes);
    }
    assert.equal(sniffCompression(gzip("x")), "gzip");
  });
});
