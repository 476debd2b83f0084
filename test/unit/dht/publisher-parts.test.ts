import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { endpoint } from "../../../src/base/endpoint.ts";
import {
  commonPrefix,
  compareDistance,
  idText,
  idWithPrefix,
  randomNodeId,
  sameId,
} from "../../../src/base/node-id.ts";
import type { NodeId } from "../../../src/base/node-id.ts";
import { PeerBook } from "../../../src/dht/peer-book.ts";
import { holdersPerKey } from "../../../src/dht/publish-limits.ts";
import { PublishRecords } from "../../../src/dht/publish-records.ts";
import { PublishTable } from "../../../src/dht/publish-table.ts";
import { farthestWithin, NetworkView } from "../../../src/dht/publish-view.ts";
import type { Contact } from "../../../src/dht/types.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { MemoryRecords } from "./publisher-network.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

describe("farthestWithin()", () => {
  it(`is the largest distance of any id in the radius (SEED=${seed})`, () => {
    const random = new SeededRandom(seed);
    for (let round = 0; round < 300; round++) {
      const apart = random.below(256);
      const radius = random.below(256);
      let farthest = 0;
      for (let id = 0; id <= radius; id++) farthest = Math.max(farthest, id ^ apart);
      assert.equal(farthestWithin(apart, radius), farthest, `${apart} ${radius}`);
    }
    assert.equal(farthestWithin(0x80000000, 0xffffffff), 0xffffffff);
    assert.equal(farthestWithin(0xffffffff, 0), 0xffffffff);
  });
});

describe("NetworkView", () => {
  const book = new PeerBook(10);
  const contacts = (random: SeededRandom, count: number): Contact[] =>
    Array.from({ length: count }, (_, index) => {
      const at = endpoint(`192.0.2.${index & 255}`, 1000 + index);
      return { id: randomNodeId(random), endpoint: at, peer: book.peer(at) };
    });
  const closest = (all: readonly Contact[], target: NodeId, count: number): Contact[] =>
    [...all].sort((a, b) => compareDistance(target, a.id, b.id)).slice(0, count);

  it(`never errs about the closest nodes of a key, and serves whole blocks (SEED=${seed})`, () => {
    const random = new SeededRandom(seed);
    let served = 0;
    for (let round = 0; round < 20; round++) {
      const all = contacts(random, 300);
      const target = randomNodeId(random);
      const view = new NetworkView(target, closest(all, target, 20), { k: 8, width: 20 });
      for (let each = 0; each < 40; each++) {
        const key = idWithPrefix(target, random.below(9), random);
        const found = view.closestTo(key)?.slice(0, 8);
        if (found === undefined) continue;
        assert.ok(commonPrefix(key, target) >= view.sharedBits, "beyond the shared bits");
        assert.deepEqual(found, closest(all, key, 8), `key ${idText(key)}`);
        served++;
      }
      assert.deepEqual(view.closestTo(target)?.slice(0, 8), closest(all, target, 8));
      for (const { id } of all) {
        if (view.knows(id)) assert.ok(view.contacts.some((contact) => sameId(contact.id, id)));
      }
    }
    // Half of the keys share four bits or more with the target: a block of some 19 nodes.
    assert.ok(served > 200, `${served} of 800 served`);
  });

  it("knows the whole network when the lookup found fewer nodes than it wanted", () => {
    const random = new SeededRandom(3);
    const all = contacts(random, 5);
    const target = randomNodeId(random);
    const view = new NetworkView(target, closest(all, target, 20), { k: 8, width: 20 });
    const key = randomNodeId(random);
    assert.ok(view.complete);
    assert.deepEqual(view.closestTo(key), closest(all, key, 5));
    const gone = all[2];
    assert.ok(gone !== undefined);
    view.remove({ ...gone });
    assert.ok(view.closestTo(key)?.every(({ id }) => !sameId(id, gone.id)));
    assert.equal(view.contacts.length, 4);
  });
});

