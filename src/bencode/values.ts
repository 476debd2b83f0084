/** Bencoded values (BEP 3) as this program knows them. */

/** Byte strings are bytes, not text; integers have at most 15 digits, so numbers hold them exactly. */
export type BencodeValue = number | Uint8Array | readonly BencodeValue[] | BencodeDict;

/** Keys are printable ASCII. */
export type BencodeDict = ReadonlyMap<string, BencodeValue>;

/** undefined, as a missing key gives it, is none of these. */
export function isDict(value: BencodeValue | undefined): value is BencodeDict {
  return value instanceof Map;
}

export function isList(value: BencodeValue | undefined): value is readonly BencodeValue[] {
  return Array.isArray(value);
}

export function isBytes(value: BencodeValue | undefined): value is Uint8Array {
  return value instanceof Uint8Array;
}
