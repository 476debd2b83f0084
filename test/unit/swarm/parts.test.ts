import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import type { Sha256 } from "../../../src/base/sha256.ts";
import { hour, second } from "../../../src/base/units.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { Bans } from "../../../src/swarm/bans.ts";
import { Bloom, bloomBytes } from "../../../src/swarm/bloom.ts";
import { Meter } from "../../../src/swarm/meter.ts";
import { Patience } from "../../../src/swarm/patience.ts";
import { Picker } from "../../../src/swarm/picker.ts";
import { PieceLists } from "../../../src/swarm/piece-lists.ts";
import { PieceMap } from "../../../src/swarm/piece-map.ts";
import { pieceAt, pieceEnd, pieceLength, shapeOf } from "../../../src/swarm/shape.ts";

const digest = (seed: number): Sha256 => {
  const random = new SeededRandom(seed);
  let text = "";
  while (text.length < 64) text += Math.floor(random.next() * 16).toString(16);
  return text as Sha256;
};

describe("shapeOf()", () => {
  it("covers every byte once", () => {
    for (const size of [1, 524_287, 524_288, 524_289, 10_000_000]) {
      const shape = shapeOf(size);
      let bytes = 0;
      for (let piece = 0; piece < shape.pieces; piece++) bytes += pieceLength(shape, piece);
      assert.equal(bytes, size);
      assert.equal(pieceAt(size - 1), shape.pieces - 1);
      assert.equal(pieceEnd(shape, shape.pieces - 1), size);
    }
  });
});

describe("PieceMap", () => {
  it("is a set of pieces, and its own bytes again", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.array(fc.nat(99)), (pieces, chosen) => {
        const map = new PieceMap(pieces);
        const set = new Set<number>();
        for (const piece of chosen) {
          if (piece < pieces) assert.equal(map.add(piece), !set.has(piece));
          else assert.ok(!map.add(piece));
          if (piece < pieces) set.add(piece);
        }
        assert.equal(map.count, set.size);
        assert.equal(map.whole, set.size === pieces);
        const again = PieceMap.parse(map.bytes, pieces)!;
        assert.equal(again.count, set.size);
        for (let piece = 0; piece < pieces; piece++) assert.equal(again.has(piece), set.has(piece));
        let missing = 0;
        while (set.has(missing)) missing++;
        assert.equal(map.firstMissing(0), Math.min(missing, pieces));
        for (const piece of set) assert.ok(map.remove(piece) && !map.remove(piece));
        assert.equal(map.count, 0);
      }),
    );
  });

  it("refuses bytes that are no such map", () => {
    assert.equal(PieceMap.parse(Buffer.from([0xff]), 7), undefined);
    assert.equal(PieceMap.parse(Buffer.from([0xfe]), 7)?.whole, true);
    assert.equal(PieceMap.parse(Buffer.alloc(2), 7), undefined);
  });
});

describe("Bloom", () => {
  it("never misses, seldom invents, and is as small as it can be", () => {
    const held = Array.from({ length: 3000 }, (_, index) => digest(index));
    const filter = Bloom.parse(Bloom.of(held, held.length).bytes)!;
    assert.ok(held.every((each) => filter.mayHave(each)));
    const others = Array.from({ length: 3000 }, (_, index) => digest(10_000 + index));
    const invented = others.filter((each) => filter.mayHave(each)).length;
    assert.ok(invented < 60, `${invented} of 3,000`);
    assert.ok(filter.bytes.length < 3800);
    assert.ok(Bloom.of([], 0).bytes.length < 100);
    assert.equal(Bloom.of(held, 1e9).bytes.length, bloomBytes);
  });

  it("takes nothing for a filter that is none", () => {
    const { bytes } = Bloom.of([digest(1)], 1);
    const wrong = [
      bytes.subarray(0, 8),
      Buffer.alloc(bloomBytes + 1, 1),
      Buffer.concat([Buffer.from([2]), bytes.subarray(1)]),
      Buffer.concat([Buffer.from([1, 9]), bytes.subarray(2)]),
      Buffer.concat([Buffer.from([1, 0]), bytes.subarray(2)]),
      Buffer.concat([Buffer.from([1, 7, 1]), bytes.subarray(3)]),
    ];
    for (const each of wrong) assert.equal(Bloom.parse(each), undefined);
  });
});

