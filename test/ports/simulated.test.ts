/** The simulated disk and database lose exactly what real ones may lose. */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { FaultPlan } from "../../src/sim/fault-plan.ts";
import { MemoryFiles } from "../../src/sim/memory-files.ts";
import { MemoryKeyValue } from "../../src/sim/memory-key-value.ts";
import { SeededRandom } from "../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../src/sim/virtual-clock.ts";

const seeds = Array.from({ length: 60 }, (_, index) => index + 1);

async function write(files: MemoryFiles, path: string, text: string, sync: boolean): Promise<void> {
  const file = await files.create(path);
  await file.write([Buffer.from(text)], 0);
  if (sync) await file.sync();
  await file.close();
}

function text(files: MemoryFiles, path: string): string | undefined {
  const bytes = files.peek(path);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString();
}

describe("MemoryFiles.crash()", () => {
  it("keeps every write that returned when the process is killed", async () => {
    const files = new MemoryFiles();
    await write(files, "/a", "unsynced", false);
    const after = files.crash("kill", new SeededRandom(1));
    assert.equal(text(after, "/a"), "unsynced");
    assert.equal(after.bootId(), files.bootId());
  });

  it("keeps what was synced and renamed over a power loss, and changes the boot id", async () => {
    for (const seed of seeds) {
      const files = new MemoryFiles();
      await write(files, "/a", "synced", true);
      await files.rename("/a", "/b");
      const after = files.crash("power", new SeededRandom(seed));
      assert.equal(text(after, "/b"), "synced");
      assert.equal(text(after, "/a"), undefined);
      assert.notEqual(after.bootId(), files.bootId());
    }
  });

  it("may lose or halve unsynced bytes and names over a power loss, and sometimes does", async () => {
    const found = new Set<string | undefined>();
    for (const seed of seeds) {
      const files = new MemoryFiles();
      await write(files, "/a", "unsynced", false);
      found.add(text(files.crash("power", new SeededRandom(seed)), "/a"));
    }
    assert.ok(found.has(undefined) && found.has("") && found.has("unsynced"), [...found].join());
    assert.ok([...found].some((kept) => kept !== undefined && kept.length > 0 && kept.length < 8));
  });

  it("may lose a rename whose directory was not synced, but never both names", async () => {
    const found = new Set<string>();
    for (const seed of seeds) {
      const faults = new FaultPlan({ failWhen: (what) => what === "sync directory" });
      const files = new MemoryFiles({ faults });
      files.plant("/a", Buffer.from("old"));
      await assert.rejects(files.rename("/a", "/b"));
      found.add(files.crash("power", new SeededRandom(seed)).paths.join());
    }
    assert.deepEqual([...found].sort(), ["/a", "/b"]);
  });

  it("may do an operation under way, or half of it, or not", async () => {
    const found = new Set<string | undefined>();
    for (const seed of seeds) {
      const faults = new FaultPlan();
      const files = new MemoryFiles({ faults });
      const file = await files.create("/a");
      faults.faults = { stopAt: faults.operations };
      void file.write([Buffer.from("12345678")], 0);
      await faults.stopped;
      found.add(text(files.crash("kill", new SeededRandom(seed)), "/a"));
    }
    assert.ok(found.has("") && found.size > 3, [...found].join());
  });

  it("leaves the old world's files untouched by the new one", async () => {
    const files = new MemoryFiles();
    await write(files, "/a", "old", true);
    const after = files.crash("kill", new SeededRandom(1));
    await write(after, "/a", "new", true);
    assert.equal(text(files, "/a"), "old");
  });
});

describe("MemoryFiles", () => {
  it("is full at its size, having written what fitted", async () => {
    const files = new MemoryFiles({ totalBytes: 10 });
    const file = await files.create("/a");
    await assert.rejects(file.write([Buffer.from("0123456789abc")], 0), { code: "NO_SPACE" });
    assert.equal(text(files, "/a"), "0123456789");
    await file.write([Buffer.from("x")], 0);
    assert.deepEqual(await files.space(), { freeBytes: 0, totalBytes: 10 });
  });
});

