/** One file that an index lists, in bytes: what the index parsers hand over, reused for every row. */
import { limits } from "../base/limits.ts";
import { MAX_SIZE_BYTES } from "./listed-line.ts";
import { relativeName } from "./names.ts";

/** `name` is `relativeName`'s spelling, `sha256` has 32 bytes; both are valid only during the call. */
export type RowHandler = (name: Buffer, sizeBytes: number, sha256: Buffer) => void;

/** What a parser of an index can do; `push` and `end` throw AptP2pError FORMAT. */
export interface IndexParser {
  push(chunk: Buffer): void;
  end(): void;
  /** Entries that are malformed, have no SHA-256, or name something outside. */
  readonly refusedRows: number;
}

const DOT = 46;
const SLASH = 47;

/**
 * Copies the name `bytes[start..end)` into `into` at `at`, in relativeName's spelling of all that
 * `into` then holds → the whole length; -1 for a name that is refused.
 */
export function copyName(
  bytes: Buffer,
  range: { readonly start: number; readonly end: number },
  into: Buffer,
  at = 0,
): number {
  const { start, end } = range;
  const length = at + (end - start);
  if (end <= start || length > into.length || length > limits.nameBytes) return -1;
  bytes.copy(into, at, start, end);
  let previous = SLASH;
  for (let index = 0; index < length; index++) {
    const byte = into[index] ?? 0;
    const odd = previous === SLASH && (byte === SLASH || byte === DOT);
    if (odd || byte < 32 || byte === 127) return copyOddName(into, length);
    previous = byte;
  }
  return previous === SLASH ? -1 : length;
}

function copyOddName(into: Buffer, length: number): number {
  const name = relativeName(into.toString("utf8", 0, length));
  if (name === undefined || Buffer.byteLength(name) > into.length) return -1;
  return into.write(name);
}

/** Decimal digits → number; -1 for anything else, or more than a table's row can hold. */
export function parseSize(bytes: Buffer, start: number, end: number): number {
  if (end <= start || end - start > 15) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value > MAX_SIZE_BYTES ? -1 : value;
}

/** 64 hexadecimal digits → 32 bytes in `into`; false for anything else. */
export function parseHex64(bytes: Buffer, start: number, end: number, into: Buffer): boolean {
  if (end - start !== 64) return false;
  for (let index = 0; index < 32; index++) {
    const high = NIBBLES[bytes[start + 2 * index] ?? 0] ?? BAD;
    const low = NIBBLES[bytes[start + 2 * index + 1] ?? 0] ?? BAD;
    if ((high | low) >= BAD) return false;
    into[index] = (high << 4) | low;
  }
  return true;
}

/** Where the value of a field begins and ends, blanks around it left out. */
export function trimRange(
  bytes: Buffer,
  start: number,
  end: number,
): { start: number; end: number } {
  while (start < end && isBlank(bytes[start])) start++;
  while (end > start && isBlank(bytes[end - 1])) end--;
  return { start, end };
}

/** Whether the bytes at `start` spell `field` (lower-case, with its colon) in any case. */
export function startsField(bytes: Buffer, start: number, end: number, field: Buffer): boolean {
  if (end - start < field.length) return false;
  for (let index = 0; index < field.length; index++) {
    const byte = bytes[start + index] ?? 0;
    const lower = byte >= 65 && byte <= 90 ? byte | 32 : byte;
    if (lower !== field[index]) return false;
  }
  return true;
}

const BAD = 16;
const NIBBLES = new Uint8Array(256).fill(BAD);
for (let digit = 0; digit < 16; digit++) {
  const character = digit.toString(16);
  NIBBLES[character.charCodeAt(0)] = digit;
  NIBBLES[character.toUpperCase().charCodeAt(0)] = digit;
}

export function isBlank(byte: number | undefined): boolean {
  return byte === 32 || byte === 9;
}
