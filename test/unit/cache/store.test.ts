import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { AptP2pError } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";
import type { Sha256 } from "../../../src/base/sha256.ts";
import { day, hour, KiB, MiB, minute } from "../../../src/base/units.ts";
import type { Store } from "../../../src/cache/store.ts";
import type { Unfinished } from "../../../src/cache/unfinished.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { content, contentOf, directory, tick, World } from "./world.ts";

const meta = { scope: "public", origin: "mirror" } as const;
const never = new AbortController().signal;
const ignore = (): void => undefined;

function wholePath(sha: Sha256): string {
  return `${directory}/sha256/${sha.slice(0, 2)}/${sha}`;
}

function failureOf(file: Unfinished): string | undefined {
  return file.failure?.code;
}

async function shas(store: Store): Promise<Set<Sha256>> {
  const found = new Set<Sha256>();
  for await (const file of store.list()) found.add(file.sha256);
  return found;
}

describe("Store", () => {
  it("serves what was committed, and knows it from the commit on", async () => {
    const world = new World();
    const store = await world.open();
    const { bytes, sha } = content(1, 700_000);
    const file = await store.begin(sha, bytes.length);
    assert.equal(file.heldBytes, 0);
    file.append(bytes.subarray(0, 300_000));
    assert.equal(file.heldBytes, 300_000);
    assert.equal(store.find(sha), undefined);
    file.append(bytes.subarray(300_000));
    assert.equal(file.digest(), sha);
    file.commit([sha], {
      ...meta,
      name: "ftp.us.debian.org/debian/pool/a.deb",
      lastModified: "Thu, 01 Jan 2026 00:00:00 GMT",
      contentType: "application/vnd.debian.binary-package",
    });
    const found = store.find(sha);
    assert.deepEqual(found?.names, ["ftp.us.debian.org/debian/pool/a.deb"]);
    assert.equal(found.sizeBytes, 700_000);
    assert.deepEqual(await world.get(store, sha), bytes);
    await world.finish(file.release());
    const recorded = store.find(sha);
    assert.equal(recorded?.path, wholePath(sha));
    assert.equal(recorded.lastModified, "Thu, 01 Jan 2026 00:00:00 GMT");
    assert.deepEqual(await world.get(store, sha), bytes);
    assert.equal(world.counters.get("cache.commits"), 1);
    assert.equal(world.files.openHandles, store.keptOpen);
    await store.close();
    const again = await world.open();
    assert.deepEqual(again.find(sha), { ...recorded, lastUsedMs: world.clock.wallMs() });
    assert.deepEqual(await world.get(again, sha), bytes);
  });

  it("reads a file while it is written, and on after its commit", async () => {
    const world = new World();
    const store = await world.open();
    const { bytes, sha } = content(2, 100_000);
    const file = await store.begin(sha, bytes.length);
    file.append(bytes.subarray(0, 60_000));
    await world.finish(file.flushed());
    assert.equal(file.writtenBytes, 60_000);
    const into = Buffer.alloc(20_000);
    assert.equal(await file.read(into, 50_000), 10_000);
    assert.deepEqual(into.subarray(0, 10_000), bytes.subarray(50_000, 60_000));
    assert.equal(await file.read(into, 60_000), 0);
    file.append(bytes.subarray(60_000));
    file.commit([sha], meta);
    await world.finish(file.flushed());
    world.clock.advance(limits.commitDelayMs);
    await tick();
    await tick();
    assert.equal(world.counters.get("cache.commits"), 1);
    assert.equal(await file.read(into, 80_000), 20_000);
    assert.deepEqual(into, bytes.subarray(80_000));
    await file.release();
    assert.equal(world.files.openHandles, store.keptOpen);
  });

  it("refuses to commit a digest that is not accepted", async () => {
    const world = new World();
    const store = await world.open();
    const { sha } = content(3, 1000);
    const file = await store.begin(sha, 1000);
    file.append(Buffer.alloc(1000));
    assert.throws(() => file.commit([sha], meta), /not the digest/);
    await file.discard();
    assert.equal(store.find(sha), undefined);
    assert.deepEqual(world.files.paths, []);
  });

  it("stores under the digest that came, when several were acceptable", async () => {
    const world = new World();
    const store = await world.open();
    const [wanted, came] = [content(4, 5000), content(5, 6000)];
    const file = await store.begin(wanted.sha, 5000);
    file.append(came.bytes);
    file.commit([wanted.sha, came.sha], meta);
    // Another one may begin the same digest while this one is on its way.
    const other = store.begin(wanted.sha, 5000);
    await world.finish(file.release());
    const second = await other;
    second.append(wanted.bytes);
    second.commit([wanted.sha], meta);
    await world.finish(second.release());
    assert.deepEqual(await world.get(store, came.sha), came.bytes);
    assert.deepEqual(await world.get(store, wanted.sha), wanted.bytes);
  });

  it("stores empty files", async () => {
    const world = new World();
    const store = await world.open();
    const empty = contentOf(Buffer.alloc(0));
    await world.put(store, empty);
    assert.deepEqual(await world.get(store, empty.sha), empty.bytes);
  });

  it("refuses a second begin of a running digest", async () => {
    const world = new World();
    const store = await world.open();
    const { sha } = content(6, 10);
    const file = await store.begin(sha, 10);
    await assert.rejects(store.begin(sha, 10), /being received/);
    await file.discard();
    await (await store.begin(sha, 10)).discard();
  });

  it("keeps one copy of content that comes twice, with both names", async () => {
    const world = new World();
    const store = await world.open();
    const [one, other] = [content(7, 4000), content(8, 10)];
    await world.put(store, one, "a/first.deb");
    const file = await store.begin(other.sha, undefined);
    file.append(one.bytes);
    file.commit([one.sha, other.sha], { ...meta, name: "b/second.deb" });
    await world.finish(file.release());
    assert.deepEqual(store.find(one.sha)?.names, ["b/second.deb", "a/first.deb"]);
    assert.equal(world.counters.get("cache.duplicates"), 1);
    assert.equal(world.bytesBelow("sha256"), 4000);
    assert.equal(world.bytesBelow("partial"), 0);
    assert.equal((await store.stats()).bytes, 4000);
  });

  it("remembers the newest names only", async () => {
    const world = new World();
    const store = await world.open();
    const one = content(9, 100);
    await world.put(store, one, "h/0");
    for (let index = 1; index <= 20; index++) store.nameAs(one.sha, `h/${index}`);
    store.nameAs(one.sha, "h/15");
    const expected = ["h/15", "h/20", "h/19", "h/18", "h/17", "h/16", "h/14", "h/13"];
    assert.deepEqual(store.find(one.sha)?.names, expected);
    store.nameAs(content(10, 1).sha, "h/unknown");
    await store.close();
    assert.deepEqual((await world.open()).find(one.sha)?.names, expected);
  });

  it("lets content become public, never local again", async () => {
    const world = new World();
    const store = await world.open();
    const one = content(11, 100);
    const store1 = async (scope: "local" | "public"): Promise<void> => {
      const file = await store.begin(content(12, 1).sha, 100);
      file.append(one.bytes);
      file.commit([one.sha], { origin: "mirror", scope });
      await world.finish(file.release());
    };
    await store1("local");
    assert.equal(store.find(one.sha)?.scope, "local");
    await store1("public");
    await store1("local");
    assert.equal(store.find(one.sha)?.scope, "public");
  });
});

