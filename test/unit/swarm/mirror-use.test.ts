import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { KiB } from "../../../src/base/units.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { MirrorUse, type MirrorView } from "../../../src/swarm/mirror-use.ts";
import { defaultPolicy } from "../../../src/swarm/policy.ts";

const stepMs = 50;

/** A reader in a crowd of twenty that gives it nothing, and a mirror of `rate` bytes a second. */
class HungryReader {
  readonly use = new MirrorUse(
    { policy: defaultPolicy, random: new SeededRandom(1) },
    { nowMs: 0, position: 0, patienceMs: 0, usable: true, knownRate: undefined, manyNear: false },
  );
  nowMs = 0;
  position = 0;
  lastByteMs = 0;
  longestSilenceMs = 0;
  readonly #rate: number;

  constructor(rate: number) {
    this.#rate = rate;
  }

  step(): void {
    this.nowMs += stepMs;
    if (this.use.streaming) {
      const bytes = (this.#rate * stepMs) / 1000;
      this.position += bytes;
      this.use.meter.received(bytes, this.nowMs);
      this.lastByteMs = this.nowMs;
    }
    this.longestSilenceMs = Math.max(this.longestSilenceMs, this.nowMs - this.lastByteMs);
    this.use.decide(this.#view());
  }

  #view(): MirrorView {
    return {
      ...{ nowMs: this.nowMs, position: this.position, startPosition: 0, nextHeld: false },
      ...{ crowd: 20, hope: true, searching: false, peersRate: undefined },
      ...{ nextDueMs: Infinity, atBoundary: false },
    };
  }

  /** Milliseconds until it starves. */
  starvesAfter(busy: boolean): number {
    while (!this.use.starves(this.nowMs, 0, busy)) {
      this.step();
      assert.ok(this.nowMs < 120_000, "it waits for ever");
    }
    return this.nowMs;
  }
}

describe("The mirror in a crowd", () => {
  it("gives a waiting reader a sip before ten seconds of silence", () => {
    const reader = new HungryReader(20_000);
    while (reader.nowMs < 60_000) reader.step();
    assert.ok(reader.longestSilenceMs < 10_000, `${reader.longestSilenceMs} ms`);
    assert.ok(reader.position < 80 * KiB, `sips of ${reader.position} bytes in all`);
  });

  it("is asked for a few bytes at the start and now and then, until nothing else comes", () => {
    const reader = new HungryReader(20_000);
    const wanted = new Set<number | undefined>();
    while (reader.nowMs < 30_000) {
      reader.step();
      if (reader.use.streaming) wanted.add(reader.use.streamBytes);
    }
    assert.deepEqual([...wanted], [16 * KiB, 4 * KiB]);
    while (!reader.use.starves(reader.nowMs, 0, false)) reader.step();
    reader.step();
    assert.deepEqual([reader.use.streaming, reader.use.streamBytes], [true, undefined]);
  });

  it("is not waited for when nobody is at it", () => {
    const ms = new HungryReader(20_000).starvesAfter(false);
    assert.ok(ms >= 2500 && ms < 7000, `${ms} ms`);
  });

  it("is left to members that are at it for as long as it is slow, but not for ever", () => {
    const slow = new HungryReader(20_000).starvesAfter(true);
    const fast = new HungryReader(5_000_000).starvesAfter(true);
    assert.ok(slow > 50_000 && slow < 75_000, `slow: ${slow} ms`);
    assert.ok(fast >= 2500 && fast < 7000, `fast: ${fast} ms`);
  });
});