describe("PublishTable", () => {
  it(`agrees with a plain map of sets (SEED=${seed})`, () => {
    const random = new SeededRandom(seed);
    const table = new PublishTable();
    const digest = new Uint8Array(16);
    const model = new Map<string, { key: NodeId; places: Map<number, boolean> }>();
    const pool = Array.from({ length: 300 }, () => randomNodeId(random));
    for (let step = 0; step < 6000; step++) {
      const key = random.pick(pool);
      const known = model.get(idText(key));
      const slot = table.find(key);
      assert.equal(slot !== undefined, known !== undefined);
      if (known === undefined || slot === undefined) {
        table.add(key, new Uint8Array(1), digest);
        model.set(idText(key), { key, places: new Map() });
        continue;
      }
      const holder = random.below(20);
      const there = known.places.get(holder);
      if (random.chance(0.02)) {
        for (const index of known.places.keys()) table.release(slot, index);
        table.remove(slot);
        model.delete(idText(key));
      } else if (there === undefined) {
        const free = known.places.size < holdersPerKey;
        assert.equal(table.assign(slot, holder), free);
        if (free) known.places.set(holder, false);
      } else if (random.chance(0.4)) {
        table.release(slot, holder);
        known.places.delete(holder);
      } else {
        assert.equal(table.setHeld(slot, holder, !there), true);
        assert.equal(table.setHeld(slot, holder, !there), false);
        known.places.set(holder, !there);
      }
    }
    const sorted = [...model.values()].sort((a, b) => (idText(a.key) < idText(b.key) ? -1 : 1));
    let pending = 0;
    assert.equal(table.size, sorted.length);
    for (const [at, { key, places }] of sorted.entries()) {
      const slot = table.slots()[at] ?? -1;
      assert.equal(table.find(key), slot);
      assert.equal(table.after(key), table.slots()[at + 1]);
      assert.deepEqual(
        table.holders(slot).sort((a, b) => a - b),
        [...places.keys()].sort((a, b) => a - b),
      );
      assert.equal(table.holderCount(slot), places.size);
      assert.equal(table.isHeldAnywhere(slot), [...places.values()].includes(true));
      for (const [holder, held] of places) {
        assert.equal(table.isHeld(slot, holder), held);
        if (!held) pending++;
        assert.ok(table.slotsOf(holder).includes(slot));
      }
    }
    assert.equal(table.pendingCount, pending);
    for (const bits of [0, 1, 3, 8, 160]) {
      const key = random.pick(pool);
      const shared = sorted.filter((entry) => commonPrefix(entry.key, key) >= bits);
      assert.deepEqual(
        table.sharing(key, bits),
        shared.map((entry) => table.find(entry.key)),
      );
    }
  });
});

describe("PublishRecords", () => {
  it("gives back what was put, and deletes what nobody can read", () => {
    const random = new SeededRandom(5);
    const stored = new MemoryRecords();
    const records = new PublishRecords(stored, 6);
    const info = { id: randomNodeId(random), endpoint: endpoint("2001:db8::7", 9977) };
    const key = { key: randomNodeId(random), digest: random.bytes(16), holders: [3, 40_000] };
    records.putHolder({ index: 3, info, goodWallMs: 1234.5 });
    records.putKey(key);
    const node = "dht!publish6!node!";
    for (const [name, text] of [
      ["x", "[]"],
      ["70000", JSON.stringify([idText(info.id), "192.0.2.1:1", 1])],
      ["5", JSON.stringify([idText(info.id), "ftp.us.debian.org:1", 1])],
      ["6", JSON.stringify(["ab", "192.0.2.1:1", 1])],
      ["7", "{"],
    ] as const) {
      stored.put(node + name, text);
    }
    stored.put(`dht!publish6!key!${"0".repeat(40)}`, '["AAAA",1]');
    stored.put(`dht!publish6!key!${"1".repeat(40)}`, '["AAAAAAAAAAAAAAAAAAAAAA","1"]');
    stored.put("dht!publish4!key!other", "kept");
    assert.deepEqual([...records.holders()], [{ index: 3, info, goodWallMs: 1235 }]);
    assert.deepEqual([...records.keys()], [key]);
    assert.equal(stored.map.size, 3);
    records.removeHolder(3);
    records.removeKey(key.key);
    assert.deepEqual([...stored.map.keys()], ["dht!publish4!key!other"]);
  });
});
