/** Who enters the table, who is pinged when, and who leaves; and the same with NATs between. */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { Counters } from "../../../src/base/counters.ts";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { commonPrefix, idWithPrefix } from "../../../src/base/node-id.ts";
import type { NodeId } from "../../../src/base/node-id.ts";
import { hour, minute, second } from "../../../src/base/units.ts";
import { Keeper } from "../../../src/dht/keeper.ts";
import type { Peer } from "../../../src/dht/peer-book.ts";
import { defaultTable } from "../../../src/dht/policy.ts";
import { RoutingTable } from "../../../src/dht/routing-table.ts";
import type { Contact } from "../../../src/dht/types.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { acquaint, contactOf, idAt, NodeWorld, privateEndpoint } from "./nodes.ts";

const own = idAt([0, 0]);

function world() {
  const clock = new VirtualClock();
  const counters = new Counters();
  const table = new RoutingTable(own, defaultTable);
  const pings: (readonly [atMs: number, Contact])[] = [];
  const refreshes: (readonly [atMs: number, NodeId])[] = [];
  const ending: (() => void)[] = [];
  const now = () => clock.monotonicMs();
  const asker = {
    ask: (to: Contact) => {
      to.peer.sentAtMs = now();
      pings.push([now(), to]);
    },
    findClosest: () => assert.fail("nobody waits patiently for a refresh"),
  };
  const meet = (target: NodeId, done: () => void): void => {
    refreshes.push([now(), target]);
    table.noteLookup(target, now());
    ending.push(done);
  };
  const random = new SeededRandom(5);
  const keeper = new Keeper({ table, asker, clock, random, counters, own, meet });
  /** A query of the peer came in. */
  const heard = (contact: Contact): void => {
    keeper.heard(contact);
    contact.peer.heardAtMs = now();
    contact.peer.arrivedAtMs = now();
  };
  /** It answered us. */
  const answered = (contact: Contact): void => {
    const silentMs = now() - contact.peer.heardAtMs;
    contact.peer.heardAtMs = now();
    contact.peer.arrivedAtMs = now();
    contact.peer.failures = 0;
    keeper.answered(contact, silentMs);
  };
  const inTable = (contact: Contact): boolean => table.at(contact.endpoint.text) === contact;
  const settled = (n: number, known: Partial<Peer> = {}): Contact => {
    const contact = contactOf(idAt([0x80, n]), n, { heardAtMs: now(), ...known });
    keeper.answered(contact, Infinity);
    Object.assign(contact.peer, known);
    return contact;
  };
  const pinged = (contact: Contact): number[] =>
    pings.flatMap(([atMs, to]) => (to === contact ? [atMs] : []));
  const parts = { clock, counters, table, keeper, pings, refreshes, ending };
  return { ...parts, heard, answered, inTable, settled, pinged };
}