describe("MemoryKeyValue.crash()", () => {
  it("keeps synced batches and all before them, and of later ones the oldest", async () => {
    const found = new Set<string>();
    for (const seed of seeds) {
      const kv = new MemoryKeyValue();
      await kv.batch([{ key: "a", value: "1" }]);
      await kv.batch([{ key: "b", value: "1" }], { sync: true });
      await kv.batch([
        { key: "c", value: "1" },
        { key: "a", value: undefined },
      ]);
      await kv.batch([{ key: "d", value: "1" }]);
      const after = kv.crash("power", new SeededRandom(seed));
      found.add(["a", "b", "c", "d"].filter((key) => after.get(key) !== undefined).join(""));
    }
    assert.deepEqual([...found].sort(), ["ab", "bc", "bcd"]);
  });

  it("keeps every batch that returned when the process is killed", async () => {
    const kv = new MemoryKeyValue();
    await kv.batch([{ key: "a", value: "1" }]);
    assert.equal(kv.crash("kill", new SeededRandom(1)).get("a"), "1");
  });
});

describe("FaultPlan", () => {
  it("fails the chosen operation with the chosen error, and no other", async () => {
    const faults = new FaultPlan({ failAt: 1, failure: () => new Error("planned") });
    await faults.step("first");
    await assert.rejects(faults.step("second"), /planned/);
    await faults.step("third");
    assert.equal(faults.operations, 3);
  });

  it("never returns once it has stopped", async () => {
    const faults = new FaultPlan({ stopAt: 0 });
    let returned = false;
    void faults.step("first").then(() => {
      returned = true;
    });
    await faults.stopped;
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(returned, false);
    assert.equal(faults.isStopped, true);
  });
});

describe("VirtualClock.advance()", () => {
  it("runs timers in the order of their times, also those that timers set", () => {
    const clock = new VirtualClock(1000);
    const ran: string[] = [];
    const note = (name: string) => () => ran.push(`${name}@${clock.monotonicMs()}`);
    clock.after(20, note("b"));
    clock.after(10, () => {
      note("a")();
      clock.after(5, note("a2"));
      clock.after(100, note("late"));
    });
    clock.after(20, note("c"));
    const cancel = clock.after(15, note("cancelled"));
    cancel();
    assert.equal(clock.nextTimerMs, 10);
    clock.advance(50);
    assert.deepEqual(ran, ["a@10", "a2@15", "b@20", "c@20"]);
    assert.equal(clock.monotonicMs(), 50);
    assert.equal(clock.wallMs(), 1050);
    assert.equal(clock.pendingTimers, 1);
    clock.jumpWall(-500);
    assert.equal(clock.wallMs(), 550);
    assert.equal(clock.monotonicMs(), 50);
  });
});

describe("SeededRandom", () => {
  it("repeats itself for a seed, differs between seeds, and fills its range evenly", () => {
    const draw = (seed: number): number[] => {
      const random = new SeededRandom(seed);
      return Array.from({ length: 1000 }, () => random.next());
    };
    assert.deepEqual(draw(7), draw(7));
    assert.notDeepEqual(draw(7), draw(8));
    for (const seed of [0, 1, 2, 2 ** 40]) {
      const numbers = draw(seed);
      assert.ok(numbers.every((number) => number >= 0 && number < 1));
      const mean = numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
      assert.ok(Math.abs(mean - 0.5) < 0.05, `${mean}`);
    }
    const random = new SeededRandom(3);
    assert.equal(random.bytes(7).length, 7);
    assert.ok(new Set(Array.from({ length: 100 }, () => random.below(10))).size === 10);
    assert.throws(() => random.pick([]), RangeError);
  });
});
