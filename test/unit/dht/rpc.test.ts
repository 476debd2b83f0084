/** One query and what belongs to it: tokens, padding, round trips, failures. */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { Counters } from "../../../src/base/counters.ts";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { minute, second } from "../../../src/base/units.ts";
import { PeerBook } from "../../../src/dht/peer-book.ts";
import { patientSchedule } from "../../../src/dht/policy.ts";
import { Rpc } from "../../../src/dht/rpc.ts";
import type { Contact } from "../../../src/dht/types.ts";
import { encodedSize } from "../../../src/krpc/encode.ts";
import type { ErrorCodeNumber, Query } from "../../../src/krpc/message.ts";
import { Transactions } from "../../../src/krpc/transactions.ts";
import type { Outcome, QueryHandlers } from "../../../src/krpc/transactions.ts";
import { endpointOf } from "../../../src/sim/net/addressing.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { answerTo, contactOf, idAt, notingPort, queryOf, version } from "./nodes.ts";

const token = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const fresh = Uint8Array.of(8, 7, 6, 5, 4, 3, 2, 1);
const schedule = { resendMs: [], suspectMs: second, failMs: 2 * second };
const target = idAt([9]);

function world() {
  const clock = new VirtualClock();
  const counters = new Counters();
  const port = notingPort(clock);
  const random = new SeededRandom(1);
  const transactions = new Transactions({ clock, random, port, counters });
  const book = new PeerBook();
  let readOnly = false;
  const told: string[] = [];
  const rpc = new Rpc(
    { clock, transactions, book, counters },
    { id: idAt([0xaa]), version, readOnly: () => readOnly },
    {
      answered: ({ id }, _message, silentMs) => void told.push(`answered ${id[0]} ${silentMs}`),
      gone: ({ id }) => void told.push(`gone ${id[0]}`),
      failed: ({ id, peer }) => void told.push(`failed ${id[0]} ${peer.failures}`),
    },
  );
  const outcomes: Outcome[] = [];
  const handlers: QueryHandlers = { done: (outcome) => void outcomes.push(outcome) };
  /** The peer answers the last query as somebody with this id. */
  const reply = (to: Contact, more: { id?: Contact["id"]; token?: Uint8Array } = {}): void => {
    const message = answerTo(
      queryOf(port.sent.at(-1)),
      more.id ?? to.id,
      {},
      { token: more.token },
    );
    assert.ok(transactions.receive(to.endpoint, message));
  };
  const refuse = (to: Contact, code: ErrorCodeNumber): void => {
    const { transaction } = queryOf(port.sent.at(-1));
    const error = { kind: "error", transaction, version, code, text: "" } as const;
    assert.ok(transactions.receive(to.endpoint, error));
  };
  const contact = (n: number) => contactOf(idAt([n]), n, {}, book);
  const setReadOnly = (value: boolean) => void (readOnly = value);
  const parts = { clock, counters, sent: port.sent, transactions, book, rpc };
  return { ...parts, outcomes, handlers, told, reply, refuse, contact, setReadOnly };
}

const finds: readonly Query[] = [
  { method: "find_node", target, count: 8 },
  { method: "find_value", key: target },
  { method: "get_value", key: target, count: 100, from: 0 },
];

