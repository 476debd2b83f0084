/**
 * Datagrams → messages (PROTOCOL.md). Total: any bytes give a message or a reason why not, never an
 * exception. Unknown keys are ignored wherever they stand; what we know must be as the protocol says,
 * with two exceptions: a contact that nobody can have (port 0) is left out of its list, and an error
 * code that we do not know counts as 201.
 *
 * A message that came out encodes to the datagram that it came from, but for what was ignored.
 */
import { dhtLimits } from "../base/dht-limits.ts";
import { decodeBencode } from "../bencode/bencode.ts";
import { isDict, isList } from "../bencode/values.ts";
import type { BencodeDict } from "../bencode/values.ts";
import { decodeAnswerFields } from "./decode-answer.ts";
import { bytesIn, endpointOf, idAt, integerIn, latin1, ports, printableIn } from "./fields.ts";
import { maxDatagramBytes } from "./message.ts";
import type { ErrorCodeNumber, Message, Method, Query, StoreItem } from "./message.ts";
import { wireLimits } from "./sizes.ts";

/** No message. What it says is printable ASCII, at most 64 characters, nothing of the input in it. */
export interface Undecodable {
  readonly kind: "undecodable";
  readonly problem: string;
  /** Set if the datagram was clear enough to have one. */
  readonly transaction: string | undefined;
  /** Set if it was a query: then the asker may be told this, with `problem` as the text. */
  readonly code: 202 | 203 | 204 | undefined;
}

/** At most `maxDatagramBytes`; ids and byte strings that come out are copies. */
export function decodeMessage(bytes: Uint8Array): Message | Undecodable {
  const decoded = decodeBencode(bytes, maxDatagramBytes);
  if ("problem" in decoded) return undecodable(decoded.problem);
  const root = decoded.value;
  if (!isDict(root)) return undecodable("not a dictionary");
  const tag = bytesIn(root.get("t"), { least: 1, most: wireLimits.transactionBytes });
  if (tag === undefined) return undecodable("no transaction, or too long a one");
  const transaction = latin1(tag);
  const version = root.has("v") ? printableIn(root.get("v"), versionRange) : "";
  const kind = printableIn(root.get("y"), { least: 1, most: 1 });
  if (version === undefined) {
    return undecodable("bad version", transaction, kind === "q" ? 202 : undefined);
  }
  const envelope = { transaction, version };
  if (kind === "q") return decodeQuery(root, envelope);
  if (kind === "r") return decodeAnswer(root, envelope);
  if (kind === "e") return decodeError(root, envelope);
  return undecodable("neither query nor answer nor error", transaction);
}

const versionRange = { least: 1, most: wireLimits.versionBytes };
const tokenRange = { least: 1, most: wireLimits.tokenBytes };
const counts = { least: 0, most: wireLimits.count };

interface Envelope {
  readonly transaction: string;
  readonly version: string;
}

function undecodable(
  problem: string,
  transaction?: string,
  code?: Undecodable["code"],
): Undecodable {
  return { kind: "undecodable", problem, transaction, code };
}

function decodeQuery(root: BencodeDict, envelope: Envelope): Message | Undecodable {
  const { transaction } = envelope;
  const method = printableIn(root.get("q"), { least: 1, most: maxDatagramBytes });
  if (method === undefined) return undecodable("no method", transaction, 202);
  if (!isMethod(method)) return undecodable("unknown method", transaction, 203);
  const args = root.get("a");
  if (!isDict(args)) return undecodable("no arguments", transaction, 202);
  const wrong = (name: string): Undecodable =>
    undecodable(`wrong argument: ${name}`, transaction, 204);
  const id = idAt(args, "id");
  if (id === undefined) return wrong("id");
  const token = bytesIn(args.get("token"), tokenRange);
  if (token === undefined && args.has("token")) return wrong("token");
  const padding = args.has("p") ? bytesIn(args.get("p"), paddingRange)?.length : 0;
  if (padding === undefined) return wrong("p");
  const query = methods[method](args);
  if (typeof query === "string") return wrong(query);
  const readOnly = root.get("ro") === 1;
  return { kind: "query", ...envelope, id, readOnly, token, padding, query };
}

