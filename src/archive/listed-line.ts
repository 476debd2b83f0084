/** One entry of a list of files: `<hex> <size> <name>`, as in Release, Sources and Packages.diff/Index. */
import { parseSha256, type Sha256 } from "../base/sha256.ts";

export interface ListedLine {
  readonly hex: string;
  readonly sizeBytes: number;
  /** As written; not checked. "" where the entry has no name (SHA256-Current). */
  readonly name: string;
}

export interface ListedFile {
  readonly sha256: Sha256;
  readonly sizeBytes: number;
  readonly name: string;
}

/** Sizes fit in the 6 bytes of a digest table's row, of which the largest value means "unknown". */
export const MAX_SIZE_BYTES = 2 ** 48 - 2;

export function parseListedLine(line: string): ListedLine | undefined {
  const [hex = "", size = "", name = "", ...rest] = line.split(/[ \t]+/);
  if (!/^\d{1,15}$/.test(size) || rest.length > 0) return undefined;
  const sizeBytes = Number(size);
  return sizeBytes > MAX_SIZE_BYTES ? undefined : { hex, sizeBytes, name };
}

/** The same for SHA-256; undefined for another digest. */
export function parseListedFile(line: string): ListedFile | undefined {
  const entry = parseListedLine(line);
  const sha256 = entry === undefined ? undefined : parseSha256(entry.hex);
  if (entry === undefined || sha256 === undefined) return undefined;
  return { sha256, sizeBytes: entry.sizeBytes, name: entry.name };
}
