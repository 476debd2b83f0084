import { limits } from "../base/limits.ts";
import type { Hashes } from "../base/ports.ts";
import type { OpenFile } from "../base/storage.ts";

/** What the pieces of one unfinished file need; see Unfinished. */
export interface AheadNeeds {
  readonly hashes: Hashes;
  readonly sizeBytes: number;
  /** The file itself, for pieces at their places. */
  readonly file: () => Promise<OpenFile>;
  /** The list of pieces beside it. */
  readonly list: () => Promise<OpenFile>;
  /** Asked before a write for the right to reach `endBytes`. */
  readonly reach: (endBytes: number) => Promise<void> | undefined;
  readonly failed: (error: unknown) => void;
}

interface Ahead {
  /** Until it is written. */
  chunks: readonly Buffer[] | undefined;
}

/** One entry of the list: number of the piece (u32, big endian) and its SHA-256. */
const entryBytes = 36;

/** Bytes of all files that wait for the disk. */
let waitingBytes = 0;

/**
 * Whole pieces of an unfinished file that came before their turn. They are written at their places,
 * and then noted in a list beside the file, so that after a crash it is known which they are; each
 * is hashed again before it is believed. In memory only until they are written.
 */
export class AheadPieces {
  readonly #needs: AheadNeeds;
  readonly #pieces = new Map<number, Ahead>();
  #listFile: OpenFile | undefined;
  #listBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(needs: AheadNeeds) {
    this.#needs = needs;
  }

  [Symbol.iterator](): Iterator<number> {
    return this.#pieces.keys();
  }

  has(piece: number): boolean {
    return this.#pieces.has(piece);
  }

  /** False: too much waits for the disk already. */
  put(piece: number, chunks: readonly Buffer[]): boolean {
    const bytes = this.#lengthOf(piece);
    if (this.#closed || waitingBytes + bytes > limits.aheadWaitingBytes) return false;
    waitingBytes += bytes;
    const ahead: Ahead = { chunks };
    this.#pieces.set(piece, ahead);
    this.#writing = this.#writing
      .then(() => this.#write(piece, ahead))
      .catch((error: unknown) => this.#needs.failed(error))
      .finally(() => {
        waitingBytes -= bytes;
      });
    return true;
  }

  drop(piece: number): void {
    this.#pieces.delete(piece);
  }

  /** Bytes of a piece from `position` on → how many; 0: it is not here. */
  async read(into: Uint8Array, position: number): Promise<number> {
    const piece = Math.floor(position / limits.pieceBytes);
    const ahead = this.#pieces.get(piece);
    if (ahead === undefined) return 0;
    const offset = position - piece * limits.pieceBytes;
    const wanted = into.subarray(0, Math.max(0, this.#lengthOf(piece) - offset));
    if (ahead.chunks !== undefined) {
      const bytes = Buffer.concat(ahead.chunks).subarray(offset, offset + wanted.length);
      wanted.set(bytes);
      return bytes.length;
    }
    return (await this.#needs.file()).read(wanted, position);
  }

  /** The whole piece, which is then no longer here; undefined: it never was, or cannot be read. */
  async take(piece: number): Promise<Buffer | undefined> {
    const ahead = this.#pieces.get(piece);
    if (ahead === undefined) return undefined;
    if (ahead.chunks !== undefined) {
      this.#pieces.delete(piece);
      return Buffer.concat(ahead.chunks);
    }
    const bytes = Buffer.allocUnsafe(this.#lengthOf(piece));
    const count = await this.read(bytes, piece * limits.pieceBytes);
    this.#pieces.delete(piece);
    return count === bytes.length ? bytes : undefined;
  }

  /** Takes up what an earlier run noted, as far as the bytes beyond `heldBytes` are still right. */
  async load(list: OpenFile, heldBytes: number): Promise<void> {
    this.#listFile = list;
    const { sizeBytes } = await list.facts();
    const entries = Buffer.alloc(Math.floor(sizeBytes / entryBytes) * entryBytes);
    this.#listBytes = await list.read(entries, 0);
    const file = await this.#needs.file();
    const noted = new Map<number, Buffer>();
    for (let at = 0; at + entryBytes <= this.#listBytes; at += entryBytes) {
      noted.set(entries.readUInt32BE(at), entries.subarray(at + 4, at + entryBytes));
    }
    this.#listBytes -= this.#listBytes % entryBytes;
    for (const [piece, digest] of noted) {
      const position = piece * limits.pieceBytes;
      if (position < heldBytes || position >= this.#needs.sizeBytes) continue;
      const bytes = Buffer.allocUnsafe(this.#lengthOf(piece));
      if ((await file.read(bytes, position)) !== bytes.length) continue;
      if (!digest.equals(this.#needs.hashes.of(bytes))) continue;
      this.#pieces.set(piece, { chunks: undefined });
    }
  }

  /** Resolves when nothing is written any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
    await this.#listFile?.close();
    this.#listFile = undefined;
  }

  /** Forgets all pieces; what is being written is written. */
  async clear(): Promise<void> {
    this.#pieces.clear();
    await this.#writing;
    this.#listBytes = 0;
    await this.#listFile?.truncate(0);
  }

  async #write(piece: number, ahead: Ahead): Promise<void> {
    const { chunks } = ahead;
    // It may have had its turn meanwhile.
    if (this.#pieces.get(piece) !== ahead || chunks === undefined) return;
    const position = piece * limits.pieceBytes;
    const { reach, file, list, hashes } = this.#needs;
    const room = reach(position + this.#lengthOf(piece));
    if (room !== undefined) await room;
    await (await file()).write(chunks, position);
    const hasher = hashes.start();
    for (const chunk of chunks) hasher.update(chunk);
    const entry = Buffer.alloc(4);
    entry.writeUInt32BE(piece);
    this.#listFile ??= await list();
    await this.#listFile.write([entry, hasher.digest()], this.#listBytes);
    this.#listBytes += entryBytes;
    ahead.chunks = undefined;
  }

  #lengthOf(piece: number): number {
    return Math.min(limits.pieceBytes, this.#needs.sizeBytes - piece * limits.pieceBytes);
  }
}
