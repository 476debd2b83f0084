import { limits } from "../base/limits.ts";
import type { Hashes } from "../base/ports.ts";
import type { OpenFile } from "../base/storage.ts";
import {
  beginningNote,
  droppedNote,
  noteBytes,
  pieceNote,
  type PieceNotes,
} from "./piece-notes.ts";
import type { PrefixProof } from "./records.ts";

/** Bytes of pieces of all files of a store that wait for the disk. */
export interface AheadWaiting {
  bytes: number;
}

/** What the pieces of one unfinished file need; see Unfinished. */
export interface AheadNeeds {
  readonly hashes: Hashes;
  readonly sizeBytes: number;
  readonly waiting: AheadWaiting;
  /** The file itself, for pieces at their places. */
  readonly file: () => Promise<OpenFile>;
  /** The list of pieces beside it; see piece-notes.ts. */
  readonly list: () => Promise<OpenFile>;
  /** Asked before a write for the right to reach `endBytes`. */
  readonly reach: (endBytes: number) => Promise<void> | undefined;
  /** How far the beginning reaches; what is below is not this class's to write any more. */
  readonly heldBytes: () => number;
  /** Of the longest beginning that the file has. */
  readonly proof: () => PrefixProof | undefined;
  /** `storedBytes` is another. */
  readonly onStored: () => void;
  readonly failed: (error: unknown) => void;
}

/** A piece; in memory until it is written. */
interface Ahead {
  chunks: readonly Buffer[] | undefined;
  /** The list says that it is there, or soon will. */
  noted: boolean;
}

export interface TakenPiece {
  readonly bytes: Buffer;
  /** The file has them at their place, and need not be written again. */
  readonly onDisk: boolean;
}

/**
 * Whole pieces of an unfinished file that came before their turn. They are written at their places,
 * and then noted in a list beside the file, so that after a crash it is known which they are; each
 * is hashed again before it is believed.
 *
 * Whatever the file has of the beginning was written, or taken from here, by who hashes it: a piece
 * that the beginning has reached is not written any more, and who writes the beginning waits for one
 * that is being written (`busy`).
 */
export class AheadPieces {
  readonly #needs: AheadNeeds;
  readonly #pieces = new Map<number, Ahead>();
  #storedBytes = 0;
  #list: OpenFile | undefined;
  #hasList = false;
  #listBytes = 0;
  /** The list knows of so many bytes of the beginning. */
  #markedBytes = 0;
  #marking = false;
  /** One piece of work after the other. */
  #turn: Promise<void> = Promise.resolve();
  /** The piece that is being written begins here. */
  #writing: { readonly position: number; readonly done: Promise<void> } | undefined;
  #closed = false;

  constructor(needs: AheadNeeds) {
    this.#needs = needs;
  }

  /** The pieces that are here, in the order in which they came. */
  [Symbol.iterator](): Iterator<number> {
    return this.#pieces.keys();
  }

  /** Bytes of them that are in the file. */
  get storedBytes(): number {
    return this.#storedBytes;
  }

  /** There is a list beside the file. */
  get hasList(): boolean {
    return this.#hasList;
  }

