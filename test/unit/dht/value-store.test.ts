import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import { hour, minute } from "../../../src/base/units.ts";
import { entryDigest, xorInto } from "../../../src/dht/value-digest.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { holder, idOf, keyNumber } from "./values.ts";

const publisher = endpoint("192.0.2.7", 9977);
const value = Buffer.from("de");
const { valueMs } = dhtLimits;

/** A publisher in a /24 of its own. */
const stranger = (n: number) => endpoint(`${20 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}.1`, 9977);

/** Texts of the publishers of a key, in an asker's order. */
function told(store: ReturnType<typeof holder>["store"], asker: string, from = 0, count = 200) {
  return store.page({ key: idOf(1), asker, from, count }).values.map((one) => one.publisher.text);
}

describe("ValueStore.store()", () => {
  it("holds one value per key, address and port; a new one replaces it", () => {
    const { store, counters } = holder();
    const key = keyNumber(1);
    const put = (from: typeof publisher, text: string) =>
      store.store({ key, publisher: from, value: Buffer.from(text), nowMs: 0 });
    assert.equal(put(publisher, "old"), "stored");
    assert.equal(put(publisher, "newer"), "stored");
    assert.equal(put(endpoint("192.0.2.7", 9978), "other port"), "stored");
    assert.equal(store.count(key), 2);
    assert.equal(store.count(keyNumber(2)), 0);
    const values = store.page({ key, asker: "192.0.2.1", from: 0, count: 9 }).values;
    const texts = values.map((one) => `${one.publisher.port} ${Buffer.from(one.value).toString()}`);
    assert.deepEqual(texts.sort(), ["9977 newer", "9978 other port"]);
    assert.deepEqual([store.size, store.keys, store.publishers], [2, 1, 2]);
    assert.equal(store.bytes, 2 * 20 + 5 + 10);
    assert.equal(counters.get("dht.values.stored"), 3);
  });

  it("gives back any bytes as they were", () => {
    const { store } = holder();
    const all = Uint8Array.from({ length: 256 }, (_, n) => n);
    store.store({ key: idOf(255, 128, 0, 10), publisher, value: all, nowMs: 0 });
    const page = (key: ReturnType<typeof idOf>) =>
      store.page({ key, asker: "192.0.2.1", from: 0, count: 1 }).values[0]?.value;
    assert.deepEqual([...(page(idOf(255, 128, 0, 10)) ?? [])], [...all]);
  });

  it("drops what its publisher withdraws with an empty value", () => {
    const { store, counters } = holder();
    const key = idOf(9);
    store.store({ key, publisher, value: Uint8Array.of(1), nowMs: 0 });
    const empty = { key, publisher, value: new Uint8Array(0), nowMs: 0 };
    assert.equal(store.store(empty), "withdrawn");
    assert.equal(store.count(key), 0);
    assert.equal(store.store(empty), "withdrawn");
    assert.equal(counters.get("dht.values.withdrawn"), 1);
  });

  it("refuses values that are too large", () => {
    const { store, counters } = holder();
    const put = (bytes: number) =>
      store.store({ key: keyNumber(1), publisher, value: new Uint8Array(bytes), nowMs: 0 });
    assert.equal(put(dhtLimits.valueBytes + 1), "tooLarge");
    assert.equal(put(dhtLimits.valueBytes), "stored");
    assert.equal(counters.get("dht.values.refused"), 1);
  });

  it("takes everything in a small or unknown network, in a large one what is near", () => {
    const { store } = holder();
    const far = idOf(0x80);
    assert.equal(store.accepts(far), true);
    store.setNetworkSize(64);
    assert.equal(store.accepts(idOf(255, 255)), true);
    store.setNetworkSize(64 * 256);
    assert.equal(store.accepts(idOf(0, 255)), true);
    assert.equal(store.accepts(idOf(1, 1)), false);
    assert.equal(store.store({ key: far, publisher, value, nowMs: 0 }), "notNear");
    assert.equal(store.size, 0);
    assert.equal(store.publishers, 0, "a refused publisher leaves nothing behind");
  });

  it("limits the publishers of a key, and those of one /24 or /64 on the Internet", () => {
    const { store } = holder();
    const key = keyNumber(1);
    const put = (address: string, port = 9977) =>
      store.store({ key, publisher: endpoint(address, port), value, nowMs: 0 });
    for (let n = 1; n <= 4; n++) assert.equal(put(`192.0.2.${n}`), "stored");
    assert.equal(put("192.0.2.5"), "subnetFull");
    assert.equal(put("192.0.2.4", 1), "subnetFull");
    assert.equal(put("192.0.2.4"), "stored", "again");
    for (let n = 1; n <= 4; n++) assert.equal(put(`2001:db8::${n}`), "stored");
    assert.equal(put("2001:db8::5"), "subnetFull");
    for (let n = 1; n <= 20; n++) assert.equal(put(`10.0.0.${n}`), "stored");
    for (let n = 28; n < 200; n++) assert.equal(put(stranger(n).address), "stored");
    assert.equal(put(stranger(200).address), "keyFull");
    assert.equal(store.count(key), dhtLimits.valuesPerKey);
  });

  it("gives each source a share that shrinks as the network grows", () => {
    const { store } = holder();
    const put = (n: number, address: string, port = 9977) =>
      store.store({ key: keyNumber(n), publisher: endpoint(address, port), value, nowMs: 0 });
    const filled = (address: string, port?: number): number => {
      let n = 0;
      while (put(n, address, port) === "stored") n++;
      return n;
    };
    // 4 × 8 × 3000 / 300; far more nodes would make keys too far away.
    store.setNetworkSize(300);
    store.accepts = () => true;
    assert.equal(filled("192.0.2.7"), 320);
    assert.equal(filled("192.0.2.7", 1), 0, "another port is the same source");
    assert.equal(filled("192.0.2.8"), 320);
    assert.equal(filled("2001:db8::1"), 320);
    assert.equal(filled("2001:db8::2"), 0, "another address of the /64 is the same source");
    assert.equal(filled("10.0.0.7"), 3200);
    assert.equal(filled("127.0.0.1"), 320);
    assert.equal(filled("127.0.0.1", 1), 320, "each port of this machine is a source");
    assert.equal(put(0, "192.0.2.7"), "stored", "what is there may be renewed");
    store.setNetworkSize(1_000_000);
    assert.equal(filled("192.0.2.9"), dhtLimits.keysPerSource);
    store.setNetworkSize(50);
    assert.equal(put(999_999, "192.0.2.9"), "stored");
  });
});

