import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { QueryGuard } from "../../../src/dht/query-guard.ts";

const { queryBurst, queriesPerSecond, queriesPerSecondAndSubnet, silenceMs } = dhtLimits;

/** How many of so many queries are allowed, all at one time. */
function allowed(guard: QueryGuard, address: string, count: number, nowMs: number): number {
  let sum = 0;
  for (let n = 0; n < count; n++) if (guard.allow(address, nowMs)) sum++;
  return sum;
}

describe("QueryGuard.allow()", () => {
  it("lets a burst pass, then the sustained rate", () => {
    const guard = new QueryGuard();
    assert.equal(allowed(guard, "192.0.2.7", queryBurst + 10, 0), queryBurst);
    // Ten were too many: their debt is paid before anything passes again.
    assert.equal(allowed(guard, "192.0.2.7", 100, 2000), 2 * queriesPerSecond - 10);
    let passed = 0;
    for (let ms = 60_000; ms < 120_000; ms += 25) if (guard.allow("192.0.2.7", ms)) passed++;
    assert.equal(passed, 60 * queriesPerSecond);
  });

  it("does not hear for a while who exceeds by another burst, then hears it again", () => {
    const guard = new QueryGuard();
    assert.equal(allowed(guard, "192.0.2.7", 2 * queryBurst, 0), queryBurst);
    assert.equal(guard.silenced, 1);
    assert.equal(allowed(guard, "192.0.2.7", 1000, silenceMs - 1), 0);
    assert.equal(guard.allow("192.0.2.8", 0), true, "the neighbour is heard");
    assert.equal(guard.allow("192.0.2.7", silenceMs), true);
    assert.equal(guard.silenced, 0);
  });

  it("gives a /24 and a /64 their share, whatever the address in them", () => {
    for (const address of [
      (n: number) => `192.0.2.${n % 256}`,
      (n: number) => `2001:db8:0:1::${(n + 1).toString(16)}`,
    ]) {
      const guard = new QueryGuard();
      let burst = 0;
      for (let n = 0; n < 5000; n++) if (guard.allow(address(n), 0)) burst++;
      assert.equal(burst, 2 * queryBurst);
      let second = 0;
      for (let n = 0; n < 5000; n++) if (guard.allow(address(n + 60_000), 1000)) second++;
      assert.equal(second, queriesPerSecondAndSubnet);
      assert.ok(guard.counted <= 2 * queryBurst + queriesPerSecondAndSubnet);
      assert.equal(guard.allow("203.0.113.1", 1000), true, "another subnet is heard");
    }
  });

  it("lets a sender that is too busy leave its neighbours their share", () => {
    const guard = new QueryGuard();
    allowed(guard, "192.0.2.7", 100_000, 0);
    assert.equal(allowed(guard, "192.0.2.8", queryBurst, 0), queryBurst);
  });

  it("takes ten times as much from private and loopback addresses, with no share per subnet", () => {
    for (const address of ["127.0.0.1", "::1", "10.0.0.7", "198.18.0.7", "fd00::7"]) {
      const guard = new QueryGuard();
      assert.equal(allowed(guard, address, 15 * queryBurst, 0), 10 * queryBurst, address);
      assert.equal(guard.silenced, 0);
      allowed(guard, address, 5 * queryBurst, 0);
      assert.equal(guard.silenced, 1, address);
    }
    const guard = new QueryGuard();
    for (let n = 0; n < 2000; n++) assert.ok(guard.allow(`10.0.0.${n & 255}`, 0));
  });

  it("remembers a bounded number of senders, and silence however many come", () => {
    const guard = new QueryGuard();
    allowed(guard, "192.0.2.7", 2 * queryBurst, 0);
    let passed = 0;
    for (let n = 0; n < 100_000; n++) {
      if (guard.allow(`${1 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}.9`, 1)) passed++;
    }
    assert.equal(passed, 100_000, "each is a sender and a subnet of its own");
    assert.equal(guard.counted, dhtLimits.countedSources);
    assert.equal(guard.allow("192.0.2.7", 2), false);
  });

  it("keeps at most so many silences, the latest ones", () => {
    const guard = new QueryGuard(4);
    for (let n = 1; n <= 6; n++) allowed(guard, `${n}.0.2.7`, 2 * queryBurst, n);
    assert.equal(guard.silenced, 4);
    assert.equal(guard.allow("6.0.2.7", 7), false);
    assert.equal(guard.allow("1.0.2.7", 7), true);
  });
});