  /** False: too much waits for the disk already. */
  put(piece: number, chunks: readonly Buffer[]): boolean {
    const { waiting } = this.#needs;
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (bytes !== this.#lengthOf(piece) || bytes <= 0) throw new Error(`${piece} is not a piece`);
    if (this.#closed || waiting.bytes + bytes > limits.aheadWaitingBytes) return false;
    waiting.bytes += bytes;
    this.#forget(piece);
    const ahead: Ahead = { chunks, noted: false };
    this.#pieces.set(piece, ahead);
    void this.#run(() => this.#write(piece, ahead)).then(() => (waiting.bytes -= bytes));
    return true;
  }

  /** It was wrong, say. */
  drop(piece: number): void {
    const ahead = this.#forget(piece);
    if (ahead?.noted !== true || this.#closed) return;
    void this.#run(() => this.#note(droppedNote(piece)));
  }

  /** The beginning has come past the end of this piece. */
  passed(piece: number): void {
    this.#forget(piece);
  }

  /** Bytes of a piece from `position` on → how many; 0: it is not here. Rejects STORAGE. */
  async read(into: Uint8Array, position: number): Promise<number> {
    const piece = Math.floor(position / limits.pieceBytes);
    const ahead = this.#pieces.get(piece);
    if (ahead === undefined) return 0;
    const offset = position - piece * limits.pieceBytes;
    const wanted = into.subarray(0, Math.max(0, this.#lengthOf(piece) - offset));
    if (ahead.chunks !== undefined) return copyFrom(ahead.chunks, offset, wanted);
    // When it is closed, so is the file.
    if (this.#closed) return 0;
    const count = await (await this.#needs.file()).read(wanted, position);
    // What replaced it meanwhile is being written, perhaps half.
    return this.#pieces.get(piece) === ahead ? count : 0;
  }

  /** The whole piece, which is then no longer here; undefined: it never was. Rejects STORAGE. */
  async take(piece: number): Promise<TakenPiece | undefined> {
    const ahead = this.#pieces.get(piece);
    if (ahead === undefined) return undefined;
    if (ahead.chunks !== undefined) {
      this.#forget(piece);
      return { bytes: Buffer.concat(ahead.chunks), onDisk: false };
    }
    const bytes = Buffer.allocUnsafe(this.#lengthOf(piece));
    try {
      const count = await this.read(bytes, piece * limits.pieceBytes);
      return count === bytes.length ? { bytes, onDisk: true } : undefined;
    } finally {
      if (this.#pieces.get(piece) === ahead) this.#forget(piece);
    }
  }

  /** Resolves when the piece that is being written below `endBytes` is; undefined: there is none. */
  busy(endBytes: number): Promise<void> | undefined {
    return this.#writing !== undefined && this.#writing.position < endBytes
      ? this.#writing.done
      : undefined;
  }

  /** The file has so many bytes of the beginning now: from time to time the list shall know. */
  grown(writtenBytes: number): void {
    if (this.#list === undefined || this.#marking || this.#closed) return;
    if (writtenBytes - this.#markedBytes < limits.pieceBytes) return;
    this.#marking = true;
    void this.#run(() => this.#mark());
  }

  /**
   * Takes up what an earlier run noted, as far as the bytes beyond `heldBytes` are still right.
   * Closes the list with the rest. Rejects STORAGE.
   */
  async resume(list: OpenFile, notes: PieceNotes): Promise<void> {
    this.#list = list;
    this.#hasList = true;
    this.#listBytes = notes.endBytes;
    this.#markedBytes = this.#needs.heldBytes();
    const file = await this.#needs.file();
    for (const [piece, digest] of notes.pieces) {
      const position = piece * limits.pieceBytes;
      if (position < this.#markedBytes || position >= this.#needs.sizeBytes) continue;
      const bytes = Buffer.allocUnsafe(this.#lengthOf(piece));
      const count = await file.read(bytes, position).catch(() => 0);
      if (count !== bytes.length || !digest.equals(this.#needs.hashes.of(bytes))) continue;
      this.#pieces.set(piece, { chunks: undefined, noted: true });
      this.#count(bytes.length);
    }
  }

  /** Forgets all pieces; those that wait are not written any more. */
  forget(): void {
    for (const piece of [...this.#pieces.keys()]) this.#forget(piece);
  }

  /** Forgets them in the list, too; what comes from now on is written after `reset`. */
  clear(reset: Promise<void>): Promise<void> {
    this.forget();
    return this.#run(async () => {
      await reset;
      this.#listBytes = 0;
      this.#markedBytes = 0;
      await this.#list?.truncate(0);
    });
  }

  /** Resolves when all is written and nothing is open any more. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#turn;
    const list = this.#list;
    this.#list = undefined;
    await list?.close();
  }

  #forget(piece: number): Ahead | undefined {
    const ahead = this.#pieces.get(piece);
    if (ahead === undefined) return undefined;
    this.#pieces.delete(piece);
    if (ahead.chunks === undefined) this.#count(-this.#lengthOf(piece));
    return ahead;
  }

  #count(bytes: number): void {
    this.#storedBytes += bytes;
    this.#needs.onStored();
  }

  #run(work: () => Promise<void>): Promise<void> {
    this.#turn = this.#turn.then(work).catch((error: unknown) => this.#needs.failed(error));
    return this.#turn;
  }

  async #write(piece: number, ahead: Ahead): Promise<void> {
    if (!this.#isDue(piece, ahead)) return;
    const position = piece * limits.pieceBytes;
    const room = this.#needs.reach(position + this.#lengthOf(piece));
    if (room !== undefined) await room;
    // Before there is a hole in the file: without a list it is taken for its beginning.
    if (this.#list === undefined) await this.#openList();
    const file = await this.#needs.file();
    if (!this.#isDue(piece, ahead)) return;
    const { chunks } = ahead;
    if (chunks === undefined) return;
    const writing = file.write(chunks, position);
    const done = writing.catch(() => undefined);
    this.#writing = { position, done };
    try {
      await writing;
    } finally {
      this.#writing = undefined;
    }
    if (this.#pieces.get(piece) !== ahead) return;
    const hasher = this.#needs.hashes.start();
    for (const chunk of chunks) hasher.update(chunk);
    ahead.noted = true;
    await this.#note(pieceNote(piece, hasher.digest()));
    if (this.#pieces.get(piece) !== ahead) return;
    ahead.chunks = undefined;
    this.#count(this.#lengthOf(piece));
  }

  /** It is wanted, and its place is its own. */
  #isDue(piece: number, ahead: Ahead): boolean {
    const isHere = this.#pieces.get(piece) === ahead;
    return isHere && piece * limits.pieceBytes >= this.#needs.heldBytes();
  }

  async #openList(): Promise<void> {
    this.#hasList = true;
    this.#list = await this.#needs.list();
    // An old one, say, that could not be removed.
    await this.#list.truncate(0);
    await this.#mark();
  }

  async #mark(): Promise<void> {
    this.#marking = false;
    const proof = this.#needs.proof();
    if (proof === undefined || proof.bytes <= this.#markedBytes) return;
    await this.#note(beginningNote(proof));
    this.#markedBytes = proof.bytes;
  }

  async #note(note: Buffer): Promise<void> {
    await this.#list?.write([note], this.#listBytes);
    this.#listBytes += noteBytes;
  }

  #lengthOf(piece: number): number {
    return Math.min(limits.pieceBytes, this.#needs.sizeBytes - piece * limits.pieceBytes);
  }
}

/** Fills `into` from byte `offset` of the chunks on → bytes. */
function copyFrom(chunks: readonly Buffer[], offset: number, into: Uint8Array): number {
  let [start, count] = [0, 0];
  for (const chunk of chunks) {
    if (start + chunk.length > offset && count < into.length) {
      const part = chunk.subarray(Math.max(0, offset - start)).subarray(0, into.length - count);
      into.set(part, count);
      count += part.length;
    }
    start += chunk.length;
  }
  return count;
}
