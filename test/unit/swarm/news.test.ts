/** How often one who follows is told, and what it takes for news. */
import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { readNews } from "../../../src/engine/news.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { News, newsBounds } from "../../../src/swarm/news.ts";
import { wireBounds } from "../../../src/swarm/peer-wire.ts";

describe("News", () => {
  /** What is told when, while something changes every `changeMs`. */
  function told(everyMs: number, changeMs: number): { readonly atMs: number[]; last: boolean } {
    const clock = new VirtualClock();
    const all = { atMs: [] as number[], last: false };
    const news = new News(clock, everyMs, (last) => {
      assert.ok(!all.last, "told after the last");
      all.atMs.push(clock.monotonicMs());
      all.last = last;
    });
    for (let ms = 0; ms < 2 * newsBounds.forMs; ms += changeMs) {
      clock.advance(changeMs);
      news.changed(false);
    }
    assert.equal(clock.pendingTimers, 0);
    return all;
  }

  it("comes no more often than is asked for, but for the first few, and ends after a while", () => {
    const { atMs, last } = told(500, 10);
    const { burst, leastEveryMs } = newsBounds;
    assert.ok(atMs.every((ms, index) => ms - (atMs[index - 1] ?? 0) >= leastEveryMs));
    // What was told at the very beginning counts as well.
    for (const [index, ms] of atMs.entries()) assert.ok(index + 2 <= burst + ms / 500, `${ms} ms`);
    assert.ok(last && atMs.length >= 20 && atMs.length <= 23, `${atMs.length} times`);
  });

  it("comes soon again when there was none for a while", () => {
    const { atMs } = told(1000, 3000);
    assert.deepEqual(atMs.slice(0, 3), [2000, 3000, 5000], "at 3 s something has changed");
  });

  it("comes at once when there was none for long, and now and then without any", () => {
    assert.equal(told(500, 700).atMs[0], 700);
    const { atMs } = told(500, newsBounds.forMs);
    assert.deepEqual(
      atMs.slice(0, 3),
      [1, 2, 3].map((turn) => turn * newsBounds.idleMs),
    );
  });

  it("comes at once when nothing will follow", () => {
    const clock = new VirtualClock();
    const atMs: number[] = [];
    const news = new News(clock, 2000, () => atMs.push(clock.monotonicMs()));
    for (let ms = 0; ms < 1000; ms += 10) {
      clock.advance(10);
      news.changed(false);
    }
    const before = atMs.length;
    assert.ok(before < 5 && atMs.at(-1) !== 1000);
    news.changed(true);
    assert.deepEqual([atMs.length, atMs.at(-1)], [before + 1, 1000]);
    news.end();
  });

  it("is told within bounds, whatever is asked for", () => {
    assert.ok(told(0, 10).atMs.length <= newsBounds.forMs / newsBounds.leastEveryMs + 1);
  });
});

describe("readNews()", () => {
  const frame = (bytes: number): Buffer => {
    const all = Buffer.alloc(4 + bytes);
    all.writeUInt32BE(bytes);
    return all;
  };

  async function read(chunks: readonly Buffer[]): Promise<readonly [string | undefined, number]> {
    let states = 0;
    const body = (async function* () {
      for (const chunk of chunks) yield await Promise.resolve(chunk);
    })();
    const failure = await readNews(body, { clock: new VirtualClock(), everyMs: 500 }, () => {
      states++;
      return undefined;
    });
    return [failure?.kind, states];
  }

  it("puts states together, however they are cut", async () => {
    const both = Buffer.concat([frame(5), frame(300)]);
    assert.deepEqual(await read([both]), [undefined, 2]);
    assert.deepEqual(await read([...both].map((byte) => Buffer.from([byte]))), [undefined, 2]);
  });

  it("takes what ends in the middle, or says nothing, for broken", async () => {
    assert.deepEqual(await read([frame(5), frame(5).subarray(0, 7)]), ["broken", 1]);
    assert.deepEqual(await read([]), ["broken", 0]);
  });

  it("ends a flood", async () => {
    assert.deepEqual(await read([Buffer.alloc(1000)]), ["wrong", 4]);
    const long = Buffer.alloc(8);
    long.writeUInt32BE(wireBounds.swarmBytes + 1);
    assert.deepEqual(await read([long]), ["wrong", 0]);
  });
});
