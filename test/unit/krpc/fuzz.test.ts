/**
 * Datagrams with faults. Goal: nothing that comes in makes the decoder throw, and what it takes is
 * exactly what the bytes said: it encodes to them again, less what the protocol says to ignore. That
 * rest is worked out here, by a second reading of PROTOCOL.md over the plain bencode.
 *
 * `FUZZ=1000000` makes more mutations and prints the time; `SEED=7` other ones.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "mocha";
import { decodeBencode, encodeBencode } from "../../../src/bencode/bencode.ts";
import { isBytes, isDict, isList } from "../../../src/bencode/values.ts";
import type { BencodeDict, BencodeValue } from "../../../src/bencode/values.ts";
import { decodeMessage } from "../../../src/krpc/decode.ts";
import { encodedSize, encodeMessage } from "../../../src/krpc/encode.ts";
import { parseValue } from "../../../src/krpc/value.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";

const count = Number(process.env["FUZZ"] ?? 20_000);
const seed = Number(process.env["SEED"] ?? 1);

const vectors = JSON.parse(
  readFileSync(new URL("../../vectors/krpc.json", import.meta.url), "utf8"),
) as { readonly messages: readonly { readonly hex: string }[] };
const samples = vectors.messages.map(({ hex }) => new Uint8Array(Buffer.from(hex, "hex")));

/** What often stands in bencode, and what often breaks it. */
const snippets = [
  "-",
  "0",
  "e",
  "d",
  "l",
  "i0e",
  "i-1e",
  "0:",
  "-3:",
  "9999999:",
  "1:p3:xyz",
  "de",
];

function mutatedBytes(random: SeededRandom, from: Uint8Array): Uint8Array {
  const at = random.below(from.length + 1);
  const to = Math.min(from.length, at + random.below(6));
  const [before, cut, after] = [from.subarray(0, at), from.subarray(at, to), from.subarray(to)];
  switch (random.below(6)) {
    case 0:
      return Buffer.concat([before, random.bytes(cut.length), after]);
    case 1:
      return Buffer.concat([before, after]);
    case 2:
      return Buffer.concat([before, cut, cut, after]);
    case 3:
      return Buffer.concat([before, Buffer.from(random.pick(snippets)), after]);
    case 4:
      return Buffer.concat([before, random.pick(samples).subarray(at)]);
    default:
      return flipped(random, from);
  }
}

function flipped(random: SeededRandom, from: Uint8Array): Uint8Array {
  const bytes = Buffer.from(from);
  const at = random.below(bytes.length);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
  return bytes;
}

/** Another value in the place of some value; lists and dictionaries lose and gain entries. */
function mutatedTree(random: SeededRandom, value: BencodeValue): BencodeValue {
  if (random.chance(0.1)) return otherValue(random);
  if (isList(value)) {
    const list = [...value];
    if (list.length === 0 || random.chance(0.2)) return [...list, ...list, otherValue(random)];
    const at = random.below(list.length);
    return list.map((each, index) => (index === at ? mutatedTree(random, each) : each));
  }
  if (isDict(value)) {
    const dict = new Map(value);
    const key = random.pick([...dict.keys(), ...keys]);
    if (random.chance(0.1)) dict.delete(key);
    else dict.set(key, mutatedTree(random, dict.get(key) ?? otherValue(random)));
    return dict;
  }
  if (isBytes(value)) {
    const end = random.below(2 * value.length + 2);
    return random.chance(0.5)
      ? flipped(random, Buffer.concat([value, random.bytes(1)])).subarray(0, value.length)
      : Buffer.concat([value, value]).subarray(0, end);
  }
  return random.pick([0, 1, -1, value + 1, value - 1, 65_535, 65_536, 204, 1e14]);
}

const keys = ["t", "y", "q", "a", "r", "e", "v", "ro", "ip", "id", "p", "token", "nodes", "nodes6"];
keys.push("values", "num", "from", "key", "target", "port", "digest", "stored", "reached", "zz");

function otherValue(random: SeededRandom): BencodeValue {
  const bytes = random.bytes(random.pick([0, 1, 4, 6, 16, 18, 20, 26, 38, 64]));
  return random.pick<BencodeValue>([0, 1, 9977, bytes, bytes, [], [bytes], new Map()]);
}

function mutant(random: SeededRandom): Uint8Array {
  const sample = random.pick(samples);
  let tree = decodeBencode(sample);
  let bytes: Uint8Array = sample;
  for (let rounds = 1 + random.below(2); rounds > 0; rounds--) {
    if ("value" in tree && random.chance(0.5))
      bytes = encodeBencode(mutatedTree(random, tree.value));
    else bytes = mutatedBytes(random, bytes);
    if (rounds > 1) tree = decodeBencode(bytes);
  }
  return bytes;
}

