/** Reading one field of what came in: the value as it must be, or undefined. */
import { endpointFromCompact } from "../base/endpoint.ts";
import type { Endpoint } from "../base/endpoint.ts";
import { parseNodeId } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import { isBytes } from "../bencode/values.ts";
import type { BencodeDict, BencodeValue } from "../bencode/values.ts";

export interface Range {
  readonly least: number;
  readonly most: number;
}

export const ports: Range = { least: 1, most: 65_535 };

export function integerIn(
  value: BencodeValue | undefined,
  { least, most }: Range,
): number | undefined {
  return typeof value === "number" && value >= least && value <= most ? value : undefined;
}

/** A byte string whose length is in the range. */
export function bytesIn(
  value: BencodeValue | undefined,
  { least, most }: Range,
): Uint8Array | undefined {
  return isBytes(value) && value.length >= least && value.length <= most ? value : undefined;
}

/** A byte string of printable ASCII, as text. */
export function printableIn(value: BencodeValue | undefined, range: Range): string | undefined {
  const bytes = bytesIn(value, range);
  if (bytes?.every((byte) => byte >= 0x20 && byte <= 0x7e) !== true) return undefined;
  return latin1(bytes);
}

export function idAt(dict: BencodeDict, key: string): NodeId | undefined {
  const value = dict.get(key);
  return isBytes(value) ? parseNodeId(value) : undefined;
}

export function endpointOf(value: BencodeValue | undefined): Endpoint | undefined {
  return isBytes(value) ? endpointFromCompact(value) : undefined;
}

export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}
