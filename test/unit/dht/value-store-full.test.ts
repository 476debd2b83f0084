/** What a holder does when it is full or attacked. */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import { MiB, minute } from "../../../src/base/units.ts";
import { distanceShareOfText } from "../../../src/dht/distance-share.ts";
import { FarthestKeys } from "../../../src/dht/farthest-keys.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { holder, idOf, keyNumber } from "./values.ts";

const value = Buffer.from("de");
const stranger = (n: number) => endpoint(`${20 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}.1`, 9977);

describe("ValueStore when it is full", () => {
  it("evicts the farthest key for a nearer one, its oldest value first", () => {
    const { store, counters } = holder({ room: { values: 4, bytes: MiB } });
    const put = (byte: number, n: number, nowMs: number) =>
      store.store({ key: idOf(byte), publisher: stranger(n), value, nowMs });
    put(200, 1, minute);
    put(200, 2, 0);
    put(100, 3, 0);
    put(50, 4, 0);
    assert.equal(put(201, 5, minute), "full");
    assert.equal(put(200, 5, minute), "full", "as far as the farthest is not nearer");
    assert.equal(put(150, 5, minute), "stored");
    const [left] = store.page({ key: idOf(200), asker: "192.0.2.1", from: 0, count: 9 }).values;
    assert.equal(left?.publisher.text, stranger(1).text);
    assert.equal(put(10, 6, minute), "stored");
    assert.equal(store.count(idOf(200)), 0);
    assert.equal(put(200, 1, minute), "full");
    assert.equal(put(20, 6, minute), "stored");
    assert.deepEqual(
      [150, 100, 50, 10, 20].map((byte) => store.count(idOf(byte))),
      [0, 1, 1, 1, 1],
    );
    assert.equal(counters.get("dht.values.evicted"), 3);
    assert.equal(store.size, 4);
  });

  it("evicts as many as a large value needs, and keeps the old one if that is not enough", () => {
    const { store } = holder({ room: { values: 100, bytes: 1000 } });
    const put = (byte: number, bytes: number) =>
      store.store({
        key: idOf(byte),
        publisher: stranger(1),
        value: new Uint8Array(bytes),
        nowMs: 0,
      });
    for (let byte = 1; byte <= 10; byte++) assert.equal(put(byte, 80), "stored");
    assert.equal(put(5, 330), "stored");
    assert.deepEqual(
      [7, 8, 9, 10].map((byte) => store.count(idOf(byte))),
      [1, 0, 0, 0],
    );
    assert.equal(put(7, 900), "full", "nothing farther is left");
    assert.equal(store.count(idOf(7)), 1);
    assert.equal(store.bytes, 950);
  });

  it("keeps what is nearest, whatever comes and goes", () => {
    const seed = 20;
    const random = new SeededRandom(seed);
    const { store } = holder({ room: { values: 300, bytes: MiB } });
    const ownId = idOf();
    const keys = Array.from({ length: 3000 }, (_, n) => keyNumber(n));
    for (const key of keys) {
      store.store({ key, publisher: stranger(random.below(50)), value, nowMs: 0 });
    }
    const share = (key: (typeof keys)[number]) =>
      distanceShareOfText(ownId, Buffer.from(key).toString("latin1"));
    const nearest = [...keys].sort((a, b) => share(a) - share(b)).slice(0, 300);
    assert.equal(store.size, 300);
    for (const key of nearest) assert.equal(store.count(key), 1, `seed ${seed}`);
  });

  it("finds the farthest again after all has lapsed and come anew, many times", () => {
    const { store } = holder({ room: { values: 100, bytes: MiB } });
    for (let round = 0; round < 20; round++) {
      const nowMs = round * 2 * dhtLimits.valueMs;
      store.expire(nowMs);
      for (let n = 0; n < 200; n++) {
        store.store({ key: keyNumber(200 * round + n), publisher: stranger(n), value, nowMs });
      }
      assert.equal(store.size, 100);
    }
  });
});

