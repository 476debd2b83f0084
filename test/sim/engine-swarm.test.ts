/**
 * Downloads among peers, in virtual time: where the bytes come from, that they are right whoever
 * lies or dies, what is kept, and who is not spoken to again.
 */
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { describe, it } from "mocha";
import type { Expectation, FileName } from "../../src/archive/types.ts";
import { KiB, minute } from "../../src/base/units.ts";
import { get } from "../../src/engine/get.ts";
import { Swarm } from "../../src/engine/swarm.ts";
import { nodeHashes } from "../../src/io/node-hashes.ts";
import { engineWorld, type EngineWorld, type WorldOptions } from "../../src/sim/engine-world.ts";
import { SeededRandom } from "../../src/sim/seeded-random.ts";
import { Bans } from "../../src/swarm/bans.ts";
import { Patience } from "../../src/swarm/patience.ts";
import { FakePeers, type FakePeer } from "../kit/fake-peers.ts";
import { content, digestOf } from "../kit/peer-world.ts";

const name = "mirror.example/debian/pool/main/b/big_1_all.deb" as FileName;
const url = `http://${name}`;
const file = content(5000 * KiB);
const sha256 = digestOf(file);
/** A whole file that is wrong in its second piece. */
const lie = Buffer.from(file);
lie.writeUInt8(lie.readUInt8(700 * KiB) ^ 1, 700 * KiB);
const [one, two, three] = ["10.0.0.1:9977", "10.0.0.2:9977", "10.0.0.3:9977"];

interface Peopled {
  readonly world: EngineWorld;
  readonly peers: FakePeers;
  readonly bans: Bans;
}

type Options = Pick<WorldOptions, "quotaBytes" | "rebuilt" | "mirrorBytesPerMs"> & {
  readonly peers?: Readonly<Record<string, Partial<FakePeer>>>;
  /** The mirror does not have it. */
  readonly noMirror?: true;
};

async function peopled(options: Options): Promise<Peopled> {
  const made: { peers?: FakePeers; bans?: Bans } = {};
  const world = await engineWorld({
    ...{ mirrorBytesPerMs: 500, ...options, hashes: nodeHashes },
    swarm: (parts) => {
      const peers = (made.peers = new FakePeers(parts.clock));
      const bans = (made.bans = new Bans(parts));
      return new Swarm({
        ...{ ...parts, peers, finder: peers, bans, patience: new Patience() },
        ...{ random: new SeededRandom(1), isNear: () => true },
        pieceHashes: (sha) => parts.store.pieceHashes(sha),
        announce: { unfinished: () => undefined, ended: () => undefined },
      });
    },
  });
  const { peers, bans } = made;
  assert.ok(peers !== undefined && bans !== undefined);
  for (const [text, peer] of Object.entries(options.peers ?? {})) {
    peers.peers.set(text, { files: new Map([[sha256, file]]), ...peer });
  }
  if (options.noMirror === undefined) world.mirror.files.set(url, file);
  return { world, peers, bans };
}

const giving = (bytes: Buffer): Partial<FakePeer> => ({ files: new Map([[sha256, bytes]]) });

/** As apt's request does it. */
async function download(
  { world }: Peopled,
  what: { readonly name: string; readonly bytes: Buffer } = { name, bytes: file },
): Promise<Buffer> {
  const expectation: Expectation = {
    ...{ sha256: digestOf(what.bytes), sizeBytes: what.bytes.length },
    ...{ trust: "verified", listedIn: "", release: undefined, signedBy: [] },
  };
  const got = await settle(
    world,
    world.engine.transfers.get({
      ...{ name: what.name as FileName, url: `http://${what.name}`, headers: {} },
      ...{ document: false, start: 0, expectations: [expectation] },
    }),
  );
  assert.ok(got !== undefined, "it can be joined");
  const { download } = got.running;
  return drain(world, download.body(0, undefined));
}

/** As `apt-p2p get sha256:…` does it. */
async function byDigest({ world, peers }: Peopled, start = 0): Promise<Buffer> {
  const { archive, store, clock, mirror, engine } = world;
  const parts = {
    ...{ archive, store, clock, mirror, downloads: engine.transfers, peers, finder: peers },
    banned: () => false,
  };
  const question = { url: undefined, sha256, start };
  const got = await settle(world, get(parts, question, new AbortController().signal));
  assert.equal(got.sizeBytes, file.length);
  return drain(world, got.body);
}

const fromPeers = ({ peers }: Peopled, ...who: string[]): number =>
  who.reduce((sum, each) => sum + (peers.sent.get(each) ?? 0), 0);

