/**
 * Bencode (BEP 3) by the package `bencode`, behind a check that lets only what is canonical come near
 * it (`check.ts`). Decoding is total: any bytes give a value or a problem, never an exception. What
 * it gives encodes to the same bytes again.
 */
import bencode from "bencode";
import { checkBencode } from "./check.ts";
import { isBytes, isDict, isList } from "./values.ts";
import type { BencodeValue } from "./values.ts";

/** What is wrong: printable ASCII, at most 64 characters, nothing of the input in it. */
export interface Problem {
  readonly problem: string;
}

export type Decoded = { readonly value: BencodeValue } | Problem;

/** More than any datagram over Ethernet has. */
const datagramBytes = 1500;

/**
 * The value that all of these bytes are, if there are at most `limitBytes`. Byte strings are copies.
 * An integer-like key (`"7"`) may come before the others in a map; encoding sorts them.
 */
export function decodeBencode(bytes: Uint8Array, limitBytes: number = datagramBytes): Decoded {
  if (bytes.length > limitBytes) return { problem: `more than ${limitBytes} bytes` };
  const problem = checkBencode(bytes);
  if (problem !== undefined) return { problem };
  try {
    return { value: typed(bencode.decode(bytes)) };
  } catch {
    // Nothing that passed the check makes the package throw. Should it do so, the daemon lives on.
    return { problem: "not bencode" };
  }
}

/**
 * Canonical form: keys sorted, whatever order the maps have. A RangeError for a number that is no
 * integer of at most 15 digits: that is a fault of ours, and the package would encode another number.
 */
export function encodeBencode(value: BencodeValue): Uint8Array {
  assertIntegers(value);
  return bencode.encode(value);
}

/** The package's output with maps for dictionaries. Not deep: the check has counted the levels. */
function typed(value: unknown): BencodeValue {
  if (typeof value === "number" || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map(typed);
  const entries = Object.entries(value as object);
  return new Map(entries.map(([key, each]) => [key, typed(each)] as const));
}

function assertIntegers(value: BencodeValue): void {
  if (isBytes(value)) return;
  if (isList(value)) {
    for (const each of value) assertIntegers(each);
  } else if (isDict(value)) {
    for (const each of value.values()) assertIntegers(each);
  } else if (!Number.isInteger(value) || Math.abs(value) >= 1e15) {
    throw new RangeError(`bencode has no ${value} here`);
  }
}
