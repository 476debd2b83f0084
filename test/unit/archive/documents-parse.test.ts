import { strict as assert } from "node:assert";
import fc from "fast-check";
import { describe, it } from "mocha";
import { signedText } from "../../../src/archive/clear-sign.ts";
import { parseParagraphs } from "../../../src/archive/deb822.ts";
import { parseDiffIndex } from "../../../src/archive/diff-index.ts";
import { parseEdScript } from "../../../src/archive/ed-script.ts";
import { parseDate, parseRelease } from "../../../src/archive/release.ts";
import { parseSums } from "../../../src/archive/sums.ts";
import { AptP2pError } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";
import { releaseText, sha256, sha512, signedInline } from "./kit.ts";

const isFormatError = (thrown: unknown): boolean =>
  thrown instanceof AptP2pError && thrown.code === "FORMAT";

describe("signedText()", () => {
  it("gives the text that was signed, dashes unescaped and trailing blanks gone", () => {
    const document = signedInline("Suite: x  \t\r\n-----dash\n- item\nend\n");
    assert.equal(signedText(document), "Suite: x\n-----dash\n- item\nend\n");
  });

  const good = signedInline("Suite: x\n").toString();
  const bad: readonly [string, string][] = [
    ["text before the message", `Suite: y\n${good}`],
    ["text behind the signature", `${good}Suite: y\n`],
    ["a second message", good + good],
    ["no signature", good.slice(0, good.indexOf("-----BEGIN PGP SIGNATURE"))],
    ["no end of the signature", good.slice(0, good.indexOf("-----END"))],
    ["an unescaped dash", good.replace("Suite", "-Suite")],
    ["a strange header", good.replace("Hash:", "Comment:")],
    ["a line that GnuPG cuts", good.replace("x", "x".repeat(limits.signedLineBytes))],
    ["no armour", "Suite: x\n"],
    ["nothing", ""],
  ];
  for (const [what, document] of bad) {
    it(`refuses ${what}`, () => {
      assert.throws(() => signedText(Buffer.from(document)), isFormatError);
    });
  }

  it("refuses what is too large before it looks at it", () => {
    assert.throws(() => signedText(Buffer.alloc(limits.releaseBytes + 1, " ")), isFormatError);
  });
});

describe("parseRelease()", () => {
  const files = [
    { path: "main/binary-amd64/Packages", content: "one" },
    { path: "main/binary-amd64/Packages.xz", content: "two" },
  ];

  it("takes the SHA-256 section, the facts, and SHA-512 as an alias", () => {
    const facts = parseRelease(releaseText(files, { day: 2, sha512: true }));
    assert.equal(facts.suite, "stable");
    assert.equal(facts.codename, "bookworm");
    assert.equal(facts.dateMs, Date.UTC(2026, 0, 2, 10));
    assert.equal(facts.validUntilMs, undefined);
    assert.equal(facts.acquireByHash, true);
    assert.deepEqual(facts.files, [
      {
        path: "main/binary-amd64/Packages",
        sha256: sha256("one"),
        sizeBytes: 3,
        sha512: sha512("one"),
      },
      {
        path: "main/binary-amd64/Packages.xz",
        sha256: sha256("two"),
        sizeBytes: 3,
        sha512: sha512("two"),
      },
    ]);
  });

  it("refuses entries that lie outside or are malformed, and keeps the others", () => {
    const facts = parseRelease(
      releaseText([{ path: "good", content: "x" }]) +
        ` ${sha256("a")} 1 /etc/passwd\n ${sha256("a")} 1 ../up\n ${sha256("a")} 1 a/../../b\n` +
        ` abc 1 short\n ${sha256("a")} -1 negative\n ${sha256("a")} 9999999999999999 huge\n`,
    );
    assert.deepEqual(
      facts.files.map(({ path }) => path),
      ["good"],
    );
    assert.equal(facts.refusedEntries, 6);
  });

  it("refuses a text without SHA-256, whatever else it has", () => {
    const text = `Suite: x\nMD5Sum:\n d41d8cd98f00b204e9800998ecf8427e 0 main/x\n`;
    assert.throws(() => parseRelease(text), isFormatError);
    assert.throws(() => parseRelease("x".repeat(limits.releaseBytes + 1)), isFormatError);
  });

  it("accepts CRLF", () => {
    const text = releaseText(files).replaceAll("\n", "\r\n");
    assert.equal(parseRelease(text).files.length, 2);
  });
});

