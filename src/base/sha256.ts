/**
 * A SHA-256 digest as 64 lower-case hexadecimal digits. The brand means that the text was checked
 * once, at the edge where it came in; nobody checks it again.
 */
export type Sha256 = string & { readonly __brand: "Sha256" };

const HEX64 = /^[0-9a-f]{64}$/;

/** The digest that a text spells (either case), or undefined if it spells none. */
export function parseSha256(text: string): Sha256 | undefined {
  const lower = text.toLowerCase();
  return HEX64.test(lower) ? (lower as Sha256) : undefined;
}

/** 32 raw bytes → digest. Throws a RangeError on any other length: that is a fault of ours. */
export function sha256FromBytes(bytes: Uint8Array): Sha256 {
  if (bytes.length !== 32) throw new RangeError(`a SHA-256 has 32 bytes, not ${bytes.length}`);
  return Buffer.from(bytes.buffer, bytes.byteOffset, 32).toString("hex") as Sha256;
}
