/** Who stands in the table, who gives way to whom, and that it finds the closest. */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import fc from "fast-check";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import { commonPrefix, compareDistance, idText, idWithPrefix } from "../../../src/base/node-id.ts";
import type { NodeId } from "../../../src/base/node-id.ts";
import { table2008 } from "../../../src/dht/policy.ts";
import { RoutingTable } from "../../../src/dht/routing-table.ts";
import type { TableSettings } from "../../../src/dht/routing-table.ts";
import type { Contact } from "../../../src/dht/types.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { contactOf, idAt, privateEndpoint, randomId } from "./nodes.ts";

const own = idAt([0, 0]);

const defaultTable: TableSettings = { bucketSizes: [128, 64, 32, 16, 8], rttBias: true };

function table(settings: TableSettings = defaultTable): RoutingTable {
  return new RoutingTable(own, settings);
}

/** Contacts that share so many bits with us, each in a subnet of its own. */
function atDepth(depth: number, count: number, firstHost = 0, srttMs = 100): Contact[] {
  const random = new SeededRandom(1000 * depth + firstHost);
  return Array.from({ length: count }, (_, n) =>
    contactOf(idWithPrefix(own, depth, random), firstHost + n, { srttMs }),
  );
}

describe("RoutingTable", () => {
  it("refuses our own id", () => {
    const some = table();
    assert.equal(some.add(contactOf(own, 1)), "refused");
    assert.equal(some.size, 0);
    assert.equal(some.wants(own), false);
  });

  it("holds as many contacts in a bucket as its depth allows, then keeps some spares", () => {
    for (const [depth, size] of [
      [0, 128],
      [1, 64],
      [2, 32],
      [3, 16],
      [4, 8],
      [9, 8],
    ] as const) {
      const some = table({ ...defaultTable, rttBias: false });
      assert.equal(some.capacity(depth), size);
      const additions = atDepth(depth, size + 20).map((contact) => some.add(contact));
      assert.deepEqual(new Set(additions.slice(0, size)), new Set(["added"]), `depth ${depth}`);
      assert.deepEqual(new Set(additions.slice(size)), new Set(["spare"]), `depth ${depth}`);
      assert.equal(some.size, size);
      assert.equal(some.shape()[depth], size);
    }
    const some = table(table2008);
    for (const contact of atDepth(0, 20)) some.add(contact);
    assert.equal(some.size, 8);
  });

  it("knows a contact that comes again", () => {
    const some = table();
    const contact = contactOf(idAt([0x80]), 1);
    assert.deepEqual([some.add(contact), some.add({ ...contact })], ["added", "known"]);
    assert.equal(some.size, 1);
    assert.equal(some.at(contact.endpoint.text), contact);
  });

  it("lets nobody move an id from a healthy address, only from a failed one", () => {
    const some = table();
    const first = contactOf(idAt([0x80]), 1);
    some.add(first);
    const thief = contactOf(idAt([0x80]), 2);
    assert.equal(some.add(thief), "refused");
    assert.deepEqual(some.closest(first.id, 1), [first]);
    first.peer.failures = 1;
    assert.equal(some.add(thief), "added");
    assert.deepEqual(some.closest(first.id, 5), [thief]);
    assert.equal(some.at(first.endpoint.text), undefined);
    assert.equal(some.size, 1);
  });

  it("takes a new id at a known address in place of the old one", () => {
    const some = table();
    const before = contactOf(idAt([0x80]), 1);
    const after = contactOf(idAt([0x40]), 1);
    some.add(before);
    assert.equal(some.add(after), "added");
    assert.equal(some.size, 1);
    assert.deepEqual(some.closest(before.id, 9), [after]);
    assert.deepEqual(some.shape(), [0, 1]);
    some.remove(before);
    assert.equal(some.size, 1, "what has been replaced removes nobody");
  });

  it("has few global addresses of one /24 in a bucket and in all, however many local ones", () => {
    const some = table();
    const v4 = (last: number) => endpoint(`8.8.8.${last}`, 9977);
    const v6 = (last: number) => endpoint(`2600::${last}`, 9977);
    for (const [kind, net] of [v4, v6].entries()) {
      const additions = [1, 2, 3, 4].map((n) => some.add(contactOf(idAt([0x80, kind], n), net(n))));
      assert.deepEqual(additions, ["added", "added", "refused", "refused"]);
    }
    let added = 4;
    for (let depth = 1; depth < 12; depth++) {
      for (const n of [1, 2, 3]) {
        const id = idWithPrefix(own, depth, new SeededRandom(100 * depth + n));
        if (some.add(contactOf(id, v4(10 * depth + n))) === "added") added++;
      }
    }
    assert.equal(added, 2 + dhtLimits.subnetPerTable);
    const first = some.at(v4(1).text)!;
    some.remove(first);
    assert.equal(some.add(contactOf(idAt([0x80], 9), v4(200))), "added", "a place has come free");
    for (let n = 1; n <= 60; n++) some.add(contactOf(idAt([0x80], 500 + n), privateEndpoint(n)));
    assert.equal([...some.contacts()].filter(({ peer }) => peer.scope === "private").length, 60);
  });

  it("gives the place of the contact that failed most to a newcomer, at any depth", () => {
    for (const depth of [0, 6]) {
      const some = table();
      const contacts = atDepth(depth, some.capacity(depth));
      for (const contact of contacts) some.add(contact);
      contacts[2]!.peer.failures = 1;
      contacts[5]!.peer.failures = 2;
      const [newcomer, next, third] = atDepth(depth, 3, 500, 1000);
      assert.equal(some.add(newcomer!), "replaced");
      assert.equal(some.at(contacts[5]!.endpoint.text), undefined);
      assert.equal(some.add(next!), "replaced");
      assert.equal(some.at(contacts[2]!.endpoint.text), undefined);
      assert.equal(some.add(third!), "spare");
      assert.equal(some.size, contacts.length);
    }
  });

  it("prefers far faster newcomers where buckets are larger than needed, and only there", () => {
    for (const [depth, settings, replaced] of [
      [0, defaultTable, true],
      [3, defaultTable, true],
      [4, defaultTable, false],
      [7, defaultTable, false],
      [0, { ...defaultTable, rttBias: false }, false],
    ] as const) {
      const some = table(settings);
      const contacts = atDepth(depth, some.capacity(depth));
      for (const contact of contacts) some.add(contact);
      contacts[3]!.peer.srttMs = 400;
      const [slow, fast] = [atDepth(depth, 1, 500, 200)[0]!, atDepth(depth, 1, 600, 199)[0]!];
      assert.equal(some.add(slow), "spare", `half as fast is not far faster, depth ${depth}`);
      assert.equal(some.add(fast), replaced ? "replaced" : "spare", `depth ${depth}`);
      assert.equal(some.at(contacts[3]!.endpoint.text) === undefined, replaced);
      assert.equal(some.size, some.capacity(depth));
    }
  });

  it("gives out spares of the removed one's bucket, the latest first, each once, few of them", () => {
    const some = table({ bucketSizes: [4], rttBias: false });
    const contacts = atDepth(0, 4);
    for (const contact of [...contacts, ...atDepth(1, 4, 100)]) some.add(contact);
    const waiting = atDepth(0, 12, 200);
    for (const spare of waiting) assert.equal(some.add(spare), "spare");
    some.add(waiting[11]!);
    assert.equal(some.wants(waiting[0]!.id), false);
    some.remove(contacts[0]!);
    const taken = Array.from({ length: 9 }, () => some.takeSpare(contacts[0]!));
    assert.deepEqual(taken, [...waiting.slice(4).reverse(), undefined]);
    assert.equal(some.takeSpare(atDepth(1, 1)[0]!), undefined);
    assert.equal(some.wants(waiting[0]!.id), true);
  });

  it("names the buckets that were not looked up, down to the deepest with a contact", () => {
    const some = table();
    assert.deepEqual(some.staleBuckets(Infinity), []);
    for (const depth of [0, 2, 5]) some.add(atDepth(depth, 1, 10 * depth)[0]!);
    assert.deepEqual(some.staleBuckets(0), [0, 1, 2, 3, 4, 5]);
    some.noteLookup(atDepth(1, 1)[0]!.id, 1000);
    some.noteLookup(atDepth(5, 1)[0]!.id, 2000);
    some.noteLookup(own, 2000);
    assert.deepEqual(some.staleBuckets(1000), [0, 2, 3, 4]);
    assert.deepEqual(some.staleBuckets(1001), [0, 1, 2, 3, 4]);
    assert.deepEqual(some.staleBuckets(2001), [0, 1, 2, 3, 4, 5]);
    some.remove(some.at(atDepth(5, 1, 50)[0]!.endpoint.text)!);
    assert.deepEqual(some.staleBuckets(0), [0, 2]);
  });

  it("finds the closest as a search through all would", () => {
    const seeds = fc.integer({ min: 0, max: 2 ** 31 });
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 40 }), (seed, count) => {
        const random = new SeededRandom(seed);
        const self = randomId(random);
        const some = new RoutingTable(self, defaultTable);
        for (let n = 0; n < 200; n++) {
          const depth = random.below(10);
          const id = n % 2 === 0 ? randomId(random) : idWithPrefix(self, depth, random);
          some.add(contactOf(id, n));
        }
        const near = idWithPrefix(self, random.below(30), random);
        for (const target of [randomId(random), near, self]) {
          const expected = [...some.contacts()]
            .sort((a, b) => compareDistance(target, a.id, b.id))
            .slice(0, count);
          assert.deepEqual(ids(some.closest(target, count)), ids(expected));
        }
      }),
      { numRuns: 40 },
    );
  });

  it("stays consistent whatever is done with it", () => {
    const step = fc.record({
      what: fc.constantFrom("add", "add", "add", "remove", "fail", "heal"),
      id: fc.integer({ min: 0, max: 60 }),
      host: fc.integer({ min: 0, max: 40 }),
      srttMs: fc.integer({ min: 1, max: 400 }),
    });
    const settings = { bucketSizes: [6, 3], rttBias: true };
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const some = new RoutingTable(own, settings);
        for (const { what, id, host, srttMs } of steps) {
          const where = endpoint(`8.8.${host >> 2}.${host & 3}`, 9977);
          const there = some.at(where.text);
          if (what === "add") some.add(contactOf(manyIds[id]!, where, { srttMs }));
          else if (there === undefined) continue;
          else if (what === "remove") some.remove(there);
          else there.peer.failures = what === "fail" ? 1 : 0;
          consistent(some, settings);
        }
      }),
      { numRuns: 60 },
    );
  });
});

