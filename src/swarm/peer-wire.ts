/**
 * What peers say to each other over HTTP, as bytes and header values (PROTOCOL.md, "Peers over
 * HTTP"). Parsing is total: undefined for whatever is not of the form.
 */
import { compactEndpoint, endpointFromCompact, type Endpoint } from "../base/endpoint.ts";
import { sha256FromBytes, type Sha256 } from "../base/sha256.ts";
import { decodeBencode, encodeBencode } from "../bencode/bencode.ts";
import { isDict, isList, type BencodeDict, type BencodeValue } from "../bencode/values.ts";
import { PieceMap } from "./piece-map.ts";
import { shapeOf } from "./shape.ts";
import type { Load, PeerState } from "./types.ts";

export const wireBounds = {
  /** Body of `/swarm`: 64 KiB hold two bitfields of 128 GiB. */
  swarmBytes: 64 * 1024,
  /** Peers that one answer names. */
  swarmPeers: 20,
  /** Digests in one question to `/have`. */
  haveDigests: 512,
  /** Hashes in the header of one answer. */
  headerPieces: 8,
  /** Files of more pieces tell in `/swarm` alone which they have: 1,024 are 171 characters. */
  headerHavePieces: 1024,
  /** Files of more pieces tell there alone what was given of them: 8,192 are 1,366 characters, 4 GiB. */
  headerSownPieces: 8192,
  /** How long a question for news may be held back. */
  waitMs: 10_000,
} as const;

const hashBytes = 32;

/** `ACTIVE QUEUED SLOTS`. */
export function formatLoad({ active, queued, slots }: Load): string {
  return `${active} ${queued} ${slots}`;
}

export function parseLoad(text: string | undefined): Load | undefined {
  const match = /^(\d{1,6}) (\d{1,6}) (\d{1,6})$/.exec(text ?? "");
  if (match === null) return undefined;
  const [active = 0, queued = 0, slots = 0] = match.slice(1).map(Number);
  return slots < 1 ? undefined : { active, queued, slots };
}

/** SHA-256 of pieces in order, 64 hexadecimal digits each. */
export function formatPieceHashes(hashes: readonly string[]): string {
  return hashes.join(",");
}

/** `count`: as many as the answer must have. */
export function parsePieceHashes(
  text: string | undefined,
  count: number,
): readonly string[] | undefined {
  if (text?.length !== count * 65 - 1) return undefined;
  const hashes = text.split(",");
  return hashes.every((hash) => /^[0-9a-f]{64}$/.test(hash)) ? hashes : undefined;
}

export function formatHave(have: PieceMap): string {
  return Buffer.from(have.bytes).toString("base64url");
}

export function parseHave(text: string | undefined, pieces: number): PieceMap | undefined {
  if (text === undefined || !/^[A-Za-z0-9_-]*$/.test(text)) return undefined;
  return PieceMap.parse(Buffer.from(text, "base64url"), pieces);
}

/** At most `wireBounds.swarmBytes`, for files of up to 128 GiB. `load`: where no header tells it. */
export function encodeSwarm(state: PeerState, load?: Load): Uint8Array {
  const { sizeBytes, have, fetching, hearsay, ticket, sown, peers } = state;
  const dict = new Map<string, BencodeValue>([["s", sizeBytes]]);
  if (ticket !== undefined) dict.set("r", ticket);
  if (load !== undefined) dict.set("l", Buffer.from(formatLoad(load)));
  if (!have.whole) dict.set("b", have.bytes);
  if (fetching !== undefined && fetching.count > 0) dict.set("f", fetching.bytes);
  if (hearsay !== undefined && hearsay.count > 0) dict.set("g", hearsay.bytes);
  if (sown !== undefined && sown.count > 0) dict.set("w", sown.bytes);
  if (peers.length > 0) {
    dict.set("p", peers.slice(0, wireBounds.swarmPeers).map(compactEndpoint));
  }
  return encodeBencode(dict);
}

