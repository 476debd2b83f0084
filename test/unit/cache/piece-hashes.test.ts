import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { limits } from "../../../src/base/limits.ts";
import type { Sha256 } from "../../../src/base/sha256.ts";
import { content, directory, tick, World, type Content } from "./world.ts";

const piece = limits.pieceBytes;
const key = ({ sha }: Content): string => `cache!pieces!${sha}`;

function hashesOf({ bytes }: Content): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length || at === 0; at += piece) {
    parts.push(
      createHash("sha256")
        .update(bytes.subarray(at, at + piece))
        .digest(),
    );
  }
  return Buffer.concat(parts);
}

/** Paths in the order in which they are opened. */
function opens(world: World): string[] {
  const paths: string[] = [];
  const open = world.files.open.bind(world.files);
  world.files.open = (path) => {
    paths.push(path);
    return open(path);
  };
  return paths;
}

const wholePath = ({ sha }: Content): string => `${directory}/sha256/${sha.slice(0, 2)}/${sha}`;

describe("Store.pieceHashes()", () => {
  it("reads the file once, and records what it found", async () => {
    for (const size of [0, 10, piece, 2 * piece, 2 * piece + 1]) {
      const world = new World();
      const store = await world.open();
      const one = content(size, size);
      await world.put(store, one);
      const both = Promise.all([store.pieceHashes(one.sha), store.pieceHashes(one.sha, "later")]);
      assert.deepEqual(await world.finish(both), [hashesOf(one), hashesOf(one)], `${size}`);
      assert.equal(world.counters.get("cache.pieceLists"), 1);
      await world.finish(store.close());
      const again = await world.open();
      assert.deepEqual(await again.pieceHashes(one.sha), hashesOf(one));
      assert.equal(world.counters.get("cache.pieceLists"), 1, "was not recorded");
    }
  });

  it("takes one file after the other, first those for which somebody waits", async () => {
    const world = new World();
    const store = await world.open();
    const files = [1, 2, 3, 4].map((seed) => content(seed, 3 * piece));
    for (const one of files) await world.put(store, one);
    await world.finish(store.close());
    const again = await world.open();
    const paths = opens(world);
    const [a, b, c, d] = files as [Content, Content, Content, Content];
    const order: Sha256[] = [];
    const ask = (one: Content, urgency: "now" | "later"): Promise<void> =>
      again.pieceHashes(one.sha, urgency).then((hashes) => {
        assert.deepEqual(hashes, hashesOf(one));
        order.push(one.sha);
      });
    const all = [ask(a, "later"), ask(b, "later"), ask(c, "now"), ask(d, "later"), ask(d, "now")];
    await world.finish(Promise.all(all));
    assert.deepEqual(
      order,
      [a, c, d, d, b].map(({ sha }) => sha),
    );
    assert.deepEqual(paths, [a, c, d, b].map(wholePath));
  });

  it("rests as long as it worked, unless somebody waits", async () => {
    for (const urgency of ["later", "now"] as const) {
      const world = new World();
      const store = await world.open();
      const one = content(1, 4 * piece);
      await world.put(store, one);
      const asked = store.pieceHashes(one.sha, urgency);
      for (let round = 0; round < 20; round++) await tick();
      const rests = world.clock.nextTimerMs !== undefined;
      assert.equal(rests, urgency === "later");
      assert.deepEqual(await world.finish(asked), hashesOf(one));
    }
  });

  it("tells nothing of what is not held, unreadable or wrong", async () => {
    const world = new World();
    const store = await world.open();
    const [one, two] = [content(1, piece + 1), content(2, piece + 1)];
    assert.equal(await world.finish(store.pieceHashes(one.sha)), undefined);
    await world.put(store, one);
    await world.put(store, two);
    world.faults.faults = { failWhen: (what) => what === "read" };
    assert.equal(await world.finish(store.pieceHashes(one.sha)), undefined);
    assert.deepEqual(world.warnings(), ["pieces-failed"]);
    world.faults.faults = {};
    assert.deepEqual(await world.finish(store.pieceHashes(one.sha)), hashesOf(one));
    // Damaged, and nobody has seen it yet: size and time are as before.
    const { mtimeMs } = store.find(two.sha)!;
    const damaged = Buffer.from(two.bytes);
    damaged[5]! ^= 1;
    await world.finish(store.close());
    world.files.plant(wholePath(two), damaged, mtimeMs);
    const again = await world.open();
    assert.equal(await world.finish(again.pieceHashes(two.sha)), undefined);
    assert.equal(again.find(two.sha), undefined, "is still held");
  });

  it("forgets them with the file", async () => {
    const world = new World();
    const store = await world.open();
    const one = content(1, piece + 1);
    await world.put(store, one);
    await world.finish(store.pieceHashes(one.sha));
    assert.ok(world.kv.get(key(one)));
    await world.finish(store.clean("all", () => undefined));
    assert.equal(world.kv.get(key(one)), undefined);
    assert.equal(await world.finish(store.pieceHashes(one.sha)), undefined);
  });

  it("takes what a download knows already, and does not read", async () => {
    const world = new World();
    const store = await world.open();
    const one = content(1, piece + 1);
    const file = await world.finish(store.begin(one.sha, one.bytes.length));
    file.append(one.bytes);
    assert.equal(file.digest(), one.sha);
    file.commit([one.sha], { scope: "public", origin: "peers" });
    store.notePieceHashes(one.sha, hashesOf(one));
    assert.throws(() => store.notePieceHashes(one.sha, Buffer.alloc(32)), /not the hashes/);
    store.notePieceHashes(content(2, 1).sha, Buffer.alloc(32));
    await world.finish(file.release());
    const paths = opens(world);
    assert.deepEqual(await store.pieceHashes(one.sha), hashesOf(one));
    assert.deepEqual(paths, []);
  });

  it("ends with the store", async () => {
    const world = new World();
    const store = await world.open();
    const [one, two] = [content(1, 8 * piece), content(2, 8 * piece)];
    await world.put(store, one);
    await world.put(store, two);
    const asked = [store.pieceHashes(one.sha, "later"), store.pieceHashes(two.sha, "later")];
    await tick();
    await world.finish(store.close());
    assert.deepEqual(await Promise.all(asked), [undefined, undefined]);
    assert.equal(await store.pieceHashes(one.sha), undefined);
    assert.equal(world.files.openHandles, 0);
  });
});
