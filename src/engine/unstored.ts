/**
 * What a download writes to when nothing is to be stored (disk full, quota 0, small answers without
 * a known digest): it hashes, and leaves the bytes to the window in memory (see received.ts).
 */
import { AptP2pError } from "../base/errors.ts";
import type { Hasher, Hashes } from "../base/ports.ts";
import { sha256FromBytes, type Sha256 } from "../base/sha256.ts";
import type { Sink } from "./received.ts";

export class Unstored implements Sink {
  readonly failure: AptP2pError;
  readonly writtenBytes = 0;
  readonly #hashes: Hashes;
  #hasher: Hasher;
  #heldBytes = 0;

  constructor(hashes: Hashes, reason: AptP2pError) {
    this.failure = reason;
    this.#hashes = hashes;
    this.#hasher = hashes.start();
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  append(chunk: Buffer): void {
    this.#hasher.update(chunk);
    this.#heldBytes += chunk.length;
  }

  drained(): Promise<void> {
    return Promise.resolve();
  }

  read(): Promise<number> {
    return Promise.resolve(0);
  }

  digest(): Sha256 {
    return sha256FromBytes(this.#hasher.digest());
  }

  restart(): void {
    this.#hasher = this.#hashes.start();
    this.#heldBytes = 0;
  }
}
