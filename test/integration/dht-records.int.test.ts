/** What the DHT keeps over a restart, in a real database and with one that fails or hangs. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "mocha";
import { Counters } from "../../src/base/counters.ts";
import type { Log } from "../../src/base/ports.ts";
import type { KeyValue, KeyValueChange } from "../../src/base/storage.ts";
import { StoredDhtRecords } from "../../src/io/dht-records.ts";
import { LevelKeyValue } from "../../src/io/level-key-value.ts";
import { MemoryKeyValue } from "../../src/sim/memory-key-value.ts";
import { VirtualClock } from "../../src/sim/virtual-clock.ts";

class Lines implements Log {
  readonly events: string[] = [];
  readonly debug = (event: string): void => void this.events.push(event);
  readonly info = this.debug;
  readonly warn = this.debug;
  readonly error = this.debug;
}

/** A database whose batches are seen, and may be held up or fail. */
class Watched implements KeyValue {
  readonly batches: (readonly KeyValueChange[])[] = [];
  readonly #below = new MemoryKeyValue();
  failing = false;
  hold: Promise<void> | undefined;

  get(key: string): string | undefined {
    return this.#below.get(key);
  }
  range(prefix: string): AsyncIterable<readonly [string, string]> {
    if (this.failing) throw new Error("unreadable");
    return this.#below.range(prefix);
  }
  async batch(changes: readonly KeyValueChange[]): Promise<void> {
    this.batches.push(changes);
    await this.hold;
    if (this.failing) throw new Error("disk full");
    await this.#below.batch(changes);
  }
}

async function world(kv: KeyValue = new Watched()) {
  const clock = new VirtualClock();
  const counters = new Counters();
  const log = new Lines();
  const records = await StoredDhtRecords.load({ kv, clock, counters, log });
  return { clock, counters, log, records };
}

describe("StoredDhtRecords", () => {
  describe("on LevelDB", () => {
    let directory: string;
    beforeEach(() => (directory = mkdtempSync(join(tmpdir(), "apt-p2p-records-"))));
    afterEach(() => rmSync(directory, { recursive: true }));

    it("has after a restart what was put before, and only the DHT's", async () => {
      let kv = await LevelKeyValue.open(directory, new Lines());
      await kv.batch([{ key: "cache!x", value: "other" }]);
      const first = (await world(kv)).records;
      assert.deepEqual([...first.initial("dht!")], []);
      for (const key of ["dht!b!2", "dht!a!1", "dht!b!1", "dht!b!3"]) first.put(key, `of ${key}`);
      first.put("dht!b!3", undefined);
      first.put("dht!b!1", "newer");
      assert.deepEqual([...first.initial("dht!")], []);
      await first.close();
      await kv.close();
      kv = await LevelKeyValue.open(directory, new Lines());
      const { records, counters } = await world(kv);
      assert.deepEqual(
        [...records.initial("dht!b!")],
        [
          ["dht!b!1", "newer"],
          ["dht!b!2", "of dht!b!2"],
        ],
      );
      assert.equal([...records.initial("dht!")].length, 3);
      assert.equal(counters.get("io.dhtRecords.loaded"), 3);
      records.release();
      assert.deepEqual([...records.initial("dht!")], []);
      await kv.close();
    });
  });

  it("writes once a second, the last change of each key", async () => {
    const kv = new Watched();
    const { records, clock, counters } = await world(kv);
    records.put("dht!a", "1");
    records.put("dht!a", "2");
    clock.advance(999);
    assert.equal(kv.batches.length, 0);
    records.put("dht!b", undefined);
    clock.advance(1);
    await records.flush();
    assert.deepEqual(kv.batches, [
      [
        { key: "dht!a", value: "2" },
        { key: "dht!b", value: undefined },
      ],
    ]);
    assert.equal(counters.get("io.dhtRecords.written"), 2);
    clock.advance(10_000);
    assert.equal(kv.batches.length, 1);
    records.put("dht!c", "1");
    clock.advance(1000);
    assert.equal(kv.batches.length, 2);
  });

  it("writes at once when 4096 changes wait, and never two batches together", async () => {
    const kv = new Watched();
    const { records, clock } = await world(kv);
    let go: () => void = () => undefined;
    kv.hold = new Promise<void>((resolve) => (go = resolve));
    for (let index = 0; index < 4096; index += 1) records.put(`dht!${index}`, "x");
    assert.equal(kv.batches.length, 1);
    for (let index = 0; index < 5000; index += 1) records.put(`dht!more${index}`, "x");
    clock.advance(5000);
    assert.equal(kv.batches.length, 1);
    go();
    await records.flush();
    assert.deepEqual(
      kv.batches.map((batch) => batch.length),
      [4096, 5000],
    );
    records.put("dht!later", "x");
    clock.advance(1000);
    assert.equal(kv.batches.length, 3);
  });

  it("lets no more than a bound wait for a disk that hangs", async () => {
    const kv = new Watched();
    const { records, counters } = await world(kv);
    let go: () => void = () => undefined;
    kv.hold = new Promise<void>((resolve) => (go = resolve));
    for (let index = 0; index < 4096 + 131_072 + 5; index += 1) records.put(`dht!${index}`, "");
    assert.equal(counters.get("io.dhtRecords.lost"), 5);
    records.put("dht!4096", "a key that waits may change");
    assert.equal(counters.get("io.dhtRecords.lost"), 5);
    go();
    await records.close();
    assert.equal(kv.get("dht!4096"), "a key that waits may change");
  });

  it("forgets what cannot be written, says so once, and goes on", async () => {
    const kv = new Watched();
    const { records, counters, log } = await world(kv);
    kv.failing = true;
    for (const key of ["dht!a", "dht!b"]) {
      records.put(key, "lost");
      await records.flush();
    }
    assert.equal(counters.get("io.dhtRecords.lost"), 2);
    kv.failing = false;
    records.put("dht!c", "kept");
    await records.flush();
    assert.equal(kv.get("dht!a"), undefined);
    assert.equal(kv.get("dht!c"), "kept");
    assert.deepEqual(log.events, ["dht-records-lost", "dht-records-written-again"]);
  });

  it("starts empty when the database cannot be read", async () => {
    const kv = new Watched();
    kv.failing = true;
    const { records, counters, log } = await world(kv);
    assert.deepEqual([...records.initial("dht!")], []);
    assert.equal(counters.get("io.dhtRecords.unread"), 1);
    assert.deepEqual(log.events, ["dht-records-unread"]);
  });

  it("writes what is left when it is closed, and nothing after that", async () => {
    const kv = new Watched();
    const { records, clock, counters } = await world(kv);
    records.put("dht!a", "1");
    await records.close();
    assert.equal(kv.get("dht!a"), "1");
    records.put("dht!b", "1");
    clock.advance(5000);
    await records.close();
    assert.equal(kv.get("dht!b"), undefined);
    assert.equal(counters.get("io.dhtRecords.lost"), 1);
    assert.equal(clock.pendingTimers, 0);
  });

  it("takes no keys of other rooms", async () => {
    const { records } = await world();
    assert.throws(() => records.put("cache!a", "1"), /no key of the DHT/);
  });
});