describe("Keeper: quarantine", () => {
  it("pings at once who asked first, and again when its pinhole has closed; then it enters", () => {
    const { clock, counters, keeper, heard, answered, inTable, pinged } = world();
    const newcomer = contactOf(idAt([0x80]), 1);
    keeper.start();
    heard(newcomer);
    assert.deepEqual(pinged(newcomer), [0]);
    assert.equal(keeper.quarantined, 1);
    clock.advance(50);
    answered(newcomer);
    assert.equal(inTable(newcomer), false);
    clock.advance(dhtLimits.pinholeMs);
    const [, again, ...more] = pinged(newcomer);
    assert.deepEqual(more, []);
    clock.advance(2 * dhtLimits.upkeepMs);
    const atMs = again ?? pinged(newcomer)[1];
    assert.ok(atMs !== undefined && atMs - 50 >= dhtLimits.pinholeMs, `pinged again at ${atMs}`);
    assert.equal(counters.get("dht.contact.repinged"), 1);
    answered(newcomer);
    assert.equal(inTable(newcomer), true);
    assert.equal(keeper.quarantined, 0);
    assert.equal(newcomer.peer.provenAtMs, clock.monotonicMs());
    assert.deepEqual(
      [counters.get("dht.quarantine.in"), counters.get("dht.contact.added")],
      [1, 1],
    );
  });

  it("waits longer for the silence of one that speaks meanwhile", () => {
    const { clock, keeper, heard, answered, pinged } = world();
    const newcomer = contactOf(idAt([0x80]), 1);
    keeper.start();
    heard(newcomer);
    answered(newcomer);
    clock.advance(5 * minute);
    heard(newcomer);
    clock.advance(5 * minute);
    assert.deepEqual(pinged(newcomer), [0], "heard five minutes ago");
    clock.advance(2 * minute);
    assert.equal(pinged(newcomer).length, 2);
  });

  it("takes in at once who answers although nothing had come from it", () => {
    const { heard, answered, inTable, keeper } = world();
    const known = contactOf(idAt([0x80]), 1);
    answered(known);
    assert.equal(inTable(known), true);
    const neighbour = contactOf(idAt([0x81]), privateEndpoint(5));
    heard(neighbour);
    answered(neighbour);
    assert.equal(inTable(neighbour), true, "no NAT is between us and our own network");
    assert.equal(keeper.quarantined, 0);
  });

  it("believes a newcomer that is never silent after a while, and not before", () => {
    const { clock, keeper, heard, answered, inTable } = world();
    const newcomer = contactOf(idAt([0x80]), 1);
    keeper.start();
    for (let ms = 0; ms < dhtLimits.quarantineMs; ms += minute) {
      heard(newcomer);
      clock.advance(second);
      answered(newcomer);
      assert.equal(inTable(newcomer), false, `after ${ms}`);
      clock.advance(minute - second);
    }
    answered(newcomer);
    assert.equal(inTable(newcomer), true);
  });

  it("forgets a newcomer that does not answer, or that says it cannot be reached", () => {
    const { keeper, heard, inTable, pings } = world();
    const [silent, behindNat] = [contactOf(idAt([0x80]), 1), contactOf(idAt([0x81]), 2)];
    heard(silent);
    heard(behindNat);
    keeper.failed(silent);
    keeper.unreachable(behindNat);
    assert.equal(keeper.quarantined, 0);
    assert.deepEqual([inTable(silent), inTable(behindNat)], [false, false]);
    assert.equal(pings.length, 2);
  });

  it("pings nobody twice for asking often, and nobody for whom there is no place", () => {
    const { table, heard, pings, settled } = world();
    const newcomer = contactOf(idAt([0x80]), 1);
    for (let n = 0; n < 50; n++) heard(newcomer);
    assert.equal(pings.length, 1);
    heard(settled(7));
    assert.equal(pings.length, 1);
    const random = new SeededRandom(1);
    for (let n = 0; n < table.capacity(9) + dhtLimits.sparesPerBucket; n++) {
      table.add(contactOf(idWithPrefix(own, 9, random), 100 + n, { srttMs: 50 }));
    }
    heard(contactOf(idWithPrefix(own, 9, random), 500));
    heard(contactOf(own, 501));
    assert.equal(pings.length, 1);
  });

  it("holds a bounded number of newcomers", () => {
    const { counters, keeper, heard } = world();
    const random = new SeededRandom(2);
    for (let n = 0; n < dhtLimits.quarantine + 40; n++) {
      heard(contactOf(idWithPrefix(own, 0, random), n));
    }
    assert.equal(keeper.quarantined, dhtLimits.quarantine);
    assert.equal(counters.get("dht.quarantine.full"), 40);
  });
});

