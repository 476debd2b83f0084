/** What a node answers, and above all what it does not. */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import fc from "fast-check";
import { Counters } from "../../../src/base/counters.ts";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import type { Endpoint } from "../../../src/base/endpoint.ts";
import { hour } from "../../../src/base/units.ts";
import { Answering, mayKnow } from "../../../src/dht/answering.ts";
import { DialBacks } from "../../../src/dht/dial-backs.ts";
import { Tokens } from "../../../src/dht/tokens.ts";
import type { Contact } from "../../../src/dht/types.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { encodedSize, padTo } from "../../../src/krpc/encode.ts";
import { maxDatagramBytes } from "../../../src/krpc/message.ts";
import type {
  AnswerMessage,
  ErrorMessage,
  Query,
  QueryMessage,
} from "../../../src/krpc/message.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import {
  contactOf,
  idAt,
  notingPort,
  privateEndpoint,
  queryMessage,
  randomId,
  version,
} from "./nodes.ts";
import { holder, keyNumber } from "./values.ts";

const asker = endpoint("8.8.8.8", 4000);
const key = keyNumber(1);

function world(contacts: readonly Contact[] = []) {
  const { store, clock } = holder();
  const counters = new Counters();
  const port = notingPort(clock);
  let secrets = 0;
  const tokens = new Tokens({
    hashes: nodeHashes,
    secret: () => new Uint8Array(20).fill(++secrets),
  });
  const dials: (readonly [Endpoint, (reached: boolean) => void])[] = [];
  const dialBack = {
    dial: (to: Endpoint, done: (reached: boolean) => void) => void dials.push([to, done]),
  };
  const answering = new Answering({
    ...{ id: idAt([0x11]), version, clock, port, counters, tokens, store },
    dialBacks: new DialBacks({ clock, dialBack, counters }),
    closest: (_target, count) => contacts.slice(0, count),
  });
  /** What comes back, with how many bytes were sent for how many. */
  const ask = (message: QueryMessage, from = asker) => {
    const before = port.sent.length;
    const asked = encodedSize(message);
    answering.answer(from, message, asked);
    const replies = port.sent.slice(before);
    assert.ok(replies.length <= 1, "one answer at most");
    const reply = replies[0]?.message as AnswerMessage | ErrorMessage | undefined;
    if (reply !== undefined) assert.equal(replies[0]!.to, from);
    return { reply, asked, size: reply === undefined ? 0 : encodedSize(reply) };
  };
  const tokenFor = (from: Endpoint): Uint8Array => tokens.issue(from.address, clock.monotonicMs());
  return { store, clock, counters, sent: port.sent, dials, answering, ask, tokenFor };
}

function answerOf(reply: AnswerMessage | ErrorMessage | undefined): AnswerMessage {
  if (reply?.kind !== "answer") throw new Error(`no answer but ${reply?.kind}`);
  return reply;
}

const digest = new Uint8Array(16);
const store: Query = {
  method: "store_value",
  port: 9977,
  values: [{ key, value: Buffer.from("v") }],
};
const acting: readonly Query[] = [
  store,
  { method: "renew", port: 9977, count: 0, digest },
  { method: "join", port: 9977 },
];

const many = Array.from({ length: 40 }, (_, n) => contactOf(idAt([0x40, n]), n));

