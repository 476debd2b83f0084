/**
 * Goal: a file that grows by pieces in any order survives whatever moment a crash comes at: no wrong
 * byte is ever proven, and after kill -9 what had been written is there. What is stored in the end
 * is what was hashed, also when some pieces were lies and the disk failed now and then.
 *
 * Method: a random story (from a seed) of one file on simulated files; the world stops at one
 * operation after the other, as in crash.test.ts. STORE_SEEDS, SEED and STRIDE as there.
 */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { limits } from "../../../src/base/limits.ts";
import type { Store } from "../../../src/cache/store.ts";
import type { Unfinished } from "../../../src/cache/unfinished.ts";
import type { CrashKind } from "../../../src/sim/fault-plan.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { content, directory, tick, World, type Content } from "./world.ts";

const piece = limits.pieceBytes;
const pieces = 5;
const meta = { scope: "public", origin: "peers" } as const;
const seeds = Number(process.env["STORE_SEEDS"] ?? 2);
const firstSeed = Number(process.env["SEED"] ?? 1);
const stride = Number(process.env["STRIDE"] ?? 5);

/** One download, as its owner sees it. */
class Story {
  readonly one: Content;
  readonly random: SeededRandom;
  /** How often a piece is a lie, whole or its first half. */
  readonly lieChance: number;
  /** Pieces that were on the disk when all had come to rest. */
  safe = new Set<number>();
  world: World;
  store: Store | undefined;
  file: Unfinished | undefined;

  constructor(world: World, seed: number, lieChance = 0) {
    this.world = world;
    this.random = new SeededRandom(seed);
    this.lieChance = lieChance;
    this.one = content(seed, (pieces - 1) * piece + 1 + new SeededRandom(seed).below(piece));
  }

  async open(): Promise<void> {
    this.store = await this.world.open();
    await this.begin();
  }

  async begin(): Promise<void> {
    const { sha, bytes } = this.one;
    assert.ok(this.store);
    const { faults } = this.world.faults;
    // Whether it can be resumed at all is not the question here.
    if (faults.stopAt === undefined) this.world.faults.faults = {};
    this.file = await this.world.finish(this.store.begin(sha, bytes.length));
    this.world.faults.faults = faults;
  }

  async tell(steps: number): Promise<void> {
    for (let step = 0; step < steps && this.file !== undefined; step++) await this.step(this.file);
  }

  async step(file: Unfinished): Promise<void> {
    const { random } = this;
    const dice = random.below(20);
    if (dice < 6) this.put(file);
    else if (dice < 11) this.stream(file);
    else if (dice < 14) await this.take(file);
    else if (dice < 17) await this.rest(file);
    else if (dice < 18) this.drop(file);
    else if (random.chance(0.7)) {
      this.world.clock.advance(random.below(1500));
    } else if (random.chance(0.8)) {
      await this.world.finish(file.suspend());
      await this.begin();
    } else {
      this.safe.clear();
      await file.restart();
    }
  }

  put(file: Unfinished): void {
    const index = this.random.below(pieces);
    if (this.here(file).has(index)) return;
    this.safe.delete(index);
    const bytes = Buffer.from(this.one.bytes.subarray(index * piece, (index + 1) * piece));
    if (this.random.chance(this.lieChance)) {
      bytes.fill(7, 0, this.random.chance(0.5) ? bytes.length : Math.ceil(bytes.length / 2));
    }
    const cut = this.random.below(bytes.length);
    file.putPiece(index, [bytes.subarray(0, cut), bytes.subarray(cut)]);
  }

  /** Right bytes from the mirror, which may run into pieces that are here. */
  stream(file: Unfinished): void {
    const { bytes } = this.one;
    const left = bytes.length - file.heldBytes;
    // The last byte is the end's to give.
    const count = Math.min(left - 1, this.random.below(piece));
    if (count > 0) file.append(Buffer.from(bytes.subarray(file.heldBytes, file.heldBytes + count)));
  }

  async take(file: Unfinished): Promise<void> {
    const index = Math.floor(file.heldBytes / piece);
    if (index === pieces - 1 || !new Set(file.aheadPieces).has(index)) return;
    const bytes = await file.takePiece(index);
    if (bytes === undefined) this.safe.delete(index);
    else file.append(bytes.subarray(file.heldBytes - index * piece));
  }

  drop(file: Unfinished): void {
    const index = this.random.below(pieces);
    if (!new Set(file.aheadPieces).has(index)) return;
    this.safe.delete(index);
    file.dropPiece(index);
  }