describe("Downloads among peers", () => {
  it("come from a peer that has the file, and the mirror is spared", async () => {
    const world = await peopled({ peers: { [one]: {} } });
    assert.ok((await download(world)).equals(file));
    assert.equal(world.world.mirror.sentBytes, 0);
    assert.equal(fromPeers(world, one), file.length);
    assert.equal(world.world.counters.get("engine.bytes.fromPeers"), file.length);
    const [sources] = world.world.engine.transfers.sources.files();
    assert.deepEqual(sources?.peers, [{ peer: one, bytes: file.length }]);
    assert.equal(sources.mirrorBytes, 0);
    const stored = world.world.store.find(sha256);
    assert.deepEqual([stored?.origin, stored?.scope], ["peers", "public"]);
  });

  it("come from several peers at once, in order", async () => {
    const slow = { bytesPerMs: 1000 };
    const world = await peopled({ peers: { [one]: slow, [two]: slow, [three]: slow } });
    assert.ok((await download(world)).equals(file));
    for (const peer of [one, two, three]) assert.ok(fromPeers(world, peer) > 0, peer);
  });

  it("come from peers when the mirror has nothing, or is gone", async () => {
    const without = await peopled({ peers: { [one]: {}, [two]: {} }, noMirror: true });
    assert.ok((await download(without)).equals(file));
    const gone = await peopled({ peers: { [one]: { bytesPerMs: 200 } } });
    gone.world.mirror.faults.set(
      url,
      Array.from({ length: 9 }, () => ({ refuse: true })),
    );
    assert.ok((await download(gone)).equals(file));
  });

  it("come from the mirror when peers are dead, a quarter of a second late", async () => {
    const world = await peopled({ peers: { [one]: { dead: true }, [two]: { dead: true } } });
    const beganMs = world.world.clock.monotonicMs();
    assert.ok((await download(world)).equals(file));
    const tookMs = world.world.clock.monotonicMs() - beganMs;
    assert.ok(tookMs <= file.length / 500 + 300, `${tookMs} ms`);
    assert.equal(world.world.mirror.sentBytes, file.length);
    const [sources] = world.world.engine.transfers.sources.files();
    assert.deepEqual([sources?.mirrorBytes, sources?.peers], [file.length, []]);
  });

  it("stay in the own network if a peer's copy may not leave it", async () => {
    const world = await peopled({ peers: { [one]: { local: true }, [two]: {} } });
    assert.ok((await download(world)).equals(file));
    assert.equal(world.world.store.find(sha256)?.scope, "local");
  });

  it("cost a piece when one of three lies", async () => {
    const world = await peopled({ peers: { [one]: {}, [two]: giving(lie), [three]: {} } });
    assert.ok((await download(world)).equals(file));
    assert.equal(world.world.counters.get("engine.download.refetched"), 0);
    assert.ok(world.world.store.find(sha256) !== undefined);
  });

  it("are cut when a lie is consistent; the mirror's is right, and the liar is not asked again", async () => {
    const world = await peopled({ peers: { [one]: giving(lie) } });
    await assert.rejects(download(world), /not what the archive lists/);
    assert.equal(world.world.store.find(sha256), undefined);
    assert.ok((await download(world)).equals(file));
    await idle(world.world, minute);
    assert.deepEqual(
      world.bans.list().map(({ who, why }) => [who, why]),
      [["10.0.0.1", "wrong piece"]],
    );
    assert.equal(world.world.counters.get("engine.download.refetched"), 1);
    assert.equal(world.world.mirror.sentBytes, file.length, "fetched once");
    // Another file: nobody speaks to it.
    const other = { name: "mirror.example/debian/pool/o.deb", bytes: content(1024 * KiB, 2) };
    world.world.mirror.files.set(`http://${other.name}`, other.bytes);
    world.peers.peers.set(one, { files: new Map([[digestOf(other.bytes), other.bytes]]) });
    const before = world.peers.asked.length;
    assert.ok((await download(world, other)).equals(other.bytes));
    assert.equal(world.peers.asked.length, before);
  });

  it("come from peers where nothing can be stored", async () => {
    const world = await peopled({ peers: { [one]: {}, [two]: {} }, quotaBytes: 0 });
    assert.ok((await download(world)).equals(file));
    assert.ok(fromPeers(world, one, two) > 0);
    assert.equal(world.world.store.find(sha256), undefined);
  });

  it("leave nothing running when they are aborted, and go on from what was there", async () => {
    const slow = { bytesPerMs: 200 };
    const world = await peopled({ peers: { [one]: slow, [two]: slow }, noMirror: true });
    const cut = download(world);
    cut.catch(() => undefined);
    await idle(world.world, 4000);
    await settle(world.world, world.world.engine.close());
    await assert.rejects(settle(world.world, cut));
    const { length } = world.peers.asked;
    await idle(world.world, minute);
    assert.equal(world.peers.asked.length, length, "nobody is asked any more");
    const before = fromPeers(world, one, two);
    assert.ok(before > 1024 * KiB && before < file.length, `${before} bytes came`);
    await settle(world.world, world.world.store.close());

    const { clock, files, kv, mirror } = world.world;
    const again = await peopled({
      ...{ peers: { [one]: {}, [two]: {} }, noMirror: true, rebuilt: { clock, files, kv, mirror } },
    });
    assert.ok((await download(again)).equals(file));
    const after = fromPeers(again, one, two);
    // Of each peer a request may have been under way, for two pieces.
    assert.ok(before + after <= file.length + 4 * 512 * KiB, `${before} + ${after} bytes`);
    assert.ok(again.world.counters.get("engine.download.resumed") >= 1);
  });

  it("by digest alone come right although a liar was believed first", async () => {
    for (const count of [1, 2]) {
      const liars = [one, two].slice(0, count).map((text, index) => {
        const own = Buffer.from(lie);
        own.writeUInt8(index, 1000 * KiB);
        return [text, giving(own)] as const;
      });
      // The honest one comes late: until then a liar is all there is.
      const world = await peopled({ peers: Object.fromEntries(liars), noMirror: true });
      let wrong = 0;
      for (let tries = 1; ; tries++) {
        assert.ok(tries <= 4, "it does not end");
        try {
          assert.ok((await byDigest(world)).equals(file));
          break;
        } catch (thrown) {
          if (thrown instanceof assert.AssertionError) throw thrown;
          wrong++;
        }
        world.peers.peers.set(three, { files: new Map([[sha256, file]]) });
      }
      assert.ok(wrong >= 1, "the lie was met");
      await idle(world.world, minute);
      const banned = world.bans.list().map(({ who }) => who);
      assert.ok(banned.length >= 1 && !banned.includes("10.0.0.3"), banned.join(" "));
    }
  });

  it("by digest alone end soon when nobody is left, and begin where the caller wants", async () => {
    const world = await peopled({ peers: { [one]: {} }, noMirror: true });
    assert.ok((await byDigest(world, 600 * KiB)).equals(file.subarray(600 * KiB)));
    assert.ok((await byDigest(world, 5000 * KiB)).equals(Buffer.alloc(0)), "from the store");
    await assert.rejects(byDigest(world, 5000 * KiB + 1), { code: "MISMATCH" });
    const alone = await peopled({ noMirror: true });
    const beganMs = alone.world.clock.monotonicMs();
    await assert.rejects(byDigest(alone), /nobody who can be reached/);
    assert.ok(alone.world.clock.monotonicMs() - beganMs < 1000);
  });
});

