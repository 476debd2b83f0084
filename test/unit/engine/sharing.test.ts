import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import type { Sha256 } from "../../../src/base/sha256.ts";
import { hour, second } from "../../../src/base/units.ts";
import type { StoredFile, StoreStats } from "../../../src/cache/types.ts";
import { Sharing } from "../../../src/engine/dht-sharing.ts";
import type { Published } from "../../../src/engine/dht-service.ts";
import type { Share } from "../../../src/engine/dht-status.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { silentLog } from "../../integration/dht-swarm.ts";

const sha = (index: number): Sha256 => index.toString(16).padStart(64, "0") as Sha256;

class World {
  readonly clock = new VirtualClock();
  readonly counters = new Counters();
  readonly files = new Map<Sha256, StoredFile>();
  readonly published = new Set<Sha256>();
  readonly unlisted = new Set<Sha256>();
  outcome: Published = "published";
  failing = false;

  add(index: number, fields: Partial<StoredFile> = {}): void {
    const sha256 = sha(index);
    this.files.set(sha256, {
      ...{ sha256, sizeBytes: 100_000, path: "/x", owned: true, mtimeMs: 0, addedAtMs: 0 },
      ...{ verifiedAtMs: 0, lastUsedMs: 0, names: [], scope: "public", origin: "mirror" },
      ...fields,
    });
  }

  start(share: Share): Sharing {
    const { clock, counters } = this;
    const sharing = new Sharing(
      {
        ...{ clock, counters, log: silentLog, store: this },
        listed: (digests) => new Set([...digests].filter((each) => !this.unlisted.has(each))),
        dht: {
          publish: (sha256) => {
            if (this.outcome === "published") this.published.add(sha256);
            return this.outcome;
          },
          withdraw: (sha256) => void this.published.delete(sha256),
        },
      },
      { share, leastBytes: 65_536 },
    );
    sharing.start();
    return sharing;
  }

  async *list(): AsyncIterable<StoredFile> {
    for (const file of [...this.files.values()]) {
      await Promise.resolve();
      yield file;
    }
  }

  stats(): Promise<StoreStats> {
    if (this.failing) return Promise.reject(new Error("the disk has gone"));
    const bytes = [...this.files.values()].reduce((sum, file) => sum + file.sizeBytes, 0);
    const rest = { unfinishedFiles: 0, unfinishedBytes: 0, quotaBytes: 0, keepFreeBytes: 0 };
    const offered = { offeredFiles: 0, offeredBytes: 0, freeBytes: 0 };
    return Promise.resolve({ files: this.files.size, bytes, ...rest, ...offered });
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 5 * second) {
      await new Promise(setImmediate);
      this.clock.advance(Math.min(left, 5 * second));
    }
    await new Promise(setImmediate);
  }
}

describe("Sharing", () => {
  it("publishes public files of current indexes that are large enough", async () => {
    const world = new World();
    world.add(1);
    world.add(2, { scope: "local" });
    world.add(3, { sizeBytes: 65_535 });
    world.add(4);
    world.unlisted.add(sha(4));
    const sharing = world.start("fresh");
    await world.pass(second);
    assert.deepEqual([...world.published], [sha(1)]);
    assert.equal(sharing.status().files, 1);
    assert.equal(sharing.status().scannedAtMs, world.clock.wallMs() - second);
    assert.equal(world.counters.get("dht.share.published"), 1);
    const all = new World();
    for (const [key, file] of world.files) all.files.set(key, file);
    all.unlisted.add(sha(4));
    all.start("all");
    const none = new World();
    none.add(1);
    none.start("none");
    await Promise.all([all.pass(second), none.pass(second)]);
    assert.deepEqual([...all.published], [sha(1), sha(4)]);
    assert.deepEqual([...none.published], []);
  });

  it("follows the store, and what indexes list", async () => {
    const world = new World();
    for (let index = 0; index < 600; index++) world.add(index);
    const sharing = world.start("fresh");
    await world.pass(5 * second);
    assert.equal(world.published.size, 600);
    world.add(700);
    world.files.delete(sha(5));
    world.files.delete(sha(6));
    await world.pass(10 * second);
    assert.equal(world.published.size, 599);
    assert.ok(world.published.has(sha(700)) && !world.published.has(sha(5)));
    assert.equal(world.counters.get("dht.share.withdrawn"), 2);
    const scans = world.counters.get("dht.share.scans");
    world.unlisted.add(sha(10));
    await world.pass(hour);
    assert.equal(world.counters.get("dht.share.scans"), scans, "nothing has changed in the store");
    await world.pass(3 * hour);
    assert.ok(!world.published.has(sha(10)));
    await sharing.stop();
    world.add(800);
    await world.pass(3 * hour + 5 * second);
    assert.ok(!world.published.has(sha(800)));
    assert.equal(world.clock.pendingTimers, 0);
  });

  it("tries again what was too much, and after failures", async () => {
    const world = new World();
    world.add(1);
    world.outcome = "tooMany";
    world.failing = true;
    const sharing = world.start("fresh");
    await world.pass(second);
    assert.equal(world.counters.get("dht.share.failed"), 1);
    world.failing = false;
    await world.pass(10 * second);
    assert.equal(sharing.status().files, 0);
    world.outcome = "published";
    world.add(2);
    await world.pass(10 * second);
    assert.equal(sharing.status().files, 2);
    await sharing.stop();
  });
});