describe("ValueStore.page()", () => {
  const full = () => {
    const { store, clock } = holder();
    for (let n = 0; n < 100; n++) {
      store.store({ key: idOf(1), publisher: stranger(n), value, nowMs: 0 });
    }
    return { store, clock };
  };

  it("gives one asker every value once, in the same order whenever it asks", () => {
    const { store } = full();
    const pages = [0, 30, 60, 90].flatMap((from) => told(store, "192.0.2.1", from, 30));
    assert.equal(new Set(pages).size, 100);
    assert.deepEqual(pages, told(store, "192.0.2.1"));
    assert.deepEqual(told(store, "192.0.2.1", 100, 10), []);
    assert.deepEqual(told(store, "192.0.2.1", 99, 10).length, 1);
  });

  it("begins elsewhere for other askers, so that all publishers share the load", () => {
    const { store } = full();
    const firsts = new Map<string | undefined, number>();
    for (let n = 0; n < 5000; n++) {
      const [first] = told(store, stranger(n).address, 0, 1);
      firsts.set(first, (firsts.get(first) ?? 0) + 1);
    }
    assert.equal(firsts.size, 100, "everyone is first for someone");
    assert.ok(Math.max(...firsts.values()) < 100, "nobody is first much more often than 50 times");
  });

  it("moves by one place at most when a value comes between two pages", () => {
    const { store } = full();
    for (let n = 0; n < 50; n++) {
      const asker = stranger(n).address;
      const before = told(store, asker, 0, 50);
      store.store({ key: idOf(1), publisher: stranger(100 + n), value, nowMs: 0 });
      const missed = new Set(before.slice(2, 48));
      for (const text of told(store, asker, 0, 51)) missed.delete(text);
      assert.equal(missed.size, 0);
    }
  });

  it("has another order on another node and key order does not depend on who came first", () => {
    const orders = ["one", "two"].map((secret) => {
      const { store } = holder({ secret: nodeHashes.of(secret) });
      for (let n = 0; n < 50; n++) {
        const from = secret === "one" ? n : 49 - n;
        store.store({ key: idOf(1), publisher: stranger(from), value, nowMs: 0 });
      }
      const same = holder({ secret: nodeHashes.of(secret) }).store;
      for (let n = 0; n < 50; n++) {
        same.store({ key: idOf(1), publisher: stranger(n), value, nowMs: 0 });
      }
      assert.deepEqual(told(store, "192.0.2.1"), told(same, "192.0.2.1"));
      return told(store, "192.0.2.1");
    });
    assert.notDeepEqual(orders[0], orders[1]);
  });
});