const manyIds: NodeId[] = Array.from({ length: 61 }, (_, n) =>
  n === 60 ? own : idWithPrefix(own, n % 5, new SeededRandom(n)),
);

function ids(contacts: readonly Contact[]): string[] {
  return contacts.map(({ id }) => idText(id));
}

function consistent(some: RoutingTable, settings: TableSettings): void {
  const contacts = [...some.contacts()];
  assert.equal(some.size, contacts.length);
  assert.equal(new Set(ids(contacts)).size, contacts.length, "each id once");
  for (const contact of contacts) assert.equal(some.at(contact.endpoint.text), contact);
  assert.deepEqual(new Set(ids(some.closest(own, 1000))), new Set(ids(contacts)));
  const shape = some.shape();
  const perBucket = new Map<string, number>();
  const perTable = new Map<string, number>();
  const counted = shape.map(() => 0);
  for (const { id, endpoint: at } of contacts) {
    const depth = commonPrefix(own, id);
    counted[depth]!++;
    const net = at.address.slice(0, at.address.lastIndexOf("."));
    perBucket.set(`${depth} ${net}`, (perBucket.get(`${depth} ${net}`) ?? 0) + 1);
    perTable.set(net, (perTable.get(net) ?? 0) + 1);
  }
  assert.deepEqual(shape, counted);
  const sizes = settings.bucketSizes;
  shape.forEach((size, depth) => assert.ok(size <= (sizes[depth] ?? sizes.at(-1)!)));
  assert.ok(Math.max(0, ...perBucket.values()) <= dhtLimits.subnetPerBucket);
  assert.ok(Math.max(0, ...perTable.values()) <= dhtLimits.subnetPerTable);
}
