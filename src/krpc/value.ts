/**
 * Values of the DHT: what a publisher says about a file, and lists of piece hashes (PROTOCOL.md,
 * "Values"). Bencoded and as small as can be, since a node holds tens of thousands for others; a whole
 * file of one piece is `de`. Where the publisher is, is not in it: the holder saw that itself.
 *
 * Parsing is total. Unknown keys are ignored.
 */
import { compactEndpoint, scopeOf } from "../base/endpoint.ts";
import type { Endpoint } from "../base/endpoint.ts";
import { idBytes } from "../base/node-id.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Hashes } from "../base/ports.ts";
import { decodeBencode, encodeBencode } from "../bencode/bencode.ts";
import { isDict, isList } from "../bencode/values.ts";
import type { BencodeDict, BencodeValue } from "../bencode/values.ts";
import { bytesIn, endpointOf, idAt, integerIn } from "./fields.ts";
import { wireLimits } from "./sizes.ts";

export interface FileValue {
  readonly state: FileState;
  readonly pieces: PieceSource;
  /** Where the publisher can be reached within its own network: private addresses, at most two. */
  readonly privateAddresses: readonly Endpoint[];
}

/** `eighths`: how much of the file the publisher has, rounded down; 0 to 7. */
export type FileState =
  { readonly kind: "complete" } | { readonly kind: "unfinished"; readonly eighths: number };

/** Where the SHA-256 of the file's pieces are. */
export type PieceSource =
  /** The file is one piece, and its own digest says all. */
  | { readonly kind: "none" }
  /** Here: 2 to 4, 32 bytes each. */
  | { readonly kind: "inline"; readonly hashes: readonly Uint8Array[] }
  /** A `PieceList` of 5 to 32 is stored in the DHT under this key. */
  | { readonly kind: "key"; readonly key: NodeId }
  /** Longer: the publisher gives it by HTTP; this is the SHA-256 of the list (32 bytes). */
  | { readonly kind: "peer"; readonly digest: Uint8Array };

/** What is stored under `pieceListKey`: the SHA-256 of each piece, 2 to 32 of 32 bytes. */
export interface PieceList {
  readonly hashes: readonly Uint8Array[];
}

export type ParsedValue =
  | { readonly kind: "file"; readonly value: FileValue }
  | { readonly kind: "pieces"; readonly list: PieceList }
  | { readonly kind: "bad"; readonly problem: string };

export const hashBytes = 32;
/** With four hashes a value is 135 bytes, and an answer still holds half a dozen. */
export const mostInlinePieces = 4;
/** 1,024 bytes of hashes: the most that fits into one datagram with all that goes with it. */
export const mostListedPieces = 32;
/** One of each family. */
export const mostPrivateAddresses = 2;

/** At most 190 bytes. Throws a RangeError for what is no such value: that is a fault of ours. */
export function encodeFileValue({ state, pieces, privateAddresses }: FileValue): Uint8Array {
  const dict = new Map<string, BencodeValue>();
  if (state.kind === "unfinished") dict.set("s", state.eighths);
  if (pieces.kind === "inline") dict.set("t", Buffer.concat(pieces.hashes));
  if (pieces.kind === "key") dict.set("h", pieces.key);
  if (pieces.kind === "peer") dict.set("l", pieces.digest);
  if (privateAddresses.length > 0) dict.set("a", privateAddresses.map(compactEndpoint));
  return encoded(dict, "file");
}

/** At most 1,034 bytes. Throws a RangeError for what is no such list: that is a fault of ours. */
export function encodePieceList({ hashes }: PieceList): Uint8Array {
  return encoded(new Map([["p", Buffer.concat(hashes)]]), "pieces");
}

/** The key under which a list is stored: whoever reads it computes this, and compares. */
export function pieceListKey(hashes: Hashes, list: PieceList): NodeId {
  return hashes.of(Buffer.concat(list.hashes)).slice(0, idBytes) as NodeId;
}

/** Whatever was stored under a key; `wireLimits.valueBytes` at most. */
export function parseValue(bytes: Uint8Array): ParsedValue {
  const decoded = decodeBencode(bytes, wireLimits.valueBytes);
  if ("problem" in decoded) return { kind: "bad", problem: decoded.problem };
  return parseDict(decoded.value);
}

function encoded(dict: BencodeDict, kind: "file" | "pieces"): Uint8Array {
  const parsed = parseDict(dict);
  if (parsed.kind !== kind) throw new RangeError(`no value of kind ${kind}`);
  return encodeBencode(dict);
}

function parseDict(dict: BencodeValue): ParsedValue {
  if (!isDict(dict)) return bad("not a dictionary");
  if (dict.has("p")) {
    const hashes = hashesOf(dict.get("p"), mostListedPieces);
    return hashes === undefined ? bad("bad p") : { kind: "pieces", list: { hashes } };
  }
  const state = stateOf(dict);
  if (state === undefined) return bad("bad s");
  const pieces = piecesOf(dict);
  if (pieces === undefined) return bad("bad t, h or l");
  const privateAddresses = addressesOf(dict);
  if (privateAddresses === undefined) return bad("bad a");
  return { kind: "file", value: { state, pieces, privateAddresses } };
}

function bad(problem: string): ParsedValue {
  return { kind: "bad", problem };
}

function stateOf(dict: BencodeDict): FileState | undefined {
  if (!dict.has("s")) return { kind: "complete" };
  const eighths = integerIn(dict.get("s"), { least: 0, most: 7 });
  return eighths === undefined ? undefined : { kind: "unfinished", eighths };
}

/** At most one of the three keys may be there. */
function piecesOf(dict: BencodeDict): PieceSource | undefined {
  const present = ["t", "h", "l"].filter((key) => dict.has(key));
  if (present.length === 0) return { kind: "none" };
  if (present.length > 1) return undefined;
  const hashes = hashesOf(dict.get("t"), mostInlinePieces);
  if (hashes !== undefined) return { kind: "inline", hashes };
  const key = idAt(dict, "h");
  if (key !== undefined) return { kind: "key", key };
  const digest = bytesIn(dict.get("l"), { least: hashBytes, most: hashBytes });
  return digest === undefined ? undefined : { kind: "peer", digest };
}

/** A string of 2 to `most` hashes without anything between them. */
function hashesOf(value: BencodeValue | undefined, most: number): Uint8Array[] | undefined {
  const bytes = bytesIn(value, { least: 2 * hashBytes, most: most * hashBytes });
  if (bytes === undefined || bytes.length % hashBytes !== 0) return undefined;
  const hashes: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += hashBytes) {
    hashes.push(bytes.slice(at, at + hashBytes));
  }
  return hashes;
}

/** Only private ones: nobody can send downloaders to a third party on the Internet. */
function addressesOf(dict: BencodeDict): Endpoint[] | undefined {
  if (!dict.has("a")) return [];
  const list = dict.get("a");
  if (!isList(list) || list.length > mostPrivateAddresses) return undefined;
  const addresses = list.map(endpointOf).filter((each) => each !== undefined);
  const good = addresses.every(({ address }) => scopeOf(address) === "private");
  return good && addresses.length === list.length ? addresses : undefined;
}