describe("Keeper: contacts", () => {
  it("evicts after three failures, not before, and asks a spare of the bucket", () => {
    const { counters, table, keeper, inTable, pinged } = world();
    const random = new SeededRandom(3);
    const at = (host: number): Contact =>
      contactOf(idWithPrefix(own, 9, random), host, { srttMs: 50, heardAtMs: 0, provenAtMs: 0 });
    const contacts = Array.from({ length: table.capacity(9) }, (_, n) => at(n));
    for (const contact of contacts) table.add(contact);
    const spare = at(300);
    assert.equal(table.add(spare), "spare");
    const [dying] = contacts;
    for (const failures of [1, 2]) {
      dying!.peer.failures = failures;
      keeper.failed(dying!);
      assert.equal(inTable(dying!), true);
    }
    dying!.peer.failures = dhtLimits.failuresToEvict;
    keeper.failed(dying!);
    assert.equal(inTable(dying!), false);
    assert.equal(counters.get("dht.contact.evicted"), 1);
    assert.equal(pinged(spare).length, 1);
    assert.equal(inTable(spare), false, "not before it has answered");
  });

  it("removes whom somebody else answers for, and nobody else at that address", () => {
    const { counters, keeper, heard, inTable, settled } = world();
    const contact = settled(1);
    const newcomer = contactOf(idAt([0x90]), 2);
    heard(newcomer);
    for (const host of [1, 2]) keeper.gone(contactOf(idAt([0x77]), host));
    assert.deepEqual([inTable(contact), keeper.quarantined], [true, 1], "a forged id");
    keeper.gone(contact);
    keeper.gone(newcomer);
    assert.deepEqual([inTable(contact), keeper.quarantined], [false, 0]);
    assert.equal(counters.get("dht.contact.evicted"), 1);
  });

  it("removes who says that it cannot be reached", () => {
    const { counters, keeper, inTable, settled } = world();
    const contact = settled(1);
    keeper.unreachable(contact);
    assert.equal(inTable(contact), false);
    assert.equal(counters.get("dht.contact.readOnly"), 1);
  });

  it("pings young contacts more often than old ones", () => {
    const { clock, keeper, answered, pinged, settled } = world();
    const young = settled(1);
    const old = settled(2, { provenAtMs: -10 * hour });
    keeper.start();
    const gaps = (contact: Contact): number[] => {
      const times = pinged(contact);
      return times.slice(1).map((atMs, n) => atMs - times[n]!);
    };
    let [answeredYoung, answeredOld] = [0, 0];
    for (let ms = 0; ms < 2 * hour; ms += second) {
      clock.advance(second);
      if (pinged(young).length > answeredYoung) (answered(young), answeredYoung++);
      if (pinged(old).length > answeredOld) (answered(old), answeredOld++);
    }
    const slack = 2 * dhtLimits.upkeepMs;
    assert.ok(gaps(young)[0]! < dhtLimits.youngSilentMs + slack, `${gaps(young)[0]}`);
    assert.ok(gaps(young)[0]! >= dhtLimits.youngSilentMs, gaps(young).join());
    assert.ok(gaps(young).at(-1)! >= dhtLimits.contactSilentMs, "it has grown old");
    assert.ok(gaps(old).length > 5, gaps(old).join());
    for (const gap of gaps(old)) {
      assert.ok(
        gap >= dhtLimits.contactSilentMs && gap < dhtLimits.contactSilentMs + slack,
        `${gap}`,
      );
    }
  });

  it("pings nobody who was heard lately, and a failing one at growing intervals", () => {
    const { clock, keeper, pinged, settled } = world();
    const talker = settled(1);
    const failing = settled(2, { failures: 1, sentAtMs: 0 });
    keeper.start();
    for (let ms = 0; ms < 10 * minute; ms += minute) {
      talker.peer.heardAtMs = clock.monotonicMs();
      talker.peer.arrivedAtMs = clock.monotonicMs();
      clock.advance(minute);
      if (ms === 5 * minute) failing.peer.failures = 2;
    }
    assert.deepEqual(pinged(talker), []);
    const times = pinged(failing);
    const gaps = times.slice(1).map((atMs, n) => atMs - times[n]!);
    const first = gaps.slice(0, 3);
    const last = gaps.slice(-2);
    assert.ok(Math.min(...first) >= dhtLimits.failedRetryMs, first.join());
    assert.ok(Math.max(...first) < Math.min(...last), `${first.join()} then ${last.join()}`);
  });

  it("pings a bounded number at a time, and everybody in the end", () => {
    const { clock, keeper, pings } = (() => {
      const made = world();
      for (let n = 0; n < 100; n++) made.settled(n, { heardAtMs: -hour });
      return made;
    })();
    keeper.start();
    const seen = new Set<string>();
    while (seen.size < 100) {
      const before = pings.length;
      clock.advance(dhtLimits.upkeepMs / 2);
      const fresh = pings.slice(before);
      assert.ok(fresh.length <= dhtLimits.upkeepPings, `${fresh.length}`);
      for (const [atMs, { endpoint, peer }] of fresh) {
        seen.add(endpoint.text);
        peer.heardAtMs = atMs;
        peer.arrivedAtMs = atMs;
      }
      assert.ok(clock.monotonicMs() < 5 * minute, `${seen.size} pinged`);
    }
    keeper.stop();
    assert.equal(clock.pendingTimers, 0);
  });

  it("looks up an id of each bucket where none was looked up for an hour, one at a time", () => {
    const { clock, counters, table, keeper, refreshes, ending } = world();
    const random = new SeededRandom(4);
    for (const depth of [0, 1, 2, 3]) table.add(contactOf(idWithPrefix(own, depth, random), depth));
    keeper.start();
    clock.advance(10 * minute);
    assert.equal(counters.get("dht.bucket.refreshed"), 1, "the first has not ended");
    for (let n = 0; n < 60; n++) {
      ending.splice(0).forEach((end) => end());
      clock.advance(dhtLimits.upkeepMs);
    }
    const depths = refreshes.map(([, target]) => commonPrefix(own, target));
    assert.deepEqual([...depths].sort(), [0, 1, 2, 3]);
    assert.equal(counters.get("dht.bucket.refreshed"), 4);
    ending.splice(0).forEach((end) => end());
    clock.advance(dhtLimits.bucketRefreshMs);
    assert.ok(counters.get("dht.bucket.refreshed") > 4, "and again an hour later");
  });

  it("names the good ones to others; newcomers that answered only while there are few", () => {
    const { keeper, heard, answered, settled } = world();
    const target = idAt([0x80]);
    const few = [settled(1), settled(2), settled(3, { failures: 1 })];
    const [silent, met] = [contactOf(idAt([0x80, 50]), 50), contactOf(idAt([0x80, 51]), 51)];
    heard(silent);
    heard(met);
    answered(met);
    assert.deepEqual(keeper.closest(target, 8), [few[0], few[1], met]);
    for (let n = 4; n < 14; n++) settled(n);
    const named = keeper.closest(target, 8);
    assert.equal(named.length, 8, "the failing one's place goes to the next good one");
    assert.ok(
      !named.includes(met) && !named.includes(few[2]!),
      "neither newcomers nor the failing",
    );
  });
});

