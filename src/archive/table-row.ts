/**
 * The row of a digest table: 54 bytes. Key: the first 16 bytes of the SHA-256 of a file's relative
 * name (UTF-8); then the size (6 bytes, big-endian); then the file's SHA-256.
 */
import type { Hashes } from "../base/ports.ts";

export const KEY_BYTES = 16;
export const SIZE_AT = KEY_BYTES;
export const DIGEST_AT = SIZE_AT + 6;
export const ROW_BYTES = DIGEST_AT + 32;

/** Rows lie in segments of this many, so that a growing table is never copied: 442 KB each. */
export const SEGMENT_ROWS = 8192;

/** A size that the list does not tell (SHA256SUMS). */
export const UNKNOWN_SIZE = 2 ** 48 - 1;

/** At least KEY_BYTES bytes, of which the first KEY_BYTES are the key of a name. */
export function tableKey(hashes: Hashes, relativeName: string | Uint8Array): Uint8Array {
  return hashes.of(relativeName);
}
