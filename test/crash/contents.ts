/** A family of contents, the same in every process: what comes out can be checked byte by byte. */
import { createCipheriv, createHash } from "node:crypto";
import type { Sha256 } from "../../src/base/sha256.ts";
import { KiB, MiB } from "../../src/base/units.ts";

export const contentCount = 96;

const sizes = [0, 700, 20 * KiB, 64 * KiB, 300 * KiB, 512 * KiB, 900 * KiB, 1.5 * MiB, 3 * MiB];

export interface Content {
  readonly index: number;
  readonly bytes: Buffer;
  readonly sha: Sha256;
}

const known = new Map<number, Content>();

/** The content with this number; key stream of a cipher, so incompressible and never repeating. */
export function content(index: number): Content {
  const before = known.get(index);
  if (before !== undefined) return before;
  const size = (sizes[index % sizes.length] ?? 0) + (index < sizes.length ? 0 : index * 7);
  const key = createHash("sha256").update(`content ${index}`).digest().subarray(0, 16);
  const cipher = createCipheriv("aes-128-ctr", key, Buffer.alloc(16));
  const bytes = cipher.update(Buffer.alloc(size));
  const sha = createHash("sha256").update(bytes).digest("hex") as Sha256;
  const made = { index, bytes, sha };
  known.set(index, made);
  return made;
}

export function contents(): readonly Content[] {
  return Array.from({ length: contentCount }, (_, index) => content(index));
}
