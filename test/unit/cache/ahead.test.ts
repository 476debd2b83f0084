/** Pieces that come before their turn: Unfinished.putPiece, takePiece, dropPiece, readAhead. */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { limits } from "../../../src/base/limits.ts";
import { MiB } from "../../../src/base/units.ts";
import { noteBytes } from "../../../src/cache/piece-notes.ts";
import type { Store } from "../../../src/cache/store.ts";
import type { Unfinished } from "../../../src/cache/unfinished.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { content, directory, tick, World, type Content } from "./world.ts";

const piece = limits.pieceBytes;
const meta = { scope: "public", origin: "peers" } as const;
/** Five pieces, the last of them short. */
const one = content(1, 4 * piece + 1000);
const partPath = `${directory}/partial/${one.sha}`;
const listPath = `${partPath}.pieces`;

function pieceOf({ bytes }: Content, index: number): Buffer {
  return bytes.subarray(index * piece, (index + 1) * piece);
}

/** As it comes from the network: in several chunks. */
function chunksOf(of: Content, index: number): Buffer[] {
  const bytes = Buffer.from(pieceOf(of, index));
  return [bytes.subarray(0, 700), bytes.subarray(700, 700), bytes.subarray(700)];
}

async function begin(world: World, store: Store, of = one): Promise<Unfinished> {
  return world.finish(store.begin(of.sha, of.bytes.length));
}

/** Puts pieces, and waits until they are written. */
async function put(file: Unfinished, ...pieces: number[]): Promise<void> {
  for (const index of pieces) assert.ok(file.putPiece(index, chunksOf(one, index)), `${index}`);
  await tick();
}

async function adopt(file: Unfinished, index: number): Promise<void> {
  const bytes = await file.takePiece(index);
  assert.ok(bytes, `piece ${index} is gone`);
  file.append(bytes.subarray(file.heldBytes - index * piece));
}

async function commit(world: World, store: Store, file: Unfinished): Promise<void> {
  assert.equal(file.digest(), one.sha);
  file.commit([one.sha], meta);
  await world.finish(file.release());
  assert.deepEqual(await world.get(store, one.sha), one.bytes);
  assert.ok(!world.files.paths.includes(listPath), "the list was left");
}

/** What a restart after kill -9 (or a power loss) goes on with. */
async function after(world: World, kind: "kill" | "power" = "kill") {
  const next = world.crash(kind, new SeededRandom(1));
  const store = await next.open();
  const file = await begin(next, store);
  return { world: next, store, file };
}

