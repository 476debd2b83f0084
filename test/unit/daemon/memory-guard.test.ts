import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import { MiB } from "../../../src/base/units.ts";
import { MemoryGuard } from "../../../src/daemon/memory-guard.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

function guard(limitBytes: number | undefined) {
  const clock = new VirtualClock();
  const counters = new Counters();
  const memory = { rssBytes: 90 * MiB, reads: 0 };
  const said: string[] = [];
  const say = (event: string): void => void said.push(event);
  const made = new MemoryGuard({
    ...{ clock, counters, limitBytes, log: { debug: say, info: say, warn: say, error: say } },
    rssBytes: () => {
      memory.reads++;
      return memory.rssBytes;
    },
  });
  const refuses = (rssMiB: number): boolean => {
    memory.rssBytes = rssMiB * MiB;
    clock.advance(1000);
    return made.refuses("uploads");
  };
  return { clock, counters, guard: made, memory, said, refuses };
}

describe("MemoryGuard", () => {
  it("refuses work for others near the limit, and until it is clearly below", () => {
    const { counters, refuses, said } = guard(200 * MiB);
    assert.deepEqual([100, 169, 171, 160, 151, 149, 169].map(refuses), [
      ...[false, false, true, true, true, false, false],
    ]);
    assert.equal(counters.get("daemon.memory.refused.uploads"), 3);
    assert.deepEqual(said, ["memory-tight", "memory-eased"]);
  });

  it("refuses nothing without a limit, and does not even look", () => {
    const { refuses, memory } = guard(undefined);
    assert.equal(refuses(100_000), false);
    assert.equal(memory.reads, 0);
  });

  it("does not look for every request", () => {
    const { guard: made, memory } = guard(200 * MiB);
    for (let asked = 0; asked < 1000; asked++) made.refuses("downloads");
    assert.equal(memory.reads, 1);
  });

  it("warns of a limit below what is needed", () => {
    const low = guard(128 * MiB);
    low.guard.warn();
    assert.deepEqual(low.said, ["memory-limit-low"]);
    for (const enough of [guard(512 * MiB), guard(undefined)]) {
      enough.guard.warn();
      assert.deepEqual(enough.said, []);
    }
  });
});