describe("Store.open()", () => {
  async function held(sizeBytes = 300_000) {
    const world = new World();
    const store = await world.open();
    const one = content(20, sizeBytes);
    await world.put(store, one, "h/one.deb");
    return { world, store, one };
  }

  it("marks the use and writes it within a minute", async () => {
    const { world, store, one } = await held();
    world.clock.advance(hour);
    await world.get(store, one.sha);
    assert.equal(store.find(one.sha)?.lastUsedMs, world.clock.wallMs());
    const usedMs = world.clock.wallMs();
    world.clock.advance(limits.touchFlushMs);
    await tick();
    const after = await world.crash("kill", new SeededRandom(1)).open();
    assert.equal(after.find(one.sha)?.lastUsedMs, usedMs);
  });

  it("does not hash a file whose time and proof are in order", async () => {
    const { world, store, one } = await held();
    await world.get(store, one.sha);
    assert.equal(world.counters.get("cache.rehashed"), 0);
  });

  it("hashes again, once for all callers, when the proof is old", async () => {
    const { world, store, one } = await held();
    world.clock.advance(limits.reverifyMs);
    const all = await Promise.all([1, 2, 3].map(() => world.get(store, one.sha)));
    for (const bytes of all) assert.deepEqual(bytes, one.bytes);
    assert.equal(world.counters.get("cache.rehashed"), 1);
    assert.equal(store.find(one.sha)?.verifiedAtMs, world.clock.wallMs());
    await world.get(store, one.sha);
    assert.equal(world.counters.get("cache.rehashed"), 1);
  });

  it("hashes again when the proof lies in the future", async () => {
    const { world, store, one } = await held();
    world.clock.jumpWall(-day);
    await world.get(store, one.sha);
    assert.equal(world.counters.get("cache.rehashed"), 1);
  });

  it("hashes again when the time changed, and keeps what is right", async () => {
    const { world, store, one } = await held();
    world.files.plant(wholePath(one.sha), one.bytes, 12345);
    assert.deepEqual(await world.get(store, one.sha), one.bytes);
    assert.equal(store.find(one.sha)?.mtimeMs, 12345);
    await world.get(store, one.sha);
    assert.equal(world.counters.get("cache.rehashed"), 1);
  });

  for (const [damage, change] of [
    ["a flipped bit", (bytes: Buffer) => Buffer.from(bytes.map((b, i) => (i === 5 ? b ^ 1 : b)))],
    ["a lost end", (bytes: Buffer) => bytes.subarray(0, -1)],
  ] as const) {
    it(`drops a file with ${damage} and can store it again`, async () => {
      const { world, store, one } = await held();
      world.files.plant(wholePath(one.sha), change(one.bytes), 12345);
      assert.equal(await world.get(store, one.sha), undefined);
      assert.equal(store.find(one.sha), undefined);
      assert.equal(world.counters.get("cache.damaged"), 1);
      assert.deepEqual(world.warnings(), ["file-damaged"]);
      assert.equal((await store.stats()).bytes, 0);
      await world.put(store, one);
      assert.deepEqual(await world.get(store, one.sha), one.bytes);
      assert.equal(world.files.openHandles, store.keptOpen);
    });
  }

  it("drops the record of a file that is gone", async () => {
    const { world, store, one } = await held();
    await world.files.remove(wholePath(one.sha));
    assert.equal(await world.get(store, one.sha), undefined);
    assert.equal(store.find(one.sha), undefined);
    assert.equal(world.counters.get("cache.missing"), 1);
    assert.equal(world.counters.get("cache.openMisses"), 1);
    assert.equal((await store.stats()).files, 0);
  });

  it("serves the file that was placed while an old one was being removed", async () => {
    const { world, store, one } = await held();
    const path = wholePath(one.sha);
    const old = await world.files.open(path);
    assert.ok(old);
    await world.finish(store.clean("all", ignore));
    await world.put(store, one);
    // The opening began before the removal and ends after the placing.
    const open = world.files.open.bind(world.files);
    let late = 0;
    world.files.open = (asked) => {
      if (asked !== path || late > 0) return open(asked);
      late += 1;
      return Promise.resolve(old);
    };
    assert.deepEqual(await world.get(store, one.sha), one.bytes);
    assert.equal(late, 1);
    assert.equal(world.counters.get("cache.missing"), 0);
    assert.deepEqual(await world.get(store, one.sha), one.bytes);
    assert.equal(world.files.openHandles, store.keptOpen);
  });

  it("keeps the record when the file only cannot be opened now", async () => {
    const { world, store, one } = await held();
    world.faults.faults = { failWhen: (operation) => operation === "open" };
    assert.equal(await world.get(store, one.sha), undefined);
    assert.equal(world.counters.get("cache.openFailures"), 1);
    world.faults.faults = {};
    assert.deepEqual(await world.get(store, one.sha), one.bytes);
  });
});