const paddingRange = { least: 0, most: maxDatagramBytes };

function isMethod(name: string): name is Method {
  return Object.hasOwn(methods, name);
}

/** By method: its arguments as a query, or the name of the first wrong one. */
const methods: Readonly<Record<Method, (args: BencodeDict) => Query | string>> = {
  ping: () => ({ method: "ping" }),

  join: (args) => {
    const port = integerIn(args.get("port"), ports);
    return port === undefined ? "port" : { method: "join", port };
  },

  find_node: (args) => {
    const target = idAt(args, "target");
    if (target === undefined) return "target";
    const count = integerIn(args.get("num"), { least: 1, most: dhtLimits.mostNodes });
    return count === undefined ? "num" : { method: "find_node", target, count };
  },

  find_value: (args) => {
    const key = idAt(args, "key");
    return key === undefined ? "key" : { method: "find_value", key };
  },

  get_value: (args) => {
    const key = idAt(args, "key");
    if (key === undefined) return "key";
    const count = integerIn(args.get("num"), { least: 1, most: dhtLimits.mostValues });
    if (count === undefined) return "num";
    const from = integerIn(args.get("from"), counts);
    return from === undefined ? "from" : { method: "get_value", key, count, from };
  },

  store_value: (args) => {
    const port = integerIn(args.get("port"), ports);
    if (port === undefined) return "port";
    const values = storeItems(args);
    return values === undefined ? "values" : { method: "store_value", port, values };
  },

  renew: (args) => {
    const port = integerIn(args.get("port"), ports);
    if (port === undefined) return "port";
    const count = integerIn(args.get("num"), counts);
    if (count === undefined) return "num";
    const { digestBytes } = wireLimits;
    const digest = bytesIn(args.get("digest"), { least: digestBytes, most: digestBytes });
    return digest === undefined ? "digest" : { method: "renew", port, count, digest };
  },
};

/** At least one; a datagram holds some thirty. */
function storeItems(args: BencodeDict): StoreItem[] | undefined {
  const list = args.get("values");
  if (!isList(list) || list.length === 0) return undefined;
  const items: StoreItem[] = [];
  for (const each of list) {
    const key = isDict(each) ? idAt(each, "k") : undefined;
    const value = isDict(each) ? bytesIn(each.get("v"), valueRange) : undefined;
    if (key === undefined || value === undefined) return undefined;
    items.push({ key, value });
  }
  return items;
}

const valueRange = { least: 0, most: wireLimits.valueBytes };

function decodeAnswer(root: BencodeDict, envelope: Envelope): Message | Undecodable {
  const wrong = (what: string): Undecodable => undecodable(`bad ${what}`, envelope.transaction);
  const answer = root.get("r");
  if (!isDict(answer)) return wrong("answer");
  const id = idAt(answer, "id");
  if (id === undefined) return wrong("id");
  const token = bytesIn(answer.get("token"), tokenRange);
  if (token === undefined && answer.has("token")) return wrong("token");
  const seen = endpointOf(root.get("ip"));
  if (seen === undefined && root.has("ip")) return wrong("ip");
  const fields = decodeAnswerFields(answer);
  if (typeof fields === "string") return wrong(fields);
  return { kind: "answer", ...envelope, id, seen, token, fields };
}

function decodeError(root: BencodeDict, envelope: Envelope): Message | Undecodable {
  const list = root.get("e");
  const [code, words] = isList(list) ? list : [];
  const text = printableIn(words, { least: 0, most: wireLimits.errorTextBytes });
  if (typeof code !== "number" || text === undefined) {
    return undecodable("bad error", envelope.transaction);
  }
  return {
    kind: "error",
    ...envelope,
    code: knownCodes.find((known) => known === code) ?? 201,
    text,
  };
}

const knownCodes: readonly ErrorCodeNumber[] = [201, 202, 203, 204, 205];
