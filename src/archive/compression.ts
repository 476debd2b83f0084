/** How bytes are compressed, told from their first ones: by-hash names have no ending. */
import type { Compression } from "./ports.ts";

const MAGIC: readonly (readonly [Compression, readonly number[]])[] = [
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["gzip", [0x1f, 0x8b]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["lz4", [0x04, 0x22, 0x4d, 0x18]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  // The properties of every lzma file that a common tool writes; no text begins so.
  ["lzma", [0x5d, 0x00, 0x00]],
];

/** As many first bytes as tell every format apart. */
export const SNIFF_BYTES = 6;

/** The compression of a file that begins with `head` (the whole file, or SNIFF_BYTES and more). */
export function sniffCompression(head: Uint8Array): Compression {
  const found = MAGIC.find(([, magic]) => magic.every((byte, at) => head[at] === byte));
  return found?.[0] ?? "none";
}