describe("Rpc.query()", () => {
  it("pads what goes without a token to 700 bytes for finds, to 120 for the rest", () => {
    const { sent, rpc, contact, handlers } = world();
    for (const query of finds) rpc.query(contact(1), query, schedule, handlers);
    assert.deepEqual(
      sent.map(({ message }) => encodedSize(message)),
      [700, 700, 700],
    );
    rpc.query(contact(1), { method: "ping" }, schedule, handlers);
    assert.equal(encodedSize(sent.at(-1)!.message), 120);
  });

  it("sends the token that an answer brought, without padding, while it is surely good", () => {
    const { clock, sent, rpc, contact, handlers, reply } = world();
    const to = contact(1);
    const asked = (): ReturnType<typeof queryOf> => {
      rpc.query(to, finds[0]!, schedule, handlers);
      return queryOf(sent.at(-1));
    };
    asked();
    reply(to, { token });
    const goodMs = (dhtLimits.tokenSecrets - 1) * dhtLimits.tokenSecretMs;
    clock.advance(goodMs - 1);
    const proven = asked();
    assert.deepEqual([proven.token, proven.padding], [token, 0]);
    assert.ok(encodedSize(proven) < 140);
    clock.advance(1);
    const old = asked();
    assert.equal(old.token, undefined);
    assert.equal(encodedSize(old), 700);
  });

  it("says who it is, and whether it can be reached", () => {
    const { sent, rpc, contact, handlers, setReadOnly } = world();
    rpc.query(contact(1), { method: "ping" }, schedule, handlers);
    setReadOnly(true);
    rpc.query(contact(1), { method: "ping" }, schedule, handlers);
    const [first, second] = [queryOf(sent[0]), queryOf(sent[1])];
    assert.deepEqual([first.id, first.version], [idAt([0xaa]), version]);
    assert.deepEqual([first.readOnly, second.readOnly], [false, true]);
    assert.notEqual(first.transaction, second.transaction);
  });

  it("notes round trips and tells how long the peer was silent before", () => {
    const { clock, rpc, contact, handlers, reply, told, outcomes } = world();
    const to = contact(1);
    rpc.query(to, { method: "ping" }, schedule, handlers);
    clock.advance(80);
    reply(to);
    clock.advance(minute);
    to.peer.failures = 2;
    to.peer.suspect = true;
    rpc.query(to, { method: "ping" }, schedule, handlers);
    clock.advance(80);
    reply(to);
    assert.deepEqual(told, ["answered 1 Infinity", `answered 1 ${minute + 80}`]);
    const { srttMs, failures, suspect, heardAtMs, sentAtMs } = to.peer;
    assert.deepEqual([srttMs, failures, suspect], [80, 0, false]);
    assert.deepEqual([heardAtMs, sentAtMs], [minute + 160, minute + 80]);
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ["answer", "answer"],
    );
  });

  it("takes an answer by somebody else for a failure, and learns nothing from it", () => {
    const { clock, counters, rpc, contact, handlers, reply, told, outcomes } = world();
    const to = contact(1);
    rpc.query(to, finds[1]!, schedule, handlers);
    clock.advance(50);
    reply(to, { id: idAt([66]), token });
    const [outcome] = outcomes;
    assert.ok(outcome?.kind === "failed" && outcome.other !== undefined, "somebody else");
    assert.deepEqual(outcome.other.id, idAt([66]));
    assert.deepEqual(told, ["gone 1"]);
    assert.deepEqual([to.peer.failures, to.peer.suspect], [0, false], "who lives there is well");
    assert.equal(to.peer.token, undefined);
    assert.equal(counters.get("dht.answer.wrongId"), 1);
  });

  it("suspects who is late until it answers", () => {
    const { clock, counters, rpc, contact, handlers, reply } = world();
    const to = contact(1);
    const before = rpc.silence;
    rpc.query(to, { method: "ping" }, schedule, handlers);
    clock.advance(1500);
    assert.equal(to.peer.suspect, true);
    assert.equal(counters.get("dht.query.suspect"), 1);
    assert.ok(rpc.silence > before);
    const silent = rpc.silence;
    reply(to);
    assert.equal(to.peer.suspect, false);
    assert.equal(rpc.silence, silent, "late is not in time");
    rpc.query(to, { method: "ping" }, schedule, handlers);
    reply(to);
    assert.ok(rpc.silence < silent);
  });

  it("counts failures while others answer, but not while nobody does", () => {
    const { clock, counters, rpc, contact, handlers, reply, told } = world();
    const [dead, live] = [contact(1), contact(2)];
    const fail = (): void => {
      rpc.query(dead, { method: "ping" }, schedule, handlers);
      clock.advance(2 * second);
    };
    for (let n = 0; n < 5; n++) fail();
    assert.equal(dead.peer.failures, 1, "the network may be gone");
    for (let n = 0; n < 2; n++) {
      rpc.query(live, { method: "ping" }, schedule, handlers);
      reply(live);
      fail();
    }
    assert.equal(dead.peer.failures, dhtLimits.failuresToEvict);
    assert.equal(told.at(-1), `failed 1 ${dhtLimits.failuresToEvict}`);
    clock.advance(dhtLimits.offlineMs);
    for (let n = 0; n < 5; n++) fail();
    assert.equal(dead.peer.failures, dhtLimits.failuresToEvict);
    assert.equal(counters.get("dht.query.failed"), 12);
  });
});

