import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "mocha";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import { encodeBencode } from "../../../src/bencode/bencode.ts";
import type { BencodeValue } from "../../../src/bencode/values.ts";
import { decodeMessage } from "../../../src/krpc/decode.ts";
import type { Undecodable } from "../../../src/krpc/decode.ts";
import { encodedSize, encodeMessage } from "../../../src/krpc/encode.ts";
import { maxDatagramBytes } from "../../../src/krpc/message.ts";
import type { Message } from "../../../src/krpc/message.ts";
import * as make from "./messages.ts";

interface Tree {
  readonly [key: string]: Tree | string | number | readonly unknown[] | undefined;
}

/** Objects → dictionaries, text → its latin1 bytes; undefined is left out. */
function bencoded(tree: unknown): Uint8Array {
  const value = (each: unknown): BencodeValue => {
    if (typeof each === "string") return make.bytes(each);
    if (typeof each === "number" || each instanceof Uint8Array) return each;
    if (Array.isArray(each)) return each.map(value);
    const entries = Object.entries(each as object).filter(([, one]) => one !== undefined);
    return new Map(entries.map(([key, one]) => [key, value(one)]));
  };
  return encodeBencode(value(tree));
}

function message(tree: Tree): Message {
  const decoded = decodeMessage(bencoded(tree));
  if (decoded.kind === "undecodable") assert.fail(`${JSON.stringify(tree)}: ${decoded.problem}`);
  return decoded;
}

function refused(input: Tree | Uint8Array): Undecodable {
  const decoded = decodeMessage(input instanceof Uint8Array ? input : bencoded(input));
  if (decoded.kind !== "undecodable") assert.fail(`taken: ${JSON.stringify(input)}`);
  assert.match(decoded.problem, /^[ -~]{1,64}$/);
  return decoded;
}

const id = "abcdefghij0123456789";
const query = (q: string, a: Tree, more: Tree = {}): Tree => ({
  ...{ t: "aa", y: "q", v: "AP0.1.0", q, a: { id, ...a }, ...more },
});
const answer = (r: Tree, more: Tree = {}): Tree => ({ t: "aa", y: "r", r: { id, ...r }, ...more });

