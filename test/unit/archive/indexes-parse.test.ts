import { strict as assert } from "node:assert";
import fc from "fast-check";
import { describe, it } from "mocha";
import type { IndexParser, RowHandler } from "../../../src/archive/index-row.ts";
import { LineReader } from "../../../src/archive/line-reader.ts";
import { PackagesParser } from "../../../src/archive/packages.ts";
import { SourcesParser } from "../../../src/archive/source-packages.ts";
import { AptP2pError } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";
import { sha256 } from "./kit.ts";

type Row = readonly [name: string, sizeBytes: number, sha256: string];
type Make = (onRow: RowHandler) => IndexParser;

const makePackages: Make = (onRow) => new PackagesParser(onRow);
const makeSources: Make = (onRow) => new SourcesParser(onRow);

/** Parses text cut at the given places (remainders of its length). */
function parse(make: Make, text: string | Buffer, cuts: readonly number[] = []) {
  const rows: Row[] = [];
  const parser = make((name, sizeBytes, digest) => {
    rows.push([name.toString(), sizeBytes, digest.toString("hex")]);
  });
  const bytes = Buffer.from(text);
  const places = cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b);
  let from = 0;
  for (const to of [...places, bytes.length]) {
    // A copy that is wiped afterwards: a parser that keeps a chunk is found out.
    const chunk = Buffer.from(bytes.subarray(from, to));
    parser.push(chunk);
    chunk.fill(0);
    from = to;
  }
  parser.end();
  return { rows, refused: parser.refusedRows };
}

const digestA = sha256("a");
const digestB = sha256("b");

const packages =
  `Package: a\nVersion: 1\nDescription: text\n Filename: no/field.deb\n .\n SHA256: ${digestB}\n` +
  `Filename: pool/a/a_1.deb\nSize: 123\nMD5sum: d41d8cd98f00b204e9800998ecf8427e\n` +
  `SHA1: da39a3ee5e6b4b0d3255bfef95601890afd80709\nSHA256: ${digestA}\n\n` +
  `package: b\nSHA256:\t${digestB.toUpperCase()}  \nsize:45\nFILENAME:  ./pool//b/b_1%3a2.deb \n`;

const packageRows: readonly Row[] = [
  ["pool/a/a_1.deb", 123, digestA],
  ["pool/b/b_1%3a2.deb", 45, digestB],
];

const sources =
  `Package: a\nBinary: a,\n b\nDirectory: pool/main/a/a\n` +
  `Files:\n d41d8cd98f00b204e9800998ecf8427e 1 a_1.dsc\n` +
  `Checksums-Sha1:\n da39a3ee5e6b4b0d3255bfef95601890afd80709 1 a_1.dsc\n` +
  `Checksums-Sha256:\n ${digestA} 11 a_1.dsc\n ${digestB} 12 a_1.tar.xz\nHomepage: x\n\n\n` +
  `Package: b\nChecksums-Sha256: \n ${digestB} 13 b_1.dsc\nDirectory: .\n`;

const sourceRows: readonly Row[] = [
  ["pool/main/a/a/a_1.dsc", 11, digestA],
  ["pool/main/a/a/a_1.tar.xz", 12, digestB],
  ["b_1.dsc", 13, digestB],
];

