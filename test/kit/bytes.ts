/** Deterministic bytes and digests: the same seed gives the same archive on every machine. */
import { createCipheriv, createHash } from "node:crypto";

/** `sizeBytes` incompressible bytes that depend on the seed alone (AES-CTR of nothing, 1 GB/s). */
export function seededBytes(seed: string, sizeBytes: number): Buffer {
  const key = createHash("sha256").update(seed).digest().subarray(0, 16);
  const cipher = createCipheriv("aes-128-ctr", key, Buffer.alloc(16));
  return cipher.update(Buffer.alloc(sizeBytes));
}

export function sha256(data: Buffer | string): string {
  return createHash("sha256").update(data).digest("hex");
}

export function md5(data: Buffer | string): string {
  return createHash("md5").update(data).digest("hex");
}