describe("Store with a database that cannot be read", () => {
  it("holds nothing it would have to ask for, serves and stores the rest, and says so", async () => {
    const world = new World();
    const store = await world.open();
    const [one, two] = [content(24, 5000), content(25, 6000)];
    await world.put(store, one);
    await store.close();
    const again = await world.open();
    const half = await again.begin(two.sha, two.bytes.length);
    half.append(two.bytes.subarray(0, 3000));
    await world.finish(half.suspend());
    const get = world.kv.get.bind(world.kv);
    world.kv.get = () => {
      throw new Error("block checksum mismatch");
    };
    assert.equal(again.find(one.sha), undefined);
    assert.equal(await world.get(again, one.sha), undefined);
    again.nameAs(one.sha, "ftp.us.debian.org/debian/one.deb");
    await world.put(again, two);
    assert.ok(world.counters.get("cache.readFailures") >= 4);
    const said = (): number =>
      world.warnings().filter((event) => event === "records-unreadable").length;
    assert.equal(said(), 1, "not once for every request");
    world.clock.advance(minute);
    again.find(content(26, 10).sha);
    assert.equal(said(), 2);
    world.kv.get = get;
    assert.deepEqual(await world.get(again, one.sha), one.bytes);
    assert.deepEqual(await world.get(again, two.sha), two.bytes);
  });
});

