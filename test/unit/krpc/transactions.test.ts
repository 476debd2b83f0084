/** Queries under way: what counts as their answer, and when they are sent, suspected and given up. */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import fc from "fast-check";
import { Counters } from "../../../src/base/counters.ts";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import type { Endpoint } from "../../../src/base/endpoint.ts";
import type { QueryMessage } from "../../../src/krpc/message.ts";
import { Transactions } from "../../../src/krpc/transactions.ts";
import type { Outcome, Schedule } from "../../../src/krpc/transactions.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { answer, query } from "./messages.ts";

const peer = endpoint("192.0.2.7", 9977);
const schedule: Schedule = { resendMs: [2000, 6000], suspectMs: 3000, failMs: 9000 };

function world() {
  const clock = new VirtualClock();
  const counters = new Counters();
  const sent: (readonly [atMs: number, to: string])[] = [];
  const port = { send: (to: Endpoint) => void sent.push([clock.monotonicMs(), to.text]) };
  const random = new SeededRandom(1);
  const transactions = new Transactions({ clock, random, port, counters });
  const events: string[] = [];
  const note = (what: string) => void events.push(`${clock.monotonicMs()} ${what}`);
  const outcomes: Outcome[] = [];
  const ask = (to = peer, plan = schedule, transaction = transactions.transaction()) => {
    const message = query({ method: "ping" }, { transaction });
    const pending = transactions.ask(to, message, plan, {
      done: (outcome) => {
        outcomes.push(outcome);
        note(outcome.kind);
      },
      suspect: () => note("suspect"),
      resent: () => note("resent"),
    });
    return { message, ...pending };
  };
  return { clock, counters, sent, transactions, events, outcomes, ask };
}

const reply = ({ transaction }: QueryMessage) => answer({ transaction });