export function parseSwarm(
  bytes: Uint8Array,
): (PeerState & { readonly load: Load | undefined }) | undefined {
  const decoded = decodeBencode(bytes, wireBounds.swarmBytes);
  if ("problem" in decoded || !isDict(decoded.value)) return undefined;
  const dict = decoded.value;
  const sizeBytes = dict.get("s");
  if (typeof sizeBytes !== "number" || sizeBytes < 1) return undefined;
  const { pieces } = shapeOf(sizeBytes);
  // Nobody makes us allocate for a size that its own bitfield could not describe.
  if (pieces > wireBounds.swarmBytes * 8) return undefined;
  const maps = ["b", "f", "g", "w"].map((key) => mapAt(dict, key, pieces));
  const [have, fetching, hearsay, sown] = maps;
  const ticket = dict.get("r");
  const peers = endpointsIn(dict.get("p"));
  if (have === "bad" || fetching === "bad" || hearsay === "bad" || sown === "bad") return undefined;
  if (peers === undefined || !(ticket === undefined || isTicket(ticket))) return undefined;
  const all = have ?? PieceMap.full(pieces);
  const load = dict.get("l");
  const told =
    load instanceof Uint8Array ? parseLoad(Buffer.from(load).toString("latin1")) : undefined;
  return { sizeBytes, have: all, fetching, hearsay, ticket, sown, peers, load: told };
}

/** Hashes one after another → digits; undefined: not so many. */
export function parsePieceList(bytes: Uint8Array, pieces: number): readonly string[] | undefined {
  if (bytes.length !== pieces * hashBytes) return undefined;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: pieces }, (_, piece) =>
    buffer.toString("hex", piece * hashBytes, (piece + 1) * hashBytes),
  );
}

export function encodeHaveQuestion(digests: readonly Sha256[]): Buffer {
  return Buffer.concat(digests.map((digest) => Buffer.from(digest, "hex")));
}

export function parseHaveQuestion(bytes: Uint8Array): readonly Sha256[] | undefined {
  const count = bytes.length / hashBytes;
  if (!Number.isInteger(count) || count < 1 || count > wireBounds.haveDigests) return undefined;
  return Array.from({ length: count }, (_, index) =>
    sha256FromBytes(bytes.subarray(index * hashBytes, (index + 1) * hashBytes)),
  );
}

/** What a peer has of a file. */
export interface Holding {
  readonly have: "no" | "unfinished" | "whole";
  /** Its copy came from a private source, and must not leave the own network. */
  readonly local: boolean;
}

const kinds = ["no", "unfinished", "whole"] as const;
const localBit = 0x80;

export function encodeHoldings(holdings: readonly Holding[]): Buffer {
  return Buffer.from(
    holdings.map(({ have, local }) => kinds.indexOf(have) | (local ? localBit : 0)),
  );
}

export function parseHoldings(bytes: Uint8Array, count: number): readonly Holding[] | undefined {
  if (bytes.length !== count) return undefined;
  const holdings: Holding[] = [];
  for (const byte of bytes) {
    const have = kinds[byte & ~localBit];
    if (have === undefined) return undefined;
    holdings.push({ have, local: (byte & localBit) !== 0 });
  }
  return holdings;
}

function isTicket(value: BencodeValue): value is number {
  return typeof value === "number" && value >= 0 && value < 2 ** 32;
}

/** undefined: there is none. */
function mapAt(dict: BencodeDict, key: string, pieces: number): PieceMap | "bad" | undefined {
  const value = dict.get(key);
  if (value === undefined) return undefined;
  return (value instanceof Uint8Array ? PieceMap.parse(value, pieces) : undefined) ?? "bad";
}

function endpointsIn(value: BencodeValue | undefined): Endpoint[] | undefined {
  if (value === undefined) return [];
  if (!isList(value) || value.length > wireBounds.swarmPeers) return undefined;
  const endpoints = value.map((each) =>
    each instanceof Uint8Array ? endpointFromCompact(each) : undefined,
  );
  const good = endpoints.filter((each) => each !== undefined);
  return good.length === value.length ? good : undefined;
}