describe("Store.begin()", () => {
  it("resumes what was suspended, and completes it", async () => {
    const world = new World();
    const store = await world.open();
    const { bytes, sha } = content(30, 3 * MiB + 17);
    const file = await store.begin(sha, bytes.length);
    file.append(bytes.subarray(0, 2 * MiB + 5));
    await file.suspend();
    assert.equal((await store.stats()).unfinishedBytes, 2 * MiB + 5);
    const again = await store.begin(sha, bytes.length);
    assert.equal(again.heldBytes, 2 * MiB + 5);
    assert.equal(again.writtenBytes, 2 * MiB + 5);
    again.append(bytes.subarray(again.heldBytes));
    again.commit([sha], meta);
    await world.finish(again.release());
    assert.deepEqual(await world.get(store, sha), bytes);
    assert.equal(world.counters.get("cache.resumedBytes"), 2 * MiB + 5);
    assert.equal((await store.stats()).unfinishedFiles, 0);
    assert.equal([...world.files.paths].length, 1);
  });

  it("keeps of a damaged beginning what a recorded proof covers", async () => {
    const world = new World();
    const store = await world.open();
    const { bytes, sha } = content(38, 2 * MiB);
    const file = await store.begin(sha, bytes.length);
    file.append(bytes.subarray(0, 1.5 * MiB + 9));
    await world.finish(file.suspend());
    assert.equal(world.counters.get("cache.suspended"), 1);
    const damaged = Buffer.from(bytes.subarray(0, 1.5 * MiB + 9));
    damaged[MiB + 1]! ^= 1;
    world.files.plant(`${directory}/partial/${sha}`, damaged);
    const again = await world.finish(store.begin(sha, bytes.length));
    assert.equal(again.heldBytes, MiB);
    assert.equal(world.counters.get("cache.resumed"), 1);
    assert.equal(world.counters.get("cache.prefixDamaged"), 1);
    again.append(bytes.subarray(MiB));
    again.commit([sha], meta);
    await world.finish(again.release());
    assert.deepEqual(await world.get(store, sha), bytes);
  });

  it("counts only what is proven after a power loss", async () => {
    const world = new World();
    const store = await world.open();
    const { bytes, sha } = content(39, 2 * MiB);
    const file = await store.begin(sha, bytes.length);
    file.append(bytes.subarray(0, MiB + 9));
    await world.finish(file.suspend());
    // A synced batch takes the record with it.
    await world.put(store, content(139, 10));
    const part = `${directory}/partial/${sha}`;
    const after = world.crash("power", new SeededRandom(3));
    after.files.plant(part, bytes.subarray(0, MiB + 9));
    const reopened = await after.open();
    const again = await after.finish(reopened.begin(sha, bytes.length));
    assert.equal(again.heldBytes, MiB);
    assert.equal(after.files.peek(part)?.length, MiB);
  });

  it("resumes after the store was closed and opened", async () => {
    const world = new World();
    const store = await world.open();
    const { bytes, sha } = content(31, MiB);
    const file = await store.begin(sha, bytes.length);
    file.append(bytes.subarray(0, 700_000));
    await world.finish(store.close());
    assert.equal(file.failure?.code, "CLOSED");
    file.append(bytes.subarray(700_000, 700_010));
    await file.suspend();
    await file.discard();
    const again = await (await world.open()).begin(sha, bytes.length);
    assert.equal(again.heldBytes, 700_000);
  });

  it("starts again at 0 on restart", async () => {
    const world = new World();
    const store = await world.open();
    const { bytes, sha } = content(32, 2 * MiB);
    const file = await store.begin(sha, bytes.length);
    file.append(Buffer.alloc(MiB + 100));
    assert.notEqual(file.digest(), sha);
    await world.finish(file.restart());
    assert.equal(file.heldBytes, 0);
    assert.equal(file.writtenBytes, 0);
    file.append(bytes);
    file.commit([sha], meta);
    await world.finish(file.release());
    assert.deepEqual(await world.get(store, sha), bytes);
  });

  it("writes chunks that come during a restart behind it", async () => {
    const world = new World();
    const store = await world.open();
    const { bytes, sha } = content(33, 100_000);
    const file = await store.begin(sha, bytes.length);
    file.append(Buffer.alloc(50_000));
    await Promise.resolve();
    file.append(Buffer.alloc(10_000));
    const restarted = file.restart();
    file.append(bytes);
    await world.finish(restarted);
    file.commit([sha], meta);
    await world.finish(file.release());
    assert.deepEqual(await world.get(store, sha), bytes);
  });

  it("leaves nothing of what was discarded", async () => {
    const world = new World();
    const store = await world.open();
    const { bytes, sha } = content(34, 2 * MiB);
    const file = await store.begin(sha, bytes.length);
    file.append(bytes.subarray(0, MiB));
    world.clock.advance(2000);
    await world.finish(file.flushed());
    file.append(bytes.subarray(MiB, MiB + 1000));
    await world.finish(file.discard());
    assert.deepEqual(world.files.paths, []);
    assert.equal(world.kv.get(`cache!part!${sha}`), undefined);
    assert.equal(world.files.openHandles, store.keptOpen);
    assert.equal((await store.begin(sha, bytes.length)).heldBytes, 0);
  });

  it("suspends an untouched file to nothing", async () => {
    const world = new World();
    const store = await world.open();
    const file = await store.begin(content(35, 10).sha, 10);
    await file.suspend();
    assert.deepEqual(world.files.paths, []);
    assert.equal((await store.stats()).unfinishedFiles, 0);
  });

  it("makes the producer wait while much waits for the disk", async () => {
    const world = new World();
    const store = await world.open();
    const file = await store.begin(content(36, 1).sha, undefined);
    file.append(Buffer.alloc(limits.downloadWindowBytes));
    let drained = false;
    void file.drained().then(() => {
      drained = true;
    });
    await Promise.resolve();
    assert.equal(drained, false);
    await tick();
    assert.equal(drained, true);
    await file.discard();
  });

  it("writes in order, and together what came while the disk was busy", async () => {
    const writes: string[] = [];
    const world = new World();
    world.faults.faults = {
      failWhen: (operation) => {
        if (operation === "write") writes.push(operation);
        return false;
      },
    };
    const store = await world.open();
    const { bytes, sha } = content(37, 640 * KiB);
    const file = await store.begin(sha, bytes.length);
    for (let at = 0; at < bytes.length; at += 16 * KiB)
      file.append(bytes.subarray(at, at + 16 * KiB));
    await world.finish(file.flushed());
    assert.equal(writes.length, 2);
    file.commit([sha], meta);
    await world.finish(file.release());
    assert.deepEqual(await world.get(store, sha), bytes);
  });
});

describe("Store.spool()", () => {
  it("gives a file to read from that can never be stored", async () => {
    const world = new World();
    const store = await world.open();
    const spool = await store.spool();
    spool.append(Buffer.from("some bytes"));
    await world.finish(spool.flushed());
    const into = Buffer.alloc(4);
    await spool.read(into, 5);
    assert.equal(into.toString(), "byte");
    assert.throws(() => spool.commit([spool.digest()], meta), /spool/);
    await spool.suspend();
    assert.deepEqual(world.files.paths, []);
  });

  it("never costs what is stored", async () => {
    const world = new World();
    const store = await world.open({ quotaBytes: 20 * MiB });
    for (let seed = 0; seed < 15; seed += 1) await world.put(store, content(seed, MiB));
    await assert.rejects(store.spool(), { code: "NO_SPACE" });
    assert.equal((await store.stats()).files, 15);
  });

  it("is removed at start after a crash", async () => {
    const world = new World();
    const store = await world.open();
    const spool = await store.spool();
    spool.append(Buffer.from("some bytes"));
    await world.finish(spool.flushed());
    assert.equal(world.bytesBelow("partial"), 10);
    const after = world.crash("kill", new SeededRandom(1));
    await after.open();
    assert.deepEqual(after.files.paths, []);
  });
});

