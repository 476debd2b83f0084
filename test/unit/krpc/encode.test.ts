import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "mocha";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import {
  encodedSize,
  encodeMessage,
  fitAnswer,
  fitError,
  padTo,
} from "../../../src/krpc/encode.ts";
import { maxDatagramBytes, unprovenFindBytes } from "../../../src/krpc/message.ts";
import type { ErrorMessage, Message, NodeInfo } from "../../../src/krpc/message.ts";
import { wireLimits } from "../../../src/krpc/sizes.ts";
import * as make from "./messages.ts";

const text = (message: Message): string => Buffer.from(encodeMessage(message)).toString("latin1");
const largest = new Uint8Array(wireLimits.valueBytes);
const publisher = endpoint("2001:db8::7", 9977);

describe("encodeMessage()", () => {
  it("makes of a ping what the protocol says, byte by byte", () => {
    const ping = make.query({ method: "ping" });
    const id = "2:id20:abcdefghij0123456789";
    assert.equal(text(ping), `d1:ad${id}e1:q4:ping1:t2:aa1:v7:AP0.1.01:y1:qe`);
    const proven = { ...ping, token: make.bytes("12345678"), padding: 3, readOnly: true };
    const args = `d${id}1:p3:\0\0\u00005:token8:12345678e`;
    assert.equal(text(proven), `d1:a${args}1:q4:ping2:roi1e1:t2:aa1:v7:AP0.1.01:y1:qe`);
    const seen = endpoint("192.0.2.7", 9977);
    assert.equal(
      text(make.answer({ seen, version: "" })),
      "d2:ip6:\u00c0\u0000\u0002\u0007\u0026\u00f91:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
    );
  });

  it("makes as many bytes as encodedSize() says", () => {
    fc.assert(
      fc.property(make.messages, (message) => {
        assert.equal(encodeMessage(message).length, encodedSize(message));
      }),
      { numRuns: 1500 },
    );
  });

  it("sends nodes of one family without the other's list", () => {
    const node = (address: string): NodeInfo => ({
      id: make.asker,
      endpoint: endpoint(address, 1),
    });
    const both = [node("2001:db8::1"), node("192.0.2.1")];
    const lists = (nodes: readonly NodeInfo[]): string[] =>
      text(make.answer({ fields: { nodes } })).match(/5:nodes\d+|6:nodes6\d+/g) ?? [];
    assert.deepEqual(lists([]), ["5:nodes0"]);
    assert.deepEqual(lists(both.slice(1)), ["5:nodes26"]);
    assert.deepEqual(lists(both.slice(0, 1)), ["6:nodes638"]);
    assert.deepEqual(lists(both), ["5:nodes26", "6:nodes638"]);
  });

  it("has room for the largest value in a query and in an answer", () => {
    const token = new Uint8Array(dhtLimits.tokenBytes);
    const tag = { transaction: "1234", version: "AP0.1.0", token };
    const values = [{ key: make.asker, value: largest }];
    const store = make.query({ method: "store_value", port: 65_535, values }, tag);
    assert.ok(encodedSize(store) <= maxDatagramBytes, `${encodedSize(store)}`);
    const fields = { held: 65_535, values: [{ publisher, value: largest }] };
    const page = make.answer({ ...tag, seen: publisher, fields });
    assert.ok(encodedSize(page) <= maxDatagramBytes, `${encodedSize(page)}`);
  });
});