describe("decodeMessage()", () => {
  it("gives what encodeMessage() was given", () => {
    let whole = 0;
    fc.assert(
      fc.property(make.messages, (sent) => {
        const decoded = decodeMessage(encodeMessage(sent));
        if (encodedSize(sent) > maxDatagramBytes) {
          assert.equal(decoded.kind, "undecodable");
        } else {
          assert.deepEqual(make.plain(decoded), make.plain(sent));
          whole++;
        }
      }),
      { numRuns: 1500 },
    );
    assert.ok(whole > 1000, `only ${whole} fitted`);
  });

  it("takes BEP 5's own ping, and any tag of up to 20 bytes", () => {
    const decoded = decodeMessage(
      make.bytes("d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"),
    );
    assert.deepEqual(decoded, make.query({ method: "ping" }, { version: "" }));
    const tag = "\u0000\u00ff".repeat(10);
    assert.deepEqual(message(query("ping", {}, { t: tag })).transaction, tag);
  });

  it("ignores unknown keys everywhere", () => {
    const more = { A: 1, zz: ["x"] };
    const ping = message(query("ping", more, more));
    assert.deepEqual(ping, make.query({ method: "ping" }));
    const store = query("store_value", { port: 1, values: [{ k: id, v: "de", ...more }] });
    assert.ok(message(store));
    const got = message(answer({ ...more, stored: 1 }, more));
    assert.deepEqual(got.kind === "answer" && got.fields, { stored: 1 });
    const error = message({ t: "aa", y: "e", e: [205, "bad token", "more"], ...more });
    assert.ok(error.kind === "error" && error.code === 205 && error.text === "bad token");
  });

  it("takes ro only as 1, and counts padding whatever is in it", () => {
    const facts = (more: Tree, args: Tree = {}): unknown => {
      const got = message(query("ping", args, more));
      return got.kind === "query" && [got.readOnly, got.padding];
    };
    assert.deepEqual(facts({}), [false, 0]);
    assert.deepEqual(facts({ ro: 1 }, { p: "abc" }), [true, 3]);
    assert.deepEqual(facts({ ro: 0 }), [false, 0]);
    assert.deepEqual(facts({ ro: "yes" }), [false, 0]);
  });

  it("says nothing to what is no message at all", () => {
    const large = bencoded(query("ping", { p: "x".repeat(maxDatagramBytes) }));
    for (const garbage of [make.bytes(""), make.bytes("le"), make.bytes("i1e"), large]) {
      const { transaction, code } = refused(garbage);
      assert.deepEqual([transaction, code], [undefined, undefined]);
    }
    for (const t of ["", "x".repeat(21), 1, undefined, ["aa"]]) {
      assert.equal(refused(query("ping", {}, { t })).transaction, undefined);
    }
    for (const y of ["x", "", "qq", 1, undefined]) {
      const { transaction, code } = refused(query("ping", {}, { y }));
      assert.deepEqual([transaction, code], ["aa", undefined]);
    }
  });

  const find = { target: id, num: 8 };
  const get = { key: id, num: 5, from: 0 };
  const store = { port: 9977, values: [{ k: id, v: "de" }] };
  const renew = { port: 9977, num: 3, digest: "0123456789abcdef" };
  const short = id.slice(1);
  const wrongQueries: readonly [what: string, code: number, problem: RegExp, readonly Tree[]][] = [
    ["without method", 202, /method/, [query("", {}), { ...query("ping", {}), q: 1 }]],
    [
      "without arguments",
      202,
      /arguments/,
      [query("ping", {}, { a: [] }), query("ping", {}, { a: undefined })],
    ],
    [
      "of a bad version",
      202,
      /version/,
      [
        query("ping", {}, { v: "\u0001" }),
        query("ping", {}, { v: "x".repeat(17) }),
        query("ping", {}, { v: 1 }),
        query("ping", {}, { v: "" }),
      ],
    ],
    [
      "of an unknown method",
      203,
      /method/,
      [
        query("get_peers", {}),
        query("toString", {}),
        query("constructor", {}),
        query("__proto__", {}),
      ],
    ],
    [
      "without id",
      204,
      /: id/,
      [query("ping", { id: short }), query("ping", { id: undefined }), query("ping", { id: 1 })],
    ],
    [
      "with a bad token",
      204,
      /: token/,
      [
        query("ping", { token: "" }),
        query("ping", { token: "x".repeat(33) }),
        query("ping", { token: 1 }),
      ],
    ],
    ["with bad padding", 204, /: p$/, [query("ping", { p: 1 }), query("ping", { p: [] })]],
    [
      "with a bad port",
      204,
      /: port/,
      [
        ...[0, -1, 65_536, "1", undefined].map((port) => query("join", { port })),
        query("store_value", { ...store, port: 0 }),
        query("renew", { ...renew, port: undefined }),
      ],
    ],
    [
      "with a bad target",
      204,
      /: target/,
      [query("find_node", { ...find, target: short }), query("find_node", { num: 8 })],
    ],
    [
      "with a bad key",
      204,
      /: key/,
      [
        query("find_value", { key: short }),
        query("find_value", {}),
        query("get_value", { ...get, key: 1 }),
      ],
    ],
    [
      "with a bad num",
      204,
      /: num/,
      [
        ...[0, dhtLimits.mostNodes + 1, "8", undefined].map((num) =>
          query("find_node", { ...find, num }),
        ),
        ...[0, dhtLimits.mostValues + 1, undefined].map((num) =>
          query("get_value", { ...get, num }),
        ),
        ...[-1, 65_536, undefined].map((num) => query("renew", { ...renew, num })),
      ],
    ],
    [
      "with a bad from",
      204,
      /: from/,
      [-1, 65_536, "0", undefined].map((from) => query("get_value", { ...get, from })),
    ],
    [
      "with bad values",
      204,
      /: values/,
      [
        ...[[], "de", undefined, ["de"], [[id, "de"]]].map((values) =>
          query("store_value", { port: 1, values }),
        ),
        ...[{ k: id }, { v: "de" }, { k: short, v: "de" }, { k: id, v: 1 }].map((item) =>
          query("store_value", { port: 1, values: [{ k: id, v: "de" }, item] }),
        ),
      ],
    ],
    [
      "with a bad digest",
      204,
      /: digest/,
      ["", "x".repeat(15), "x".repeat(17), 1, undefined].map((digest) =>
        query("renew", { ...renew, digest }),
      ),
    ],
  ];
  for (const [what, code, problem, trees] of wrongQueries) {
    it(`answers ${code} to queries ${what}`, () => {
      for (const tree of trees) {
        const got = refused(tree);
        assert.deepEqual([got.transaction, got.code], ["aa", code], JSON.stringify(tree));
        assert.match(got.problem, problem);
      }
    });
  }

  it("takes the good ones of these", () => {
    for (const tree of [
      query("find_node", find),
      query("get_value", get),
      query("store_value", store),
      query("renew", renew),
    ]) {
      assert.equal(message(tree).kind, "query");
    }
  });

  it("refuses answers with a bad field, and never asks for a reply to them", () => {
    const contact = `${id}\u00c0\u0000\u0002\u0007\u0026\u00f9`;
    const wrong: readonly [RegExp, readonly Tree[]][] = [
      [
        /answer/,
        [
          { t: "aa", y: "r" },
          { t: "aa", y: "r", r: [] },
        ],
      ],
      [/id/, [answer({ id: short }), answer({ id: undefined })]],
      [/token/, [answer({ token: "" }), answer({ token: 1 }), answer({ token: "x".repeat(33) })]],
      [
        /ip/,
        ["", "x".repeat(7), 1, "\u0001\u0002\u0003\u0004\0\0"].map((ip) => answer({}, { ip })),
      ],
      [/version/, [answer({}, { v: "\n" })]],
      [
        /nodes/,
        [
          ...["x", contact.slice(1), 1, []].map((nodes) => answer({ nodes })),
          ...["x", contact, 1].map((nodes6) => answer({ nodes6 })),
          answer({ nodes: contact.repeat(dhtLimits.mostNodes + 1) }),
        ],
      ],
      [
        /values/,
        [
          ...["", 1, {}, [1], [""], ["\u0006"], ["\u0005\u0001\u0002\u0003\0\u0001de"]].map(
            (values) => answer({ values }),
          ),
          answer({ values: ["\u0006\u0001\u0002\u0003\u0004\0\u0001"] }),
          answer({ values: ["\u0006\u0001\u0002\u0003\u0004\0\0de"] }),
          answer({
            values: new Array(101).fill("\u0006\u0001\u0002\u0003\u0004\0\u0001x") as string[],
          }),
        ],
      ],
      [/num/, [-1, 65_536, ""].map((num) => answer({ num }))],
      [/stored/, [-1, 65_536, ""].map((stored) => answer({ stored }))],
      [/reached/, [-1, 2, ""].map((reached) => answer({ reached }))],
      [/renewed/, [-1, 2, ""].map((renewed) => answer({ renewed }))],
      [
        /error/,
        [[], [204], ["x", "y"], [204, 1], [204, "\n"], [204, "x".repeat(65)], 1].map((e) => ({
          t: "aa",
          y: "e",
          e,
        })),
      ],
    ];
    for (const [problem, trees] of wrong) {
      for (const tree of trees) {
        const got = refused(tree);
        assert.deepEqual([got.transaction, got.code], ["aa", undefined], JSON.stringify(tree));
        assert.match(got.problem, problem, JSON.stringify(tree));
      }
    }
  });

  it("leaves contacts out that nobody can have", () => {
    const good = `${id}\u00c0\u0000\u0002\u0007\u0026\u00f9`;
    const portless = `${id}\u00c0\u0000\u0002\u0008\0\0`;
    const mapped = `${id}${"\0".repeat(10)}\u00ff\u00ff\u00c0\u0000\u0002\u0007\u0026\u00f9`;
    const got = message(answer({ nodes: portless + good, nodes6: mapped }));
    const nodes = [{ id: make.asker, endpoint: endpoint("192.0.2.7", 9977) }];
    assert.deepEqual(got.kind === "answer" && got.fields, { nodes });
    const none = message(answer({ nodes: "" }));
    assert.deepEqual(none.kind === "answer" && none.fields, { nodes: [] });
  });

  it("takes an error code that it does not know for 201", () => {
    for (const code of [0, -5, 200, 206, 999_999]) {
      const got = message({ t: "aa", y: "e", e: [code, ""] });
      assert.ok(got.kind === "error" && got.code === 201);
    }
  });

  it("gives ids that do not keep the datagram alive", () => {
    const node = { id: make.asker, endpoint: endpoint("192.0.2.7", 9977) };
    const datagram = encodeMessage(make.answer({ fields: { nodes: [node, node] } }));
    const got = decodeMessage(datagram);
    assert.ok(got.kind === "answer");
    for (const each of got.fields.nodes ?? []) assert.equal(each.id.buffer.byteLength, 20);
    assert.equal(got.id.buffer.byteLength, 20);
  });
});