describe("parseDate()", () => {
  it("reads dates in UTC only", () => {
    const expected = Date.UTC(2026, 6, 11, 10, 16, 37);
    assert.equal(parseDate("Sat, 11 Jul 2026 10:16:37 UTC"), expected);
    assert.equal(parseDate("Sat, 11 Jul 2026 10:16:37 +0000"), expected);
    assert.equal(parseDate("Thu, 1 Jan 2026 00:00 GMT"), Date.UTC(2026, 0, 1));
    for (const bad of ["Sat, 11 Jul 2026 10:16:37 +0200", "2026-07-11", "", undefined]) {
      assert.equal(parseDate(bad), undefined);
    }
  });
});

describe("parseSums()", () => {
  it("reads text and binary lines and refuses names outside", () => {
    const digest = sha256("a");
    const text = `${digest}  a.iso\n${digest} *./b/c.iso\r\n${digest}  /abs\n${digest}  ../x\nrubbish\n`;
    assert.deepEqual(parseSums(text), [
      { path: "a.iso", sha256: digest },
      { path: "b/c.iso", sha256: digest },
    ]);
    assert.throws(() => parseSums("nothing\n"), isFormatError);
  });
});

describe("parseDiffIndex()", () => {
  const digest = (name: string): string => sha256(name);
  const text =
    `SHA1-Current: da39a3ee5e6b4b0d3255bfef95601890afd80709 0\n` +
    `SHA256-Current: ${digest("new")} 30\n` +
    `SHA256-History:\n ${digest("old")} 10 p1\n ${digest("mid")} 20 p2\n ${digest("x")} 1 lost\n` +
    `SHA256-Patches:\n ${digest("s1")} 5 p1\n ${digest("s2")} 6 p2\n ${digest("evil")} 6 ../p3\n` +
    `SHA256-Download:\n ${digest("d1")} 3 p1.gz\n ${digest("d2")} 4 p2.gz\n`;

  it("joins history, patches and downloads", () => {
    const diff = parseDiffIndex(text);
    assert.deepEqual(diff.current, { sha256: digest("new"), sizeBytes: 30 });
    assert.equal(diff.merged, false);
    assert.deepEqual(
      diff.steps.map(({ from, patch, download }) => [from, patch.sha256, download?.sha256]),
      [
        [digest("old"), digest("s1"), digest("d1")],
        [digest("mid"), digest("s2"), digest("d2")],
      ],
    );
    assert.deepEqual(
      diff.downloads.map(({ name }) => name),
      ["p1.gz", "p2.gz"],
    );
  });

  it("knows merged patches", () => {
    assert.equal(parseDiffIndex(`${text}X-Patch-Precedence: merged\n`).merged, true);
  });

  it("refuses an index that only has SHA-1", () => {
    assert.throws(() => parseDiffIndex(text.replaceAll("SHA256", "SHA1")), isFormatError);
  });
});

describe("parsers of documents", () => {
  const samples = [
    releaseText([{ path: "main/binary-amd64/Packages", content: "one" }], { sha512: true }),
    signedInline("Suite: x\n- dash\n").toString(),
    `${sha256("a")}  a.iso\n`,
    `SHA256-Current: ${sha256("n")} 3\nSHA256-History:\n ${sha256("o")} 1 p\n`,
    "5,6c\na\n..\n.\ns/.//\na\nb\n.\n2d\n0a\nx\n.\n",
  ];

  it("throw nothing but FORMAT on any mutation", () => {
    const parsers = [
      (text: string) => parseRelease(text),
      (text: string) => signedText(Buffer.from(text)),
      (text: string) => parseSums(text),
      (text: string) => parseDiffIndex(text),
      (text: string) => parseEdScript(Buffer.from(text)),
      (text: string) => parseParagraphs(text),
    ];
    const mutation = fc.tuple(fc.nat(400), fc.nat(20), fc.string({ maxLength: 8, unit: "binary" }));
    const mutated = fc
      .tuple(fc.constantFrom(...samples), fc.array(mutation, { maxLength: 4 }))
      .map(([text, changes]) =>
        changes.reduce((now, [at, cut, put]) => now.slice(0, at) + put + now.slice(at + cut), text),
      );
    fc.assert(
      fc.property(mutated, (text) => {
        for (const parse of parsers) {
          try {
            parse(text);
          } catch (thrown) {
            assert.ok(isFormatError(thrown), String(thrown));
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
