import { describe, it } from "mocha";
import assert from "node:assert/strict";
import type { Finder, FindRound } from "../../../src/engine/finder.ts";
import { enoughPeers, Search } from "../../../src/engine/search.ts";
import { digestOf } from "../../kit/peer-world.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

const sha256 = digestOf(Buffer.from("a file"));

/** A search that remembers its rounds. */
function search(sizeBytes: number, answering: () => number) {
  const clock = new VirtualClock();
  const rounds: FindRound[] = [];
  const find: Finder["find"] = (_sha256, _sizeBytes, _events, how) => {
    rounds.push(how ?? { where: undefined, again: false });
    return { cancel: () => undefined };
  };
  const finder: Finder = {
    ...{ known: true, neighbours: 0, hopeful: () => true, find, useful: () => undefined },
  };
  const nothing = () => undefined;
  const events = { peers: nothing, list: nothing, done: nothing };
  const parts = { finder, clock, random: new SeededRandom(1), answering };
  return { clock, rounds, search: new Search(parts, sha256, sizeBytes, events) };
}

describe("Search", () => {
  it("asks everybody first, then the neighbours again, and now and then the DHT", () => {
    const bed = search(20e6, () => 0);
    bed.search.start();
    bed.clock.advance(20_000);
    assert.ok(bed.rounds.length >= 6 && bed.rounds.length <= 9, `${bed.rounds.length} rounds`);
    assert.deepEqual(bed.rounds.slice(0, 5), [
      { where: undefined, again: false },
      ...[1, 2, 3].map(() => ({ where: "near", again: true })),
      { where: undefined, again: true },
    ]);
    bed.search.cancel();
    assert.equal(bed.clock.pendingTimers, 0);
  });

  it("asks ever more seldom as long as somebody answers", () => {
    let answering = 5;
    const bed = search(20e6, () => answering);
    bed.search.start();
    bed.clock.advance(240_000);
    assert.ok(bed.rounds.length >= 7 && bed.rounds.length <= 14, `${bed.rounds.length} rounds`);
    assert.ok(bed.rounds.filter(({ where }) => where === undefined).length >= 2);
    // They have left: somebody is wanted at once.
    answering = 0;
    bed.rounds.length = 0;
    bed.clock.advance(7000);
    assert.notEqual(bed.rounds.length, 0);
    bed.search.cancel();
  });

  it("looks for nobody else while enough answer, and goes on when they leave", () => {
    let answering = enoughPeers;
    const bed = search(20e6, () => answering);
    bed.search.start();
    bed.clock.advance(20_000);
    assert.equal(bed.rounds.splice(0).length, 1);
    answering--;
    bed.clock.advance(7000);
    assert.notEqual(bed.rounds.length, 0);
    bed.search.cancel();
  });

  it("asks once about a short file", () => {
    const bed = search(1000, () => 0);
    bed.search.start();
    bed.clock.advance(20_000);
    assert.equal(bed.rounds.length, 1);
  });
});
