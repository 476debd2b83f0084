/** The heap behind the clock keeps what a sorted list would give, whatever is set and cancelled. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "mocha";
import { TimerHeap } from "../../../src/sim/timer-heap.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

describe("VirtualClock", () => {
  it("runs timers as a stable sort by due time would, without those cancelled", () => {
    const timer = fc.record({ delayMs: fc.integer({ min: 0, max: 20 }), cancelled: fc.boolean() });
    fc.assert(
      fc.property(fc.array(timer, { maxLength: 400 }), (timers) => {
        const clock = new VirtualClock();
        const ran: number[] = [];
        const cancels = timers.map(({ delayMs }, index) =>
          clock.after(delayMs, () => ran.push(index)),
        );
        for (const [index, cancel] of cancels.entries()) if (timers[index]!.cancelled) cancel();
        const left = [...timers.entries()].filter(([, { cancelled }]) => !cancelled);
        left.sort(([, a], [, b]) => a.delayMs - b.delayMs);
        assert.equal(clock.pendingTimers, left.length);
        assert.equal(clock.nextTimerMs, left[0]?.[1].delayMs);
        clock.advance(20);
        assert.deepEqual(
          ran,
          left.map(([index]) => index),
        );
        assert.equal(clock.pendingTimers, 0);
      }),
    );
  });

  it("does not count a timer that has run, or was cancelled, as cancelled again", () => {
    const clock = new VirtualClock();
    const cancelRun = clock.after(1, () => undefined);
    const cancel = clock.after(5, () => assert.fail("cancelled"));
    clock.after(9, () => undefined);
    clock.advance(2);
    cancelRun();
    cancel();
    cancel();
    assert.equal(clock.pendingTimers, 1);
    clock.advance(10);
    assert.equal(clock.pendingTimers, 0);
    assert.equal(clock.nextTimerMs, undefined);
  });

  it("never runs backwards when a timer moves time on itself", () => {
    const clock = new VirtualClock();
    clock.after(10, () => clock.advance(100));
    clock.advance(20);
    assert.equal(clock.monotonicMs(), 110);
  });

  it("takes a delay that is negative or no number as none", () => {
    const clock = new VirtualClock();
    const ran: string[] = [];
    clock.after(NaN, () => ran.push("NaN"));
    clock.after(-5, () => ran.push("-5"));
    clock.advance(0);
    assert.deepEqual(ran, ["NaN", "-5"]);
  });
});

describe("VirtualClock.runUntil()", () => {
  it("stops at the timer that made the condition true", () => {
    const clock = new VirtualClock();
    let count = 0;
    for (const delayMs of [10, 20, 30]) clock.after(delayMs, () => count++);
    assert.equal(
      clock.runUntil(() => count === 2, 100),
      true,
    );
    assert.equal(clock.monotonicMs(), 20);
    assert.equal(
      clock.runUntil(() => count === 2, 100),
      true,
    );
    assert.equal(clock.monotonicMs(), 20);
  });

  it("gives up when its time is over, also without any timer", () => {
    const clock = new VirtualClock();
    let late = false;
    clock.after(101, () => {
      late = true;
    });
    assert.equal(
      clock.runUntil(() => late, 100),
      false,
    );
    assert.equal(clock.monotonicMs(), 100);
    assert.equal(
      clock.runUntil(() => late, 100),
      true,
    );
    assert.equal(
      clock.runUntil(() => false, 50),
      false,
    );
    assert.equal(clock.monotonicMs(), 151);
  });
});

describe("TimerHeap", () => {
  it("throws garbage away when it is more than half of the heap", () => {
    const heap = new TimerHeap();
    const ran: number[] = [];
    const jobs = Array.from({ length: 1000 }, (_, index) => ({
      cancelled: false,
      run: () => ran.push(index),
    }));
    for (const [index, job] of jobs.entries()) heap.push((index * 7) % 100, job);
    let most = 0;
    for (const [index, job] of jobs.entries()) {
      if (index % 20 === 0) continue;
      job.cancelled = true;
      heap.noteCancelled();
      most = Math.max(most, heap.places - 2 * heap.size);
    }
    assert.equal(heap.size, 50);
    assert.ok(most <= 64 && heap.places <= 164, `${most} ${heap.places}`);
    for (let job = heap.pop(); job !== undefined; job = heap.pop()) job.run();
    const expected = Array.from({ length: 50 }, (_, index) => 20 * index);
    expected.sort((a, b) => ((a * 7) % 100) - ((b * 7) % 100) || a - b);
    assert.deepEqual(ran, expected);
    assert.equal(heap.places, 0);
  });
});
