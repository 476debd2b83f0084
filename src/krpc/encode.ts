/**
 * Messages → datagrams (PROTOCOL.md), and making messages the size that they should have.
 *
 * What is encoded here is our own, so it is in order: a field beyond its limit is a fault of ours and
 * the other side will refuse it. Only the size of answers depends on others; `fitAnswer` sees to it.
 */
import { compactEndpoint } from "../base/endpoint.ts";
import { encodeBencode } from "../bencode/bencode.ts";
import type { BencodeDict, BencodeValue } from "../bencode/values.ts";
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
import { bytesSize, encodedSize, heldValueSize } from "./sizes.ts";

export { encodedSize };

/** The one canonical datagram of this message. Nodes of both families come out IPv4 first. */
export function encodeMessage(message: Message): Uint8Array {
  const envelope = new Map<string, BencodeValue>([["t", latin1(message.transaction)]]);
  if (message.version !== "") envelope.set("v", latin1(message.version));
  switch (message.kind) {
    case "query":
      envelope.set("y", latin1("q")).set("q", latin1(message.query.method));
      envelope.set("a", queryArguments(message));
      if (message.readOnly) envelope.set("ro", 1);
      break;
    case "answer":
      envelope.set("y", latin1("r")).set("r", answerFields(message));
      if (message.seen !== undefined) envelope.set("ip", compactEndpoint(message.seen));
      break;
    case "error":
      envelope.set("y", latin1("e")).set("e", [message.code, latin1(message.text)]);
      break;
  }
  return encodeBencode(envelope);
}

/**
 * The answer as it fits into so many bytes. Values go first, the last of them first, since they can be
 * asked for again (get_value); then nodes, the last and thus farthest first; then what the asker can
 * do without: its address, the token, our version. What then is left is smaller than any query.
 */
export function fitAnswer(message: AnswerMessage, limitBytes: number): AnswerMessage {
  let excess = encodedSize(message) - limitBytes;
  if (excess <= 0) return message;
  const { values, nodes } = message.fields;
  let fitted = message;
  if (values !== undefined) {
    let count = values.length;
    for (const held of values.toReversed()) {
      if (excess <= 0) break;
      excess -= heldValueSize(held);
      count--;
    }
    fitted = withFields(fitted, { values: values.slice(0, count) });
  }
  if (nodes !== undefined) {
    for (let count = nodes.length; count >= 0; count--) {
      if (encodedSize(fitted) <= limitBytes) return fitted;
      fitted = withFields(fitted, { nodes: nodes.slice(0, count) });
    }
  }
  if (encodedSize(fitted) > limitBytes) fitted = { ...fitted, seen: undefined };
  if (encodedSize(fitted) > limitBytes) fitted = { ...fitted, token: undefined };
  if (encodedSize(fitted) > limitBytes) fitted = { ...fitted, version: "" };
  return fitted;
}

/**
 * The error as it fits into so many bytes, at first without our version, then with a shorter text;
 * undefined if even an empty one is too large: then nobody is answered.
 */
export function fitError(message: ErrorMessage, limitBytes: number): ErrorMessage | undefined {
  if (encodedSize(message) <= limitBytes) return message;
  const short = { ...message, version: "" };
  // The text's length has one or two digits; a shorter text never has more.
  const excess = Math.max(0, encodedSize(short) - limitBytes);
  const fitted = { ...short, text: short.text.slice(0, Math.max(0, short.text.length - excess)) };
  return encodedSize(fitted) <= limitBytes ? fitted : undefined;
}

/** The query padded to this size: exactly, or one byte less where no padding gives it. */
export function padTo(message: QueryMessage, sizeBytes: number): QueryMessage {
  const bare = { ...message, padding: 0 };
  const room = sizeBytes - encodedSize(bare) - paddingKeyBytes;
  let padding = Math.max(0, room - 2);
  while (padding > 0 && bytesSize(padding) > room) padding--;
  return { ...bare, padding };
}

/** `1:p` */
const paddingKeyBytes = 3;

function withFields(message: AnswerMessage, change: AnswerFields): AnswerMessage {
  return { ...message, fields: { ...message.fields, ...change } };
}

function queryArguments({ id, token, padding, query }: QueryMessage): BencodeDict {
  const args = new Map<string, BencodeValue>([["id", id], ...methodArguments(query)]);
  if (token !== undefined) args.set("token", token);
  if (padding > 0) args.set("p", new Uint8Array(padding));
  return args;
}

function methodArguments(query: Query): [key: string, value: BencodeValue][] {
  switch (query.method) {
    case "ping":
      return [];
    case "join":
      return [["port", query.port]];
    case "find_node":
      return [
        ["target", query.target],
        ["num", query.count],
      ];
    case "find_value":
      return [["key", query.key]];
    case "get_value":
      return [
        ["key", query.key],
        ["num", query.count],
        ["from", query.from],
      ];
    case "store_value":
      return [
        ["port", query.port],
        ["values", query.values.map(({ key, value }) => dict({ k: key, v: value }))],
      ];
    case "renew":
      return [
        ["port", query.port],
        ["num", query.count],
        ["digest", query.digest],
      ];
  }
}

function answerFields({ id, token, fields }: AnswerMessage): BencodeDict {
  const { nodes, values, held, stored, reached, renewed } = fields;
  const answer = new Map<string, BencodeValue>([["id", id]]);
  if (token !== undefined) answer.set("token", token);
  if (nodes !== undefined) {
    const v6 = nodes.filter(({ endpoint }) => endpoint.address.includes(":"));
    const v4 = nodes.filter(({ endpoint }) => !endpoint.address.includes(":"));
    if (v4.length > 0 || v6.length === 0) answer.set("nodes", contacts(v4));
    if (v6.length > 0) answer.set("nodes6", contacts(v6));
  }
  if (values !== undefined) answer.set("values", values.map(heldValue));
  if (held !== undefined) answer.set("num", held);
  if (stored !== undefined) answer.set("stored", stored);
  if (reached !== undefined) answer.set("reached", reached ? 1 : 0);
  if (renewed !== undefined) answer.set("renewed", renewed ? 1 : 0);
  return answer;
}

function contacts(nodes: readonly NodeInfo[]): Uint8Array {
  return Buffer.concat(nodes.flatMap(({ id, endpoint }) => [id, compactEndpoint(endpoint)]));
}

function heldValue({ publisher, value }: HeldValue): Uint8Array {
  const compact = compactEndpoint(publisher);
  return Buffer.concat([Uint8Array.of(compact.length), compact, value]);
}

function dict(entries: Readonly<Record<string, BencodeValue>>): BencodeDict {
  return new Map(Object.entries(entries));
}

function latin1(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}