describe("Store when the disk fails", () => {
  it("shows a failed write as failure, goes on hashing, and stores nothing", async () => {
    const world = new World();
    const store = await world.open();
    const { bytes, sha } = content(40, 100_000);
    const file = await store.begin(sha, bytes.length);
    file.append(bytes.subarray(0, 50_000));
    await world.finish(file.flushed());
    world.faults.faults = {
      failWhen: (operation) => operation === "write",
      failure: () => new AptP2pError("NO_SPACE", "full"),
    };
    file.append(bytes.subarray(50_000, 70_000));
    await world.finish(file.flushed());
    assert.equal(file.failure?.code, "NO_SPACE");
    file.append(bytes.subarray(70_000));
    await file.drained();
    assert.equal(file.heldBytes, 100_000);
    assert.equal(file.digest(), sha);
    const into = Buffer.alloc(10);
    assert.equal(await file.read(into, 49_995), 5);
    file.commit([sha], meta);
    assert.equal(store.find(sha), undefined);
    assert.equal(world.counters.get("cache.unstored"), 1);
    world.faults.faults = {};
    await world.finish(file.release());
    assert.deepEqual(world.files.paths, []);
    await world.put(store, { bytes, sha });
    assert.deepEqual(await world.get(store, sha), bytes);
  });

  for (const operation of ["sync", "rename", "sync directory", "batch", "create", "facts"]) {
    it(`forgets a committed file when ${operation} fails, and can store it later`, async () => {
      const world = new World();
      const store = await world.open();
      const { bytes, sha } = content(41, 100_000);
      const file = await store.begin(sha, bytes.length);
      world.faults.faults = { failWhen: (what) => what === operation };
      file.append(bytes);
      file.commit([sha], meta);
      assert.ok(store.find(sha));
      await world.finish(file.release());
      assert.equal(store.find(sha), undefined);
      assert.equal(world.counters.get("cache.commitFailures"), 1);
      assert.equal((await store.stats()).bytes, 0);
      world.faults.faults = {};
      assert.deepEqual(world.files.paths, []);
      await world.put(store, { bytes, sha });
      assert.deepEqual(await world.get(store, sha), bytes);
      assert.equal(world.files.openHandles, store.keptOpen);
    });
  }

  it("says NO_SPACE before it begins a file that the disk has no room for", async () => {
    const world = new World({ totalBytes: 1_000_000 });
    const store = await world.open({ keepFreeBytes: 300_000 });
    await assert.rejects(store.begin(content(42, 1).sha, 700_001), { code: "NO_SPACE" });
    const file = await store.begin(content(42, 1).sha, 700_000);
    // The first one's claim counts although nothing is written yet.
    await assert.rejects(store.begin(content(43, 1).sha, 1), { code: "NO_SPACE" });
    await file.discard();
    world.clock.advance(limits.freeSpaceMs);
    await (await store.begin(content(43, 1).sha, 1)).discard();
  });

  it("survives a disk that fills in the middle", async () => {
    const world = new World({ totalBytes: 10 * MiB });
    const store = await world.open();
    const { bytes, sha } = content(44, 3 * MiB);
    const file = await store.begin(sha, bytes.length);
    file.append(bytes.subarray(0, MiB));
    await world.finish(file.flushed());
    world.files.plant("/elsewhere", Buffer.alloc(8 * MiB));
    file.append(bytes.subarray(MiB));
    await world.finish(file.flushed());
    assert.equal(file.failure?.code, "NO_SPACE");
    assert.equal(file.digest(), sha);
    file.commit([sha], meta);
    await world.finish(file.release());
    assert.equal(store.find(sha), undefined);
    assert.equal(world.bytesBelow("partial"), 0);
  });
});

