import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import { part } from "../../../src/engine/parting.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

class Parting {
  readonly clock = new VirtualClock();
  readonly counters = new Counters();
  rare = true;
  over = false;
  asked = 0;
  endedMs: number | undefined;

  begin(allowedMs: number): void {
    const allowMs = (): number => {
      this.asked++;
      return allowedMs;
    };
    const told = { rare: () => this.rare, allowMs, over: () => this.over };
    void part(this, told).then(() => {
      this.endedMs = this.clock.monotonicMs();
    });
  }

  async pass(ms: number): Promise<void> {
    for (let at = 0; at <= ms; at += 10) {
      await new Promise((next) => setImmediate(next));
      if (at < ms) this.clock.advance(10);
    }
  }
}

describe("Parting", () => {
  it("takes no longer than is allowed, and no time where nothing is rare", async () => {
    const parting = new Parting();
    parting.begin(250);
    await parting.pass(200);
    assert.equal(parting.endedMs, undefined);
    await parting.pass(100);
    assert.ok(Number(parting.endedMs) <= 270, `${parting.endedMs} ms`);
    assert.equal(parting.counters.get("swarm.partings"), 1);

    const common = new Parting();
    common.rare = false;
    common.begin(250);
    await common.pass(0);
    assert.deepEqual([common.endedMs, common.asked], [0, 0], "it uses up nothing");
  });

  it("ends as soon as others have it, or nobody waits", async () => {
    for (const what of ["rare", "over"] as const) {
      const parting = new Parting();
      parting.begin(250);
      await parting.pass(50);
      parting[what] = what === "over";
      await parting.pass(20);
      assert.ok(Number(parting.endedMs) <= 70, what);
    }
  });

  it("does not begin without leave", async () => {
    const parting = new Parting();
    parting.begin(0);
    await parting.pass(0);
    assert.equal(parting.endedMs, 0);
    assert.equal(parting.counters.get("swarm.partings"), 0);
  });
});