async function drain(
  world: EngineWorld,
  body: { next(): Promise<Buffer | undefined>; close(): void },
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  try {
    for (;;) {
      const chunk = await settle(world, body.next());
      if (chunk === undefined) return Buffer.concat(chunks);
      chunks.push(Buffer.from(chunk));
    }
  } finally {
    body.close();
  }
}

/** Lets the promise settle, moving virtual time on only when nothing else can happen. */
async function settle<T>({ clock }: EngineWorld, promise: Promise<T>): Promise<T> {
  const state: { settled: boolean } = { settled: false };
  const done = (): void => void (state.settled = true);
  promise.then(done, done);
  const isSettled = (): boolean => state.settled;
  for (let still = 0; !isSettled(); still += 1) {
    for (let turns = 0; turns < 3; turns += 1) await turn();
    const next = clock.nextTimerMs;
    if (!isSettled() && next !== undefined && next <= 10 * minute) clock.advance(next);
    assert.ok(still < 100_000, "nothing happens any more");
  }
  return promise;
}

async function idle({ clock }: EngineWorld, ms: number): Promise<void> {
  const end = clock.monotonicMs() + ms;
  while (clock.monotonicMs() < end) {
    for (let turns = 0; turns < 3; turns += 1) await turn();
    clock.advance(Math.min(clock.nextTimerMs ?? Infinity, end - clock.monotonicMs()));
  }
  for (let turns = 0; turns < 10; turns += 1) await turn();
}
