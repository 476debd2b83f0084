import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import { hour, minute } from "../../../src/base/units.ts";
import { entryDigest } from "../../../src/dht/value-digest.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { holder, keyNumber, MemoryRecords } from "./values.ts";

const publisher = endpoint("192.0.2.7", 9977);
const value = Buffer.from("d1:xi1ee");
const { valueMs } = dhtLimits;

function filled(): { records: MemoryRecords; clock: VirtualClock } {
  const records = new MemoryRecords();
  const { store, clock } = holder({ records });
  store.store({ key: keyNumber(1), publisher, value, nowMs: clock.monotonicMs() });
  return { records, clock };
}

/** A later process: its monotonic clock begins anew, the wall clock goes on. */
const later = (clock: VirtualClock, ms: number) => new VirtualClock(clock.wallMs() + ms);

describe("ValueStore with records", () => {
  it("holds after a restart what it held before, for the time that was left", () => {
    const { records, clock } = filled();
    const next = later(clock, 2 * hour);
    const { store, counters } = holder({ records, clock: next });
    assert.equal(counters.get("dht.values.loaded"), 1);
    const [held] = store.page({ key: keyNumber(1), asker: "192.0.2.1", from: 0, count: 9 }).values;
    assert.equal(held?.publisher.text, publisher.text);
    assert.deepEqual([...held.value], [...value]);
    assert.equal(store.expire(valueMs - 2 * hour - minute), 0);
    assert.equal(store.expire(valueMs - 2 * hour + minute), 1);
    assert.equal(records.map.size, 0);
  });

  it("renews with one record, and deletes what lapsed meanwhile", () => {
    const { records, clock } = filled();
    const { store } = holder({ records, clock });
    const digest = entryDigest(nodeHashes, keyNumber(1), value);
    clock.advance(hour);
    assert.ok(store.renew(publisher, { count: 1, digest, nowMs: clock.monotonicMs() }));
    assert.equal(records.map.size, 2);
    const twin = new MemoryRecords();
    for (const [name, text] of records.map) twin.put(name, text);
    const { store: same } = holder({ records: twin, clock });
    assert.equal(same.expire(clock.monotonicMs() + valueMs + minute), 1);
    assert.equal(twin.map.size, 0, "the renewal goes with the last value");
    assert.equal(holder({ records, clock: later(clock, valueMs - minute) }).store.size, 1);
    assert.equal(holder({ records, clock: later(clock, valueMs + minute) }).store.size, 0);
    assert.equal(records.map.size, 0);
  });

  it("does not let values live longer because the wall clock was set back", () => {
    const { records, clock } = filled();
    const { store } = holder({ records, clock: later(clock, -1000 * hour) });
    assert.equal(store.size, 1);
    assert.equal(store.expire(valueMs + minute), 1);
  });

  it("keeps the two families apart", () => {
    const { records, clock } = filled();
    assert.equal(holder({ records, clock, family: 6 }).store.size, 0);
    assert.equal(holder({ records, clock, family: 4 }).store.size, 1);
  });

  it("deletes records that it did not write", () => {
    const records = new MemoryRecords();
    const { clock } = holder();
    const untilS = Math.ceil((clock.wallMs() + hour) / 1000);
    const key = Buffer.from(keyNumber(1)).toString("hex");
    const good = `dht!value!4!192.0.2.7:9977!${key}`;
    const wrong: Readonly<Record<string, string>> = {
      [`dht!value!4!192.0.2.7:9977!${key.slice(1)}`]: `[${untilS},"ZGU="]`,
      [`dht!value!4!192.0.2.7!${key}`]: `[${untilS},"ZGU="]`,
      [`dht!value!4!ftp.us.debian.org:80!${key}`]: `[${untilS},"ZGU="]`,
      [`dht!value!4!192.0.2.8:9977!${key}`]: "",
      [`dht!value!4!192.0.2.9:9977!${key}`]: `[${untilS}]`,
      [`dht!value!4!192.0.2.10:9977!${key}`]: `["x","ZGU="]`,
      [`dht!value!4!192.0.2.11:9977!${key}`]: `[${untilS},"${"A".repeat(2000)}"]`,
      "dht!value!4!": `[${untilS},"ZGU="]`,
      "dht!renewed!4!192.0.2.99:1": `${untilS}`,
    };
    for (const [name, text] of Object.entries(wrong)) records.put(name, text);
    records.put(good, `[${untilS},"ZGU="]`);
    records.put("dht!renewed!4!192.0.2.7:9977", "soon");
    assert.equal(holder({ records, clock }).store.size, 1);
    assert.deepEqual([...records.map.keys()], [good, "dht!renewed!4!192.0.2.7:9977"]);
  });

  it("leaves no record of what was evicted, and keeps to a smaller room than before", () => {
    const records = new MemoryRecords();
    const room = { values: 10, bytes: 10_000 };
    const { store, clock } = holder({ records, room });
    for (let n = 0; n < 100; n++) store.store({ key: keyNumber(n), publisher, value, nowMs: 0 });
    assert.equal(store.size, 10);
    assert.equal(records.map.size, 10);
    assert.equal(holder({ records, clock, room: { values: 4, bytes: 10_000 } }).store.size, 4);
    assert.equal(records.map.size, 4);
  });
});