describe("Transactions", () => {
  it("takes an answer with the query's id from the address asked, with its round trip", () => {
    const { clock, transactions, outcomes, ask } = world();
    const { message } = ask();
    clock.advance(70);
    const right = reply(message);
    assert.equal(transactions.receive(peer, right), true);
    assert.deepEqual(outcomes, [{ kind: "answer", message: right, rttMs: 70 }]);
    assert.equal(transactions.size, 0);
    clock.advance(20_000);
    assert.equal(outcomes.length, 1);
  });

  it("ignores answers from another port, another address, with another id, replayed and late", () => {
    const { clock, transactions, events, ask } = world();
    const { message } = ask();
    const right = reply(message);
    assert.equal(transactions.receive(endpoint("192.0.2.7", 9978), right), false, "port");
    assert.equal(transactions.receive(endpoint("192.0.2.8", 9977), right), false, "address");
    assert.equal(transactions.receive(peer, { ...right, transaction: "zzzz" }), false, "id");
    assert.equal(events.length, 0);
    assert.equal(transactions.receive(peer, right), true);
    assert.equal(transactions.receive(peer, right), false, "replayed");
    const late = ask();
    clock.advance(9000);
    assert.equal(transactions.receive(peer, reply(late.message)), false, "late");
    assert.deepEqual(events.at(-1), "9000 failed");
    assert.equal(events.filter((event) => / (answer|failed)/.test(event)).length, 2);
  });

  it("hands over an error of the peer as what it is", () => {
    const { transactions, outcomes, ask } = world();
    const { transaction } = ask().message;
    const error = { kind: "error", transaction, version: "", code: 205, text: "" } as const;
    assert.equal(transactions.receive(peer, error), true);
    assert.deepEqual(outcomes, [{ kind: "error", message: error }]);
  });

  it("sends, suspects and gives up exactly by the schedule", () => {
    const { clock, counters, sent, transactions, events, ask } = world();
    clock.advance(500);
    ask();
    assert.deepEqual(sent, [[500, peer.text]]);
    clock.advance(60_000);
    const times = sent.map(([atMs]) => atMs);
    assert.deepEqual(times, [500, 2500, 6500]);
    const expected = ["2500 resent", "3500 suspect", "6500 resent", "9500 failed"];
    assert.deepEqual(events, expected);
    assert.equal(counters.get("dht.query.resent"), 2);
    assert.equal(transactions.size, 0);
    assert.equal(clock.pendingTimers, 0);
  });

  it("suspects before it fails when both are due, and takes an answer in between", () => {
    const { clock, transactions, events, ask } = world();
    ask(peer, { resendMs: [], suspectMs: 100, failMs: 100 });
    clock.advance(100);
    assert.deepEqual(events, ["100 suspect", "100 failed"]);
    const { message } = ask(peer, { resendMs: [100], suspectMs: 100, failMs: 300 });
    clock.advance(250);
    assert.deepEqual(events.slice(2), ["200 suspect", "200 resent"]);
    assert.equal(transactions.receive(peer, reply(message)), true);
    clock.advance(1000);
    assert.deepEqual(events.slice(4), ["350 answer"]);
  });

  it("follows any schedule", () => {
    const times = fc.integer({ min: 1, max: 5000 });
    fc.assert(
      fc.property(fc.uniqueArray(times, { maxLength: 5 }), times, times, (list, extra, suspect) => {
        const resendMs = [...list].sort((a, b) => a - b);
        const failMs = (resendMs.at(-1) ?? 0) + extra;
        const suspectMs = Math.min(suspect, failMs);
        const { clock, sent, events, ask } = world();
        ask(peer, { resendMs, suspectMs, failMs });
        clock.advance(20_000);
        assert.deepEqual(
          sent.map(([atMs]) => atMs),
          [0, ...resendMs],
        );
        assert.ok(events.includes(`${suspectMs} suspect`));
        assert.equal(events.at(-1), `${failMs} failed`);
        assert.equal(events.length, resendMs.length + 2);
      }),
    );
  });

  it("says nothing and sends nothing after it was cancelled, also by the suspect handler", () => {
    const { clock, sent, transactions, events, ask } = world();
    const { cancel, message } = ask();
    clock.advance(2500);
    cancel();
    cancel();
    assert.equal(transactions.receive(peer, reply(message)), false);
    clock.advance(20_000);
    assert.deepEqual([sent.length, events], [2, ["2000 resent"]]);
    const other = query({ method: "ping" }, { transaction: "next" });
    const pending = transactions.ask(peer, other, schedule, {
      done: () => assert.fail("cancelled"),
      suspect: () => pending.cancel(),
    });
    clock.advance(20_000);
    assert.equal(sent.length, 4, "sent, and once again before it was suspected");
    assert.equal(clock.pendingTimers, 0);
  });

  it("sends no more when told so, and still takes the answer, or gives up in time", () => {
    const { clock, sent, transactions, events, ask } = world();
    const first = ask();
    clock.advance(2500);
    first.sendNoMore();
    clock.advance(5000);
    assert.equal(transactions.receive(peer, reply(first.message)), true);
    ask().sendNoMore();
    clock.advance(60_000);
    assert.equal(sent.length, 3);
    const times = ["2000 resent", "3000 suspect", "7500 answer", "10500 suspect", "16500 failed"];
    assert.deepEqual(events, times);
    assert.equal(clock.pendingTimers, 0);
  });

  it("keeps a later query alive when an earlier one with its id is cancelled too late", () => {
    const { clock, transactions, outcomes, ask } = world();
    const first = ask(peer, schedule, "same");
    transactions.receive(peer, reply(first.message));
    const second = ask(peer, schedule, "same");
    first.cancel();
    clock.advance(100);
    assert.equal(transactions.receive(peer, reply(second.message)), true);
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ["answer", "answer"],
    );
  });

  it("refuses a second query with the same id to the same address, not to another", () => {
    const { clock, counters, transactions, outcomes, ask } = world();
    const first = ask(peer, schedule, "same");
    ask(peer, schedule, "same");
    const other = endpoint("192.0.2.8", 9977);
    ask(other, schedule, "same");
    assert.equal(outcomes.length, 0, "never from inside the call");
    clock.advance(1);
    assert.deepEqual([counters.get("dht.query.refused"), outcomes.length], [1, 1]);
    assert.equal(transactions.receive(peer, reply(first.message)), true);
    assert.equal(transactions.receive(other, reply(first.message)), true);
    assert.equal(outcomes.length, 3);
  });

  it("has a limited number of queries under way; those beyond fail a moment later", () => {
    const { clock, counters, sent, transactions, outcomes, ask } = world();
    for (let n = 0; n < dhtLimits.pendingQueries + 3; n++) ask();
    assert.equal(transactions.size, dhtLimits.pendingQueries);
    assert.equal(sent.length, dhtLimits.pendingQueries);
    assert.equal(outcomes.length, 0);
    clock.advance(0);
    assert.equal(outcomes.length, 3);
    assert.equal(counters.get("dht.query.refused"), 3);
    clock.advance(9000);
    assert.equal(transactions.size, 0);
    ask();
    assert.equal(transactions.size, 1, "there is room again");
  });

  it("forgets all when closed and calls nobody", () => {
    const { clock, sent, transactions, events, ask } = world();
    const pending = [ask(), ask(), ask()];
    transactions.close();
    assert.deepEqual([transactions.size, clock.pendingTimers], [0, 0]);
    for (const { message } of pending)
      assert.equal(transactions.receive(peer, reply(message)), false);
    clock.advance(20_000);
    assert.deepEqual([sent.length, events], [3, []]);
  });

  it("draws ids of 4 bytes that differ, each byte from 0 to 255", () => {
    const { transactions } = world();
    const ids = Array.from({ length: 4000 }, () => transactions.transaction());
    assert.ok(ids.every((id) => Buffer.from(id, "latin1").toString("latin1") === id));
    assert.ok(ids.every(({ length }) => length === 4));
    assert.equal(new Set(ids).size, 4000);
    for (let at = 0; at < 4; at++) {
      assert.ok(new Set(ids.map((id) => id.charCodeAt(at))).size > 250, `byte ${at}`);
    }
  });
});
