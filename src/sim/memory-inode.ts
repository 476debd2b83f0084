import type { FileFacts } from "../base/storage.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** A write, or with `bytes` undefined a truncation to `position`. */
interface Change {
  readonly position: number;
  readonly bytes: Uint8Array | undefined;
}

/** The bytes of one simulated file: as processes see them, and as the disk has them for sure. */
export class MemoryInode {
  #bytes: Buffer = Buffer.alloc(0);
  #sizeBytes = 0;
  #durable: Buffer = Buffer.alloc(0);
  #unsynced: Change[] = [];
  #mtimeMs: number;

  constructor(mtimeMs: number) {
    this.#mtimeMs = mtimeMs;
  }

  static durable(bytes: Uint8Array, mtimeMs: number): MemoryInode {
    const inode = new MemoryInode(mtimeMs);
    inode.#apply({ position: 0, bytes });
    inode.#durable = Buffer.from(bytes);
    return inode;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  facts(): FileFacts {
    return { sizeBytes: this.#sizeBytes, mtimeMs: this.#mtimeMs, linked: true };
  }

  bytes(): Uint8Array {
    return Buffer.from(this.#bytes.subarray(0, this.#sizeBytes));
  }

  read(into: Uint8Array, position: number): number {
    const part = this.#bytes.subarray(
      Math.min(position, this.#sizeBytes),
      Math.min(position + into.length, this.#sizeBytes),
    );
    into.set(part);
    return part.length;
  }

  write(bytes: Uint8Array, position: number, mtimeMs: number): void {
    const change = { position, bytes: Buffer.from(bytes) };
    this.#apply(change);
    this.#unsynced.push(change);
    this.#mtimeMs = mtimeMs;
  }

  truncate(sizeBytes: number, mtimeMs: number): void {
    const change = { position: sizeBytes, bytes: undefined };
    this.#apply(change);
    this.#unsynced.push(change);
    this.#mtimeMs = mtimeMs;
  }

  sync(): void {
    if (this.#unsynced.length === 0) return;
    this.#durable = Buffer.from(this.#bytes.subarray(0, this.#sizeBytes));
    this.#unsynced = [];
  }

  copy(): MemoryInode {
    return MemoryInode.durable(this.bytes(), this.#mtimeMs);
  }

  /** The synced bytes, with each later change applied, half applied or lost. */
  afterPowerLoss(random: SeededRandom): MemoryInode {
    const survivor = MemoryInode.durable(this.#durable, this.#mtimeMs);
    for (const { position, bytes } of this.#unsynced) {
      if (random.chance(0.5)) continue;
      const keptBytes = random.chance(0.5) ? undefined : random.next();
      const kept = bytes?.subarray(0, Math.floor(bytes.length * (keptBytes ?? 1)));
      survivor.#apply({ position, bytes: kept });
    }
    // What a restart reads is on the disk.
    survivor.#durable = Buffer.from(survivor.bytes());
    return survivor;
  }

  #apply({ position, bytes }: Change): void {
    const endBytes = bytes === undefined ? position : position + bytes.length;
    if (endBytes > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(endBytes, 2 * this.#bytes.length));
      this.#bytes.copy(grown, 0, 0, this.#sizeBytes);
      this.#bytes = grown;
    }
    if (bytes === undefined) {
      this.#bytes.fill(0, position, this.#sizeBytes);
      this.#sizeBytes = position;
    } else if (bytes.length > 0) {
      this.#bytes.set(bytes, position);
      this.#sizeBytes = Math.max(this.#sizeBytes, endBytes);
    }
  }
}