describe("Bans", () => {
  it("last as long as they shall, by address or /64, and are told", () => {
    const clock = new VirtualClock();
    const counters = new Counters();
    const told: string[] = [];
    const bans = new Bans({ clock, counters }, [], ({ who }) => told.push(who));
    bans.ban("192.0.2.1", "wrong piece", hour);
    bans.ban("192.0.2.1", "wrong piece", second);
    bans.ban("2001:db8:1:2::1", "wrong list", hour);
    assert.ok(bans.banned("192.0.2.1") && !bans.banned("192.0.2.2"));
    assert.ok(bans.banned("2001:db8:1:2:3::9") && !bans.banned("2001:db8:1:3::1"));
    assert.equal(counters.get("swarm.banned"), 2);
    const later = new Bans({ clock, counters }, bans.list());
    clock.advance(hour - 1);
    assert.ok(later.banned("192.0.2.1"));
    clock.advance(2);
    assert.ok(!later.banned("192.0.2.1") && bans.list().length === 0);
    assert.equal(told.length, 2);
  });
});

describe("Patience", () => {
  it("is used up by waits in vain, together and not one by one", () => {
    const patience = new Patience();
    assert.equal(patience.allow(0), 250);
    const waits = [0, 0, 10].map((at) => patience.began(at));
    assert.equal(patience.allow(100), 150, "three waits at once are one");
    for (const wait of waits) patience.ended(wait, false, 150);
    assert.equal(patience.allow(200), 100);
    const last = patience.began(200);
    assert.equal(patience.allow(1000), 0, "no wait counts for longer than it may last");
    patience.ended(last, false, 1000);
    assert.equal(patience.allow(5000), 0);
    assert.equal(patience.allow(12_000), 250, "another run");
  });

  it("comes back with every success", () => {
    const patience = new Patience();
    const first = patience.began(0);
    patience.ended(first, true, 200);
    assert.equal(patience.allow(300), 250);
    patience.ended(first, false, 400);
    assert.equal(patience.allow(500), 250);
  });
});

describe("Meter", () => {
  it("measures while something is asked, and notices silence", () => {
    const meter = new Meter();
    meter.began(0);
    for (let at = 100; at <= 1000; at += 100) meter.received(100_000, at);
    assert.ok(Math.abs(meter.rate! - 1e6) < 1e5, `${meter.rate}`);
    meter.idle(1000);
    assert.equal(meter.current(60_000), meter.rate, "with nothing to do it is no slower");
    meter.began(60_000);
    assert.ok(meter.current(65_000)! < 1e5);
  });
});

describe("Picker", () => {
  it("keeps free what is neither held nor under way", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom("took", "gaveUp", "hold", "lose"), fc.nat(9))),
        (steps) => {
          const picker = new Picker(10);
          const flights = Array.from({ length: 10 }, () => 0);
          const held = new Set<number>();
          for (const [what, piece] of steps) {
            picker[what as "took"](piece);
            if (what === "took") flights[piece]!++;
            if (what === "gaveUp") flights[piece] = Math.max(0, flights[piece]! - 1);
            if (what === "hold") held.add(piece);
            if (what === "lose") held.delete(piece);
          }
          for (let piece = 0; piece < 10; piece++) {
            assert.equal(picker.isFree(piece), flights[piece] === 0 && !held.has(piece));
          }
          let next = 0;
          while (held.has(next)) next++;
          assert.equal(picker.next, next);
        },
      ),
    );
  });

  it("finds the first in order, and the rarest", () => {
    const picker = new Picker(100);
    const common = PieceMap.full(100);
    common.remove(70);
    picker.changed(undefined, common);
    const all = (): boolean => true;
    assert.equal(picker.inOrder(4, 100, all), 0);
    assert.equal(
      picker.inOrder(4, 100, (piece) => piece > 2),
      3,
    );
    assert.equal(
      picker.inOrder(4, 100, (piece) => piece > 3),
      undefined,
    );
    const rare = picker.rarest(new SeededRandom(1), { sample: 100, limit: 100, have: "whole" });
    assert.equal(rare, 70);
    assert.deepEqual(picker.unseen(8, 100), [70]);
    picker.changed(common, undefined);
    assert.equal(picker.copies(5), 0);
    assert.deepEqual(picker.unseen(3, 100), [0, 1, 2]);
  });

  it("finds what looking at every piece would find", () => {
    const size = fc.integer({ min: 1, max: 150 });
    const some = fc.array(fc.nat(149));
    fc.assert(
      fc.property(
        size,
        some,
        fc.array(some),
        some,
        fc.nat(150),
        (pieces, held, maps, have, limit) => {
          const picker = new Picker(pieces);
          const mapOf = (those: readonly number[]): PieceMap => {
            const map = new PieceMap(pieces);
            for (const piece of those) map.add(piece);
            return map;
          };
          for (const piece of held) if (piece < pieces) picker.hold(piece);
          const theirs = mapOf(have);
          for (const map of [...maps.map(mapOf), theirs]) picker.changed(undefined, map);
          const all = Array.from({ length: pieces }, (_, piece) => piece);
          for (const piece of all) {
            const copies = [...maps.map(mapOf), theirs].filter((map) => map.has(piece)).length;
            assert.equal(picker.copies(piece), copies);
          }
          const free = all.filter((piece) => picker.isFree(piece) && piece < limit);
          const copies = (piece: number): number => picker.copies(piece);
          assert.deepEqual(
            picker.unseen(150, limit),
            free.filter((piece) => copies(piece) === 0),
          );
          const candidates = free.filter((piece) => theirs.has(piece));
          const wanted = { sample: 150, limit, have: theirs };
          const rarest = picker.rarest(new SeededRandom(pieces), wanted);
          if (candidates.length === 0) assert.equal(rarest, undefined);
          else {
            assert.ok(rarest !== undefined && candidates.includes(rarest));
            assert.equal(copies(rarest), Math.min(...candidates.map(copies)));
          }
          const other = picker.rarest(new SeededRandom(pieces), { ...wanted, except: rarest });
          assert.equal(other !== undefined, candidates.length > 1);
          assert.ok(other === undefined || other !== rarest);
          // What a seed is asked for: what neither an unfinished peer has nor it has given.
          const [sown] = maps.map(mapOf);
          if (sown === undefined) return;
          const nobodys = free.filter((piece) => copies(piece) === 0 && !sown.has(piece));
          const asked = { sample: 150, limit, have: "whole", unseenBut: sown } as const;
          const first = picker.rarest(new SeededRandom(pieces), asked);
          assert.equal(first !== undefined, nobodys.length > 0);
          assert.ok(first === undefined || nobodys.includes(first));
          if (limit >= pieces) assert.equal(picker.hasUnseen(sown), nobodys.length > 0);
        },
      ),
    );
  });

  it("does not always choose the same of equally rare pieces", () => {
    const picker = new Picker(191);
    const have = new PieceMap(191);
    for (let piece = 40; piece < 60; piece++) have.add(piece);
    picker.changed(undefined, have);
    const chosen = new Map<number, number>();
    const random = new SeededRandom(1);
    for (let round = 0; round < 2000; round++) {
      const piece = picker.rarest(random, { sample: 32, limit: 191, have }) ?? -1;
      chosen.set(piece, (chosen.get(piece) ?? 0) + 1);
    }
    assert.equal(chosen.size, 20);
    for (const [piece, times] of chosen) assert.ok(times > 40 && times < 250, `${piece}: ${times}`);
  });
});

