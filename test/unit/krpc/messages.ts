/** Messages for tests: any that can be sent, and how the vectors write them. */
import fc from "fast-check";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { endpoint, endpointFromCompact } from "../../../src/base/endpoint.ts";
import type { Endpoint } from "../../../src/base/endpoint.ts";
import { idBytes, parseNodeId } from "../../../src/base/node-id.ts";
import type { NodeId } from "../../../src/base/node-id.ts";
import type {
  AnswerMessage,
  ErrorMessage,
  Message,
  Query,
  QueryMessage,
} from "../../../src/krpc/message.ts";
import { wireLimits } from "../../../src/krpc/sizes.ts";

/** 20 characters → the id of these bytes. */
export function id(text: string): NodeId {
  return parseNodeId(new Uint8Array(Buffer.from(text, "latin1")))!;
}

/** The two ids of BEP 5's examples. */
export const asker = id("abcdefghij0123456789");
export const answerer = id("mnopqrstuvwxyz123456");

export function bytes(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

export const envelope = { transaction: "aa", version: "AP0.1.0" } as const;

export function query(query: Query, more: Partial<QueryMessage> = {}): QueryMessage {
  const rest = { id: asker, readOnly: false, token: undefined, padding: 0 } as const;
  return { kind: "query", ...envelope, ...rest, query, ...more };
}

export function answer(more: Partial<AnswerMessage> = {}): AnswerMessage {
  const rest = { id: answerer, seen: undefined, token: undefined, fields: {} } as const;
  return { kind: "answer", ...envelope, ...rest, ...more };
}

/** Bytes as hexadecimal digits, endpoints as text; undefined fields are left out. */
export function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  if ("text" in value && "address" in value) return value.text;
  const entries = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(entries.map(([key, each]) => [key, plain(each)]));
}

const ids = fc.uint8Array({ minLength: idBytes, maxLength: idBytes }).map((each) => each as NodeId);
const ports = fc.oneof(
  fc.constantFrom(1, 9, 10, 99, 100, 9977, 65_535),
  fc.integer({ min: 1, max: 65_535 }),
);
const counts = fc.oneof(
  fc.integer({ min: 0, max: 120 }),
  fc.integer({ min: 0, max: wireLimits.count }),
);
const v4 = fc
  .tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), ports)
  .map(([address, port]) => endpoint(address.join("."), port));
const v6 = fc
  .tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), ports)
  .map(([address, port]) => endpointFromCompact(Uint8Array.of(...address, port >> 8, port & 255)))
  .filter((each) => each !== undefined);
export const endpoints: fc.Arbitrary<Endpoint> = fc.oneof(v4, v6);
const tokens = fc.option(fc.uint8Array({ minLength: 1, maxLength: wireLimits.tokenBytes }), {
  nil: undefined,
});
const values = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 12 }),
  fc.uint8Array({ minLength: 1, maxLength: 150 }),
);

function printable(least: number, most: number): fc.Arbitrary<string> {
  return fc.string({ unit: "grapheme-ascii", minLength: least, maxLength: most });
}

const envelopes = fc.record({
  transaction: fc
    .uint8Array({ minLength: 1, maxLength: wireLimits.transactionBytes })
    .map((each) => Buffer.from(each).toString("latin1")),
  version: printable(0, wireLimits.versionBytes),
});

const queries: fc.Arbitrary<Query> = fc.oneof(
  fc.constant({ method: "ping" } as const),
  fc.record({ method: fc.constant("join" as const), port: ports }),
  fc.record({
    method: fc.constant("find_node" as const),
    target: ids,
    count: fc.integer({ min: 1, max: dhtLimits.mostNodes }),
  }),
  fc.record({ method: fc.constant("find_value" as const), key: ids }),
  fc.record({
    method: fc.constant("get_value" as const),
    key: ids,
    count: fc.integer({ min: 1, max: dhtLimits.mostValues }),
    from: counts,
  }),
  fc.record({
    method: fc.constant("store_value" as const),
    port: ports,
    values: fc.array(fc.record({ key: ids, value: values }), { minLength: 1, maxLength: 5 }),
  }),
  fc.record({
    method: fc.constant("renew" as const),
    port: ports,
    count: counts,
    digest: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  }),
);

const fields = fc.record(
  {
    nodes: fc
      .tuple(
        fc.array(fc.record({ id: ids, endpoint: v4 }), { maxLength: 8 }),
        fc.array(fc.record({ id: ids, endpoint: v6 }), { maxLength: 4 }),
      )
      .map((both) => both.flat()),
    values: fc.array(fc.record({ publisher: endpoints, value: values }), { maxLength: 5 }),
    held: counts,
    stored: counts,
    reached: fc.boolean(),
    renewed: fc.boolean(),
  },
  { requiredKeys: [] },
);

const paddings = fc.oneof(fc.constantFrom(0, 9, 10, 99, 100), fc.integer({ min: 0, max: 200 }));

export const queryMessages: fc.Arbitrary<QueryMessage> = fc
  .tuple(envelopes, queries, ids, tokens, fc.boolean(), paddings)
  .map(([outer, inner, own, token, readOnly, padding]) => ({
    ...{ kind: "query", ...outer, id: own, readOnly, token, padding, query: inner },
  }));

export const answerMessages: fc.Arbitrary<AnswerMessage> = fc
  .tuple(envelopes, ids, fc.option(endpoints, { nil: undefined }), tokens, fields)
  .map(([outer, own, seen, token, all]) => ({
    ...{ kind: "answer", ...outer, id: own, seen, token, fields: all },
  }));

export const errorMessages: fc.Arbitrary<ErrorMessage> = fc
  .tuple(
    envelopes,
    fc.constantFrom(201, 202, 203, 204, 205),
    printable(0, wireLimits.errorTextBytes),
  )
  .map(([outer, code, text]) => ({ kind: "error", ...outer, code, text }));

/** Messages of every kind. Most fit into a datagram. Nodes are sorted by family, as they come in. */
export const messages: fc.Arbitrary<Message> = fc.oneof(
  queryMessages,
  answerMessages,
  errorMessages,
);