  /** Nothing is under way: what is here is on the disk. */
  async rest(file: Unfinished): Promise<void> {
    await tick();
    if (file.failure === undefined && !this.world.faults.isStopped) this.safe = this.here(file);
  }

  here(file: Unfinished): Set<number> {
    const beginning = Array.from({ length: Math.floor(file.heldBytes / piece) }, (_, i) => i);
    return new Set([...beginning, ...file.aheadPieces]);
  }

  /** Brings the rest → whether it was the right file. */
  async end(): Promise<boolean> {
    const { world, store, file, one } = this;
    assert.ok(store && file);
    while (file.heldBytes < one.bytes.length) {
      const index = Math.floor(file.heldBytes / piece);
      const bytes = await world.finish(file.takePiece(index));
      if (bytes !== undefined) file.append(bytes.subarray(file.heldBytes - index * piece));
      else file.append(Buffer.from(one.bytes.subarray(file.heldBytes, (index + 1) * piece)));
    }
    const right = file.digest() === one.sha;
    world.faults.faults = {};
    if (!right) await world.finish(file.discard());
    else {
      file.commit([one.sha], meta);
      await world.finish(file.release());
      const path = `${directory}/sha256/${one.sha.slice(0, 2)}/${one.sha}`;
      const stored = world.files.peek(path);
      if (stored !== undefined) assert.ok(one.bytes.equals(stored), "stored what was not hashed");
      assert.equal(stored !== undefined, store.find(one.sha) !== undefined);
    }
    assert.equal(world.bytesBelow("partial"), 0, `left ${world.files.paths.join(", ")}`);
    assert.equal((await store.stats()).unfinishedBytes, 0);
    await world.finish(store.close());
    assert.equal(world.files.openHandles, 0);
    return right;
  }
}

/** Tells a story up to one operation, crashes, and checks → false if it was over before. */
async function crashAt(seed: number, stopAt: number, kind: CrashKind): Promise<boolean> {
  const story = new Story(new World(), seed);
  story.world.faults.faults = { stopAt };
  const told = story.open().then(async () => {
    await story.tell(50);
    await story.end();
  });
  const stopped = await Promise.race([
    story.world.faults.stopped.then(() => true),
    told.then(() => false),
  ]);
  const { safe } = story;
  const next = new Story(story.world.crash(kind, new SeededRandom(seed * 1000 + stopAt)), seed);
  try {
    await next.open();
    assert.ok(next.file);
    if (next.store?.find(next.one.sha) !== undefined) {
      assert.deepEqual(await next.world.get(next.store, next.one.sha), next.one.bytes);
      safe.clear();
    }
    const here = next.here(next.file);
    const lost = [...safe].filter((index) => !here.has(index));
    if (kind === "kill") assert.deepEqual(lost, [], "lost pieces");
    // Again at another moment, to go on from what was resumed.
    await next.tell(10);
    assert.ok(await next.end(), "resumed wrong bytes");
    assert.notEqual(next.store?.find(next.one.sha), undefined, "did not store a right file");
  } catch (error) {
    throw new Error(`SEED=${seed}, ${kind} at operation ${stopAt}`, { cause: error });
  }
  return stopped;
}

describe("Unfinished with pieces in any order", () => {
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    for (const kind of ["kill", "power"] as const) {
      it(`is right after a crash all along story ${seed} (${kind})`, async function () {
        this.timeout(60_000);
        let [operation, crashes] = [0, 0];
        while (await crashAt(seed, operation, kind)) {
          operation += stride;
          crashes++;
        }
        assert.ok(crashes > 20, `only ${crashes} crashes`);
      });
    }
  }

  it("stores what was hashed, whatever was put aside and dropped, on a disk that fails", async function () {
    this.timeout(60_000);
    let rightOnes = 0;
    for (let seed = firstSeed; seed < firstSeed + 40 * seeds; seed++) {
      const story = new Story(new World(), seed, 0.3);
      await story.open();
      const dice = new SeededRandom(seed);
      const chance = dice.pick([0, 0, 0.02, 0.2]);
      story.world.faults.faults = {
        failWhen: (what) => (what === "write" || what === "read") && dice.chance(chance),
      };
      try {
        await story.tell(40);
        rightOnes += Number(await story.end());
      } catch (error) {
        throw new Error(`SEED=${seed}`, { cause: error });
      }
    }
    assert.ok(rightOnes > 4 * seeds && rightOnes < 36 * seeds, `${rightOnes} right ones`);
  });
});
