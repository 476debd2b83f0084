/**
 * Tokens: whoever has one for its address has received an answer of ours there, so it did not invent
 * its sender address. Keyed hash over the address (not the port, which NATs change) and a secret that
 * rotates; nothing is stored per token. The tokens given out last are cached, since every answer
 * carries one.
 */
import { BoundedMap } from "../base/bounded-map.ts";
import { dhtLimits } from "../base/dht-limits.ts";
import type { Hashes } from "../base/ports.ts";

export interface TokenParts {
  readonly hashes: Hashes;
  /** 20 unpredictable bytes, new ones at every call. */
  readonly secret: () => Uint8Array;
}

/** Cached tokens, some 200 bytes each: more addresses than one asks within seconds. */
const cachedTokens = 1024;

export class Tokens {
  readonly #hashes: Hashes;
  readonly #secret: () => Uint8Array;
  /** Newest first, at most `dhtLimits.tokenSecrets`; none before the first use. */
  #secrets: readonly Uint8Array[] = [];
  /** When the newest secret's time began. */
  #sinceMs = 0;
  /** Tokens by address under the newest secret. */
  #issued = new BoundedMap<string, Uint8Array>(cachedTokens);

  constructor({ hashes, secret }: TokenParts) {
    this.#hashes = hashes;
    this.#secret = secret;
  }

  /** The token of an address: 8 bytes, not to be changed. Good for 40 to 60 minutes. */
  issue(address: string, nowMs: number): Uint8Array {
    const newest = this.#rotate(nowMs);
    const known = this.#issued.get(address);
    if (known !== undefined) return known;
    const token = this.#token(newest, address);
    this.#issued.set(address, token);
    return token;
  }

  /** Whether this token was given to this address under a secret that is still good. */
  valid(address: string, token: Uint8Array, nowMs: number): boolean {
    if (token.length !== dhtLimits.tokenBytes) return false;
    this.#rotate(nowMs);
    const issued = this.#issued.get(address);
    if (issued !== undefined && sameBytes(token, issued)) return true;
    const older = issued === undefined ? this.#secrets : this.#secrets.slice(1);
    return older.some((secret) => sameBytes(token, this.#token(secret, address)));
  }

  /** Brings the secrets up to date → the newest one. */
  #rotate(nowMs: number): Uint8Array {
    const periods = Math.floor((nowMs - this.#sinceMs) / dhtLimits.tokenSecretMs);
    const [newest] = this.#secrets;
    if (newest !== undefined && periods < 1) return newest;
    const fresh = this.#secret();
    // After a pause of several periods the secrets of the time between were never used.
    const skipped = Array.from({ length: Math.min(periods, dhtLimits.tokenSecrets) - 1 }, () =>
      this.#secret(),
    );
    this.#sinceMs =
      newest === undefined ? nowMs : this.#sinceMs + periods * dhtLimits.tokenSecretMs;
    const kept = newest === undefined ? [] : [...skipped, ...this.#secrets];
    this.#secrets = [fresh, ...kept].slice(0, dhtLimits.tokenSecrets);
    this.#issued = new BoundedMap(cachedTokens);
    return fresh;
  }

  #token(secret: Uint8Array, address: string): Uint8Array {
    const digest = this.#hashes.of(Buffer.concat([secret, Buffer.from(address, "latin1")]));
    // A copy: a view would keep the whole digest alive.
    return Uint8Array.from(digest.subarray(0, dhtLimits.tokenBytes));
  }
}

/** In a time that does not tell where they differ. Both have the same length. */
function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  let difference = 0;
  for (let index = 0; index < a.length; index++) difference |= (a[index] ?? 0) ^ (b[index] ?? 0);
  return difference === 0;
}