describe("fitAnswer()", () => {
  it("leaves alone what fits", () => {
    const message = make.answer({ fields: { nodes: [], values: [] } });
    assert.equal(fitAnswer(message, encodedSize(message)), message);
  });

  it("drops values from the end, then nodes from the end, then what is not needed", () => {
    const all = fc.tuple(make.answerMessages, fc.integer({ min: 40, max: 1300 }));
    fc.assert(
      fc.property(all, ([message, limit]) => {
        const fitted = fitAnswer(message, limit);
        const { values = [], nodes = [], ...rest } = message.fields;
        const { values: someValues = [], nodes: someNodes = [], ...sameRest } = fitted.fields;
        assert.deepEqual(sameRest, rest);
        assert.deepEqual(someValues, values.slice(0, someValues.length));
        assert.deepEqual(someNodes, nodes.slice(0, someNodes.length));
        assert.equal(fitted.fields.values === undefined, message.fields.values === undefined);
        assert.equal(fitted.fields.nodes === undefined, message.fields.nodes === undefined);
        const bare = someNodes.length === 0 && fitted.seen === undefined && fitted.version === "";
        assert.ok(encodedSize(fitted) <= limit || (bare && fitted.token === undefined));
        if (someNodes.length < nodes.length) assert.equal(someValues.length, 0);
        if (fitted.seen !== message.seen) assert.equal(someNodes.length, 0);
        const { seen, token, version } = message;
        const rich = fitted.seen === seen && fitted.token === token && fitted.version === version;
        if (rich && someValues.length < values.length && someNodes.length === nodes.length) {
          const more = values.slice(0, someValues.length + 1);
          const larger = { ...fitted, fields: { ...fitted.fields, values: more } };
          assert.ok(encodedSize(larger) > limit, "one value more would have fitted");
        }
        if (rich && someNodes.length < nodes.length) {
          const more = nodes.slice(0, someNodes.length + 1);
          const larger = { ...fitted, fields: { ...fitted.fields, nodes: more } };
          assert.ok(encodedSize(larger) > limit, "one node more would have fitted");
        }
      }),
      { numRuns: 1000 },
    );
  });

  it("answers any query within its own size", () => {
    const numbers = { held: 65_535, stored: 65_535, reached: true, renewed: true };
    fc.assert(
      fc.property(make.queryMessages, (asked) => {
        const { transaction } = asked;
        const token = new Uint8Array(dhtLimits.tokenBytes);
        const fields = { ping: {}, ...fieldsOf(numbers) }[asked.query.method];
        const full = make.answer({ transaction, seen: publisher, token, fields });
        const size = encodedSize(asked);
        assert.ok(encodedSize(fitAnswer(full, size)) <= size);
      }),
      { numRuns: 500 },
    );
  });
});

function fieldsOf(numbers: { held: number; stored: number; reached: boolean; renewed: boolean }) {
  const { held, stored, reached, renewed } = numbers;
  return {
    join: { reached },
    find_node: { nodes: [] },
    find_value: { nodes: [], held, values: [] },
    get_value: { held, values: [] },
    store_value: { stored },
    renew: { renewed },
  };
}

describe("fitError()", () => {
  const error: ErrorMessage = {
    ...{ kind: "error", ...make.envelope, code: 204, text: "wrong argument: target" },
  };

  it("shortens an error as far as needed, and sends none where none fits", () => {
    const full = encodedSize(error);
    let before = full;
    for (let limit = full + 1; limit > 0; limit--) {
      const fitted = fitError(error, limit);
      if (fitted === undefined) {
        assert.ok(limit < encodedSize({ ...error, version: "", text: "" }));
        continue;
      }
      assert.ok(encodedSize(fitted) <= limit && encodedSize(fitted) <= before);
      assert.ok(error.text.startsWith(fitted.text));
      assert.ok(limit >= full === (fitted === error));
      before = encodedSize(fitted);
    }
    assert.equal(before, encodedSize({ ...error, version: "", text: "" }));
  });
});

describe("padTo()", () => {
  it("makes a query as large as wanted, or a byte less", () => {
    fc.assert(
      fc.property(make.queryMessages, fc.integer({ min: 0, max: 1200 }), (message, wanted) => {
        const padded = padTo(message, wanted);
        assert.deepEqual({ ...padded, padding: message.padding }, message);
        const bare = encodedSize({ ...message, padding: 0 });
        const size = encodedSize(padded);
        if (bare + 6 <= wanted) assert.ok(size === wanted || size === wanted - 1, `${size}`);
        else assert.equal(size, bare);
      }),
      { numRuns: 1000 },
    );
    const find = make.query({ method: "find_value", key: make.answerer });
    assert.equal(encodeMessage(padTo(find, unprovenFindBytes)).length, unprovenFindBytes);
  });
});
