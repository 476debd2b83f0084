/**
 * Patches are made by the real `diff --ed` where it is installed (everywhere in Debian, it is
 * essential), so that what is applied here is what archives publish.
 */
import { strict as assert } from "node:assert";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { after, before, describe, it } from "mocha";
import { applyEdits } from "../../../src/archive/ed-apply.ts";
import { parseEdScript } from "../../../src/archive/ed-script.ts";
import { AptP2pError } from "../../../src/base/errors.ts";
import { collect, streamOf } from "./kit.ts";

const isFormatError = (thrown: unknown): boolean =>
  thrown instanceof AptP2pError && thrown.code === "FORMAT";

async function apply(base: string, script: string, chunkBytes = 7): Promise<string> {
  const edits = parseEdScript(Buffer.from(script));
  return (await collect(applyEdits(streamOf(base, chunkBytes), edits))).toString();
}

describe("applyEdits()", () => {
  const base = "1\n2\n3\n4\n5\n";
  const cases: readonly [string, string, string][] = [
    ["appends at the end", "5a\n6\n7\n.\n", "1\n2\n3\n4\n5\n6\n7\n"],
    ["appends before the first line", "0a\n0\n.\n", "0\n1\n2\n3\n4\n5\n"],
    ["changes a line", "3c\nthree\n.\n", "1\n2\nthree\n4\n5\n"],
    ["changes a range", "2,4c\nx\ny\n.\n", "1\nx\ny\n5\n"],
    ["deletes a line", "1d\n", "2\n3\n4\n5\n"],
    ["deletes a range", "1,5d\n", ""],
    ["works from end to start", "5d\n3,4c\nx\n.\n1a\ny\n.\n", "1\ny\n2\nx\n"],
    ["adds a line that is a dot", "2a\n..\n.\ns/.//\n", "1\n2\n.\n3\n4\n5\n"],
    ["goes on after such a line", "2c\na\n..\n.\ns/.//\na\nb\n.\n", "1\na\n.\nb\n3\n4\n5\n"],
    ["adds two such lines", "5a\n..\n.\ns/.//\na\n..\n.\ns/.//\n", `${base}.\n.\n`],
    ["inserts nothing", "3a\n.\n", base],
    ["does nothing", "", base],
  ];
  for (const [what, script, expected] of cases) {
    it(what, async () => {
      for (const chunkBytes of [1, 2, 3, 100]) {
        assert.equal(await apply(base, script, chunkBytes), expected);
      }
    });
  }

  it("ends a base that has no end of line, as ed does", async () => {
    assert.equal(await apply("1\n2", "2a\n3\n.\n"), "1\n2\n3\n");
    assert.equal(await apply("1\n2", "1d\n"), "2\n");
    assert.equal(await apply("1\n2", "2c\nx\n.\n"), "1\nx\n");
  });

  it("rejects edits of lines that are not there", async () => {
    await assert.rejects(apply(base, "6d\n"), isFormatError);
    await assert.rejects(apply(base, "5,7c\nx\n.\n"), isFormatError);
    await assert.rejects(apply("", "1a\nx\n.\n"), isFormatError);
  });
});

describe("parseEdScript()", () => {
  const bad: readonly [string, string][] = [
    ["commands in the order of the file", "1d\n3d\n"],
    ["overlapping commands", "3,5d\n2,3d\n"],
    ["text without end", "3a\nx\n"],
    ["a last line without end", "3d"],
    ["an unknown command", "1,3s/a/b/\n"],
    ["a shell command", "!id\n"],
    ["a backward range", "4,2d\n"],
    ["line 0 deleted", "0d\n"],
    ["two addresses for a", "1,2a\nx\n.\n"],
    ["s/.// behind no text", "1a\n.\ns/.//\n"],
    ["a bare a", "a\nx\n.\n"],
  ];
  for (const [what, script] of bad) {
    it(`refuses ${what}`, () => {
      assert.throws(() => parseEdScript(Buffer.from(script)), isFormatError);
    });
  }
});

describe("patches of diff --ed", function () {
  let directory = "";
  before(function () {
    if (spawnSync("diff", ["--version"]).error !== undefined) this.skip();
    directory = mkdtempSync(join(tmpdir(), "apt-p2p-ed-"));
  });
  after(() => {
    if (directory !== "") rmSync(directory, { recursive: true });
  });

  function diff(from: string, to: string): string {
    writeFileSync(join(directory, "from"), from);
    writeFileSync(join(directory, "to"), to);
    const run = spawnSync("diff", ["--ed", "from", "to"], { cwd: directory });
    assert.ok(run.status === 0 || run.status === 1, run.stderr.toString());
    return run.stdout.toString();
  }

  const line = fc.constantFrom("a", "b", "c", ".", "..", "", ".x", "s/.//", "1d", "a long line");
  const text = fc
    .array(line, { maxLength: 12 })
    .map((lines) => lines.map((one) => `${one}\n`).join(""));

  it("lead from any text to any other", async () => {
    await fc.assert(
      fc.asyncProperty(text, text, fc.integer({ min: 1, max: 9 }), async (from, to, bytes) => {
        assert.equal(await apply(from, diff(from, to), bytes), to);
      }),
      { numRuns: 150 },
    );
  }).timeout(30_000);

  it("can be chained", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 2, maxLength: 5 }), async (texts) => {
        let stream: AsyncIterable<Buffer> = streamOf(texts[0] ?? "", 5);
        for (const [index, to] of texts.slice(1).entries()) {
          const script = diff(texts[index] ?? "", to);
          stream = applyEdits(stream, parseEdScript(Buffer.from(script)));
        }
        assert.equal((await collect(stream)).toString(), texts.at(-1));
      }),
      { numRuns: 40 },
    );
  }).timeout(30_000);
});
