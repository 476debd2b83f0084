import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import type { Sha256 } from "../../../src/base/sha256.ts";
import type { NodeId } from "../../../src/base/node-id.ts";
import { hour, KiB, second } from "../../../src/base/units.ts";
import type { Urgency } from "../../../src/cache/piece-hashes.ts";
import type { StoredFile } from "../../../src/cache/types.ts";
import type { Published } from "../../../src/engine/dht-service.ts";
import type { Share } from "../../../src/engine/dht-status.ts";
import { Sharing, type DownloadView } from "../../../src/engine/sharing.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import type { FileValue, PieceList } from "../../../src/krpc/value.ts";
import { pieceListKey } from "../../../src/krpc/value.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { silentLog } from "../../integration/dht-swarm.ts";

const sha = (index: number): Sha256 => index.toString(16).padStart(64, "0") as Sha256;
const piece = 512 * KiB;

class World {
  readonly clock = new VirtualClock();
  readonly counters = new Counters();
  readonly files = new Map<Sha256, StoredFile>();
  readonly published = new Map<Sha256, FileValue>();
  readonly lists: PieceList[] = [];
  readonly withdrawnLists: NodeId[] = [];
  readonly downloads = new Map<Sha256, DownloadView>();
  readonly asked: [Sha256, Urgency][] = [];
  readonly unlisted = new Set<Sha256>();
  listing = "";
  /** How long it takes to hash. */
  hashing = Promise.resolve();
  outcome: Published = "published";
  failing = false;
  changed: (sha256: Sha256) => void = () => undefined;

  add(index: number, fields: Partial<StoredFile> = {}): void {
    const sha256 = sha(index);
    this.files.set(sha256, {
      ...{ sha256, sizeBytes: 100_000, path: "/x", owned: true, mtimeMs: 0, addedAtMs: 0 },
      ...{ verifiedAtMs: 0, lastUsedMs: 0, names: [], scope: "public", origin: "mirror" },
      ...fields,
    });
    this.changed(sha256);
  }

  start(share: Share): Sharing {
    const { clock, counters } = this;
    const sharing = new Sharing(
      {
        ...{ clock, counters, hashes: nodeHashes, log: silentLog, store: this },
        listed: (digests) => new Set([...digests].filter((each) => !this.unlisted.has(each))),
        listing: () => this.listing,
        download: (sha256) => this.downloads.get(sha256),
      },
      { share, leastBytes: 64 * KiB },
    );
    sharing.start();
    sharing.announceTo({
      publish: (sha256, value) => {
        if (this.outcome === "published") this.published.set(sha256, value);
        return this.outcome;
      },
      publishPieces: (list) => void this.lists.push(list),
      withdraw: (sha256) => void this.published.delete(sha256),
      withdrawPieces: (key) => void this.withdrawnLists.push(key),
    });
    return sharing;
  }

  find(sha256: Sha256): StoredFile | undefined {
    return this.files.get(sha256);
  }

  watch(listener: (sha256: Sha256) => void): void {
    this.changed = listener;
  }

  async pieceHashes(sha256: Sha256, urgency: Urgency = "now"): Promise<Buffer | undefined> {
    this.asked.push([sha256, urgency]);
    await this.hashing;
    const size = this.files.get(sha256)?.sizeBytes;
    return size === undefined ? size : Buffer.alloc(32 * Math.ceil(size / piece), 7);
  }