describe("Store quota", () => {
  const quotaBytes = 100_000;

  it("takes a tenth of the file system, at most 10 GB, by itself", async () => {
    const small = await new World({ totalBytes: 5_000_000 }).open({ quotaBytes: "auto" });
    assert.equal((await small.stats()).quotaBytes, 500_000);
    const large = await new World({ totalBytes: 10 ** 13 }).open({ quotaBytes: "auto" });
    assert.equal((await large.stats()).quotaBytes, 10_000_000_000);
  });

  it("stores nothing with a quota of 0", async () => {
    const store = await new World().open({ quotaBytes: 0 });
    await assert.rejects(store.begin(content(50, 1).sha, 1), { code: "NO_SPACE" });
    await assert.rejects(store.begin(content(50, 1).sha, undefined), { code: "NO_SPACE" });
    await assert.rejects(store.spool(), { code: "NO_SPACE" });
  });

  it("evicts unlisted files first, then the least recently used, never one in use", async () => {
    const world = new World();
    const store = await world.open({ quotaBytes });
    const five = [51, 52, 53, 54, 55].map((seed) => content(seed, 20_000));
    for (const one of five) {
      await world.put(store, one);
      world.listed.add(one.sha);
      world.clock.advance(1000);
    }
    const [oldest, second, third, fourth] = five.map(({ sha }) => sha) as [
      Sha256,
      Sha256,
      Sha256,
      Sha256,
    ];
    world.listed.delete(fourth);
    await world.get(store, oldest);
    const opened = await store.open(second);
    await world.put(store, content(56, 20_000));
    assert.equal(store.find(fourth), undefined, "unlisted goes first");
    await world.put(store, content(57, 20_000));
    assert.equal(store.find(third), undefined, "then the least recently used that is not open");
    assert.ok(store.find(oldest) && store.find(second));
    await opened?.handle.close();
    assert.ok(world.bytesBelow("sha256") <= quotaBytes);
    assert.equal(world.counters.get("cache.evicted"), 2);
    assert.equal(world.counters.get("cache.evictedBytes"), 40_000);
  });

  it("empties nothing for a file that cannot fit", async () => {
    const world = new World();
    const store = await world.open({ quotaBytes });
    await world.put(store, content(58, 40_000));
    const opened = await store.open(content(58, 40_000).sha);
    await world.put(store, content(59, 40_000));
    await assert.rejects(store.begin(content(60, 1).sha, 100_001), { code: "NO_SPACE" });
    await assert.rejects(store.begin(content(60, 1).sha, 70_000), { code: "NO_SPACE" });
    assert.equal((await store.stats()).files, 2);
    await opened?.handle.close();
    await (await store.begin(content(60, 1).sha, 70_000)).discard();
  });

  it("evicts abandoned unfinished files first, fresh ones last", async () => {
    const world = new World();
    const store = await world.open({ quotaBytes });
    const unfinished = async (seed: number): Promise<Sha256> => {
      const { bytes, sha } = content(seed, 30_000);
      const file = await world.finish(store.begin(sha, 30_000));
      file.append(bytes.subarray(0, 20_000));
      await file.suspend();
      return sha;
    };
    const abandoned = await unfinished(61);
    world.clock.advance(limits.unfinishedAgeMs);
    const fresh = await unfinished(62);
    await world.put(store, content(63, 40_000));
    await world.put(store, content(64, 40_000));
    assert.equal(world.files.peek(`${directory}/partial/${abandoned}`), undefined);
    assert.ok(world.files.peek(`${directory}/partial/${fresh}`));
    await world.put(store, content(65, 40_000));
    assert.ok(world.files.peek(`${directory}/partial/${fresh}`));
    assert.equal(store.find(content(63, 40_000).sha), undefined);
    await world.put(store, content(66, 95_000));
    assert.deepEqual(await shas(store), new Set([content(66, 95_000).sha]));
    assert.equal(world.files.peek(`${directory}/partial/${fresh}`), undefined);
  });

  it("counts files of unknown size as they grow", async () => {
    const world = new World();
    const store = await world.open({ quotaBytes: 20 * MiB });
    await world.put(store, content(67, 10 * MiB));
    const file = await store.begin(content(68, 1).sha, undefined);
    for (let count = 0; count < 12; count++) {
      file.append(Buffer.alloc(MiB));
      await world.finish(file.flushed());
    }
    assert.equal(failureOf(file), undefined);
    assert.equal((await store.stats()).files, 0, "made room for it");
    for (let count = 0; count < 12; count++) {
      file.append(Buffer.alloc(MiB));
      await world.finish(file.flushed());
    }
    assert.equal(failureOf(file), "NO_SPACE");
    await file.discard();
  });
});

describe("Store.settled()", () => {
  it("takes in whole files without a record, as local, after hashing them", async () => {
    const world = new World();
    const one = content(70, 5000);
    world.files.plant(wholePath(one.sha), one.bytes);
    const store = await world.open();
    assert.equal(store.find(one.sha)?.scope, "local");
    assert.equal(world.counters.get("cache.adopted"), 1);
    assert.equal((await store.stats()).bytes, 5000);
    assert.deepEqual(await world.get(store, one.sha), one.bytes);
  });

  it("removes whole files that are not what their name says", async () => {
    const world = new World();
    world.files.plant(wholePath(content(71, 1).sha), content(72, 5000).bytes);
    const store = await world.open();
    assert.equal(store.find(content(71, 1).sha), undefined);
    assert.deepEqual(world.files.paths, []);
    assert.equal(world.counters.get("cache.damaged"), 1);
  });

  it("drops records without a file", async () => {
    const world = new World();
    const store = await world.open();
    await world.put(store, content(73, 5000));
    await store.close();
    await world.files.remove(wholePath(content(73, 5000).sha));
    const again = await world.open();
    assert.equal(again.find(content(73, 5000).sha), undefined);
    assert.equal((await again.stats()).files, 0);
  });

  it("survives records that are no records", async () => {
    const world = new World();
    const sha = content(74, 1).sha;
    await world.kv.batch([
      { key: `cache!file!${sha}`, value: "not json" },
      { key: "cache!file!short", value: "{}" },
      { key: `cache!file!${content(75, 1).sha}`, value: '{"sizeBytes":-1}' },
      { key: `cache!part!${sha}`, value: "[]" },
    ]);
    const store = await world.open();
    assert.equal((await store.stats()).files, 0);
    assert.equal(store.find(sha), undefined);
    await world.put(store, content(74, 1));
    assert.deepEqual(await world.get(store, sha), content(74, 1).bytes);
  });
});

describe("Store.verify()", () => {
  it("finds what is damaged and what is gone, and keeps the rest", async () => {
    const world = new World();
    const store = await world.open();
    const [good, bad, gone] = [content(80, 600_000), content(81, 5000), content(82, 100)];
    for (const one of [good, bad, gone]) await world.put(store, one);
    const damaged = Buffer.from(bad.bytes);
    damaged[100]! ^= 1;
    const facts = await world.files.facts(wholePath(bad.sha));
    // The same size and time: only hashing finds it.
    world.files.plant(wholePath(bad.sha), damaged, facts!.mtimeMs);
    await world.files.remove(wholePath(gone.sha));
    const seen: number[] = [];
    const result = await store.verify(({ bytes }) => seen.push(bytes), never);
    assert.deepEqual(result.damaged, [bad.sha]);
    assert.deepEqual(result.missing, [gone.sha]);
    assert.equal(result.files, 3);
    assert.equal(result.bytes, 605_000);
    assert.equal(seen.at(-1), 605_000);
    assert.deepEqual(await shas(store), new Set([good.sha]));
    assert.deepEqual(world.files.paths, [wholePath(good.sha)]);
  });

  it("ends early when asked to", async () => {
    const world = new World();
    const store = await world.open();
    for (const seed of [83, 84, 85]) await world.put(store, content(seed, 600_000));
    const stop = new AbortController();
    const result = await store.verify(() => stop.abort(), stop.signal);
    assert.equal(result.aborted, true);
    assert.ok(result.files < 3);
    assert.equal((await store.stats()).files, 3);
    assert.equal(world.files.openHandles, store.keptOpen);
  });
});

