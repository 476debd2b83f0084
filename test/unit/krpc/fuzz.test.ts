/**
 * Datagrams with faults. Goal: nothing that comes in makes the decoder throw, and what it takes is
 * exactly what the bytes said: it encodes to them again, less what the protocol says to ignore. That
 * rest is worked out here, by a second reading of PROTOCOL.md over the plain bencode.
 *
 * `FUZZ=1000000` makes more mutations and prints the time; `SEED=7` other ones.
 */
import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { decodeBencode, encodeBencode } from "../../../src/bencode/bencode.ts";
import { isBytes, isDict, isList } from "../../../src/bencode/values.ts";
import type { BencodeDict, BencodeValue } from "../../../src/bencode/values.ts";
import { decodeMessage } from "../../../src/krpc/decode.ts";
import { encodedSize, encodeMessage } from "../../../src/krpc/encode.ts";
import { parseValue } from "../../../src/krpc/value.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { mutant } from "./mutations.ts";

const count = Number(process.env["FUZZ"] ?? 20_000);
const seed = Number(process.env["SEED"] ?? 1);

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
