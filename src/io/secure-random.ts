/** Randomness that nobody can foresee, from the operating system by way of OpenSSL. */
import { randomBytes } from "node:crypto";
import type { Random } from "../base/ports.ts";
import { KiB } from "../base/units.ts";

/** One request of bytes costs some microseconds, whether of 6 or of 4096: so they are kept in stock. */
const stockBytes = 4 * KiB;
/** 48 bits: as many as `readUIntBE` reads, and each result is exact as a double. */
const numberBytes = 6;
const numberRange = 2 ** (8 * numberBytes);

const secretBytes = 20;

class SecureRandom implements Random {
  #stock = Buffer.alloc(0);
  #used = 0;

  next(): number {
    if (this.#used + numberBytes > this.#stock.length) {
      this.#stock = randomBytes(stockBytes);
      this.#used = 0;
    }
    const number = this.#stock.readUIntBE(this.#used, numberBytes);
    // What was given away must not be found in memory by whoever comes to read it later.
    this.#stock.fill(0, this.#used, this.#used + numberBytes);
    this.#used += numberBytes;
    return number / numberRange;
  }
}

/** For ids, transaction numbers and jitter: 48 random bits a number. */
export const secureRandom: Random = new SecureRandom();

/** 20 fresh bytes, for the keyed hash behind tokens. */
export function secret(): Uint8Array {
  return new Uint8Array(randomBytes(secretBytes));
}