describe("Store.clean()", () => {
  async function three() {
    const world = new World();
    const store = await world.open();
    const all = [content(90, 1000), content(91, 2000), content(92, 3000)] as const;
    for (const [index, one] of all.entries())
      await world.put(store, one, `h/pool/p${index}_1.0_amd64.deb`);
    return { world, store, all };
  }

  it("removes by name, by digest, what no index lists, or all", async () => {
    const { world, store, all } = await three();
    const byName = await store.clean({ name: "h/*/p0_*.deb" }, ignore);
    assert.deepEqual(byName, { files: 1, bytes: 1000, inUse: 0 });
    assert.deepEqual(await store.clean({ sha: all[1].sha }, ignore), {
      files: 1,
      bytes: 2000,
      inUse: 0,
    });
    world.listed.add(all[2].sha);
    assert.deepEqual(await store.clean("unlisted", ignore), { files: 0, bytes: 0, inUse: 0 });
    world.listed.clear();
    assert.deepEqual(await store.clean("unlisted", ignore), { files: 1, bytes: 3000, inUse: 0 });
    assert.deepEqual(world.files.paths, []);
  });

  it("leaves what is being read, and removes beginnings with all", async () => {
    const { world, store, all } = await three();
    const opened = await store.open(all[0].sha);
    const running = await store.begin(content(93, 1).sha, 100);
    running.append(Buffer.alloc(50));
    const file = await store.begin(content(94, 1).sha, 100);
    file.append(Buffer.alloc(60));
    await file.suspend();
    const result = await store.clean("all", ignore);
    assert.deepEqual(result, { files: 3, bytes: 5060, inUse: 1 });
    await opened?.handle.close();
    assert.equal(world.files.paths.length, 2);
    await running.discard();
    assert.equal(world.counters.get("cache.cleaned"), 3);
  });
});

describe("Store.import()", () => {
  it("takes in files and directories, linked, and skips what is held", async () => {
    const world = new World();
    const store = await world.open();
    const [one, two, three] = [content(100, 5000), content(101, 600_000), content(102, 10)];
    world.files.plant("/in/one.deb", one.bytes);
    world.files.plant("/in/below/two.deb", two.bytes);
    world.files.plant("/single", three.bytes);
    await world.put(store, three);
    const seen: number[] = [];
    const result = await store.import(
      ["/in", "/single", "/absent"],
      ({ bytes }) => seen.push(bytes),
      never,
    );
    assert.deepEqual(
      { ...result, failed: result.failed.map(({ path }) => path) },
      { files: 2, bytes: 605_000, linked: 2, alreadyHeld: 1, failed: ["/absent"], aborted: false },
    );
    assert.equal(seen.at(-1), 605_010);
    assert.deepEqual(await world.get(store, two.sha), two.bytes);
    assert.equal(store.find(one.sha)?.origin, "import");
    assert.equal((await store.stats()).bytes, 605_010);
    assert.equal(world.bytesBelow("partial"), 0);
    assert.equal(world.files.openHandles, store.keptOpen);
    assert.equal(world.counters.get("cache.imported"), 2);
  });

  it("copies where nothing can be linked", async () => {
    const world = new World();
    world.files.link = () => Promise.resolve(false);
    const store = await world.open();
    const one = content(103, 600_000);
    world.files.plant("/in/one.deb", one.bytes);
    const result = await store.import(["/in/one.deb"], ignore, never);
    assert.equal(result.files, 1);
    assert.equal(result.linked, 0);
    assert.deepEqual(await world.get(store, one.sha), one.bytes);
  });

  it("reports what does not fit, and leaves nothing of it", async () => {
    const world = new World();
    const store = await world.open({ quotaBytes: 10_000 });
    world.files.plant("/in/large", content(104, 20_000).bytes);
    world.files.plant("/in/small", content(105, 500).bytes);
    const result = await store.import(["/in"], ignore, never);
    assert.equal(result.files, 1);
    assert.match(result.failed[0]?.reason ?? "", /quota/);
    assert.equal(world.bytesBelow("partial"), 0);
    assert.equal(world.files.openHandles, store.keptOpen);
  });
});