describe("FarthestKeys", () => {
  it("agrees with sorting, also when keys go that it has not named", () => {
    const seed = 21;
    const random = new SeededRandom(seed);
    const ownId = keyNumber(0);
    const texts = Array.from({ length: 2000 }, (_, n) =>
      Buffer.from(keyNumber(n)).toString("latin1"),
    );
    const held = new Set(texts.slice(0, 1000));
    const heap = new FarthestKeys(ownId, held, (key) => held.has(key));
    for (const text of texts.slice(1000)) {
      held.add(text);
      heap.add(text);
    }
    while (held.size > 0) {
      for (const text of held) if (random.chance(0.1)) held.delete(text);
      const shares = [...held].map((text) => distanceShareOfText(ownId, text));
      const farthest = heap.farthest();
      assert.equal(
        farthest?.share,
        held.size > 0 ? Math.max(...shares) : undefined,
        `seed ${seed}`,
      );
      if (farthest !== undefined) held.delete(farthest.key);
    }
    const left = heap.farthest();
    assert.equal(left, undefined);
    assert.equal(heap.size, 0);
  });

  it("does not grow without bound when keys come, go unnamed and come again", () => {
    const held = new Set<string>();
    const heap = new FarthestKeys(keyNumber(0), held, (key) => held.has(key));
    for (let n = 0; n < 50_000; n++) {
      const text = Buffer.from(keyNumber(n % 100)).toString("latin1");
      held.add(text);
      heap.add(text);
      assert.ok(heap.size <= 2 * 100 + 64);
      if (n % 2 === 0) held.delete(text);
    }
    const farthest = Math.max(...[...held].map((text) => distanceShareOfText(keyNumber(0), text)));
    assert.equal(heap.farthest()?.share, farthest);
  });
});

describe("ValueStore under attack", () => {
  it("takes its share and no more from one source that stores 100,000 keys", () => {
    const { store } = holder();
    store.setNetworkSize(60);
    for (let n = 0; n < 100_000; n++) {
      const publisher = endpoint("192.0.2.7", 1 + (n % 65_535));
      store.store({ key: idOf(n & 255, (n >> 8) & 255, n >> 16), publisher, value, nowMs: 0 });
    }
    assert.equal(store.size, 1600);
    assert.equal(store.publishers, 1600);
  });

  it("stays within its room when a /16 stores 100,000 values, and keeps nearer ones of others", () => {
    const room = { values: 2000, bytes: MiB };
    const { store } = holder({ room });
    for (let n = 0; n < 100; n++) {
      store.store({ key: idOf(0, 0, n), publisher: stranger(n), value, nowMs: 0 });
    }
    const large = new Uint8Array(900);
    for (let n = 0; n < 100_000; n++) {
      const publisher = endpoint(`198.51.${(n >> 8) & 255}.${n & 255}`, 9977);
      const key = idOf(1 + (n % 251), n & 255, (n >> 8) & 255, n >> 16);
      store.store({ key, publisher, value: large, nowMs: 1 });
    }
    assert.ok(store.size <= room.values);
    assert.ok(store.bytes <= room.bytes);
    for (let n = 0; n < 100; n++) assert.equal(store.count(idOf(0, 0, n)), 1, `near key ${n}`);
    store.expire(2 * dhtLimits.valueMs);
    assert.deepEqual([store.size, store.keys, store.publishers, store.bytes], [0, 0, 0, 0]);
  });

  it("bounds what one key holds when 100,000 publishers come for it", () => {
    const { store } = holder();
    for (let n = 0; n < 100_000; n++) {
      store.store({ key: idOf(1), publisher: stranger(n), value, nowMs: 0 });
    }
    assert.equal(store.size, dhtLimits.valuesPerKey);
    assert.equal(store.publishers, dhtLimits.valuesPerKey);
  });

  it("lets one block of addresses that has most of it drive out nobody else", () => {
    const { store } = holder({ room: { values: 100, bytes: 100_000 } });
    const at = (n: number) => endpoint(`9.8.${n}.1`, 80);
    const value = Uint8Array.of(1);
    const honest = endpoint("5.6.7.8", 80);
    for (let n = 0; n < 10; n++) {
      store.store({ key: idOf(255, n), publisher: honest, value, nowMs: 0 });
    }
    for (let n = 0; n < 200; n++) {
      store.store({ key: idOf(n, 1), publisher: at(n), value, nowMs: 0 });
    }
    assert.equal(store.size, 100, "full");
    for (let n = 0; n < 10; n++) assert.equal(store.count(idOf(255, n)), 1, `honest key ${n}`);
    const near = { key: idOf(0, 2), publisher: honest, value, nowMs: 0 };
    assert.equal(store.store(near), "stored", "others still find room");
  });
});