describe("PieceLists", () => {
  const list = (id: string, ...hashes: string[]) => ({ id, hashes });

  it("believes what most groups say, and not one voice many times", () => {
    const lists = new PieceLists(2);
    for (const teller of ["a", "b", "c"]) lists.add(teller, "one", list("lie", "x", "y"));
    for (const teller of ["d", "e"]) lists.add(teller, teller, list("true", "1", "2"));
    assert.ok(lists.choose(new Map()));
    assert.equal(lists.expected(0), "1");
    assert.ok(!lists.choose(new Map()));
    assert.ok(!lists.add("f", "f", list("short", "1")));
  });

  it("stays with a list that has been handed on, unless the mirror refutes it", () => {
    const lists = new PieceLists(2);
    lists.add("a", "a", list("first", "x", "y"));
    lists.choose(new Map());
    for (const teller of ["b", "c"]) lists.add(teller, teller, list("second", "1", "2"));
    assert.ok(!lists.choose(new Map([[0, "x"]])));
    assert.equal(lists.expected(1), "y");
    assert.ok(lists.firstHand(1, "2"), "the list in use is refuted");
    assert.ok(lists.choose(new Map()));
    assert.equal(lists.expected(0), "1");
    assert.ok(!lists.add("d", "d", list("first", "x", "y")));
  });

  it("takes claims while there is no list, and bounds both", () => {
    const lists = new PieceLists(1);
    lists.claim("a", 0, "x");
    lists.claim("b", 0, "1");
    lists.claim("c", 0, "1");
    assert.equal(lists.expected(0), "1");
    for (let index = 0; index < 50; index++) lists.claim(`${index}`, 0, `lie ${index}`);
    assert.equal(lists.expected(0), "1");
    const taken = Array.from({ length: 20 }, (_, index) =>
      lists.add(`${index}`, `${index}`, list(`${index}`, `${index}`)),
    );
    assert.equal(taken.filter(Boolean).length, 8);
    assert.equal([...lists.told()].length, 8);
  });
});

describe("endpoints of peers", () => {
  it("are of one group in a network of strangers, each its own in ours", async () => {
    const { groupOf } = await import("../../../src/swarm/peer-book.ts");
    const at = (address: string, near: boolean): string =>
      groupOf(endpoint(address, 1).address, near);
    assert.equal(at("192.0.2.1", false), at("192.0.2.200", false));
    assert.notEqual(at("10.0.0.1", true), at("10.0.0.2", true));
  });
});
