/**
 * Whether bytes are bencode in its one canonical form, decided before anything decodes them: the
 * package `bencode` can be killed by five bytes (a negative length makes it go backwards for ever),
 * recurses as deep as its input says, and takes much that is not bencode for a value.
 *
 * Rules: one pass, each byte looked at once or twice, no recursion, memory for `mostDepth` containers.
 * Canonical (BEP 3): no leading zeros, no -0, keys strictly ascending as bytes, nothing behind the
 * value. Stricter than BEP 3, since nothing that we speak needs more: keys are printable ASCII and not
 * `__proto__` (the package would change an object's prototype), and the limits below.
 */

/** Containers in one another: our deepest message has four. */
export const mostDepth = 8;

/** Keys, values and containers: a full datagram of ours has about 200. */
export const mostItems = 512;

/** Digits of a string's length, and of an integer: a double holds 15 of them exactly. */
const lengthDigits = 7;
const integerDigits = 15;

const byteE = 0x65;
const byteD = 0x64;
const byteI = 0x69;
const byteL = 0x6c;
const colon = 0x3a;
const minus = 0x2d;
const zero = 0x30;

/** What is wrong with these bytes, printable ASCII of at most 64 characters; undefined: nothing. */
export function checkBencode(bytes: Uint8Array): string | undefined {
  return new Check(bytes).run();
}

interface Container {
  readonly dict: boolean;
  /** A key of this dictionary was read, and its value was not. */
  awaitsValue: boolean;
  /** Where the last key stands; both 0 before the first. */
  keyStart: number;
  keyEnd: number;
}

class Check {
  readonly #bytes: Uint8Array;
  /** The next byte to look at. */
  #at = 0;
  /** Begun so far; at most `mostItems`. */
  #items = 0;
  /** Containers that are not closed, the innermost last; at most `mostDepth`. */
  readonly #open: Container[] = [];

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  run(): string | undefined {
    do {
      const problem = this.#step();
      if (problem !== undefined) return `${problem} at byte ${this.#at}`;
    } while (this.#open.length > 0);
    return this.#at === this.#bytes.length ? undefined : `more than one value at byte ${this.#at}`;
  }

  /** One key, one value, or the beginning or the end of a container. */
  #step(): string | undefined {
    const inner = this.#open[this.#open.length - 1];
    const byte = this.#bytes[this.#at];
    if (byte === byteE && inner !== undefined) {
      if (inner.awaitsValue) return "a key without a value";
      this.#open.pop();
      this.#at++;
      return undefined;
    }
    if (++this.#items > mostItems) return `more than ${mostItems} items`;
    if (inner?.dict === true && !inner.awaitsValue) return this.#key(inner);
    if (inner !== undefined) inner.awaitsValue = false;
    if (byte === byteD || byte === byteL) return this.#begin(byte === byteD);
    return byte === byteI ? this.#integer() : this.#string();
  }

  #begin(dict: boolean): string | undefined {
    if (this.#open.length === mostDepth) return `more than ${mostDepth} levels`;
    this.#open.push({ dict, awaitsValue: false, keyStart: 0, keyEnd: 0 });
    this.#at++;
    return undefined;
  }

  #key(container: Container): string | undefined {
    const problem = this.#string();
    if (problem !== undefined) return problem;
    const end = this.#at;
    const start = end - this.#lastLength;
    for (let index = start; index < end; index++) {
      const byte = this.#bytes[index] ?? 0;
      if (byte < 0x20 || byte > 0x7e) return "a key that is not printable";
    }
    if (!this.#ascends(container, start, end)) return "a key out of order";
    if (this.#isProto(start, end)) return "a forbidden key";
    container.keyStart = start;
    container.keyEnd = end;
    container.awaitsValue = true;
    return undefined;
  }

  /** Whether this key comes behind the container's last one; a first key always does. */
  #ascends({ keyStart, keyEnd }: Container, start: number, end: number): boolean {
    if (keyEnd === 0) return true;
    const common = Math.min(keyEnd - keyStart, end - start);
    for (let index = 0; index < common; index++) {
      const step = (this.#bytes[start + index] ?? 0) - (this.#bytes[keyStart + index] ?? 0);
      if (step !== 0) return step > 0;
    }
    return end - start > keyEnd - keyStart;
  }

  #isProto(start: number, end: number): boolean {
    if (end - start !== proto.length) return false;
    return proto.every((byte, index) => this.#bytes[start + index] === byte);
  }

  /** Length of the string that `#string` passed last. */
  #lastLength = 0;

  #string(): string | undefined {
    const digits = this.#digits(lengthDigits);
    if (digits === undefined) return "no value, or a length that is none";
    if (this.#bytes[this.#at] !== colon) return "no colon behind a length";
    if (digits > this.#bytes.length - this.#at - 1) return "a string that is cut off";
    this.#at += 1 + digits;
    this.#lastLength = digits;
    return undefined;
  }

  #integer(): string | undefined {
    this.#at++;
    const negative = this.#bytes[this.#at] === minus;
    if (negative) this.#at++;
    const digits = this.#digits(integerDigits);
    if (digits === undefined || (negative && digits === 0)) return "an integer that is none";
    if (this.#bytes[this.#at] !== byteE) return "no end behind an integer";
    this.#at++;
    return undefined;
  }

  /** Passes 1 to `most` digits without leading zeros → their number; undefined for anything else. */
  #digits(most: number): number | undefined {
    const start = this.#at;
    let number = 0;
    for (; this.#at - start < most; this.#at++) {
      const digit = (this.#bytes[this.#at] ?? 0) - zero;
      if (digit < 0 || digit > 9) break;
      number = 10 * number + digit;
    }
    const count = this.#at - start;
    if (count === 0 || (count > 1 && this.#bytes[start] === zero)) return undefined;
    return number;
  }
}

const proto = [...Buffer.from("__proto__", "latin1")];
