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

interface WindowChunk {
  readonly position: number;
  readonly bytes: Buffer;
}

export class Received {
  readonly #sink: Sink;
  /** Consecutive chunks up to `sink.heldBytes`. */
  #window: WindowChunk[] = [];
  #windowBytes = 0;
  readonly #readers = new Set<{ readonly position: number }>();
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
    this.#window.push({ position: this.#sink.heldBytes, bytes });
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

  addReader(reader: { readonly position: number }): void {
    this.#readers.add(reader);
  }

  removeReader(reader: { readonly position: number }): void {
    this.#readers.delete(reader);
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

  /** Bytes from `position`, at most up to `end`, which must be received already. */
  async read(position: number, end: number): Promise<Buffer> {
    const chunk = this.#find(position);
    if (chunk !== undefined) {
      const from = position - chunk.position;
      return chunk.bytes.subarray(from, Math.min(chunk.bytes.length, end - chunk.position));
    }
    const last = Math.min(end, this.#sink.writtenBytes, position + limits.readChunkBytes);
    const target = Buffer.allocUnsafe(Math.max(0, last - position));
    return target.subarray(0, await this.#sink.read(target, position));
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
    const slowest = failed ? this.#slowest() : Infinity;
    let drop = 0;
    while (drop < this.#window.length && this.#windowBytes > limits.downloadWindowBytes / 2) {
      const chunk = this.#window[drop];
      if (chunk === undefined) break;
      const end = chunk.position + chunk.bytes.length;
      if (end > this.#sink.writtenBytes && (!failed || end > slowest)) break;
      this.#windowBytes -= chunk.bytes.length;
      drop += 1;
    }
    if (drop > 0) this.#window = this.#window.slice(drop);
  }

  #slowest(): number {
    let slowest = Infinity;
    for (const reader of this.#readers) slowest = Math.min(slowest, reader.position);
    return slowest;
  }
}