  async *list(): AsyncIterable<StoredFile> {
    for (const file of [...this.files.values()]) {
      await Promise.resolve();
      if (this.failing) throw new Error("the disk has gone");
      yield file;
    }
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= second) {
      for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
      this.clock.advance(Math.min(left, second));
    }
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
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
    assert.deepEqual([...world.published.keys()], [sha(1)]);
    assert.deepEqual([...sharing.digests.all], [sha(1), sha(2), sha(3)], "near peers get more");
    const given = [...world.files.values()].map((file) => [
      sharing.mayGive(file, true),
      sharing.mayGive(file, false),
    ]);
    assert.deepEqual(given, [
      [true, true],
      [true, false],
      [true, true],
      [false, false],
    ]);
    assert.equal(world.counters.get("dht.share.published"), 1);
    assert.equal(world.counters.get("share.served"), 3);
    const all = new World();
    for (const [key, file] of world.files) all.files.set(key, file);
    all.unlisted.add(sha(4));
    all.start("all");
    const none = new World();
    none.add(1);
    const nothing = none.start("none");
    await Promise.all([all.pass(second), none.pass(second)]);
    assert.deepEqual([...all.published.keys()], [sha(1), sha(4)]);
    assert.deepEqual([...none.published.keys()], []);
    assert.ok(!nothing.mayGive(none.files.get(sha(1))!, true));
  });

  it("tells the pieces as they fit", async () => {
    const world = new World();
    for (const pieces of [1, 4, 5, 32, 33]) world.add(pieces, { sizeBytes: pieces * piece });
    world.start("fresh");
    await world.pass(second);
    const kinds = [...world.published.values()].map(({ pieces }) => pieces.kind);
    assert.deepEqual(kinds, ["none", "inline", "key", "key", "peer"]);
    assert.deepEqual(
      world.lists.map(({ hashes }) => hashes.length),
      [5, 32],
    );
    const told = world.published.get(sha(5))?.pieces;
    const key = pieceListKey(nodeHashes, world.lists[0]!);
    assert.deepEqual(told, { kind: "key", key });
  });

  it("follows the store as it changes, and what indexes list", async () => {
    const world = new World();
    for (let index = 0; index < 600; index++) world.add(index);
    const sharing = world.start("fresh");
    await world.pass(5 * second);
    assert.equal(world.published.size, 600);
    const { version } = sharing.digests;
    world.add(700);
    for (const index of [5, 6]) {
      world.files.delete(sha(index));
      world.changed(sha(index));
    }
    await world.pass(second);
    assert.equal(world.published.size, 599);
    assert.ok(world.published.has(sha(700)) && !world.published.has(sha(5)));
    assert.equal(world.counters.get("dht.share.withdrawn"), 2);
    assert.ok(sharing.digests.version > version, "the filter is another one");
    const scans = world.counters.get("share.scans");
    await world.pass(60 * second);
    assert.equal(world.counters.get("share.scans"), scans, "nothing has changed");
    world.unlisted.add(sha(10));
    world.listing = "another";
    await world.pass(30 * second);
    assert.ok(!world.published.has(sha(10)));
    await sharing.stop();
    world.add(800);
    await world.pass(60 * second);
    assert.ok(!world.published.has(sha(800)));
    assert.equal(world.clock.pendingTimers, 0);
  });

  it("says what is here before its pieces are hashed, and tells new files first", async () => {
    const world = new World();
    let done: () => void = () => undefined;
    world.hashing = new Promise((resolve) => (done = resolve));
    for (const index of [1, 2, 3]) world.add(index, { sizeBytes: 2 * piece });
    const sharing = world.start("fresh");
    await world.pass(second);
    world.add(4, { sizeBytes: 2 * piece });
    await world.pass(second);
    assert.deepEqual([...sharing.digests.all], [1, 2, 3, 4].map(sha));
    assert.equal(world.published.size, 0);
    world.files.delete(sha(2));
    world.changed(sha(2));
    await world.pass(second);
    done();
    await world.pass(second);
    assert.deepEqual(world.asked, [
      [sha(1), "later"],
      [sha(4), "now"],
      [sha(3), "later"],
    ]);
    assert.deepEqual([...world.published.keys()], [1, 4, 3].map(sha));
    await sharing.stop();
  });

  it("takes back what went while it was hashed, and a list with its file", async () => {
    const world = new World();
    let done: () => void = () => undefined;
    world.hashing = new Promise((resolve) => (done = resolve));
    world.add(1, { sizeBytes: 5 * piece });
    const sharing = world.start("fresh");
    await world.pass(second);
    world.unlisted.add(sha(1));
    world.changed(sha(1));
    await world.pass(second);
    done();
    await world.pass(second);
    assert.equal(world.published.size, 0);
    world.unlisted.clear();
    world.changed(sha(1));
    await world.pass(second);
    assert.ok(world.published.has(sha(1)));
    world.files.delete(sha(1));
    world.changed(sha(1));
    await world.pass(second);
    assert.equal(world.published.size, 0);
    assert.deepEqual(world.withdrawnLists, [pieceListKey(nodeHashes, world.lists[0]!)]);
    await sharing.stop();
  });

  it("tells of long downloads, until they are over", async () => {
    const world = new World();
    const sharing = world.start("fresh");
    for (const index of [1, 2, 3]) {
      world.downloads.set(sha(index), { byHand: false, scope: "public" });
    }
    sharing.unfinished(sha(1), 10 * piece);
    sharing.unfinished(sha(2), 10 * piece);
    sharing.ended(sha(2));
    await world.pass(second);
    assert.deepEqual(world.published.get(sha(1))?.state, { kind: "unfinished", eighths: 0 });
    assert.ok(!world.published.has(sha(2)), "it was over before it was told");
    assert.equal(world.counters.get("share.unfinished"), 1);
    world.add(1, { sizeBytes: 10 * piece });
    sharing.ended(sha(1));
    await world.pass(second);
    assert.deepEqual(world.published.get(sha(1))?.state, { kind: "complete" });
    sharing.unfinished(sha(3), 10 * piece);
    await world.pass(second);
    assert.ok(world.published.has(sha(3)));
    sharing.ended(sha(3));
    assert.ok(!world.published.has(sha(3)), "it came to nothing");
    assert.ok(sharing.mayGiveUnfinished(sha(4), false));
    world.unlisted.add(sha(4));
    assert.ok(!sharing.mayGiveUnfinished(sha(4), false));
    assert.ok(sharing.mayGiveUnfinished(sha(4), true));
  });

  it("tells of no download that is private, or that nobody may have", async () => {
    const world = new World();
    const sharing = world.start("fresh");
    world.downloads.set(sha(1), { byHand: false, scope: "local" });
    world.downloads.set(sha(2), { byHand: false, scope: "unknown" });
    world.downloads.set(sha(3), { byHand: false, scope: "public" });
    world.downloads.set(sha(4), { byHand: true, scope: "public" });
    world.unlisted.add(sha(3));
    world.unlisted.add(sha(4));
    for (const index of [1, 2, 3, 4]) sharing.unfinished(sha(index), 10 * piece);
    await world.pass(5 * second);
    assert.deepEqual([...world.published.keys()], [sha(4)]);
    // Its origin becomes known.
    world.downloads.set(sha(2), { byHand: false, scope: "public" });
    await world.pass(second);
    assert.deepEqual([...world.published.keys()], [sha(4), sha(2)]);
    // In the end the mirror said that it is private.
    world.add(2, { sizeBytes: 10 * piece, scope: "local" });
    await world.pass(second);
    assert.deepEqual([...world.published.keys()], [sha(4)]);
    await sharing.stop();
    assert.equal(world.clock.pendingTimers, 0);
  });

  it("tries again what was too much, and after failures", async () => {
    const world = new World();
    world.add(1);
    world.outcome = "tooMany";
    world.failing = true;
    const sharing = world.start("fresh");
    await world.pass(second);
    assert.ok(world.counters.get("share.failed") > 0);
    world.failing = false;
    await world.pass(60 * second);
    assert.deepEqual([...sharing.digests.all], [sha(1)]);
    assert.equal(world.published.size, 0);
    world.outcome = "published";
    await world.pass(3 * hour + 60 * second);
    assert.equal(world.published.size, 1);
    await sharing.stop();
  });
});
