import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { KiB } from "../../../src/base/units.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { Pacer } from "../../../src/swarm/pacer.ts";

/** Sends without a pause in amounts of so many bytes → how to stop, and what went through. */
function sender(pacer: Pacer, party: string, amount: () => number) {
  const state = { bytes: 0, stop: (): void => undefined, stopped: false };
  const next = (): void => {
    if (state.stopped) return;
    const bytes = amount();
    state.stop = pacer.pass(party, bytes, () => {
      state.bytes += bytes;
      queueMicrotask(next);
    });
  };
  next();
  return state;
}

/** Lets microtasks run between the timers. */
async function run(clock: VirtualClock, ms: number): Promise<void> {
  for (let at = 0; at < ms; at += 5) {
    clock.advance(5);
    await Promise.resolve();
  }
}

describe("Pacer", () => {
  for (const rate of [3000, 1_000_000, 50_000_000]) {
    it(`keeps ${rate} bytes/s within a tenth, whatever the amounts`, async () => {
      const seed = 7;
      const random = new SeededRandom(seed);
      const clock = new VirtualClock();
      const pacer = new Pacer(clock, rate);
      const amount = (): number => 1 + Math.floor(random.next() * pacer.sliceBytes * 1.5);
      const senders = ["a", "a", "b", "c"].map((party) => sender(pacer, party, amount));
      await run(clock, 10_000);
      const total = senders.reduce((sum, { bytes }) => sum + bytes, 0);
      assert.ok(Math.abs(total / 10 / rate - 1) < 0.1, `${total / 10} bytes/s, seed ${seed}`);
    });
  }

  it("gives parties the same, however many uploads they have", async () => {
    const clock = new VirtualClock();
    const pacer = new Pacer(clock, 1_000_000);
    const greedy = [1, 2, 3, 4].map(() => sender(pacer, "greedy", () => pacer.sliceBytes));
    const modest = sender(pacer, "modest", () => pacer.sliceBytes);
    await run(clock, 10_000);
    const theirs = greedy.reduce((sum, { bytes }) => sum + bytes, 0);
    assert.ok(Math.abs(theirs / modest.bytes - 1) < 0.1, `${theirs} and ${modest.bytes}`);
  });

  it("lets amounts larger than its bucket through, and has them paid for", async () => {
    const clock = new VirtualClock();
    const pacer = new Pacer(clock, 100 * KiB);
    const huge = sender(pacer, "a", () => 256 * KiB);
    await run(clock, 30_000);
    assert.ok(huge.bytes >= 2560 * KiB && huge.bytes <= 3330 * KiB, `${huge.bytes}`);
  });

  it("forgets who has stopped waiting", () => {
    const clock = new VirtualClock();
    const pacer = new Pacer(clock, 1000);
    const passed: string[] = [];
    pacer.pass("a", 4 * KiB, () => passed.push("a"));
    const stop = pacer.pass("a", 1000, () => passed.push("a again"));
    pacer.pass("b", 1000, () => passed.push("b"));
    assert.deepEqual(passed, ["a"]);
    stop();
    clock.advance(10_000);
    assert.deepEqual(passed, ["a", "b"]);
    assert.equal(clock.pendingTimers, 0);
  });

  it("gathers no more than its bucket while nobody sends", () => {
    const clock = new VirtualClock();
    const pacer = new Pacer(clock, 800_000);
    clock.advance(3_600_000);
    let passed = 0;
    for (let index = 0; index < 20; index++) pacer.pass("a", 50_000, () => passed++);
    assert.equal(passed, 2);
  });
});