describe("Unfinished, pieces before their turn", () => {
  it("keeps them, and writes each byte once", async () => {
    const world = new World();
    const store = await world.open();
    const file = await begin(world, store);
    await put(file, 3, 1, 4);
    assert.deepEqual([...file.aheadPieces], [3, 1, 4]);
    assert.deepEqual([file.heldBytes, file.writtenBytes], [0, 0]);
    assert.equal(file.storedBytes, 2 * piece + 1000);
    file.append(Buffer.from(pieceOf(one, 0)));
    await tick();
    let writes = 0;
    const notes = world.files.peek(listPath)?.length ?? 0;
    world.faults.faults = {
      failWhen: (what) => {
        if (what === "write") writes += 1;
        return false;
      },
    };
    await adopt(file, 1);
    assert.equal(file.heldBytes, 2 * piece);
    await file.flushed();
    assert.equal(file.writtenBytes, 2 * piece);
    await tick();
    const noted = ((world.files.peek(listPath)?.length ?? 0) - notes) / noteBytes;
    assert.deepEqual([writes, noted], [1, 1], "written again, and not only in the list");
    await put(file, 2);
    await adopt(file, 2);
    await adopt(file, 3);
    await adopt(file, 4);
    assert.deepEqual([...file.aheadPieces], []);
    await commit(world, store, file);
    await world.finish(store.close());
  });

  it("can be read at once, and from the disk afterwards", async () => {
    const world = new World();
    const file = await begin(world, await world.open());
    assert.ok(file.putPiece(2, chunksOf(one, 2)));
    for (const when of ["in memory", "on the disk"]) {
      for (const [offset, length] of [
        [0, piece],
        [690, 20],
        [piece - 5, 100],
      ] as const) {
        const into = Buffer.alloc(length);
        const count = await file.readAhead(into, 2 * piece + offset);
        const expected = pieceOf(one, 2).subarray(offset, offset + length);
        assert.deepEqual(into.subarray(0, count), expected, `${when}, ${offset}`);
      }
      await tick();
      assert.equal(file.storedBytes, piece);
    }
    assert.equal(await file.readAhead(Buffer.alloc(10), 0), 0);
    assert.equal(await file.readAhead(Buffer.alloc(10), 3 * piece), 0);
    await file.suspend();
    assert.equal(await file.readAhead(Buffer.alloc(10), 2 * piece), 0, "it is closed");
    assert.equal(world.files.openHandles, 0);
  });

  it("are not closed under who reads them", async () => {
    const world = new World();
    const create = world.files.create.bind(world.files);
    let [reading, most] = [0, 0];
    world.files.create = async (path) => {
      const handle = await create(path);
      const read = async (into: Uint8Array, position: number): Promise<number> => {
        reading += 1;
        most = Math.max(most, reading);
        await tick();
        reading -= 1;
        return handle.read(into, position);
      };
      const close = (): Promise<void> => {
        assert.equal(reading, 0, "closed while it was read");
        return handle.close();
      };
      return path === partPath ? { ...handle, read, close } : handle;
    };
    const store = await world.open();
    const file = await begin(world, store);
    file.append(Buffer.from(pieceOf(one, 0)));
    await put(file, 2);
    const [first, third] = [Buffer.alloc(piece), Buffer.alloc(piece)];
    const reads = Promise.all([file.read(first, 0), file.readAhead(third, 2 * piece)]);
    await world.finish(file.suspend());
    assert.deepEqual([await reads, most], [[piece, piece], 2]);
    assert.deepEqual([first, third], [pieceOf(one, 0), pieceOf(one, 2)]);
    assert.equal(await file.read(first, 0), 0);
    assert.equal(await file.takePiece(2), undefined);
  });

  it("are taken from memory while they wait for the disk", async () => {
    const world = new World();
    const store = await world.open();
    const file = await begin(world, store);
    for (const index of [1, 2, 3, 4]) assert.ok(file.putPiece(index, chunksOf(one, index)));
    file.append(Buffer.from(pieceOf(one, 0)));
    for (const index of [1, 2, 3, 4]) await adopt(file, index);
    await commit(world, store, file);
  });

  it("are refused when they cannot be kept", async () => {
    const world = new World();
    const store = await world.open();
    const file = await begin(world, store);
    file.append(one.bytes.subarray(0, 10));
    assert.ok(!file.putPiece(0, chunksOf(one, 0)), "the beginning has reached it");
    assert.throws(() => file.putPiece(1, [pieceOf(one, 1).subarray(1)]), /not a piece/);
    assert.throws(() => file.putPiece(5, [pieceOf(one, 1)]), /not a piece/);
    const spool = await store.spool();
    assert.ok(!spool.putPiece(1, chunksOf(one, 1)));
    const sizeless = await world.finish(store.begin(content(2, 1).sha, undefined));
    assert.ok(!sizeless.putPiece(1, chunksOf(one, 1)));
    assert.equal(await sizeless.takePiece(1), undefined);
    world.faults.faults = { failWhen: (what) => what === "write" };
    await put(file, 1);
    assert.equal(file.failure?.code, "STORAGE");
    assert.ok(!file.putPiece(2, chunksOf(one, 2)), "the disk fails");
    assert.deepEqual(await file.takePiece(1), pieceOf(one, 1), "what was kept is not lost");
  });

  it("wait for the disk up to a limit, over all files of the store", async () => {
    const world = new World();
    const store = await world.open();
    const large = content(3, 20 * MiB);
    const other = content(4, 20 * MiB);
    const [first, second] = [await begin(world, store, large), await begin(world, store, other)];
    let kept = 0;
    for (let index = 1; index < 40; index++) {
      kept += Number(first.putPiece(index, chunksOf(large, index)));
      kept += Number(second.putPiece(index, chunksOf(other, index)));
    }
    assert.equal(kept * piece, limits.aheadWaitingBytes);
    await tick();
    assert.ok(first.putPiece(39, chunksOf(large, 39)), "nothing waits any more");
  });

  it("go when they are dropped, and at a restart", async () => {
    const world = new World();
    const store = await world.open();
    const file = await begin(world, store);
    await put(file, 1, 2);
    file.dropPiece(2);
    assert.equal(await file.takePiece(2), undefined);
    assert.equal(file.storedBytes, piece);
    await tick();
    const crashed = await after(world);
    assert.deepEqual([...crashed.file.aheadPieces], [1], "what was dropped came back");
    await crashed.file.restart();
    assert.deepEqual([...crashed.file.aheadPieces], []);
    await put(crashed.file, 3);
    const again = await after(crashed.world);
    assert.deepEqual([...again.file.aheadPieces], [3]);
    await again.file.discard();
    assert.deepEqual(again.world.files.paths, []);
  });

  it("outlive a suspension and kill -9, with the beginning", async () => {
    const world = new World();
    const store = await world.open();
    const file = await begin(world, store);
    await put(file, 2, 4);
    file.append(Buffer.from(pieceOf(one, 0)));
    file.append(one.bytes.subarray(piece, piece + 100));
    await tick();
    await world.finish(file.suspend());
    const stats = await store.stats();
    assert.equal(stats.unfinishedBytes, 2 * piece + 1100);
    const crashed = await after(world);
    assert.equal(crashed.file.heldBytes, piece, "of the beginning what is proven");
    assert.deepEqual([...crashed.file.aheadPieces], [2, 4]);
    assert.equal(crashed.world.counters.get("cache.resumedPieces"), 2);
    crashed.file.append(Buffer.from(pieceOf(one, 1)));
    await adopt(crashed.file, 2);
    await tick();
    const again = await after(crashed.world);
    assert.equal(again.file.heldBytes, 3 * piece, "taken, and found again");
    again.file.append(Buffer.from(pieceOf(one, 3)));
    await adopt(again.file, 4);
    await commit(again.world, again.store, again.file);
  });

  it("prove themselves after a power loss; holes count for nothing", async () => {
    const world = new World();
    const file = await begin(world, await world.open());
    await put(file, 2, 3);
    // All is on the disk but the record, which nobody wrote: there is no beginning.
    for (const path of [partPath, listPath]) world.files.plant(path, world.files.peek(path)!);
    const crashed = await after(world, "power");
    assert.equal(crashed.file.heldBytes, 0);
    assert.deepEqual([...crashed.file.aheadPieces], [2, 3]);
  });

  it("are lost with the entries that a damaged list has not, and no others", async () => {
    for (const [damage, expected] of [
      [(list: Buffer) => list.subarray(0, 2 * noteBytes - 1), [3]],
      [
        (list: Buffer) => Buffer.concat([list.subarray(0, 2 * noteBytes), Buffer.alloc(99)]),
        [3, 1],
      ],
      [(list: Buffer) => (list.writeUInt8(list[10]! ^ 1, 10), list), [1, 4]],
      [() => Buffer.alloc(0), []],
      [() => new SeededRandom(1).bytes(10_000), []],
    ] as const) {
      const world = new World();
      const file = await begin(world, await world.open());
      await put(file, 3, 1, 4);
      const next = world.crash("kill", new SeededRandom(1));
      next.files.plant(listPath, damage(Buffer.from(next.files.peek(listPath)!)));
      const resumed = await begin(next, await next.open());
      assert.equal(resumed.heldBytes, 0);
      assert.deepEqual([...resumed.aheadPieces], expected);
    }
  });

  it("are lost when their bytes are wrong", async () => {
    const world = new World();
    const file = await begin(world, await world.open());
    await put(file, 3, 1);
    const next = world.crash("kill", new SeededRandom(1));
    const part = Buffer.from(next.files.peek(partPath)!);
    part[piece + 7]! ^= 1;
    next.files.plant(partPath, part);
    assert.deepEqual([...(await begin(next, await next.open())).aheadPieces], [3]);
  });

  it("never get under bytes that came another way", async () => {
    // A liar's piece: its first half is wrong, its second half right.
    const lie = Buffer.from(pieceOf(one, 1));
    lie.fill(0, 0, piece / 2);
    for (const written of [false, true]) {
      const world = new World();
      const store = await world.open();
      const file = await begin(world, store);
      assert.ok(file.putPiece(1, [lie]));
      if (written) await tick();
      // The mirror's stream overruns the place where the piece begins.
      file.append(Buffer.from(one.bytes.subarray(0, piece + piece / 2)));
      await adopt(file, 1);
      file.append(Buffer.from(one.bytes.subarray(2 * piece)));
      await commit(world, store, file);
    }
  });

  it("are written before what overruns them, however slow that is", async () => {
    const lie = Buffer.from(pieceOf(one, 1));
    lie.fill(0, 0, piece / 2);
    const world = new World();
    const create = world.files.create.bind(world.files);
    let go: () => void = () => assert.fail("nothing was written");
    world.files.create = async (path) => {
      const handle = await create(path);
      const write = async (chunks: readonly Uint8Array[], position: number): Promise<void> => {
        if (position === piece) await new Promise<void>((resolve) => (go = resolve));
        await handle.write(chunks, position);
      };
      return path === partPath ? { ...handle, write } : handle;
    };
    const store = await world.open();
    const file = await begin(world, store);
    assert.ok(file.putPiece(1, [lie]));
    await tick();
    file.append(Buffer.from(one.bytes.subarray(0, piece + piece / 2)));
    await tick();
    assert.equal(file.writtenBytes, 0, "did not wait");
    go();
    await tick();
    assert.equal(file.writtenBytes, piece + piece / 2);
    await adopt(file, 1);
    file.append(Buffer.from(one.bytes.subarray(2 * piece)));
    await commit(world, store, file);
  });

  it("never let a hole be taken for bytes: while it is committed", async () => {
    const world = new World();
    const create = world.files.create.bind(world.files);
    world.files.create = async (path) => {
      const handle = await create(path);
      const write = (chunks: readonly Uint8Array[], position: number): Promise<void> =>
        position === 0 ? new Promise<never>(() => undefined) : handle.write(chunks, position);
      return path === partPath ? { ...handle, write } : handle;
    };
    const store = await world.open();
    const file = await begin(world, store);
    await put(file, 1, 2, 3, 4);
    file.append(Buffer.from(pieceOf(one, 0)));
    for (const index of [1, 2, 3, 4]) await adopt(file, index);
    assert.equal(file.digest(), one.sha);
    file.commit([one.sha], meta);
    for (let round = 0; round < 20; round++) {
      world.clock.advance(100);
      await tick();
    }
    const crashed = await after(world);
    assert.equal(crashed.file.heldBytes, 0);
    assert.deepEqual([...crashed.file.aheadPieces], [1, 2, 3, 4]);
  });

  it("never let a hole be taken for bytes: while it is removed", async () => {
    for (const way of ["discard", "clean"] as const) {
      for (let operation = 0, over = false; !over; operation++) {
        const world = new World();
        const store = await world.open();
        const file = await begin(world, store);
        await put(file, 2);
        if (way === "clean") await world.finish(file.suspend());
        world.faults.faults = { stopAt: world.faults.operations + operation };
        const removed = way === "clean" ? store.clean("all", () => undefined) : file.discard();
        over = await Promise.race([
          world.faults.stopped.then(() => false),
          removed.then(() => true),
        ]);
        const crashed = await after(world);
        assert.equal(crashed.file.heldBytes, 0, `${way}, operation ${operation}`);
        assert.ok(operation < 50);
      }
    }
  });

  it("go when the beginning passes them", async () => {
    const world = new World();
    const store = await world.open();
    const file = await begin(world, store);
    await put(file, 1);
    file.append(Buffer.from(one.bytes.subarray(0, 3 * piece)));
    assert.deepEqual([...file.aheadPieces], []);
    await file.flushed();
    assert.equal(file.storedBytes, 3 * piece);
    file.append(Buffer.from(one.bytes.subarray(3 * piece)));
    await commit(world, store, file);
  });

  it("leave no list and no bytes when the store is cleaned or the file goes on without a size", async () => {
    const world = new World();
    const store = await world.open();
    const file = await begin(world, store);
    await put(file, 3);
    await world.finish(file.suspend());
    const sizeless = await world.finish(store.begin(one.sha, undefined));
    assert.equal(sizeless.heldBytes, 0);
    assert.deepEqual(world.files.peek(partPath)?.length, 0);
    assert.ok(!world.files.paths.includes(listPath));
    await sizeless.discard();
    const again = await begin(world, store);
    await put(again, 3);
    await world.finish(again.suspend());
    await world.finish(store.clean("all", () => undefined));
    assert.deepEqual(world.files.paths, []);
    assert.equal((await store.stats()).unfinishedBytes, 0);
  });

  it("count without the holes after a restart", async () => {
    const world = new World();
    const file = await begin(world, await world.open());
    await put(file, 3);
    const next = world.crash("kill", new SeededRandom(1));
    const { unfinishedBytes } = await (await next.open()).stats();
    assert.ok(unfinishedBytes >= piece && unfinishedBytes <= 2 * piece, `${unfinishedBytes}`);
  });
});
