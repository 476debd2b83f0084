/**
 * Goal: whatever moment a crash comes at, the store that opens afterwards holds no wrong byte, has
 * lost nothing that it had acknowledged, and counts right.
 *
 * Method: a random story (from a seed) is told to a store on simulated files; the world stops at one
 * operation after the other, each time as a killed process (every write that returned is kept) and
 * as a power loss (only what was synced is kept for sure). The next world must pass all checks.
 * STORE_SEEDS sets how many stories are told, SEED the first of them, STRIDE=1 crashes at every
 * operation instead of every third.
 */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { limits } from "../../../src/base/limits.ts";
import type { Sha256 } from "../../../src/base/sha256.ts";
import { KiB } from "../../../src/base/units.ts";
import type { Store } from "../../../src/cache/store.ts";
import type { Unfinished } from "../../../src/cache/unfinished.ts";
import type { CrashKind } from "../../../src/sim/fault-plan.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { content, tick, World, type Content } from "./world.ts";

const meta = { scope: "public", origin: "mirror" } as const;
const seeds = Number(process.env["STORE_SEEDS"] ?? 3);
const firstSeed = Number(process.env["SEED"] ?? 1);
const stride = Number(process.env["STRIDE"] ?? 3);
const settings = { quotaBytes: 20_000_000 };

/** What the story's teller knows for sure. */
class Ledger {
  /** Committed and acknowledged, and not removed since. */
  readonly acknowledged = new Set<Sha256>();
  /** Being received at the moment, all bytes right. */
  readonly growing = new Map<Sha256, Unfinished>();
}

async function tell(
  world: World,
  contents: readonly Content[],
  ledger: Ledger,
  random: SeededRandom,
): Promise<void> {
  let store = await world.open(settings);
  const releases: Promise<void>[] = [];
  for (let step = 0; step < 30; step++) {
    const one = random.pick(contents);
    const file = ledger.growing.get(one.sha);
    const dice = random.below(20);
    if (dice < 10) {
      if (file !== undefined) feed(file, one, random, ledger, releases);
      else if (store.find(one.sha) === undefined) {
        ledger.growing.set(one.sha, await world.finish(store.begin(one.sha, one.bytes.length)));
      }
    } else if (dice < 12) await tick();
    else if (dice < 14) world.clock.advance(random.below(400));
    else if (dice < 15) {
      ledger.growing.delete(one.sha);
      await (random.chance(0.5) ? file?.suspend() : file?.discard());
    } else if (dice < 16) {
      store.nameAs(one.sha, `h/${step}`);
    } else if (dice < 17) {
      ledger.acknowledged.delete(one.sha);
      await world.finish(store.clean({ sha: one.sha }, () => undefined));
    } else if (dice < 18) {
      const bytes = await world.get(store, one.sha);
      if (ledger.acknowledged.has(one.sha)) assert.deepEqual(bytes, one.bytes);
    } else if (dice < 19) {
      await world.finish(Promise.all(releases));
    } else {
      ledger.growing.clear();
      await world.finish(store.close());
      store = await world.open(settings);
    }
  }
  await world.finish(Promise.all(releases));
  await world.finish(store.close());
}

/** Gives a growing file its next bytes; whole, it is committed. */
function feed(
  file: Unfinished,
  { bytes, sha }: Content,
  random: SeededRandom,
  ledger: Ledger,
  releases: Promise<void>[],
): void {
  const left = bytes.length - file.heldBytes;
  const count = random.chance(0.5) ? left : Math.min(left, random.below(left + 1));
  file.append(bytes.subarray(file.heldBytes, file.heldBytes + count));
  if (count < left) return;
  ledger.growing.delete(sha);
  file.commit([sha], meta);
  releases.push(
    file.release().then(() => {
      ledger.acknowledged.add(sha);
    }),
  );
}

