/** The fields of an answer, beside those that every answer has. */
import { dhtLimits } from "../base/dht-limits.ts";
import { idBytes, parseNodeId } from "../base/node-id.ts";
import { endpointFromCompact } from "../base/endpoint.ts";
import { isBytes, isList } from "../bencode/values.ts";
import type { BencodeDict, BencodeValue } from "../bencode/values.ts";
import { bytesIn, endpointOf, integerIn } from "./fields.ts";
import type { AnswerFields, HeldValue, NodeInfo } from "./message.ts";
import { contactBytes, wireLimits } from "./sizes.ts";

/** What is there; the name of the first wrong field if one is. */
export function decodeAnswerFields(answer: BencodeDict): AnswerFields | string {
  const nodes = nodesOf(answer);
  if (nodes === "wrong") return "nodes";
  const values = valuesOf(answer.get("values"));
  if (values === undefined && answer.has("values")) return "values";
  for (const [name, range] of numbers) {
    if (answer.has(name) && integerIn(answer.get(name), range) === undefined) return name;
  }
  const [held, stored, reached, renewed] = numbers.map(([name, range]) =>
    integerIn(answer.get(name), range),
  );
  return {
    ...(nodes !== undefined && { nodes }),
    ...(values !== undefined && { values }),
    ...(held !== undefined && { held }),
    ...(stored !== undefined && { stored }),
    ...(reached !== undefined && { reached: reached === 1 }),
    ...(renewed !== undefined && { renewed: renewed === 1 }),
  };
}

const counts = { least: 0, most: wireLimits.count };
const flags = { least: 0, most: 1 };
const numbers = [
  ["num", counts],
  ["stored", counts],
  ["reached", flags],
  ["renewed", flags],
] as const;

/** The contacts of both families, IPv4 first; undefined if there is neither list. */
function nodesOf(answer: BencodeDict): NodeInfo[] | undefined | "wrong" {
  if (!answer.has("nodes") && !answer.has("nodes6")) return undefined;
  const nodes: NodeInfo[] = [];
  for (const [key, size] of [
    ["nodes", contactBytes[4]],
    ["nodes6", contactBytes[6]],
  ] as const) {
    const bytes = answer.get(key);
    if (bytes === undefined) continue;
    if (!isBytes(bytes) || bytes.length % size !== 0) return "wrong";
    for (let at = 0; at < bytes.length; at += size) {
      const node = contact(bytes.subarray(at, at + size));
      if (node !== undefined) nodes.push(node);
    }
  }
  return nodes.length > dhtLimits.mostNodes ? "wrong" : nodes;
}

/** undefined where no node can be: port 0, or an IPv4 address in IPv6's clothes. */
function contact(bytes: Uint8Array): NodeInfo | undefined {
  // A copy: an id may live for months, and would keep the whole list alive.
  const id = parseNodeId(bytes.slice(0, idBytes));
  const endpoint = endpointFromCompact(bytes.subarray(idBytes));
  return id === undefined || endpoint === undefined ? undefined : { id, endpoint };
}

function valuesOf(list: BencodeValue | undefined): HeldValue[] | undefined {
  if (!isList(list) || list.length > dhtLimits.mostValues) return undefined;
  const values: HeldValue[] = [];
  for (const each of list) {
    const held = isBytes(each) ? heldValue(each) : undefined;
    if (held === undefined) return undefined;
    values.push(held);
  }
  return values;
}

/** A byte with the length of the publisher's compact address, that address, the value. */
function heldValue(bytes: Uint8Array): HeldValue | undefined {
  const end = 1 + (bytes[0] ?? 0);
  const publisher = endpointOf(bytes.subarray(1, end));
  const value = bytesIn(bytes.slice(end), { least: 1, most: wireLimits.valueBytes });
  return publisher === undefined || value === undefined ? undefined : { publisher, value };
}
