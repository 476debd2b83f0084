import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { endpoint } from "../../../src/base/endpoint.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { Peer } from "../../../src/swarm/peer.ts";
import { PieceMap } from "../../../src/swarm/piece-map.ts";
import { defaultPolicy, type TransferPolicy } from "../../../src/swarm/policy.ts";
import { Questions } from "../../../src/swarm/questions.ts";

const pieces = 100;

function several(first: number, count: number, have: Peer["have"]): Peer[] {
  return Array.from({ length: count }, (_, index) => {
    const at = endpoint(`192.0.2.${first + index}`, 9977);
    const peer = new Peer({
      ...{ endpoint: at, near: true, group: at.address, state: "unknown", via: "neighbour" },
    });
    peer.have = have;
    return peer;
  });
}

function questionsWith(policy: TransferPolicy, ofPieces = pieces): Questions {
  return new Questions({ policy, random: new SeededRandom(1) }, ofPieces);
}

describe("Questions", () => {
  /** Asks whom it is told to → how many. */
  function ask(questions: Questions, peers: readonly Peer[], nowMs: number, rate?: number): number {
    const due = questions.due(peers, nowMs, rate);
    for (const peer of due) [peer.asking, peer.askedAtMs] = [true, nowMs];
    return due.length;
  }

  function answer(questions: Questions, peers: readonly Peer[]): void {
    for (const peer of peers.filter(({ asking }) => asking)) {
      peer.asking = false;
      questions.answered(peer);
    }
  }

  it("go to a few members at once, and to each again after a pause", () => {
    const questions = questionsWith({ ...defaultPolicy, watchedPeers: 12 });
    const members = several(1, 20, new PieceMap(pieces));
    assert.equal(ask(questions, members, 0), 12);
    assert.equal(ask(questions, members, 1), 0);
    // Those that were too many are next as soon as others have answered.
    answer(questions, members);
    assert.equal(ask(questions, members, 2), 8);
    answer(questions, members);
    assert.equal(ask(questions, members, 499), 0);
    assert.equal(ask(questions, members, 500), 12);
    answer(questions, members);
    // Who comes due within a moment of the others waits for that long.
    assert.equal(ask(questions, members, 520), 8);
  });

  it("go to all members, however long each answer takes", () => {
    const questions = questionsWith({ ...defaultPolicy, watchedPeers: 12 });
    const members = several(1, 20, new PieceMap(pieces));
    const times = new Map<Peer, number>();
    for (let nowMs = 0; nowMs < 60_000; nowMs += 100) {
      for (const peer of members) {
        if (!peer.asking || nowMs - (peer.askedAtMs ?? 0) < 10_000) continue;
        peer.asking = false;
        questions.answered(peer);
      }
      for (const peer of questions.due(members, nowMs, undefined)) {
        [peer.asking, peer.askedAtMs] = [true, nowMs];
        times.set(peer, (times.get(peer) ?? 0) + 1);
      }
    }
    const counts = members.map((peer) => times.get(peer) ?? 0);
    assert.ok(Math.min(...counts) >= 2, counts.join(" "));
  });

  it("are fewer while little comes that could be told of", () => {
    const counts = [20, 1].map((piecesPerSecond) => {
      const questions = questionsWith(defaultPolicy);
      const members = several(1, 10, new PieceMap(pieces));
      let asked = 0;
      for (let nowMs = 0; nowMs < 10_000; nowMs += 20) {
        asked += ask(questions, members, nowMs, piecesPerSecond * 512 * 1024);
        answer(questions, members);
      }
      return asked;
    });
    const [often = 0, seldom = 0] = counts;
    assert.ok(often >= 190 && seldom <= often / 2 && seldom >= 100, counts.join(" and "));
  });

  it("go to strangers once, to so many at a time", () => {
    const questions = questionsWith(defaultPolicy);
    const strangers = several(1, 250, undefined);
    let asked = 0;
    for (let nowMs = 0; nowMs < 2000; nowMs += 10) {
      const count = ask(questions, strangers, nowMs);
      assert.ok(count <= defaultPolicy.askedAtOnce);
      asked += count;
      for (const peer of strangers.filter(({ asking }) => asking)) {
        peer.have = new PieceMap(pieces);
        peer.asking = false;
        questions.changed();
      }
      for (const peer of strangers) if (peer.have !== undefined) peer.restUntilMs = 1e9;
    }
    assert.equal(asked, strangers.length);
  });

  it("are no more in all when there are many members", () => {
    const policy = { ...defaultPolicy, watchedPeers: 1000, newsPeers: 50 };
    const counts = [50, 200].map((count) => {
      const questions = questionsWith(policy);
      const members = several(1, count, new PieceMap(pieces));
      let asked = 0;
      for (let nowMs = 0; nowMs < 10_000; nowMs += 20) {
        asked += ask(questions, members, nowMs);
        answer(questions, members);
      }
      return asked;
    });
    assert.deepEqual(counts, [1000, 1000]);
  });

  it("go to two whole peers, for whom else they know, and not for the smallest files", () => {
    const whole = several(1, 5, "whole");
    assert.equal(ask(questionsWith(defaultPolicy, 4), whole, 0), 0);
    const questions = questionsWith(defaultPolicy);
    assert.equal(ask(questions, whole, 0), 2);
    answer(questions, whole);
    assert.equal(ask(questions, whole, 1900), 0);
    assert.equal(ask(questions, whole, 2000), 2);
  });

  it("wait for whom rests", () => {
    const questions = questionsWith(defaultPolicy);
    const [peer] = several(1, 1, undefined) as [Peer];
    peer.restUntilMs = 300;
    assert.equal(ask(questions, [peer], 0), 0);
    assert.equal(ask(questions, [peer], 299), 0);
    assert.equal(ask(questions, [peer], 300), 1);
  });
});
