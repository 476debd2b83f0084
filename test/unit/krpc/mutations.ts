/** Datagrams with faults, from the test vectors: for everybody who must survive them. */
import { readFileSync } from "node:fs";
import { decodeBencode, encodeBencode } from "../../../src/bencode/bencode.ts";
import { isBytes, isDict, isList } from "../../../src/bencode/values.ts";
import type { BencodeValue } from "../../../src/bencode/values.ts";
import type { SeededRandom } from "../../../src/sim/seeded-random.ts";

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

/** A datagram of the vectors with one or two faults, in its bytes or in its tree. */
export function mutant(random: SeededRandom): Uint8Array {
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