describe("Store.scanOffers()", () => {
  const offerDirectories = ["/apt/archives"];

  it("serves offered files from where they are, without counting them", async () => {
    const world = new World();
    const [one, two] = [content(110, 5000), content(111, 600_000)];
    world.files.plant("/apt/archives/one.deb", one.bytes, 1000);
    world.files.plant("/apt/archives/sub/two.deb", two.bytes, 1000);
    world.files.plant("/apt/archives/partial/three.deb", content(112, 10).bytes);
    world.files.plant("/apt/archives/lock", Buffer.alloc(0));
    const store = await world.open({ offerDirectories, quotaBytes: 100 });
    await world.finish(store.scanOffers(never));
    const found = store.find(one.sha);
    assert.equal(found?.path, "/apt/archives/one.deb");
    assert.equal(found.owned, false);
    assert.equal(found.origin, "offer");
    assert.equal(found.scope, "local", "a private archive's file may lie there");
    assert.deepEqual(await world.get(store, two.sha), two.bytes);
    assert.equal(store.find(content(112, 10).sha), undefined);
    const stats = await store.stats();
    assert.deepEqual([stats.files, stats.offeredFiles, stats.offeredBytes], [0, 2, 605_000]);
    assert.equal(world.counters.get("cache.offered"), 2);
  });

  it("hashes only what is new or changed, and drops what vanished", async () => {
    const world = new World();
    const [one, two, three] = [content(113, 5000), content(114, 6000), content(115, 7000)];
    world.files.plant("/apt/archives/one.deb", one.bytes, 1000);
    world.files.plant("/apt/archives/two.deb", two.bytes, 1000);
    const store = await world.open({ offerDirectories });
    await world.finish(store.scanOffers(never));
    await world.finish(store.scanOffers(never));
    assert.equal(world.counters.get("cache.offered"), 2);
    world.files.plant("/apt/archives/two.deb", three.bytes, 2000);
    await world.files.remove("/apt/archives/one.deb");
    await world.finish(store.scanOffers(never));
    assert.equal(world.counters.get("cache.offered"), 3);
    assert.deepEqual(await shas(store), new Set([three.sha]));
    assert.equal((await store.stats()).offeredFiles, 1);
  });

  it("drops what is no longer offered", async () => {
    const world = new World();
    world.files.plant("/apt/archives/one.deb", content(116, 10).bytes);
    const store = await world.open({ offerDirectories });
    await world.finish(store.scanOffers(never));
    await store.close();
    const again = await world.open({ offerDirectories: ["/apt/other"] });
    await world.finish(again.scanOffers(never));
    assert.deepEqual(await shas(again), new Set());
    assert.equal(world.counters.get("cache.offersGone"), 1);
  });

  it("goes on after a file that cannot be read", async () => {
    const world = new World();
    const [one, two] = [content(121, 5000), content(122, 6000)];
    world.files.plant("/apt/archives/a.deb", one.bytes);
    world.files.plant("/apt/archives/b.deb", two.bytes);
    const store = await world.open({ offerDirectories });
    let reads = 0;
    world.faults.faults = { failWhen: (what) => what === "read" && ++reads === 1 };
    await world.finish(store.scanOffers(never));
    assert.equal(world.counters.get("cache.offerFailures"), 1);
    assert.equal((await store.stats()).offeredFiles, 1);
    await world.finish(store.scanOffers(never));
    assert.deepEqual(await shas(store), new Set([one.sha, two.sha]));
    assert.equal(world.files.openHandles, store.keptOpen);
  });

  it("never serves or deletes an offered file that has changed", async () => {
    const world = new World();
    const one = content(117, 5000);
    const changed = Buffer.from(one.bytes);
    changed[0]! ^= 1;
    world.files.plant("/apt/archives/one.deb", one.bytes, 1000);
    const store = await world.open({ offerDirectories });
    await world.finish(store.scanOffers(never));
    world.files.plant("/apt/archives/one.deb", changed, 2000);
    assert.equal(await world.get(store, one.sha), undefined);
    assert.ok(world.files.peek("/apt/archives/one.deb"));
    await world.finish(store.scanOffers(never));
    assert.deepEqual(await world.get(store, contentOf(changed).sha), changed);
  });

  it("does not offer again, unread, what had been found damaged", async () => {
    const world = new World();
    const one = content(118, 5000);
    const rotten = Buffer.from(one.bytes);
    rotten[0]! ^= 1;
    world.files.plant("/apt/archives/one.deb", one.bytes, 1000);
    const store = await world.open({ offerDirectories });
    await world.finish(store.scanOffers(never));
    // The disk rots: neither size nor time tell.
    world.files.plant("/apt/archives/one.deb", rotten, 1000);
    world.clock.advance(limits.reverifyMs);
    assert.equal(await world.get(store, one.sha), undefined);
    await world.finish(store.scanOffers(never));
    assert.equal(store.find(one.sha), undefined);
  });

  it("stands in when our own copy goes", async () => {
    const world = new World();
    const one = content(119, 5000);
    const store = await world.open({ offerDirectories });
    await world.put(store, one);
    world.files.plant("/apt/archives/one.deb", one.bytes, 1000);
    await world.finish(store.scanOffers(never));
    assert.equal(store.find(one.sha)?.owned, true);
    await store.clean("all", ignore);
    await world.finish(store.scanOffers(never));
    assert.equal(store.find(one.sha)?.owned, false);
    assert.deepEqual(await world.get(store, one.sha), one.bytes);
  });

  it("lets our own copy replace an offer", async () => {
    const world = new World();
    const one = content(120, 5000);
    world.files.plant("/apt/archives/one.deb", one.bytes, 1000);
    const store = await world.open({ offerDirectories });
    await world.finish(store.scanOffers(never));
    await world.put(store, one);
    assert.equal(store.find(one.sha)?.owned, true);
    const stats = await store.stats();
    assert.deepEqual([stats.files, stats.bytes, stats.offeredFiles], [1, 5000, 0]);
    await world.files.remove("/apt/archives/one.deb");
    await world.finish(store.scanOffers(never));
    assert.deepEqual(await world.get(store, one.sha), one.bytes);
  });
});
