import { describe, it } from "mocha";
import assert from "node:assert/strict";
import type { Sha256 } from "../../../src/base/sha256.ts";
import type { Store } from "../../../src/cache/store.ts";
import type { Progress, StoredFile } from "../../../src/cache/types.ts";
import { content, directory, World, type Content } from "./world.ts";

const one = content(1, 300_000);
const path = "/home/image.iso";

function share(world: World, store: Store, from = path): Promise<StoredFile> {
  return world.finish(store.share(from, () => undefined, new AbortController().signal));
}

/** A world in which the file lies at `path`. */
async function start(): Promise<{ world: World; store: Store }> {
  const world = new World();
  world.files.plant(path, one.bytes);
  return { world, store: await world.open() };
}

async function scan(world: World, store: Store): Promise<void> {
  await world.finish(store.scanOffers(new AbortController().signal));
}

async function putLocal(world: World, store: Store, { sha, bytes }: Content): Promise<void> {
  const file = await world.finish(store.begin(sha, bytes.length));
  file.append(bytes);
  file.commit([sha], { scope: "local", origin: "mirror" });
  await world.finish(file.release());
}

describe("Store.share()", () => {
  it("offers a file where it is, also after a restart and a scan", async () => {
    const { world, store } = await start();
    const progress: Progress[] = [];
    const told = (each: Progress): unknown => progress.push(each);
    const shared = await world.finish(store.share(path, told, new AbortController().signal));
    assert.deepEqual(
      [shared.sha256, shared.path, shared.owned, shared.scope, shared.origin, shared.shared],
      [one.sha, path, false, "public", "offer", true],
    );
    assert.equal(progress.at(-1)?.bytes, one.bytes.length);
    assert.equal(world.bytesBelow("sha256"), 0, "was copied");
    await world.finish(store.close());
    const again = await world.open();
    await scan(world, again);
    assert.equal(again.find(one.sha)?.shared, true);
    assert.deepEqual(await world.get(again, one.sha), one.bytes);
    await world.files.remove(path);
    await scan(world, again);
    assert.equal(again.find(one.sha), undefined, "it is gone");
  });

  it("marks what is held already, and takes nothing away when it is over", async () => {
    const { world, store } = await start();
    await putLocal(world, store, one);
    const shared = await share(world, store);
    assert.deepEqual([shared.owned, shared.scope, shared.shared], [true, "public", true]);
    await share(world, store);
    await world.finish(store.unshare(one.sha));
    const kept = store.find(one.sha);
    assert.deepEqual([kept?.owned, kept?.scope, kept?.shared], [true, "local", undefined]);
    await world.finish(store.close());
    const again = (await world.open()).find(one.sha);
    assert.deepEqual([again?.scope, again?.shared], ["local", undefined]);
  });

  it("forgets what is held for no other reason", async () => {
    const { world, store } = await start();
    await share(world, store);
    await world.finish(store.unshare(one.sha));
    assert.equal(store.find(one.sha), undefined);
    assert.deepEqual(world.files.peek(path), one.bytes, "the file itself is not ours");
    await scan(world, store);
    assert.equal(store.find(one.sha), undefined);
    await world.finish(store.unshare(one.sha));
  });

  it("leaves files of offered directories offered", async () => {
    const world = new World();
    world.files.plant(path, one.bytes);
    const store = await world.open({ offerDirectories: ["/home"] });
    await scan(world, store);
    assert.equal(store.find(one.sha)?.scope, "local");
    assert.equal((await share(world, store)).scope, "public");
    await world.finish(store.unshare(one.sha));
    const kept = store.find(one.sha);
    assert.deepEqual([kept?.path, kept?.scope, kept?.shared], [path, "local", undefined]);
  });

  it("waits for the same content that is being recorded", async () => {
    const { world, store } = await start();
    const file = await world.finish(store.begin(one.sha, one.bytes.length));
    file.append(one.bytes);
    assert.equal(file.digest(), one.sha);
    file.commit([one.sha], { scope: "local", origin: "mirror" });
    const [shared] = await Promise.all([share(world, store), world.finish(file.release())]);
    assert.deepEqual([shared.owned, shared.shared], [true, true]);
  });

  it("refuses what is no file with content, is the store's, or changes", async () => {
    const { world, store } = await start();
    world.files.plant("/home/empty", Buffer.alloc(0));
    await world.put(store, content(2, 10));
    const inside = world.files.paths.find((each) => each.startsWith(directory));
    for (const wrong of ["/home/empty", "/home/nothing", "home/image.iso", inside ?? ""]) {
      await assert.rejects(share(world, store, wrong), { code: "USAGE" }, wrong);
    }
    const grown = (): void => {
      world.files.plant(path, Buffer.concat([one.bytes, one.bytes]));
    };
    const changing = store.share(path, grown, new AbortController().signal);
    await assert.rejects(world.finish(changing), { code: "MISMATCH" });
    const ended = store.share(path, () => undefined, AbortSignal.abort());
    await assert.rejects(world.finish(ended), { code: "CLOSED" });
    assert.equal(store.find(one.sha), undefined);
    assert.equal(world.files.openHandles, store.keptOpen);
  });
});

describe("Store.watch()", () => {
  it("tells of files that come and go, however they do", async () => {
    const { world, store } = await start();
    const told: [Sha256, boolean][] = [];
    store.watch((sha) => void told.push([sha, store.find(sha) !== undefined]));
    const take = (): [Sha256, boolean][] => told.splice(0);
    const two = content(2, 1000);
    await share(world, store);
    assert.deepEqual(take(), [[one.sha, true]]);
    await world.put(store, two);
    assert.deepEqual(take(), [[two.sha, true]]);
    await world.finish(store.clean("all", () => undefined));
    assert.deepEqual(take(), [[two.sha, false]]);
    await world.finish(store.unshare(one.sha));
    assert.deepEqual(take(), [[one.sha, false]]);
    await world.finish(store.import([path], () => undefined, new AbortController().signal));
    assert.deepEqual(take(), [[one.sha, true]]);
    assert.equal(store.find(one.sha)?.scope, "local", "who knows where it came from");
    await world.files.remove(`${directory}/sha256/${one.sha.slice(0, 2)}/${one.sha}`);
    assert.equal(await world.finish(store.open(one.sha)), undefined);
    assert.deepEqual(take(), [[one.sha, false]]);
  });

  it("tells when the database did not take it", async () => {
    const { world, store } = await start();
    const told: boolean[] = [];
    store.watch((sha) => void told.push(store.find(sha) !== undefined));
    world.faults.faults = { failWhen: (what) => what.includes("batch") };
    await assert.rejects(share(world, store), { code: "STORAGE" });
    assert.deepEqual(told, [true, false]);
  });
});
