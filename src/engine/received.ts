/**
 * What a download has received so far, readable while it grows.
 *
 * The bytes go to an unfinished file of the store; the newest stay in memory too, so that a reader
 * who keeps up never touches the disk. A reader who falls behind reads the file. When the disk fails
 * (or is full) the window in memory alone carries the download: nothing is dropped from it that a
 * reader still needs, and the producer has to wait for the slowest reader.
 */
import type { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Sha256 } from "../base/sha256.ts";
import { givePieceBuffer, keepPieceBuffer } from "./piece-buffers.ts";

/** The part of the store's unfinished file that a download uses; see cache/unfinished.ts. */
export interface Sink {
  readonly heldBytes: number;
  readonly writtenBytes: number;
  readonly failure: AptP2pError | undefined;
  append(chunk: Buffer): void;
  drained(): Promise<void>;
  read(into: Uint8Array, position: number): Promise<number>;
  digest(): Sha256;
  /** A piece that was put aside before its turn; undefined: it is not here. */
  takePiece?(piece: number): Promise<Buffer | undefined>;
  /** Bytes of pieces put aside → how many; 0: not here. */
  readAhead?(into: Uint8Array, position: number): Promise<number>;
}

/** Somebody who reads it; see Body for what it may still look at. */
export interface Reading {
  /** The next byte. */
  readonly position: number;
  /** Bytes before this one are done with. */
  readonly heldFrom: number;
}

interface WindowChunk {
  readonly position: number;
  readonly bytes: Buffer;
  /** Some reader has seen it. */
  given: boolean;
}

export class Received {
  readonly #sink: Sink;
  /** Consecutive chunks up to `sink.heldBytes`. */
  #window: WindowChunk[] = [];
  #windowBytes = 0;
  /** Chunks that have left the window, and that readers may still look at. */
  #leaving: WindowChunk[] = [];
  readonly #readers = new Set<Reading>();
  #readerMoved: (() => void) | undefined;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  get bytes(): number {
    return this.#sink.heldBytes;
  }

  get failure(): AptP2pError | undefined {
    return this.#sink.failure;
  }

  append(bytes: Buffer): void {
    this.#window.push({ position: this.#sink.heldBytes, bytes, given: false });
    this.#windowBytes += bytes.length;
    this.#sink.append(bytes);
    this.#trim();
  }

  /** Whether the producer should wait (see room) before it appends more. */
  get full(): boolean {
    return this.#windowBytes > limits.downloadWindowBytes;
  }

  /** Resolves when more may be appended, or when moved() is called although nothing did. */
  async room(): Promise<void> {
    if (this.#sink.failure === undefined) await this.#sink.drained();
    this.#trim();
    if (this.#sink.failure === undefined || !this.full || this.#readers.size === 0) return;
    await new Promise<void>((resolve) => {
      this.#readerMoved = resolve;
    });
    this.#trim();
  }

  addReader(reader: Reading): void {
    this.#readers.add(reader);
  }

  removeReader(reader: Reading): void {
    this.#readers.delete(reader);
    // What it was given last may still be on its way to a client that is cut off.
    for (const { position, bytes, given } of [...this.#leaving, ...this.#window]) {
      if (given && position + bytes.length > reader.heldFrom) keepPieceBuffer(bytes);
    }
    this.moved();
  }

  /** A reader's position has changed (or the download was aborted: the producer must look). */
  moved(): void {
    const wake = this.#readerMoved;
    this.#readerMoved = undefined;
    wake?.();
  }

  /** Whether the byte at `position`, already received, can still be read. */
  reaches(position: number): boolean {
    if (this.#sink.failure === undefined || position < this.#sink.writtenBytes) return true;
    const first = this.#window[0];
    return first === undefined ? position >= this.bytes : position >= first.position;
  }

  /**
   * Bytes from `position`, at most up to `end`, which must be received already; `memory` gives some
   * of `limits.readChunkBytes` if they come from the disk.
   */
  async read(position: number, end: number, memory: () => Buffer): Promise<Buffer> {
    const chunk = this.#find(position);
    if (chunk !== undefined) {
      const from = position - chunk.position;
      chunk.given = true;
      return chunk.bytes.subarray(from, Math.min(chunk.bytes.length, end - chunk.position));
    }
    const last = Math.min(end, this.#sink.writtenBytes, position + limits.readChunkBytes);
    if (last <= position) return Buffer.alloc(0);
    const target = memory().subarray(0, last - position);
    return target.subarray(0, await this.#sink.read(target, position));
  }

  /** Copies bytes from `position` on, which must be received already → how many. Rejects STORAGE. */
  readInto(into: Uint8Array, position: number): Promise<number> {
    const chunk = this.#find(position);
    if (chunk === undefined) return this.#sink.read(into, position);
    return Promise.resolve(chunk.bytes.copy(into, 0, position - chunk.position));
  }

  #find(position: number): WindowChunk | undefined {
    // Readers who keep up want the newest chunks: search from the end.
    for (let index = this.#window.length - 1; index >= 0; index -= 1) {
      const chunk = this.#window[index];
      if (chunk === undefined || position >= chunk.position + chunk.bytes.length) return undefined;
      if (position >= chunk.position) return chunk;
    }
    return undefined;
  }

  /** Drops from memory what the file has, beyond a margin, or what no reader needs any more. */
  #trim(): void {
    const failed = this.#sink.failure !== undefined;
    const slowest = failed ? this.#slowest("position") : Infinity;
    let drop = 0;
    while (drop < this.#window.length && this.#windowBytes > limits.downloadWindowBytes / 2) {
      const chunk = this.#window[drop];
      if (chunk === undefined) break;
      const end = chunk.position + chunk.bytes.length;
      if (end > this.#sink.writtenBytes && (!failed || end > slowest)) break;
      this.#windowBytes -= chunk.bytes.length;
      drop += 1;
    }
    if (drop > 0) {
      this.#leaving.push(...this.#window.slice(0, drop));
      this.#window = this.#window.slice(drop);
    }
    this.#giveBack();
  }

  /** Memory that neither the disk nor a reader looks at any more; what slow readers hold is let go. */
  #giveBack(): void {
    if (this.#leaving.length === 0) return;
    const heldFrom = this.#slowest("heldFrom");
    const isDone = ({ position, bytes, given }: WindowChunk): boolean => {
      const end = position + bytes.length;
      if (this.#sink.failure !== undefined || end > this.#sink.writtenBytes) return false;
      return !given || end <= heldFrom;
    };
    for (const chunk of this.#leaving) if (isDone(chunk)) givePieceBuffer(chunk.bytes);
    this.#leaving = this.#leaving.filter((chunk) => !isDone(chunk)).slice(-limits.leavingChunks);
  }

  #slowest(what: keyof Reading): number {
    let slowest = Infinity;
    for (const reader of this.#readers) slowest = Math.min(slowest, reader[what]);
    return slowest;
  }
}
