/** Which network a node belongs to, as its messages show it (PROTOCOL.md, `v`). */
import type { Hashes } from "../base/ports.ts";

/** The wire's limit for `v`. */
const versionCharacters = 16;
/** 24 bits: networks that meet by chance are told apart, and a long version still fits. */
const tagCharacters = 6;

/**
 * `AP0.1.0` for the network `public`; for any other one a tag follows: `AP0.1.0/` and the first 6
 * hexadecimal digits of the SHA-256 of its name. Nodes ignore messages with another tag.
 */
export function wireVersion(hashes: Hashes, network: string, version: string): string {
  const program = `AP${version}`;
  if (network === "public") return program.slice(0, versionCharacters);
  const tag = Buffer.from(hashes.of(network)).toString("hex").slice(0, tagCharacters);
  return `${program.slice(0, versionCharacters - 1 - tagCharacters)}/${tag}`;
}