describe("Rpc.ask()", () => {
  const store: Query = {
    method: "store_value",
    port: 9977,
    values: [{ key: target, value: token }],
  };

  it("gets a token first where one is needed, and then keeps it", () => {
    const { sent, rpc, contact, reply, outcomes } = world();
    const to = contact(1);
    rpc.ask(to, store, (outcome) => void outcomes.push(outcome));
    assert.equal(queryOf(sent[0]).query.method, "ping");
    reply(to, { token });
    assert.deepEqual([queryOf(sent[1]).query, queryOf(sent[1]).token], [store, token]);
    reply(to, { token });
    assert.equal(outcomes.length, 1);
    rpc.ask(to, store, (outcome) => void outcomes.push(outcome));
    assert.equal(queryOf(sent[2]).query, store);
    reply(to);
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ["answer", "answer"],
    );
  });

  it("asks without a token where none is needed", () => {
    const { sent, rpc, contact } = world();
    for (const query of finds) rpc.ask(contact(1), query, () => undefined);
    assert.deepEqual(
      sent.map((each) => queryOf(each).query),
      finds,
    );
  });

  it("renews a refused token once, and then hands the refusal over", () => {
    const { counters, sent, rpc, contact, reply, refuse, outcomes } = world();
    const to = contact(1);
    Object.assign(to.peer, { token, tokenAtMs: 0 });
    rpc.ask(to, store, (outcome) => void outcomes.push(outcome));
    refuse(to, 205);
    assert.deepEqual([queryOf(sent[1]).query.method, queryOf(sent[1]).token], ["ping", undefined]);
    assert.equal(counters.get("dht.token.renewed"), 1);
    reply(to, { token: fresh });
    assert.deepEqual([queryOf(sent[2]).query, queryOf(sent[2]).token], [store, fresh]);
    refuse(to, 205);
    assert.equal(sent.length, 3, "no circle");
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ["error"],
    );
    assert.equal(counters.get("dht.token.renewed"), 1);
  });

  it("hands over other errors, and that there is no answer, as they come", () => {
    const { clock, sent, rpc, contact, refuse, outcomes } = world();
    const to = contact(1);
    Object.assign(to.peer, { token, tokenAtMs: 0 });
    rpc.ask(to, store, (outcome) => void outcomes.push(outcome));
    refuse(to, 204);
    assert.equal(sent.length, 1);
    rpc.ask(contact(2), store, (outcome) => void outcomes.push(outcome));
    clock.advance(minute);
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ["error", "failed"],
    );
    const tries = 1 + patientSchedule(contact(3).peer).resendMs.length;
    assert.equal(sent.length, 1 + tries, "patient pings");
  });
});

describe("Rpc.greet()", () => {
  it("finds out whose address it is", () => {
    const { clock, sent, rpc, told, transactions } = world();
    const met: (Contact | undefined)[] = [];
    rpc.greet(endpointOf(5), (contact) => void met.push(contact));
    clock.advance(100);
    const message = answerTo(queryOf(sent[0]), idAt([5]), {}, { token });
    transactions.receive(endpointOf(5), message);
    assert.deepEqual(
      [met[0]?.id, met[0]?.peer.token, met[0]?.peer.srttMs],
      [idAt([5]), token, 100],
    );
    assert.deepEqual(told, ["answered 5 Infinity"]);
    rpc.greet(endpointOf(6), (contact) => void met.push(contact));
    clock.advance(minute);
    assert.deepEqual([met.length, met[1]], [2, undefined]);
    assert.equal(sent.length, 2 + patientSchedule(met[0]!.peer).resendMs.length);
  });
});
