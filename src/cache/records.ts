/**
 * The store's records as text. Decoding is total: whatever a damaged database gives is a record of
 * the right shape or undefined.
 *
 * `cache!file!<hex>` whole files, `cache!intent!<hex>` their records to be while they are put in
 * their place, `cache!part!<hex>` unfinished files, `cache!offer!<path>` files found in offered
 * directories, `cache!pieces!<hex>` the hashes of a whole file's pieces, `cache!boot` the boot in which this store last ran.
 */
import { parseSha256, type Sha256 } from "../base/sha256.ts";
import type { Scope, StoredFile } from "./types.ts";

export const keys = {
  files: "cache!file!",
  file: (sha: Sha256) => `cache!file!${sha}`,
  parts: "cache!part!",
  part: (sha: Sha256) => `cache!part!${sha}`,
  intents: "cache!intent!",
  intent: (sha: Sha256) => `cache!intent!${sha}`,
  offers: "cache!offer!",
  offer: (path: string) => `cache!offer!${path}`,
  pieces: (sha: Sha256) => `cache!pieces!${sha}`,
  boot: "cache!boot",
} as const;

/** A whole file; `path` only if it is not ours, ours follow from the digest. */
export interface FileRecord extends Omit<StoredFile, "sha256" | "path" | "owned"> {
  readonly path?: string;
  /** What it was before somebody shared it. */
  readonly ownScope?: Scope;
}

/** The first `bytes` bytes of a file have this SHA-256. */
export interface PrefixProof {
  readonly bytes: number;
  readonly sha256: Sha256;
}

export interface PartRecord {
  readonly sizeBytes?: number;
  /** Growing `bytes`, all multiples of `limits.pieceBytes`. */
  readonly proofs: readonly PrefixProof[];
  /** Only in this boot all bytes that the file has count; in a later one only the proofs. */
  readonly bootId: string;
}

/** A file in an offered directory as it was when it was hashed. */
export interface OfferRecord {
  readonly sha256: Sha256;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

export function encodeFile(record: FileRecord): string {
  return JSON.stringify(record);
}

export function decodeFile(text: string): FileRecord | undefined {
  const fields = parse(text);
  if (fields === undefined) return undefined;
  const { names, lastModified, contentType, path, scope, ownScope, origin } = fields;
  const numbers = ["sizeBytes", "mtimeMs", "addedAtMs", "verifiedAtMs", "lastUsedMs"] as const;
  if (!numbers.every((name) => isNumber(fields[name])) || !isCount(fields["sizeBytes"])) {
    return undefined;
  }
  if (!Array.isArray(names) || !names.every((name) => typeof name === "string")) return undefined;
  if (![lastModified, contentType, path].every(isOptionalText)) return undefined;
  if (!isScope(scope) || (ownScope !== undefined && !isScope(ownScope))) return undefined;
  if (typeof origin !== "string" || !origins.has(origin)) return undefined;
  if (fields["shared"] !== undefined && fields["shared"] !== true) return undefined;
  return fields as unknown as FileRecord;
}

export function encodePart(record: PartRecord): string {
  const proofs = record.proofs.map(({ bytes, sha256 }) => [bytes, sha256]);
  return JSON.stringify({ ...record, proofs });
}

export function decodePart(text: string): PartRecord | undefined {
  const fields = parse(text);
  if (fields === undefined) return undefined;
  const { sizeBytes, proofs: pairs, bootId } = fields;
  if (sizeBytes !== undefined && !isCount(sizeBytes)) return undefined;
  if (typeof bootId !== "string" || !Array.isArray(pairs)) return undefined;
  const proofs: PrefixProof[] = [];
  let before = 0;
  for (const pair of pairs as unknown[]) {
    if (!Array.isArray(pair)) return undefined;
    const [bytes, hex] = pair as unknown[];
    const sha256 = typeof hex === "string" ? parseSha256(hex) : undefined;
    if (!isCount(bytes) || bytes <= before || sha256 === undefined) return undefined;
    proofs.push({ bytes, sha256 });
    before = bytes;
  }
  return sizeBytes === undefined ? { proofs, bootId } : { sizeBytes, proofs, bootId };
}

export function encodeOffer(record: OfferRecord): string {
  return JSON.stringify(record);
}

export function decodeOffer(text: string): OfferRecord | undefined {
  const fields = parse(text);
  if (fields === undefined) return undefined;
  const { sha256: hex, sizeBytes, mtimeMs } = fields;
  const sha256 = typeof hex === "string" ? parseSha256(hex) : undefined;
  if (sha256 === undefined || !isCount(sizeBytes) || !isNumber(mtimeMs)) return undefined;
  return { sha256, sizeBytes, mtimeMs };
}

const origins: ReadonlySet<string> = new Set(["mirror", "peers", "import", "offer"]);

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isScope(value: unknown): value is Scope {
  return value === "public" || value === "local";
}

function isOptionalText(value: unknown): boolean {
  return value === undefined || typeof value === "string";
}
