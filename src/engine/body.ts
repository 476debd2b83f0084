import { AptP2pError } from "../base/errors.ts";
import type { OpenFile } from "../base/storage.ts";
import { limits } from "../base/limits.ts";

/** The bytes of an answer, pulled by whoever sends them. */
export interface Body {
  /**
   * The next bytes, or undefined at the end. A chunk may be overwritten by the second call that
   * follows: so one can be sent while the next is read. Rejects with an AptP2pError when the
   * connection must be cut because the rest cannot follow.
   */
  next(): Promise<Buffer | undefined>;
  /** Lets go of what lies behind; called once, at the end or before it. */
  close(): void;
}

/** Read buffers that are free. Made anew for each answer, they would keep the collector busy. */
const spare: Buffer[] = [];

/** Of `limits.readChunkBytes`. */
export function takeReadBuffer(): Buffer {
  return spare.pop() ?? Buffer.allocUnsafeSlow(limits.readChunkBytes);
}

export function giveReadBuffer(buffer: Buffer): void {
  if (spare.length < limits.spareReadBuffers) spare.push(buffer);
}

/** Bytes [start, end) of an open file, which it closes at the end. Chunks die with close(). */
export class FileBody implements Body {
  readonly #file: Pick<OpenFile, "read" | "close">;
  readonly #end: number;
  #position: number;
  readonly #buffers: Buffer[] = [];
  #turn = 0;
  #finished = false;
  #closed = false;

  constructor(file: Pick<OpenFile, "read" | "close">, start: number, end: number) {
    this.#file = file;
    this.#position = start;
    this.#end = end;
  }

  async next(): Promise<Buffer | undefined> {
    const left = this.#end - this.#position;
    if (left <= 0 || this.#closed) {
      this.#finished = left <= 0;
      return undefined;
    }
    if (this.#buffers.length <= this.#turn) this.#buffers.push(takeReadBuffer());
    const buffer = this.#buffers[this.#turn] ?? takeReadBuffer();
    this.#turn = 1 - this.#turn;
    const target = buffer.subarray(0, Math.min(left, buffer.length));
    const count = await this.#file.read(target, this.#position);
    if (count === 0) {
      // The length that was promised cannot be kept.
      throw new AptP2pError("STORAGE", "the stored file became shorter while it was sent");
    }
    this.#position += count;
    return target.subarray(0, count);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // Of a body that is cut off, bytes may still be on their way.
    if (this.#finished) for (const buffer of this.#buffers) giveReadBuffer(buffer);
    this.#file.close().catch(() => undefined);
  }
}

/** Bytes that are already here. */
export class BufferBody implements Body {
  #bytes: Buffer | undefined;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  next(): Promise<Buffer | undefined> {
    const bytes = this.#bytes;
    this.#bytes = undefined;
    return Promise.resolve(bytes !== undefined && bytes.length > 0 ? bytes : undefined);
  }

  close(): void {
    this.#bytes = undefined;
  }
}

/** Bytes passed on as they come. */
export class StreamBody implements Body {
  readonly #iterator: AsyncIterator<Buffer>;
  readonly #onBytes: (count: number) => void;

  constructor(source: AsyncIterable<Buffer>, onBytes: (count: number) => void) {
    this.#iterator = source[Symbol.asyncIterator]();
    this.#onBytes = onBytes;
  }

  async next(): Promise<Buffer | undefined> {
    const step = await this.#iterator.next();
    if (step.done === true) return undefined;
    this.#onBytes(step.value.length);
    return step.value;
  }

  close(): void {
    this.#iterator.return?.().catch(() => undefined);
  }
}