describe("Keeper: on a network with NATs", () => {
  it("lets a reachable newcomer in, and never one behind a NAT", async () => {
    const some = new NodeWorld(11);
    const open = Array.from({ length: 12 }, (_, n) => some.add(n));
    acquaint(open);
    for (const { node } of open) node.start();
    const first = [open[0]!.port.endpoint];
    const kinds = ["port-restricted", "symmetric", "address-restricted"] as const;
    const hidden = kinds.map((kind, n) =>
      some.add(100 + n, {
        bootstrap: () => first,
        host: { nat: { kind, pinholeMs: 2 * minute } },
      }),
    );
    const reachable = some.add(200, { bootstrap: () => first });
    for (const { node } of [...hidden, reachable]) node.start();
    const knows = (text: string): number =>
      open.filter(({ node }) => node.table.at(text) !== undefined).length;
    for (let n = 0; n < 28; n++) {
      const present = open.flatMap(({ node }) => [...node.table.contacts()]);
      for (const { node } of hidden) {
        assert.equal(present.filter(({ id }) => id === node.id).length, 0, `after ${n}`);
      }
      await some.pass(5 * minute, 5 * second);
    }
    assert.ok(knows(reachable.port.endpoint.text) >= 8, `${knows(reachable.port.endpoint.text)}`);
    for (const { node } of hidden) {
      assert.equal(node.reachability.state(some.clock.monotonicMs()), "unreachable");
      assert.ok(node.table.size >= 10, "it asks and learns all the same");
    }
  });
});
