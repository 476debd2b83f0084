import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import { compareDistance, randomNodeId } from "../../../src/base/node-id.ts";
import { minute, second } from "../../../src/base/units.ts";
import { PeerBook } from "../../../src/dht/peer-book.ts";
import type { Contact } from "../../../src/dht/types.ts";
import { Walk } from "../../../src/dht/walk.ts";
import type { WalkProgress, WalkResult } from "../../../src/dht/walk.ts";
import type { AnswerFields, Query } from "../../../src/krpc/message.ts";
import type { Outcome } from "../../../src/krpc/transactions.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

const seed = 3;
const own = randomNodeId(new SeededRandom(99));

interface Member extends Contact {
  readonly alive: boolean;
}

/** Answers name the 20 nearest, dead ones as well; the dead fail as patient queries do. */
class World {
  readonly clock = new VirtualClock();
  readonly random = new SeededRandom(seed);
  readonly counters = new Counters();
  readonly book = new PeerBook(100_000);
  readonly askedAtMs: number[] = [];
  readonly members: Member[] = [];
  /** Instead of the members: names that nobody has heard before. */
  endless = false;

  constructor(count: number, deadEvery: number) {
    for (let index = 0; index < count; index++) {
      this.members.push({ ...this.contact(index), alive: index % deadEvery !== 0 });
    }
  }

  contact(index: number): Contact {
    const at = endpoint(`192.0.2.${index % 250}`, 1000 + Math.floor(index / 250));
    return { id: randomNodeId(this.random), endpoint: at, peer: this.book.peer(at) };
  }

  ask = (to: Contact, query: Query, done: (outcome: Outcome) => void): void => {
    this.askedAtMs.push(this.clock.monotonicMs());
    const alive = this.members.find((each) => each.endpoint.text === to.endpoint.text)?.alive;
    if (alive !== true && !this.endless) this.clock.after(6000, () => done({ kind: "failed" }));
    else this.clock.after(80, () => done(this.answer(to, query)));
  };

  answer({ id, endpoint: { port } }: Contact, query: Query): Outcome {
    assert.ok(query.method === "find_node" && query.count === dhtLimits.mostNodes);
    const nodes = this.endless
      ? Array.from({ length: 2 }, () => this.contact(this.members.length + this.fresh++))
      : [...this.members].sort((a, b) => compareDistance(query.target, a.id, b.id)).slice(0, 20);
    const fields: AnswerFields = { nodes };
    const version = port % 2 === 0 ? "AP0.1.0" : "AP0.2.0";
    const envelope = { transaction: "xx", version, seen: undefined, token: undefined };
    return { kind: "answer", rttMs: 80, message: { kind: "answer", ...envelope, id, fields } };
  }

  fresh = 0;

  walk(): { walk: Walk; progress: WalkProgress[]; result: () => WalkResult | undefined } {
    const progress: WalkProgress[] = [];
    let result: WalkResult | undefined;
    const { clock, random, counters } = this;
    const contactOf = (info: { endpoint: Contact["endpoint"]; id: Contact["id"] }): Contact => ({
      ...{ id: info.id, endpoint: info.endpoint, peer: this.book.peer(info.endpoint) },
    });
    const walk = new Walk(
      { asker: this, contactOf, own, clock, random, counters },
      {
        progress: (each) => progress.push(each),
        done: (last) => {
          assert.equal(result, undefined, "the end comes once");
          result = last;
        },
      },
    );
    return { walk, progress, result: () => result };
  }
}

describe("Walk", () => {
  it("finds everybody, dead or alive, within its rate", () => {
    const world = new World(300, 5);
    const { walk, progress, result } = world.walk();
    walk.start(world.members.slice(1, 4));
    assert.ok(world.clock.runUntil(() => result() !== undefined, 5 * minute));
    const { found, answered, silent, queries, versions, nodes, complete } = result()!;
    assert.deepEqual([found, answered, silent, complete], [300, 240, 60, true]);
    assert.equal(nodes.length, 240);
    assert.equal(queries, 2 * 240 + 60);
    assert.equal(world.counters.get("dht.walk.queries"), queries);
    assert.equal(world.counters.get("dht.walk.done"), 1);
    assert.deepEqual([...versions.keys()].sort(), ["AP0.1.0", "AP0.2.0"]);
    assert.equal((versions.get("AP0.1.0") ?? 0) + (versions.get("AP0.2.0") ?? 0), 240);
    assert.ok(progress.length > 5);
    for (const startMs of world.askedAtMs) {
      const inSecond = world.askedAtMs.filter((ms) => ms >= startMs && ms < startMs + second);
      assert.ok(inSecond.length <= dhtLimits.walkQueriesPerSecond, `${inSecond.length} queries`);
    }
    assert.equal(world.clock.pendingTimers, 0, "nothing is left to wait for");
  });

  it("ends at its limits where others name new nodes for ever", () => {
    const world = new World(1, 2);
    world.endless = true;
    const { walk, result } = world.walk();
    walk.start([world.contact(0)]);
    assert.ok(world.clock.runUntil(() => result() !== undefined, 10 * minute));
    assert.equal(result()!.found, dhtLimits.walkNodes);
    assert.equal(result()!.complete, false);
    assert.ok(result()!.queries <= dhtLimits.walkQueries);
  });

  it("ends without anybody, and says nothing after it was cancelled", () => {
    const world = new World(50, 1000);
    const empty = world.walk();
    empty.walk.start([]);
    assert.ok(world.clock.runUntil(() => empty.result() !== undefined, second));
    assert.deepEqual([empty.result()!.found, empty.result()!.complete], [0, true]);
    const { walk, result } = world.walk();
    walk.start(world.members.slice(1));
    world.clock.advance(200);
    walk.cancel();
    const asked = world.askedAtMs.length;
    world.clock.advance(minute);
    assert.equal(world.askedAtMs.length, asked);
    assert.equal(result(), undefined);
  });
});