describe("Answering", () => {
  it("repeats the transaction, tells its id, the asker's address and a token for it", () => {
    const { ask, tokenFor } = world();
    const message = padTo(queryMessage({ method: "ping" }, { transaction: "abcd" }), 120);
    const reply = answerOf(ask(message).reply);
    assert.equal(reply.transaction, "abcd");
    assert.deepEqual([reply.id, reply.seen, reply.version], [idAt([0x11]), asker, version]);
    assert.deepEqual(reply.token, tokenFor(asker));
    assert.deepEqual(reply.fields, {});
  });

  it("answers a padded find of a stranger with eight nodes, values and all there is", () => {
    const { ask, store: values } = world(many);
    for (let n = 1; n <= 3; n++) {
      const publisher = endpoint(`${n}.0.0.1`, 9977);
      values.store({ key, publisher, value: Buffer.from("v"), nowMs: 0 });
    }
    const { reply, size } = ask(padTo(queryMessage({ method: "find_value", key }), 700));
    const { nodes, values: held, held: num } = answerOf(reply).fields;
    assert.deepEqual([nodes?.length, held?.length, num], [8, 3, 3]);
    assert.ok(size <= 700, `${size}`);
    const wide = ask(padTo(queryMessage({ method: "find_node", target: key, count: 32 }), 700));
    const found = answerOf(wide.reply).fields.nodes!;
    assert.ok(found.length >= 20 && found.length < 32, `${found.length}`);
    assert.deepEqual(found[0]!.id, many[0]!.id, "the farthest are left out, not the nearest");
  });

  it("refuses to act without a valid token: 205, and nothing happens", () => {
    const { ask, counters, store: values, dials, tokenFor, clock } = world();
    const others = tokenFor(endpoint("8.8.4.4", 4000));
    const own = tokenFor(asker);
    for (const query of acting) {
      for (const token of [undefined, others, own.subarray(0, 7), new Uint8Array(8)]) {
        const { reply, asked, size } = ask(queryMessage(query, { token }));
        assert.equal(reply?.kind === "error" && reply.code, 205, query.method);
        assert.ok(size <= asked, `${query.method}: ${size} for ${asked}`);
      }
    }
    clock.advance(hour);
    assert.equal((ask(queryMessage(store, { token: own })).reply as ErrorMessage).code, 205, "old");
    assert.equal(counters.get("dht.token.refused"), 13);
    assert.deepEqual([values.size, dials.length], [0, 0]);
  });

  it("stores for whoever proved its address, under that address and the port it names", () => {
    const { ask, store: values, tokenFor } = world();
    const reply = answerOf(ask(queryMessage(store, { token: tokenFor(asker) })).reply);
    assert.equal(reply.fields.stored, 1);
    const { values: held } = values.page({ key, asker: "", from: 0, count: 9 });
    assert.deepEqual(
      held.map(({ publisher }) => publisher.text),
      ["8.8.8.8:9977"],
    );
    const elsewhere = endpoint("8.8.8.8", 9);
    assert.equal(
      answerOf(ask(queryMessage(store, { token: tokenFor(asker) }), elsewhere).reply).fields.stored,
      1,
    );
    assert.equal(values.count(key), 1, "the packet's port does not matter");
  });

  it("stops storing at the first value that is refused", () => {
    const { ask, counters, store: values, tokenFor } = world();
    const value = Buffer.from("v");
    const items = [1, 2, 3, 4].map((n) => ({ key: keyNumber(n), value }));
    items[2] = { key: keyNumber(3), value: Buffer.alloc(dhtLimits.valueBytes + 1) };
    const query: Query = { method: "store_value", port: 9977, values: items };
    const reply = answerOf(ask(queryMessage(query, { token: tokenFor(asker) })).reply);
    assert.equal(reply.fields.stored, 2);
    assert.equal(values.size, 2);
    assert.equal(counters.get("dht.store.stored"), 2);
    assert.equal(counters.get("dht.store.tooLarge"), 1);
  });

  it("renews by count and digest, withdraws what is empty", () => {
    const { ask, store: values, tokenFor } = world();
    const token = tokenFor(asker);
    const renew = (count: number): Query => ({ method: "renew", port: 9977, count, digest });
    ask(queryMessage(store, { token }));
    const renewed = (count: number) =>
      answerOf(ask(queryMessage(renew(count), { token })).reply).fields.renewed;
    assert.deepEqual([renewed(1), renewed(2)], [false, false]);
    const gone: Query = {
      method: "store_value",
      port: 9977,
      values: [{ key, value: new Uint8Array(0) }],
    };
    assert.equal(answerOf(ask(queryMessage(gone, { token })).reply).fields.stored, 1);
    assert.equal(values.size, 0);
  });

  it("dials back to the asker's own address, and answers when that has ended", () => {
    const { ask, sent, dials, tokenFor } = world();
    const query = queryMessage({ method: "join", port: 9999 }, { token: tokenFor(asker) });
    assert.equal(ask(query).reply, undefined);
    assert.deepEqual(
      dials.map(([to]) => to.text),
      ["8.8.8.8:9999"],
    );
    dials[0]![1](true);
    assert.equal(answerOf(sent.at(-1)!.message as AnswerMessage).fields.reached, true);
  });

  it("tells private addresses to private askers only, and loopback ones on this machine", () => {
    const net = (address: string) => endpoint(address, 9977);
    const told = [net("8.8.4.4"), privateEndpoint(3), net("127.0.0.3")];
    const contacts = told.map((at, n) => contactOf(idAt([0x40, n]), at));
    const { ask, store: values } = world(contacts);
    for (const publisher of told)
      values.store({ key, publisher, value: Buffer.from("v"), nowMs: 0 });
    for (const [from, seen] of [
      ["8.8.8.8", [told[0]]],
      ["192.168.7.77", [told[0], told[1]]],
      ["10.0.0.1", [told[0], told[1]]],
      ["127.0.0.9", told],
    ] as const) {
      const message = padTo(queryMessage({ method: "find_value", key }), 700);
      const { nodes, values: held, held: num } = answerOf(ask(message, net(from)).reply).fields;
      assert.deepEqual(
        new Set(nodes!.map((node) => node.endpoint.text)),
        new Set(seen.map((at) => at!.text)),
        from,
      );
      assert.deepEqual(
        new Set(held!.map(({ publisher }) => publisher.text)),
        new Set(seen.map((at) => at!.text)),
        from,
      );
      assert.equal(num, seen.length, "nor is their number told");
      const page = queryMessage({ method: "get_value", key, count: 100, from: 0 });
      const { values: paged } = answerOf(ask(padTo(page, 700), net(from)).reply).fields;
      assert.equal(paged!.length, seen.length);
    }
    assert.equal(mayKnow("private", "loopback"), false);
    assert.equal(mayKnow("global", "unusable"), false);
  });

  it("does not name the asker to itself", () => {
    const { ask } = world([contactOf(idAt([0x40]), asker), ...many]);
    const message = padTo(queryMessage({ method: "find_node", target: key, count: 8 }), 700);
    const nodes = answerOf(ask(message).reply).fields.nodes!;
    assert.equal(nodes.length, 8);
    assert.ok(nodes.every((node) => node.endpoint.text !== asker.text));
  });

  it("never sends a stranger more than it sent, nor anybody more than a datagram", () => {
    const seeds = fc.integer({ min: 0, max: 2 ** 31 });
    let [larger, answers] = [0, 0];
    fc.assert(
      fc.property(seeds, fc.integer({ min: 0, max: 1100 }), (seed, padding) => {
        const random = new SeededRandom(seed);
        const contacts = Array.from({ length: random.below(40) }, (_, n) =>
          contactOf(randomId(random), n),
        );
        const { ask, store: values, tokenFor } = world(contacts);
        for (let n = random.below(60); n > 0; n--) {
          const publisher = endpoint(`${n}.0.0.1`, 9977);
          values.store({ key, publisher, value: random.bytes(1 + random.below(90)), nowMs: 0 });
        }
        const query = random.pick<Query>([
          ...acting,
          { method: "ping" },
          { method: "find_node", target: key, count: 1 + random.below(32) },
          { method: "find_value", key },
          { method: "get_value", key, count: 100, from: random.below(9) },
        ]);
        const transaction = "t".repeat(1 + random.below(20));
        const more = { transaction, padding, version: random.pick(["", version]) };
        const stranger = ask(queryMessage(query, more));
        assert.ok(
          stranger.size <= stranger.asked,
          `${query.method}: ${stranger.size} for ${stranger.asked}, seed ${seed}`,
        );
        if (stranger.reply !== undefined) answers++;
        const known = ask(queryMessage(query, { ...more, token: tokenFor(asker) }));
        assert.ok(known.size <= maxDatagramBytes, `${query.method}: ${known.size}, seed ${seed}`);
        if (known.size > known.asked) larger++;
      }),
      { numRuns: 300 },
    );
    assert.ok(answers > 200, `${answers} answers to strangers`);
    assert.ok(larger > 20, `${larger} larger answers to the known`);
  });

  it("refuses what is wrong in no more bytes than it had", () => {
    const { answering, sent, counters } = world();
    const error = { transaction: "tttt", code: 203, text: "unknown method" } as const;
    answering.refuse(asker, error, 200);
    answering.refuse(asker, error, 40);
    answering.refuse(asker, error, 10);
    assert.deepEqual(
      sent.map(({ message }) => message.kind),
      ["error", "error"],
    );
    assert.ok(encodedSize(sent[1]!.message) <= 40, "a shorter text");
    assert.equal(counters.get("dht.answer.tooLong"), 1);
  });
});
