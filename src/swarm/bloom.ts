/**
 * A Bloom filter over digests: answers for a whole run of apt at once which of thousands of files a
 * neighbour may have. Digests are uniform, so their own 32-bit words serve as hash functions.
 *
 * Bytes: version 1, number of words k, two zeros, entries (u32, big endian), bits.
 */
import type { Sha256 } from "../base/sha256.ts";

const headBytes = 8;
const mostBytes = 64 * 1024;
const leastBits = 512;
/** With 10 bits for each entry and 7 words one in 120 digests is taken for held that is not. */
const bitsPerEntry = 10;
const words = 7;
const mostWords = 8;

export class Bloom {
  readonly bytes: Uint8Array;
  #falseShare: number | undefined;

  private constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Of at most 64 KiB: with more than 52,000 entries it is right less often. */
  static of(digests: Iterable<Sha256>, count: number): Bloom {
    const wanted = Math.max(leastBits, count * bitsPerEntry);
    const size = headBytes + Math.min(mostBytes - headBytes, Math.ceil(wanted / 8));
    const bytes = new Uint8Array(size);
    bytes[0] = 1;
    bytes[1] = words;
    new DataView(bytes.buffer).setUint32(4, count);
    for (const digest of digests) {
      for (const bit of positions(digest, words, (size - headBytes) * 8)) {
        const at = headBytes + (bit >> 3);
        bytes[at] = (bytes[at] ?? 0) | (0x80 >> (bit & 7));
      }
    }
    return new Bloom(bytes);
  }

  /** undefined: no such filter. The bytes are kept. */
  static parse(bytes: Uint8Array): Bloom | undefined {
    const [version, count = 0, zero, zeroToo] = bytes;
    const sized = bytes.length > headBytes && bytes.length <= mostBytes;
    if (!sized || version !== 1 || count < 1 || count > mostWords) return undefined;
    return zero === 0 && zeroToo === 0 ? new Bloom(bytes) : undefined;
  }

  /** As its maker counted them. */
  get entries(): number {
    const { buffer, byteOffset } = this.bytes;
    return new DataView(buffer, byteOffset).getUint32(4);
  }

  /** Share of all digests, held or not, that it takes for held: 1 for a filter of ones alone. */
  get falseShare(): number {
    if (this.#falseShare === undefined) {
      let ones = 0;
      for (let at = headBytes; at < this.bytes.length; at++) ones += onesOf(this.bytes[at] ?? 0);
      const bits = (this.bytes.length - headBytes) * 8;
      this.#falseShare = (ones / bits) ** (this.bytes[1] ?? 1);
    }
    return this.#falseShare;
  }

  /** False: certainly not. */
  mayHave(digest: Sha256): boolean {
    const { bytes } = this;
    for (const bit of positions(digest, bytes[1] ?? 1, (bytes.length - headBytes) * 8)) {
      if (((bytes[headBytes + (bit >> 3)] ?? 0) & (0x80 >> (bit & 7))) === 0) return false;
    }
    return true;
  }
}

export const bloomBytes = mostBytes;

function* positions(digest: Sha256, count: number, bits: number): Generator<number> {
  for (let word = 0; word < count; word++) {
    yield Number.parseInt(digest.slice(word * 8, word * 8 + 8), 16) % bits;
  }
}

function onesOf(byte: number): number {
  let ones = 0;
  for (let rest = byte; rest !== 0; rest &= rest - 1) ones++;
  return ones;
}
