/**
 * Goal: under a small quota, with a disk that sometimes fails, the store never serves a wrong byte,
 * never counts wrong, and never exceeds its quota.
 *
 * Method: random operations on a store with simulated files, compared after each round with what
 * the disk really holds (a model as dumb as can be). STORE_SEEDS and SEED as in crash.test.ts.
 */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { AptP2pError } from "../../../src/base/errors.ts";
import type { Sha256 } from "../../../src/base/sha256.ts";
import { KiB } from "../../../src/base/units.ts";
import type { Store } from "../../../src/cache/store.ts";
import type { OpenedFile } from "../../../src/cache/shelf.ts";
import type { Unfinished } from "../../../src/cache/unfinished.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { content, tick, World, type Content } from "./world.ts";

const meta = { scope: "public", origin: "mirror" } as const;
const seeds = Number(process.env["STORE_SEEDS"] ?? 6);
const firstSeed = Number(process.env["SEED"] ?? 1);
const quotaBytes = 400_000;

class Story {
  readonly world = new World({ totalBytes: 1_000_000 });
  readonly random: SeededRandom;
  readonly contents: readonly Content[];
  readonly growing = new Map<Sha256, Unfinished>();
  readonly opened: OpenedFile[] = [];
  readonly working: Promise<unknown>[] = [];
  store: Store | undefined;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.contents = Array.from({ length: 12 }, (_, index) =>
      content(seed * 100 + index, this.random.below(index % 4 === 0 ? 150 * KiB : 30 * KiB)),
    );
  }

  async step(store: Store): Promise<void> {
    const { random, world, growing } = this;
    const one = random.pick(this.contents);
    const file = growing.get(one.sha);
    switch (random.below(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        if (file !== undefined) this.feed(file, one);
        else if (store.find(one.sha) === undefined) await this.begin(store, one);
        return;
      case 4:
        growing.delete(one.sha);
        await world.finish(
          random.chance(0.5) ? orNothing(file?.suspend()) : orNothing(file?.discard()),
        );
        return;
      case 5: {
        const opened = await world.finish(store.open(one.sha));
        if (opened === undefined) return;
        const { faults } = world.faults;
        world.faults.faults = {};
        await expectBytes(opened, one);
        world.faults.faults = faults;
        this.opened.push(opened);
        return;
      }
      case 6:
        await this.opened.shift()?.handle.close();
        return;
      case 7:
        if (random.chance(0.5)) world.listed.add(one.sha);
        else world.listed.delete(one.sha);
        store.nameAs(one.sha, `h/${random.below(100)}`);
        return;
      case 8:
        this.working.push(
          orNothing(store.clean(random.pick(["unlisted", { sha: one.sha }]), () => undefined)),
        );
        return;
      case 9:
        world.clock.advance(random.below(90_000));
        await tick();
        return;
      case 10:
        this.working.push(
          orNothing(store.import(["/in"], () => undefined, new AbortController().signal)),
        );
        return;
      default:
        await world.finish(Promise.all(this.working.splice(0)));
    }
  }

  async begin(store: Store, one: Content): Promise<void> {
    const known = this.random.chance(0.8) ? one.bytes.length : undefined;
    const begun = await this.world.finish(orNothing(store.begin(one.sha, known)));
    if (begun instanceof Object) this.growing.set(one.sha, begun);
  }

  feed(file: Unfinished, { bytes, sha }: Content): void {
    const left = bytes.length - file.heldBytes;
    const count = this.random.chance(0.6) ? left : this.random.below(left + 1);
    file.append(bytes.subarray(file.heldBytes, file.heldBytes + count));
    if (count < left) return;
    this.growing.delete(sha);
    file.commit([sha], meta);
    this.working.push(orNothing(file.release()));
  }

  /** Ends what is under way; what is left must agree with the disk. */
  async settle(store: Store): Promise<void> {
    const { world } = this;
    world.faults.faults = {};
    await world.finish(Promise.all(this.working.splice(0)));
    for (const { handle } of this.opened.splice(0)) await handle.close();
    for (const file of this.growing.values()) await world.finish(file.suspend());
    this.growing.clear();
    await world.finish(Promise.resolve(tick()));
    let [bytes, files] = [0, 0];
    for await (const { sha256, sizeBytes, path } of store.list()) {
      bytes += sizeBytes;
      files += 1;
      const right = this.contents.find(({ sha }) => sha === sha256)?.bytes;
      const found = world.files.peek(path);
      assert.ok(right !== undefined && found !== undefined && right.equals(found), "wrong bytes");
    }
    const stats = await store.stats();
    assert.deepEqual([stats.bytes, stats.files], [bytes, files], "totals drift");
    assert.equal(world.bytesBelow("sha256"), bytes, "files and records differ");
    assert.equal(world.bytesBelow("partial"), stats.unfinishedBytes, "unfinished files drift");
    assert.ok(bytes + stats.unfinishedBytes <= quotaBytes, "over quota");
    assert.equal(world.files.openHandles, store.keptOpen, "a file was left open");
  }
}

/** Ends without a result when the disk stood in the way. */
async function orNothing<T>(work: Promise<T> | undefined): Promise<T | undefined> {
  return work?.catch((error: unknown) => {
    assert.ok(error instanceof AptP2pError, String(error));
    return undefined;
  });
}

async function expectBytes({ file, handle }: OpenedFile, { bytes }: Content): Promise<void> {
  assert.equal(file.sizeBytes, bytes.length);
  const into = Buffer.alloc(bytes.length);
  await handle.read(into, 0);
  assert.ok(into.equals(bytes), "serves wrong bytes");
}

async function tell(seed: number, failures: boolean): Promise<number> {
  const story = new Story(seed);
  const { world, random } = story;
  world.files.plant("/in/a", story.contents[0]!.bytes);
  world.files.plant("/in/b", story.contents[1]!.bytes);
  let store = await world.open({ quotaBytes });
  for (let round = 0; round < 8; round++) {
    if (failures && random.chance(0.7)) {
      const chance = random.pick([0.02, 0.1, 0.5]);
      const dice = new SeededRandom(seed * 1000 + round);
      world.faults.faults = {
        failWhen: (what) =>
          what !== "close" && what !== "facts" && what !== "remove" && dice.chance(chance),
      };
    }
    for (let step = 0; step < 40; step++) await story.step(store);
    await story.settle(store);
    if (random.chance(0.3)) {
      await world.finish(store.close());
      store = await world.open({ quotaBytes });
    }
  }
  await world.finish(store.close());
  return world.counters.get("cache.evicted");
}

describe("Store against a dumb model", () => {
  it("counts right and stays within its quota", async function () {
    this.timeout(60_000);
    let evicted = 0;
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      evicted += await tell(seed, false).catch((error: unknown) => {
        throw new Error(`SEED=${seed}`, { cause: error });
      });
    }
    assert.ok(evicted > seeds, "the stories never filled the store");
  });

  it("does so while the disk fails now and then", async function () {
    this.timeout(60_000);
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      await tell(seed, true).catch((error: unknown) => {
        throw new Error(`SEED=${seed}`, { cause: error });
      });
    }
  });
});