describe("PackagesParser", () => {
  it("takes Filename, Size and SHA256 of every stanza, and nothing of a folded line", () => {
    assert.deepEqual(parse(makePackages, packages), { rows: packageRows, refused: 0 });
  });

  it("accepts CRLF and a file without end of line", () => {
    const text = packages.replaceAll("\n", "\r\n").trimEnd();
    assert.deepEqual(parse(makePackages, text), { rows: packageRows, refused: 0 });
  });

  const stanza = `Filename: pool/x\nSize: 1\nSHA256: ${digestA}\n`;
  const refused: readonly [string, string][] = [
    ["no digest", "Filename: pool/x\nSize: 1\n"],
    ["MD5 only", "Filename: pool/x\nSize: 1\nMD5sum: d41d8cd98f00b204e9800998ecf8427e\n"],
    ["a short digest", stanza.replace(digestA, digestA.slice(1))],
    ["a digest with other letters", stanza.replace(digestA, `g${digestA.slice(1)}`)],
    ["a negative size", stanza.replace("Size: 1", "Size: -1")],
    ["a size beyond a row", stanza.replace("Size: 1", "Size: 281474976710655")],
    ["an absolute name", stanza.replace("pool/x", "/pool/x")],
    ["a name that leads outside", stanza.replace("pool/x", "pool/../../x")],
    ["a directory", stanza.replace("pool/x", "pool/")],
    ["a control character", stanza.replace("pool/x", "pool/\u0001")],
    ["a name that is too long", stanza.replace("pool/x", "x".repeat(limits.nameBytes + 1))],
    ["no name", stanza.replace("pool/x", "")],
  ];
  for (const [what, text] of refused) {
    it(`refuses a stanza with ${what} and goes on`, () => {
      const next = `${text}\nFilename: next\nSize: 2\nSHA256: ${digestB}\n`;
      assert.deepEqual(parse(makePackages, next), { rows: [["next", 2, digestB]], refused: 1 });
    });
  }
});

describe("SourcesParser", () => {
  it("joins Directory with Checksums-Sha256 wherever they stand, and nothing else", () => {
    assert.deepEqual(parse(makeSources, sources), { rows: sourceRows, refused: 0 });
  });

  it("refuses files outside, and stanzas without digests or directory", () => {
    const text =
      `Directory: pool/a\nChecksums-Sha256:\n ${digestA} 1 ../x\n ${digestA} 1 /x\n` +
      ` ${digestA} 1 sub/x\n ${digestA} 1\n ${digestA} x y\n abc 1 y\n ${digestA} 1 ..\n` +
      ` ${digestB} 2 good\n\nPackage: none\nDirectory: pool/b\n\n` +
      `Directory: ../up\nChecksums-Sha256:\n ${digestA} 1 x\n\nChecksums-Sha256:\n ${digestA} 1 x\n`;
    assert.deepEqual(parse(makeSources, text), {
      rows: [["pool/a/good", 2, digestB]],
      refused: 10,
    });
  });

  it("refuses a stanza that grows without end", () => {
    const line = ` ${digestA} 1 file\n`;
    const text = `Checksums-Sha256:\n${line.repeat(limits.indexLineBytes / line.length + 1)}`;
    assert.throws(
      () => parse(makeSources, text),
      (thrown) => thrown instanceof AptP2pError && thrown.code === "FORMAT",
    );
  });
});

describe("parsers of indexes", () => {
  const samples: readonly [string, Make, string][] = [
    ["PackagesParser", makePackages, packages],
    ["SourcesParser", makeSources, sources],
  ];
  for (const [name, make, text] of samples) {
    it(`${name} gives the same rows wherever the stream is cut`, () => {
      const whole = parse(make, text);
      const crlf = text.replaceAll("\n", "\r\n");
      fc.assert(
        fc.property(fc.array(fc.nat(), { maxLength: 12 }), (cuts) => {
          assert.deepEqual(parse(make, text, cuts), whole);
          assert.deepEqual(parse(make, crlf, cuts), whole);
        }),
      );
    });

    it(`${name} survives any mutation, cut anywhere`, () => {
      const mutation = fc.tuple(fc.nat(text.length), fc.nat(20), fc.uint8Array({ maxLength: 8 }));
      fc.assert(
        fc.property(fc.array(mutation, { maxLength: 4 }), fc.array(fc.nat()), (changes, cuts) => {
          let bytes = Buffer.from(text);
          for (const [at, cut, put] of changes) {
            bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + cut)]);
          }
          const whole = parse(make, bytes);
          assert.deepEqual(parse(make, bytes, cuts), whole);
          for (const [row] of whole.rows) assert.ok(!row.startsWith("/") && !row.includes("../"));
        }),
      );
    });
  }
});

describe("LineReader", () => {
  it("refuses a line beyond its limit, in one chunk or many", () => {
    const reader = new LineReader(() => undefined);
    const half = Buffer.alloc(limits.indexLineBytes / 2, "x");
    reader.push(half);
    reader.push(half);
    assert.throws(
      () => reader.push(Buffer.from("x")),
      (thrown) => thrown instanceof AptP2pError && thrown.code === "FORMAT",
    );
  });
});