describe("ValueStore.renew() and expire()", () => {
  it("drops a value when its time is over, unless it was stored again", () => {
    const { store, counters } = holder();
    const put = (n: number, nowMs: number) =>
      store.store({ key: keyNumber(n), publisher, value, nowMs });
    put(1, 0);
    put(2, 0);
    put(3, hour);
    put(1, 2 * hour);
    assert.equal(store.expire(valueMs - 1), 0);
    assert.equal(store.expire(valueMs + minute), 1);
    assert.deepEqual(
      [1, 2, 3].map((n) => store.count(keyNumber(n))),
      [1, 0, 1],
    );
    assert.equal(store.expire(valueMs + hour + minute), 1);
    assert.equal(store.expire(valueMs + 2 * hour + minute), 1);
    assert.deepEqual([store.size, store.keys, store.publishers, store.bytes], [0, 0, 0, 0]);
    assert.equal(counters.get("dht.values.expired"), 3);
  });

  it("renews all of a publisher's values if count and digest agree", () => {
    const { store, counters } = holder();
    const digest = new Uint8Array(16);
    for (let n = 0; n < 10; n++) {
      store.store({ key: keyNumber(n), publisher, value, nowMs: n * minute });
      xorInto(digest, entryDigest(nodeHashes, keyNumber(n), value));
    }
    store.store({ key: keyNumber(1), publisher: stranger(1), value, nowMs: 0 });
    const renew = (count: number, sum: Uint8Array, from = publisher) =>
      store.renew(from, { count, digest: sum, nowMs: 2 * hour });
    assert.equal(renew(9, digest), false);
    assert.equal(
      renew(
        10,
        digest.map((byte, at) => (at === 15 ? byte ^ 1 : byte)),
      ),
      false,
    );
    assert.equal(renew(10, digest.subarray(0, 15)), false);
    assert.equal(renew(10, new Uint8Array(0)), false);
    assert.equal(renew(10, digest, endpoint("192.0.2.7", 9978)), false);
    assert.equal(renew(10, digest, endpoint("192.0.2.8", 9977)), false);
    assert.equal(renew(10, digest), true);
    assert.equal(counters.get("dht.values.notRenewed"), 6);
    assert.equal(counters.get("dht.values.renewed"), 10);
    assert.equal(store.expire(2 * hour + valueMs - 1), 1, "the other publisher's");
    assert.equal(store.expire(2 * hour + valueMs + minute), 10);
  });

  it("sees with the digest that a value was replaced, dropped or added", () => {
    const { store } = holder();
    const other = Buffer.from("other");
    const put = (n: number, bytes: Uint8Array, nowMs: number) =>
      store.store({ key: keyNumber(n), publisher, value: bytes, nowMs });
    const sum = (...entries: readonly (readonly [number, Uint8Array])[]) => {
      const digest = new Uint8Array(16);
      for (const [n, bytes] of entries)
        xorInto(digest, entryDigest(nodeHashes, keyNumber(n), bytes));
      return { count: entries.length, digest, nowMs: hour };
    };
    put(1, value, 0);
    put(2, value, hour);
    assert.ok(store.renew(publisher, sum([2, value], [1, value])));
    put(1, other, hour);
    assert.equal(store.renew(publisher, sum([2, value], [1, value])), false);
    assert.ok(store.renew(publisher, sum([2, value], [1, other])));
    put(2, value, 2 * hour);
    assert.equal(store.expire(hour + valueMs + minute), 1);
    assert.equal(store.renew(publisher, sum([2, value], [1, other])), false);
    assert.ok(store.renew(publisher, sum([2, value])));
  });

  it("drops thousands of lapsed values in steps", () => {
    const { store } = holder();
    for (let n = 0; n < 5000; n++) {
      store.store({ key: keyNumber(n), publisher: stranger(n % 700), value, nowMs: n });
    }
    const late = valueMs + hour;
    const steps = Array.from({ length: 4 }, () => store.expire(late));
    assert.deepEqual(steps, [2000, 2000, 1000, 0]);
    assert.deepEqual([store.size, store.keys, store.publishers, store.bytes], [0, 0, 0, 0]);
  });
});
