import { strict as assert } from "node:assert";
import { describe, it } from "mocha";
import { expandWhole, readIndex } from "../../../src/archive/index-reader.ts";
import { AptP2pError, type ErrorCode } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";
import type { Clock } from "../../../src/base/ports.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { gunzipper, gzip, hashes, packagesText, sha256, streamOf } from "./kit.ts";

const withCode =
  (code: ErrorCode) =>
  (thrown: unknown): boolean =>
    thrown instanceof AptP2pError && thrown.code === code;

const text = packagesText(
  Array.from({ length: 2000 }, (_, number) => ({ path: `pool/${number}`, content: `${number}` })),
);

const components = { clock: new VirtualClock(), hashes, decompressor: gunzipper };
const goOn = (): boolean => false;

describe("readIndex()", () => {
  it("tells compression by the first bytes, however they are cut", async () => {
    for (const chunkBytes of [1, 5, 100_000]) {
      for (const source of [text, gzip(text)]) {
        const stream = streamOf(source, chunkBytes);
        const result = await readIndex(components, "packages", stream, goOn);
        assert.equal(result.plain, sha256(text));
        assert.equal(result.plainBytes, text.length);
        assert.equal(result.table.rowCount, 2000);
      }
    }
  });

  it("gives the event loop its turn whenever limits.indexTurnMs have passed", async () => {
    let nowMs = 0;
    let pauses = 0;
    const clock: Clock = {
      monotonicMs: () => nowMs++,
      wallMs: () => 0,
      after: (_, action) => {
        pauses++;
        queueMicrotask(action);
        return () => undefined;
      },
    };
    const slices = 40;
    const chunk = text.repeat(Math.ceil((slices * limits.indexSliceBytes) / text.length));
    const stream = streamOf(chunk, chunk.length);
    await readIndex({ ...components, clock }, "packages", stream, goOn);
    // One look at the clock, that is 1 ms, after every slice.
    assert.ok(pauses >= slices / (limits.indexTurnMs + 1), `${pauses} pauses`);
  });

  it("ends when it is told to stop, and ends its source", async () => {
    let ended = false;
    async function* source(): AsyncGenerator<Buffer, void> {
      try {
        for (;;) {
          await Promise.resolve();
          yield Buffer.from(text);
        }
      } finally {
        ended = true;
      }
    }
    let slices = 0;
    const reading = readIndex(components, "packages", source(), () => ++slices > 3);
    await assert.rejects(reading, withCode("CLOSED"));
    assert.equal(ended, true);
  });

  it("refuses damage", async () => {
    const cut = gzip(text).subarray(0, 500);
    const reading = readIndex(components, "packages", streamOf(cut), goOn);
    await assert.rejects(reading, withCode("FORMAT"));
  });
});

describe("expandWhole()", () => {
  it("refuses more than its limit, compressed or not", async () => {
    assert.equal((await expandWhole(components, streamOf("12345"), 5)).toString(), "12345");
    for (const source of ["123456", gzip("123456")]) {
      await assert.rejects(expandWhole(components, streamOf(source), 5), withCode("FORMAT"));
    }
  });
});
