/**
 * Sizes on the wire: the limits of the envelope's fields, and how many bytes a message will have.
 *
 * The size is arithmetic, since the laboratory counts the bytes of millions of messages that nobody
 * encodes. It follows `encode.ts` key by key; a test shows that both agree on all messages.
 */
import type { Endpoint } from "../base/endpoint.ts";
import { idBytes } from "../base/node-id.ts";
import type {
  AnswerFields,
  AnswerMessage,
  ErrorMessage,
  HeldValue,
  Message,
  NodeInfo,
  Query,
  QueryMessage,
} from "./message.ts";

export const wireLimits = {
  /** BEP 5 uses 2; some programs send 4 or 8. An answer repeats them all. */
  transactionBytes: 20,
  /** Program and version, at most five digits each. */
  versionBytes: 16,
  /** Tokens of others, which we only send back; ours have `dhtLimits.tokenBytes`. */
  tokenBytes: 32,
  /** Text of an error, for people. */
  errorTextBytes: 64,
  /** The digest over a publisher's keys. */
  digestBytes: 16,
  /**
   * A value: the list of 32 pieces has 1,034. A holder must be able to give out whatever it took, in
   * one datagram with an IPv6 publisher, address and token; a larger value would block its page.
   */
  valueBytes: 1040,
  /** Of counts and positions (num, from, stored): far above every limit on what they count. */
  count: 65_535,
} as const;

/** Bytes of a compact contact: id, address, port (BEP 5, BEP 32). */
export const contactBytes = { 4: idBytes + 6, 6: idBytes + 18 } as const;

/** Bytes that `encodeMessage` will make of this message. */
export function encodedSize(message: Message): number {
  const envelope =
    ends +
    (key.t + bytesSize(message.transaction.length)) +
    (message.version === "" ? 0 : key.v + bytesSize(message.version.length)) +
    (key.y + bytesSize(1));
  switch (message.kind) {
    case "query":
      return envelope + querySize(message);
    case "answer":
      return envelope + answerSize(message);
    case "error":
      return envelope + errorSize(message);
  }
}

/** Bytes of one value in an answer's list. */
export function heldValueSize({ publisher, value }: HeldValue): number {
  return bytesSize(1 + compactSize(publisher) + value.length);
}

/** A byte string: its length in decimal, a colon, the bytes. */
export function bytesSize(length: number): number {
  if (length < 10) return 2 + length;
  if (length < 100) return 3 + length;
  return (length < 1000 ? 4 : String(length).length + 1) + length;
}

/** What opens and closes a list or a dictionary, an integer as well: two letters. */
const ends = 2;

/** Bytes of a key: a digit, a colon, the letters. */
const key = {
  ...{ t: 3, v: 3, y: 3, q: 3, a: 3, r: 3, e: 3, p: 3, k: 3 },
  ...{ id: 4, ip: 4, ro: 4, num: 5, key: 5, port: 6, from: 6 },
  ...{ nodes: 7, token: 7, nodes6: 8, values: 8, target: 8, digest: 8, stored: 8 },
  ...{ reached: 9, renewed: 9 },
} as const;

const idSize = bytesSize(idBytes);
const flagSize = ends + 1;

function integerSize(value: number): number {
  return ends + (value < 10 ? 1 : String(value).length);
}

function compactSize(endpoint: Endpoint): number {
  return endpoint.address.includes(":") ? 18 : 6;
}

function tokenSize(token: Uint8Array | undefined): number {
  return token === undefined ? 0 : key.token + bytesSize(token.length);
}

function querySize({ query, token, padding, readOnly }: QueryMessage): number {
  const args =
    ends +
    (key.id + idSize) +
    tokenSize(token) +
    (padding === 0 ? 0 : key.p + bytesSize(padding)) +
    argumentsSize(query);
  const method = key.q + bytesSize(query.method.length);
  return key.a + args + method + (readOnly ? key.ro + flagSize : 0);
}

function argumentsSize(query: Query): number {
  switch (query.method) {
    case "ping":
      return 0;
    case "join":
      return key.port + integerSize(query.port);
    case "find_node":
      return key.target + idSize + key.num + integerSize(query.count);
    case "find_value":
      return key.key + idSize;
    case "get_value":
      return (
        key.key +
        idSize +
        (key.num + integerSize(query.count)) +
        (key.from + integerSize(query.from))
      );
    case "store_value": {
      let list = ends;
      for (const { value } of query.values) {
        list += ends + key.k + idSize + key.v + bytesSize(value.length);
      }
      return key.port + integerSize(query.port) + key.values + list;
    }
    case "renew":
      return (
        key.port +
        integerSize(query.port) +
        (key.num + integerSize(query.count)) +
        (key.digest + bytesSize(query.digest.length))
      );
  }
}

function answerSize({ seen, token, fields }: AnswerMessage): number {
  const ip = seen === undefined ? 0 : key.ip + bytesSize(compactSize(seen));
  return key.r + ends + key.id + idSize + tokenSize(token) + fieldsSize(fields) + ip;
}

function fieldsSize(fields: AnswerFields): number {
  let size = fields.nodes === undefined ? 0 : nodesSize(fields.nodes);
  if (fields.values !== undefined) {
    size += key.values + ends;
    for (const held of fields.values) size += heldValueSize(held);
  }
  if (fields.held !== undefined) size += key.num + integerSize(fields.held);
  if (fields.stored !== undefined) size += key.stored + integerSize(fields.stored);
  if (fields.reached !== undefined) size += key.reached + flagSize;
  if (fields.renewed !== undefined) size += key.renewed + flagSize;
  return size;
}

/** `nodes` alone, `nodes6` alone, or both; without any contact `nodes` is empty. */
function nodesSize(nodes: readonly NodeInfo[]): number {
  let count6 = 0;
  for (const { endpoint } of nodes) if (endpoint.address.includes(":")) count6++;
  const count4 = nodes.length - count6;
  const size4 = count4 > 0 || count6 === 0 ? key.nodes + bytesSize(count4 * contactBytes[4]) : 0;
  return size4 + (count6 > 0 ? key.nodes6 + bytesSize(count6 * contactBytes[6]) : 0);
}

function errorSize({ code, text }: ErrorMessage): number {
  return key.e + ends + integerSize(code) + bytesSize(text.length);
}
