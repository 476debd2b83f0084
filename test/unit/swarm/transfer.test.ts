import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { KiB, MiB, second } from "../../../src/base/units.ts";
import { liarsOf, truthOf } from "../../../src/swarm/blame.ts";
import { PieceMap } from "../../../src/swarm/piece-map.ts";
import type { TransferPlan } from "../../../src/swarm/transfer-plan.ts";
import { falseDigest, SmallSwarm, trueDigest, type FakePeer } from "./small-swarm.ts";

const size = 20 * MiB;
const good: FakePeer = { rate: 10e6, rttMs: 2 };

function swarm(
  peers: readonly FakePeer[],
  plan: Partial<TransferPlan> = {},
  adjust: (swarm: SmallSwarm) => void = () => undefined,
): SmallSwarm {
  const made = new SmallSwarm({ sizeBytes: size, patienceMs: 200, ...plan });
  adjust(made);
  for (const [index, peer] of peers.entries()) made.add(index + 1, peer);
  made.transfer.searchEnded();
  made.run(120 * second);
  return made;
}

/** What apt alone would have needed. */
const aloneMs = 20 + (size * 1000) / 10e6;

describe("Transfer", () => {
  describe("the mirror", () => {
    it("streams at once for whoever is alone", () => {
      const { finishedMs, firstByteMs, mirrorBytes } = swarm([]);
      assert.ok(finishedMs! <= aloneMs + 20, `${finishedMs} ms`);
      assert.ok(firstByteMs! < 50);
      assert.equal(mirrorBytes, size);
    });

    it("is not asked when a seed is as fast", () => {
      const { mirrorBytes, finishedMs } = swarm([good]);
      assert.equal(mirrorBytes, 0);
      assert.ok(finishedMs! < aloneMs);
    });

    it("gives less than a tenth beside a slow seed that is no slower than itself", () => {
      const slow = { rate: 1e6, rttMs: 30, near: false };
      const { mirrorBytes } = swarm([slow], {}, (each) => (each.mirrorRate = 1e6));
      assert.ok(mirrorBytes < size / 10, `${mirrorBytes} bytes`);
    });

    const troubles: Record<string, FakePeer> = {
      "is silent": { ...good, silent: true },
      crawls: { ...good, rate: 50_000 },
      "is always busy": { ...good, fails: () => ({ kind: "busy", retryAfterMs: 1000 }) },
      "has nothing": { ...good, fails: () => ({ kind: "missing" }) },
      breaks: { ...good, fails: () => ({ kind: "broken" }) },
      "sends rubbish": { ...good, fails: () => ({ kind: "wrong", what: "a coding" }) },
      lies: { ...good, lies: () => true },
    };
    for (const [what, peer] of Object.entries(troubles)) {
      it(`is late by a quarter of a second at most when every peer ${what}`, () => {
        const { finishedMs, firstByteMs } = swarm([peer, peer, peer, peer]);
        assert.ok(finishedMs! <= aloneMs + 270, `${finishedMs} ms instead of ${aloneMs}`);
        assert.ok(firstByteMs! <= 250, `${firstByteMs} ms`);
      });
    }

    it("is asked when its time has come, and not at the next look at everything", () => {
      for (const patienceMs of [100, 210, 223]) {
        const { firstByteMs } = swarm([{ ...good, silent: true }], { patienceMs });
        const askedMs = Math.max(patienceMs, 200);
        assert.ok(firstByteMs! <= askedMs + 30, `${firstByteMs} ms with ${patienceMs}`);
      }
    });

    it("is asked for the first bytes alone while many neighbours may want the same", () => {
      const wanted = (plan: Partial<TransferPlan>): (number | undefined)[] => {
        const made = new SmallSwarm({ sizeBytes: size, patienceMs: 250, ...plan });
        for (let index = 1; index <= 4; index++) made.add(index, { ...good, silent: true });
        const seen: (number | undefined)[] = [];
        made.transfer.start();
        for (const untilMs of [190, 210, 249, 290]) {
          made.clock.advance(untilMs - made.clock.monotonicMs());
          seen.push(made.transfer.streamWanted ? made.transfer.mirror.streamBytes : -1);
        }
        return seen;
      };
      // No crowd has shown itself when they have come: the next request is for all.
      assert.deepEqual(wanted({ manyNear: true }), [-1, 16 * KiB, undefined, undefined]);
      assert.deepEqual(wanted({}), [-1, -1, -1, undefined]);
    });

    it("takes over when the only seed leaves in the middle", () => {
      const leaving: FakePeer = {
        ...good,
        fails: ({ piece }) => (piece > 15 ? { kind: "broken" } : undefined),
      };
      const { finishedMs, mirrorBytes } = swarm([leaving]);
      assert.ok(finishedMs! <= aloneMs + 270, `${finishedMs} ms`);
      assert.ok(mirrorBytes > size / 2 && mirrorBytes < 0.9 * size, `${mirrorBytes}`);
    });

    it("is not missed while a slow peer gives all the same", () => {
      const made = swarm([{ ...good, rate: 50_000 }], { mirror: false, sizeBytes: 2 * MiB });
      assert.ok(made.transfer.done, "one piece takes ten seconds");
    });

    it("is not needed where there is none", () => {
      const made = swarm([good], { mirror: false });
      assert.ok(made.transfer.done);
      const lonely = swarm([], { mirror: false });
      assert.ok(lonely.transfer.hopeless && !lonely.transfer.done);
      const hollow = swarm([{ ...good, lies: () => true }], { mirror: false });
      assert.ok(hollow.transfer.hopeless);
    });
  });

  describe("two that want the same", () => {
    const other: FakePeer = { ...good, have: new PieceMap(40), via: "neighbour" };
    const among = (mirrorRate: number, adjust?: (swarm: SmallSwarm) => void): SmallSwarm =>
      swarm([other], { patienceMs: 0 }, (made) => {
        made.mirrorRate = mirrorRate;
        adjust?.(made);
      });

    it("share a slow mirror beside what each streams, and wait for nothing", () => {
      const made = among(1e6);
      const behind = made.counters.get("swarm.mirror.piecesBehind");
      assert.ok(behind >= 8, `${behind} pieces`);
      assert.equal(made.counters.get("swarm.mirror.pieces"), 0);
      assert.ok(made.finishedMs! <= (size * 1000) / 1e6 + 270, `${made.finishedMs} ms`);
      assert.ok(made.mirrorBytes < 1.05 * size, "nothing comes twice");
    });

    it("leave a fast one alone", () => {
      assert.equal(among(10e6).counters.get("swarm.mirror.piecesBehind"), 0);
    });

    it("do not ask one again that gives no ranges", () => {
      const made = among(1e6, (each) => (each.mirrorFails = true));
      assert.equal(made.counters.get("swarm.mirror.piecesBehind"), 1);
      assert.ok(made.finishedMs! <= (size * 1000) / 1e6 + 270, `${made.finishedMs} ms`);
    });
  });

  describe("a crowd", () => {
    const empty = (): FakePeer => ({ ...good, have: new PieceMap(40), via: "neighbour" });

    it("of near members leaves the mirror to a few of them", () => {
      let streams = 0;
      for (let seed = 1; seed <= 60; seed++) {
        const made = new SmallSwarm({ sizeBytes: size, patienceMs: 100 }, seed);
        for (let index = 1; index <= 59; index++) made.add(index, empty());
        made.transfer.searchEnded();
        made.run(second);
        assert.equal(made.transfer.crowd, 60);
        // Everybody tastes the first bytes, for apt to see one.
        assert.ok(made.firstByteMs! <= 250);
        if (made.mirrorPieces > 0) streams++;
      }
      assert.ok(streams >= 1 && streams <= 15, `${streams} of 60 in the first second`);
    });

    it("that brings nothing does not let its reader starve", () => {
      const made = new SmallSwarm({ sizeBytes: size, patienceMs: 100 });
      for (let index = 1; index <= 30; index++) made.add(index, empty());
      made.transfer.searchEnded();
      made.run(60 * second);
      assert.ok(made.finishedMs! < aloneMs + 10 * second, `${made.finishedMs} ms`);
    });

    it("asks at once who has become whole, though many may want what only that one has", () => {
      for (let seed = 1; seed <= 10; seed++) {
        const made = new SmallSwarm({ sizeBytes: size, patienceMs: 0, mirror: false }, seed);
        const maps = Array.from({ length: 12 }, () => {
          const have = PieceMap.full(40);
          have.remove(7);
          return have;
        });
        for (const [index, have] of maps.entries()) made.add(index + 1, { ...good, have });
        made.clock.after(1000, () => maps[0]?.add(7));
        made.transfer.searchEnded();
        made.run(60 * second);
        // It is heard of within half a second, and the piece takes 50 ms.
        assert.ok(made.finishedMs! >= 1000);
        assert.ok(made.finishedMs! < 1700, `seed ${seed}: ${made.finishedMs} ms`);
      }
    });

    it("of strangers counts only those that have given something", () => {
      const made = new SmallSwarm({ sizeBytes: size, patienceMs: 200 });
      for (let index = 1; index <= 50; index++) {
        made.add(index, { ...empty(), near: false, via: "dht", state: "unknown" });
      }
      made.transfer.searchEnded();
      made.run(60 * second);
      assert.equal(made.transfer.crowd, 1);
      assert.ok(made.finishedMs! <= aloneMs + 270);
    });
  });

  describe("lies", () => {
    it("cost a piece each, and name their liars", () => {
      const peers = [0, 1, 2, 3, 4, 5].map((index) => ({ ...good, lies: () => index % 2 === 1 }));
      const made = swarm(peers, { mirror: false });
      assert.ok(made.transfer.done);
      assert.ok(made.counters.get("swarm.pieces.refused") <= 3);
      const record = made.transfer.record();
      const liars = liarsOf(record, truthOf(record)).map(({ source }) => source);
      assert.deepEqual(liars.sort(), ["192.0.2.2:9977", "192.0.2.4:9977", "192.0.2.6:9977"]);
      for (const [piece, { digest }] of record.pieces) assert.equal(digest, trueDigest(piece));
    });

    it("by a list are believed only as long as nobody knows better", () => {
      const lie = Array.from({ length: 40 }, (_, piece) => falseDigest(piece));
      const liar: FakePeer = { ...good, list: lie, lies: () => true };
      const majority = swarm([good, good, good, liar], { mirror: false });
      const record = majority.transfer.record();
      assert.ok([...record.pieces].every(([piece, { digest }]) => digest === trueDigest(piece)));
      assert.deepEqual(
        liarsOf(record, truthOf(record)).map(({ source }) => source),
        ["192.0.2.4:9977"],
      );
      // Alone and consistent it is believed; the whole digest will tell.
      const alone = swarm([liar]).transfer.record();
      const known = (piece: number): string => trueDigest(piece);
      assert.deepEqual(
        liarsOf(alone, known).map(({ source, whole }) => [source, whole]),
        [["192.0.2.1:9977", true]],
      );
    });

    it("by lists that come first do not cost those who said otherwise their place", () => {
      const lie = Array.from({ length: 40 }, (_, piece) => falseDigest(piece));
      // The first three are asked for lists.
      const liar: FakePeer = { ...good, rate: 1e6, list: lie };
      const made = swarm([liar, liar, liar, good, good, good]);
      assert.ok(made.counters.get("swarm.lists.refuted") > 0);
      assert.ok(made.counters.get("swarm.peers.restored") > 0);
      assert.ok(made.finishedMs! < 0.8 * aloneMs, `${made.finishedMs} ms`);
      const record = made.transfer.record();
      const gave = new Set([...record.pieces].map(([, { source }]) => source));
      for (const host of [4, 5, 6]) assert.ok(gave.has(`192.0.2.${host}:9977`), `${host}`);
      const liars = liarsOf(record, truthOf(record)).map(({ source }) => source);
      assert.deepEqual(
        liars.sort(),
        [1, 2, 3].map((host) => `192.0.2.${host}:9977`),
      );
    });

    it("about another file cost a peer its place, and it does not come back", () => {
      const barred = new Set<string>();
      const made = new SmallSwarm({
        ...{ sizeBytes: size, patienceMs: 200 },
        admits: ({ address }) => !barred.has(address),
      });
      const liar = made.add(1, good);
      made.transfer.start();
      made.clock.advance(300);
      assert.ok(made.transfer.held.count > 0);
      barred.add("192.0.2.1");
      made.transfer.reviewPeers();
      assert.equal(made.counters.get("swarm.peers.dropped.barred"), 1);
      const before = made.transfer.record().bytes.get(liar);
      // Others may name it, or it asks itself.
      for (const via of ["exchange", "asker"] as const) made.add(1, { ...good, via });
      made.add(2, { ...good });
      barred.add("192.0.2.3");
      made.add(3, { ...good, via: "asker" });
      assert.equal(made.counters.get("swarm.peers.barred"), 1);
      made.transfer.searchEnded();
      made.run(120 * second);
      assert.ok(made.transfer.done);
      assert.equal(made.transfer.record().bytes.get(liar), before);
    });

    it("are tried one after another while nobody has told the truth", () => {
      const liar: FakePeer = { ...good, lies: () => true };
      const made = swarm(Array.from({ length: 12 }, () => liar));
      const refused = made.counters.get("swarm.pieces.refused");
      assert.ok(refused > 6, `${refused}`);
      // Four at first, three after one that was refused.
      assert.ok(made.mostAmongLiars <= 1, `${made.mostAmongLiars} at once`);
    });

    it("of a list with another length, or none at all, come to nothing", () => {
      for (const list of ["none", [trueDigest(0)]] as const) {
        const made = swarm([{ ...good, list }]);
        assert.ok(made.finishedMs! <= aloneMs + 270, `${made.finishedMs} ms`);
      }
    });
  });

  it("keeps duplicates below two of a hundred among uneven peers", () => {
    for (let seed = 1; seed <= 5; seed++) {
      const made = new SmallSwarm({ sizeBytes: 100 * MiB, mirror: false }, seed);
      for (let index = 1; index <= 10; index++) made.add(index, { ...good, rate: index * 1e6 });
      made.transfer.searchEnded();
      made.run(300 * second);
      assert.ok(made.transfer.done);
      const share = made.counters.get("swarm.bytes.duplicate") / (100 * MiB);
      assert.ok(share <= 0.02, `seed ${seed}: ${share}`);
    }
  });

  it("goes on where an earlier run ended", () => {
    const made = swarm([good], { position: 10 * MiB, ahead: [30, 31] });
    assert.ok(made.transfer.done);
    assert.equal(made.transfer.record().pieces.size, 18);
  });

  it("takes a small file only if it is that file", () => {
    const sizeBytes = 100_000;
    const liar = { ...good, lies: () => true };
    const made = new SmallSwarm({ sizeBytes, patienceMs: 200 });
    made.add(1, liar);
    made.add(2, good);
    made.transfer.searchEnded();
    made.run(10 * second);
    assert.ok(made.finishedMs! < 250);
    assert.equal(made.transfer.record().pieces.get(0)?.digest, trueDigest(0));
  });
});
