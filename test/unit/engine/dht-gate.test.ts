import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import { randomNodeId } from "../../../src/base/node-id.ts";
import { minute, second } from "../../../src/base/units.ts";
import { PeerBook } from "../../../src/dht/peer-book.ts";
import { defaultTable } from "../../../src/dht/policy.ts";
import { RoutingTable } from "../../../src/dht/routing-table.ts";
import type { Asker, Contact } from "../../../src/dht/types.ts";
import { AnnounceGate } from "../../../src/engine/dht-gate.ts";
import type { Proof } from "../../../src/engine/dht-gate.ts";
import type { Query } from "../../../src/krpc/message.ts";
import type { Outcome } from "../../../src/krpc/transactions.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

class World implements Asker {
  readonly clock = new VirtualClock();
  readonly random = new SeededRandom(1);
  readonly counters = new Counters();
  readonly book = new PeerBook();
  readonly table = new RoutingTable(randomNodeId(this.random), defaultTable);
  readonly asked: { readonly to: Contact; readonly query: Query }[] = [];
  lookups = 0;
  /** What nodes say of our port; "silent" for nothing. */
  says: boolean | undefined | "silent" = false;

  add(address: string): Contact {
    const at = endpoint(address, 9977);
    const contact = { id: randomNodeId(this.random), endpoint: at, peer: this.book.peer(at) };
    this.table.add(contact);
    return contact;
  }

  gate(addresses: readonly string[]): AnnounceGate {
    const { clock, random, counters, table } = this;
    const parts = { asker: this, table, clock, random, counters };
    return new AnnounceGate(parts, 4, { tcpPort: 9977, addresses });
  }

  ask(to: Contact, query: Query, done: (outcome: Outcome) => void): void {
    this.asked.push({ to, query });
    const { says } = this;
    this.clock.after(100, () => {
      if (says === "silent") done({ kind: "failed" });
      else {
        const fields = says === undefined ? {} : { reached: says };
        const envelope = { transaction: "xx", version: "", seen: undefined, token: undefined };
        const message = { kind: "answer", ...envelope, id: to.id, fields } as const;
        done({ kind: "answer", message, rttMs: 100 });
      }
    });
  }

  findClosest(_target: unknown, width: number, done: (closest: readonly Contact[]) => void): void {
    this.lookups++;
    this.clock.after(100, () => done([...this.table.contacts()].slice(0, width)));
  }
}

describe("AnnounceGate", () => {
  it("lets those be told that can connect to where we listen", () => {
    const scopes = ["loopback", "private", "global", "unusable"] as const;
    const cases: [string[], boolean[]][] = [
      [
        ["127.0.0.1", "::1"],
        [true, false, false, false],
      ],
      [["0.0.0.0"], [true, true, false, false]],
      [["192.168.1.5"], [false, true, false, false]],
      [["::"], [false, false, false, false]],
      [[], [false, false, false, false]],
    ];
    for (const [addresses, expected] of cases) {
      const gate = new World().gate(addresses);
      assert.deepEqual(
        scopes.map((scope) => gate.allows(scope)),
        expected,
        addresses.join(),
      );
    }
  });

  it("asks three nodes of the Internet to connect before it gives up, and asks again later", () => {
    const world = new World();
    for (let net = 0; net < 6; net++) world.add(`203.0.${net}.1`);
    world.add("203.0.0.2");
    world.add("192.168.1.7");
    const gate = world.gate(["0.0.0.0"]);
    const news: Proof[] = [];
    const review = (): void => gate.review(() => void news.push(gate.proof));
    assert.equal(gate.settled, false);
    review();
    review();
    world.clock.advance(second);
    assert.equal(world.asked.length, 3);
    const nets = world.asked.map(({ to }) => to.endpoint.address.split(".")[2]);
    assert.equal(new Set(nets).size, 3, "each of another network");
    assert.deepEqual(world.asked[0]?.query, { method: "join", port: 9977 });
    assert.deepEqual(
      [news, gate.proof, gate.allows("global")],
      [["unreached"], "unreached", false],
    );
    world.clock.advance(29 * minute);
    review();
    world.clock.advance(second);
    assert.equal(world.asked.length, 3);
    world.clock.advance(minute);
    world.says = true;
    review();
    world.clock.advance(second);
    assert.equal(world.asked.length, 4, "one is enough");
    assert.deepEqual([news, gate.allows("global")], [["unreached", "reached"], true]);
    assert.equal(world.counters.get("dht.dialBack.asked"), 2);
    assert.equal(world.counters.get("dht.dialBack.reached"), 1);
    review();
    world.clock.advance(second);
    assert.equal(world.asked.length, 4);
    gate.moved();
    assert.equal(gate.allows("global"), false);
    review();
    world.clock.advance(second);
    assert.equal(gate.allows("global"), true);
  });

  it("asks again soon where nobody could say anything", () => {
    for (const says of [undefined, "silent"] as const) {
      const world = new World();
      world.says = says;
      world.add("203.0.0.1");
      const gate = world.gate(["0.0.0.0"]);
      gate.review(() => assert.fail("nothing was found out"));
      world.clock.advance(second);
      assert.equal(gate.proof, "unknown");
      world.clock.advance(minute);
      gate.review(() => undefined);
      assert.equal(world.asked.length, 2);
    }
  });

  it("forgets what is said of an address that we have left", () => {
    const world = new World();
    world.add("203.0.0.1");
    world.says = true;
    const gate = world.gate(["0.0.0.0"]);
    gate.review(() => assert.fail("it is about the old address"));
    gate.moved();
    world.clock.advance(second);
    assert.equal(gate.proof, "unknown");
  });

  it("looks up holders where all may be told, and else takes them from the table", () => {
    const world = new World();
    const near = [world.add("192.168.1.7"), world.add("192.168.1.8")];
    const gate = world.gate(["192.168.1.5"]);
    const found: string[][] = [];
    const find = (): void => {
      gate.findClosest(near[0]!.id, 8, (closest) => {
        found.push(closest.map(({ endpoint: { address } }) => address).sort());
      });
      world.clock.advance(second);
    };
    find();
    assert.equal(world.lookups, 1);
    const far = world.add("203.0.113.1");
    find();
    assert.equal(world.lookups, 1);
    assert.deepEqual(found, [
      ["192.168.1.7", "192.168.1.8"],
      ["192.168.1.7", "192.168.1.8"],
    ]);
    const outcomes: string[] = [];
    gate.ask(far, { method: "ping" }, ({ kind }) => outcomes.push(kind));
    gate.ask(near[0]!, { method: "ping" }, ({ kind }) => outcomes.push(kind));
    assert.deepEqual(outcomes, [], "never from inside the call");
    world.clock.advance(second);
    assert.deepEqual(outcomes, ["failed", "answer"]);
    assert.deepEqual(
      world.asked.map(({ to }) => to.endpoint.address),
      ["192.168.1.7"],
    );
  });
});