/** What is left of a datagram that was taken, after all that has to be ignored. */
function relevant(datagram: Uint8Array): BencodeDict {
  const decoded = decodeBencode(datagram);
  assert.ok("value" in decoded && isDict(decoded.value), "taken, though it is no dictionary");
  const root = decoded.value;
  const kind = text(root.get("y"));
  const top = kept(root, ["t", "v", "y", ...(kind === "q" ? ["q"] : kind === "r" ? ["ip"] : [])]);
  const [a, r, e] = [root.get("a"), root.get("r"), root.get("e")];
  if (kind === "q" && isDict(a)) {
    top.set("a", relevantArguments(a, text(root.get("q"))));
    if (root.get("ro") === 1) top.set("ro", 1);
  }
  if (kind === "r" && isDict(r)) top.set("r", relevantAnswer(r));
  if (kind === "e" && isList(e)) {
    const known = typeof e[0] === "number" && e[0] >= 201 && e[0] <= 205;
    top.set("e", [known ? (e[0] ?? 201) : 201, e[1] ?? 0]);
  }
  return top;
}

const argumentKeys: Readonly<Record<string, readonly string[]>> = {
  ping: [],
  join: ["port"],
  find_node: ["target", "num"],
  find_value: ["key"],
  get_value: ["key", "num", "from"],
  store_value: ["port", "values"],
  renew: ["port", "num", "digest"],
};

function relevantArguments(a: BencodeDict, method: string): BencodeDict {
  const args = kept(a, ["id", "token", ...(argumentKeys[method] ?? [])]);
  const [padding, values] = [a.get("p"), args.get("values")];
  if (isBytes(padding) && padding.length > 0) args.set("p", new Uint8Array(padding.length));
  if (isList(values)) {
    args.set(
      "values",
      values.map((each) => (isDict(each) ? kept(each, ["k", "v"]) : each)),
    );
  }
  return args;
}

function relevantAnswer(r: BencodeDict): BencodeDict {
  const answer = kept(r, ["id", "token", "values", "num", "stored", "reached", "renewed"]);
  if (!r.has("nodes") && !r.has("nodes6")) return answer;
  const [nodes, nodes6] = [usable(r.get("nodes"), 26), usable(r.get("nodes6"), 38)];
  if (nodes.length > 0 || nodes6.length === 0) answer.set("nodes", nodes);
  if (nodes6.length > 0) answer.set("nodes6", nodes6);
  return answer;
}

/** The list without contacts of port 0 and IPv4 addresses mapped into IPv6. */
function usable(list: BencodeValue | undefined, size: number): Uint8Array {
  if (!isBytes(list)) return new Uint8Array(0);
  const contacts: Buffer[] = [];
  for (let at = 0; at < list.length; at += size) {
    const contact = Buffer.from(list.subarray(at, at + size));
    const mapped = size === 38 && contact.toString("hex", 20, 32) === "00000000000000000000ffff";
    if (contact.readUInt16BE(size - 2) !== 0 && !mapped) contacts.push(contact);
  }
  return Buffer.concat(contacts);
}

function kept(dict: BencodeDict, names: readonly string[]): Map<string, BencodeValue> {
  return new Map([...dict].filter(([name]) => names.includes(name)));
}

function text(value: BencodeValue | undefined): string {
  return isBytes(value) ? Buffer.from(value).toString("latin1") : "";
}

describe("decodeMessage(), fuzzed", function () {
  this.timeout(60_000 + count);

  it(`takes what it should of ${count} mutations, seed ${seed}`, () => {
    const random = new SeededRandom(seed);
    const seen = new Map<string, number>();
    const began = performance.now();
    for (let round = 0; round < count; round++) {
      const datagram = mutant(random);
      const where = `seed ${seed}, mutation ${round}: ${Buffer.from(datagram).toString("hex")}`;
      let got;
      try {
        got = decodeMessage(datagram);
        parseValue(datagram);
      } catch (thrown) {
        assert.fail(`${String(thrown)}, ${where}`);
      }
      const kind = got.kind === "undecodable" ? `refused ${got.code ?? ""}` : got.kind;
      seen.set(kind, (seen.get(kind) ?? 0) + 1);
      if (got.kind === "undecodable") {
        assert.match(got.problem, /^[ -~]{1,64}$/, where);
        continue;
      }
      const encoded = encodeMessage(got);
      assert.equal(encodedSize(got), encoded.length, where);
      const expected = encodeBencode(relevant(datagram));
      assert.equal(Buffer.compare(encoded, expected), 0, where);
    }
    if (process.env["FUZZ"] !== undefined) {
      console.log(`${Math.round(performance.now() - began)} ms`, Object.fromEntries(seen));
    }
    // Mutations that are all refused, or all taken, would show nothing.
    for (const kind of [
      "query",
      "answer",
      "error",
      "refused ",
      "refused 202",
      "refused 203",
      "refused 204",
    ]) {
      assert.ok((seen.get(kind) ?? 0) >= count / 1000, `few: ${kind}`);
    }
  });
});
