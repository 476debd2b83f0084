import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { describe, it } from "mocha";
import { parseSeedUntil } from "../../../src/base/seed-until.ts";
import type { Sha256 } from "../../../src/base/sha256.ts";
import { second } from "../../../src/base/units.ts";
import type { Store } from "../../../src/cache/store.ts";
import { seed, share } from "../../../src/daemon/get-control.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

const sha256 = "ab".repeat(32) as Sha256;

/** A store with one file of 1,000 bytes, and what others have taken of it. */
class SeedWorld {
  readonly clock = new VirtualClock();
  readonly abort = new AbortController();
  readonly unshared: string[] = [];
  taken: { bytes: number; active: number; lastMs: number } | undefined;
  held = true;

  begin(until: string): Promise<unknown> {
    const store = {
      find: () => (this.held ? { sizeBytes: 1000 } : undefined),
      unshare: (sha: string) => {
        this.unshared.push(sha);
        return Promise.resolve();
      },
    } as unknown as Store;
    const parts = { store, clock: this.clock, uploads: { file: () => this.taken } };
    const query = new URLSearchParams({ sha256, until });
    return seed(parts, query, () => undefined, this.abort.signal);
  }

  /** Whether it is over after so long. */
  async over(work: Promise<unknown>, ms: number): Promise<boolean> {
    let over = false;
    void work.then(() => (over = true));
    for (let passed = 0; passed < ms; passed += 250) {
      this.clock.advance(250);
      await turn();
    }
    return over;
  }

  take(bytes: number, active = 0): void {
    const before = this.taken?.bytes ?? 0;
    this.taken = { bytes: before + bytes, active, lastMs: this.clock.monotonicMs() };
  }
}

describe("seed()", () => {
  it("ends by time", async () => {
    const world = new SeedWorld();
    const work = world.begin("90s");
    assert.equal(await world.over(work, 89 * second), false);
    assert.equal(await world.over(work, 2 * second), true);
    assert.deepEqual(world.unshared, [sha256]);
    assert.deepEqual(await work, { sha256, uploadedBytes: 0 });
  });

  it("ends by ratio, and counts only what it has given since", async () => {
    const world = new SeedWorld();
    world.take(5000);
    const work = world.begin("2x");
    world.take(1999);
    assert.equal(await world.over(work, 100 * second), false);
    world.take(1);
    assert.equal(await world.over(work, second), true);
    assert.deepEqual(await work, { sha256, uploadedBytes: 2000 });
  });

  it("ends half a minute after the last has been served, however long that takes", async () => {
    const world = new SeedWorld();
    const work = world.begin("idle");
    assert.equal(await world.over(work, 29 * second), false);
    world.take(10, 1);
    assert.equal(await world.over(work, 300 * second), false, "somebody is being served");
    world.take(10, 0);
    assert.equal(await world.over(work, 29 * second), false);
    assert.equal(await world.over(work, 2 * second), true);
  });

  it("ends with whoever asked for it, and takes the file back", async () => {
    const world = new SeedWorld();
    const work = world.begin("idle");
    world.abort.abort();
    assert.equal(await world.over(work, second), true);
    assert.deepEqual(world.unshared, [sha256]);
  });

  it("says what cannot be", async () => {
    const world = new SeedWorld();
    await assert.rejects(world.begin("for ever"), /use idle, a ratio such as 2x/);
    world.held = false;
    await assert.rejects(world.begin("1s"), { code: "STORAGE" });
    const parts = { store: {} as unknown as Store, finder: undefined };
    const query = new URLSearchParams({ path: "/x" });
    assert.throws(() => share(parts, query, () => undefined, world.abort.signal), {
      code: "CONFIG",
    });
  });
});

describe("parseSeedUntil()", () => {
  it("knows three forms, and nothing else", () => {
    assert.deepEqual(parseSeedUntil("idle"), { kind: "idle" });
    assert.deepEqual(parseSeedUntil("1.5x"), { kind: "ratio", ratio: 1.5 });
    assert.deepEqual(parseSeedUntil("90s"), { kind: "time", ms: 90_000 });
    assert.deepEqual(parseSeedUntil("30m"), { kind: "time", ms: 1_800_000 });
    assert.deepEqual(parseSeedUntil("2h"), { kind: "time", ms: 7_200_000 });
    for (const text of ["", "x", "0x", "0s", "-1s", "1", "1 s", "1e3s", "10d", "Idle", "1x2"]) {
      assert.equal(parseSeedUntil(text), undefined, text);
    }
  });
});