/** The checks that any store must pass after any crash. */
async function check(
  world: World,
  contents: readonly Content[],
  ledger: Ledger,
  kind: CrashKind,
): Promise<void> {
  const store = await world.open(settings);
  const bytesOf = new Map(contents.map(({ sha, bytes }) => [sha, bytes]));
  let ownedBytes = 0;
  const listed = new Set<Sha256>();
  for await (const { sha256, sizeBytes, scope } of store.list()) {
    listed.add(sha256);
    if (kind === "kill") assert.equal(scope, "public", "forgot what the commit had noted");
    ownedBytes += sizeBytes;
    assert.deepEqual(await world.get(store, sha256), bytesOf.get(sha256), "serves wrong bytes");
  }
  for (const sha of ledger.acknowledged) {
    assert.ok(listed.has(sha), `lost ${sha}`);
    assert.equal(store.find(sha)?.scope, "public", "lost the record and found the file only");
  }
  const stats = await store.stats();
  assert.deepEqual([stats.bytes, stats.files], [ownedBytes, listed.size]);
  assert.equal(world.bytesBelow("sha256"), ownedBytes, "files and records differ");
  assert.equal(world.bytesBelow("partial"), stats.unfinishedBytes);
  await checkUnfinished(world, store, contents, ledger, kind);
  assert.equal(world.files.openHandles, store.keptOpen);
}

async function checkUnfinished(
  world: World,
  store: Store,
  contents: readonly Content[],
  ledger: Ledger,
  kind: CrashKind,
): Promise<void> {
  for (const one of contents) {
    if (store.find(one.sha) !== undefined) continue;
    const file = await world.finish(store.begin(one.sha, one.bytes.length));
    const writtenBytes = ledger.growing.get(one.sha)?.writtenBytes ?? 0;
    const pieces = Math.floor(writtenBytes / limits.pieceBytes);
    if (kind === "kill") assert.ok(file.heldBytes >= pieces * limits.pieceBytes, "lost a piece");
    file.append(one.bytes.subarray(file.heldBytes));
    assert.equal(file.digest(), one.sha, "resumed wrong bytes");
    file.commit([one.sha], meta);
    await world.finish(file.release());
    assert.deepEqual(await world.get(store, one.sha), one.bytes);
  }
  await world.finish(store.close());
}

function contentsOf(seed: number): Content[] {
  const sizes = [0, 900, 30_000, 600 * KiB, 1100 * KiB];
  return sizes.map((sizeBytes, index) => content(seed * 100 + index, sizeBytes));
}

/** Tells the story up to one operation, crashes, and checks → false if the story was over before. */
async function crashAt(
  seed: number,
  stopAt: number,
  kind: CrashKind,
  contents: readonly Content[],
): Promise<boolean> {
  const ledger = new Ledger();
  const world = new World();
  world.faults.faults = { stopAt };
  const story = tell(world, contents, ledger, new SeededRandom(seed));
  const stopped = await Promise.race([
    world.faults.stopped.then(() => true),
    story.then(() => false),
  ]);
  const after = world.crash(kind, new SeededRandom(seed * 1000 + stopAt));
  try {
    await check(after, contents, ledger, kind);
  } catch (error) {
    throw new Error(`SEED=${seed}, ${kind} at operation ${stopAt}`, { cause: error });
  }
  return stopped;
}

describe("Store after a crash", () => {
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    for (const kind of ["kill", "power"] as const) {
      it(`is right after operations all along story ${seed} (${kind})`, async function () {
        this.timeout(60_000);
        const contents = contentsOf(seed);
        let [operation, crashes] = [0, 0];
        while (await crashAt(seed, operation, kind, contents)) {
          operation += stride;
          crashes++;
        }
        assert.ok(operation > 50 && crashes > 25, `only ${crashes} crashes`);
      });
    }
  }

  it("is right after several crashes in a row", async function () {
    this.timeout(20_000);
    for (let seed = firstSeed; seed < firstSeed + 4 * seeds; seed++) {
      const random = new SeededRandom(seed);
      const contents = contentsOf(seed);
      let world = new World();
      for (let round = 0; round < 4; round++) {
        const ledger = new Ledger();
        world.faults.faults = { stopAt: world.faults.operations + random.below(150) };
        const story = tell(world, contents, ledger, random);
        await Promise.race([world.faults.stopped, story]);
        const kind = random.pick(["kill", "power"] as const);
        world = world.crash(kind, random);
        if (round < 3) continue;
        await check(world, contents, ledger, kind).catch((error: unknown) => {
          throw new Error(`SEED=${seed}`, { cause: error });
        });
      }
    }
  });
});
