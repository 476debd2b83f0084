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

/** Bytes [start, end) of an open file, which it closes at the end. */
export class FileBody implements Body {
  readonly #file: OpenFile;
  readonly #end: number;
  #position: number;
  #buffers: [Buffer, Buffer] | undefined;
  #turn: 0 | 1 = 0;

  constructor(file: OpenFile, start: number, end: number) {
    this.#file = file;
    this.#position = start;
    this.#end = end;
  }

  async next(): Promise<Buffer | undefined> {
    const left = this.#end - this.#position;
    if (left <= 0) return undefined;
    const target = this.#target(left);
    const count = await this.#file.read(target, this.#position);
    // A file that lost bytes since it was opened: the length that was promised cannot be kept.
    if (count === 0) throw new Error("the stored file became shorter while it was sent");
    this.#position += count;
    return target.subarray(0, count);
  }

  close(): void {
    this.#file.close().catch(() => undefined);
  }

  #target(left: number): Buffer {
    const size = limits.readChunkBytes;
    if (left <= size && this.#buffers === undefined) return Buffer.allocUnsafe(left);
    this.#buffers ??= [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)];
    this.#turn = this.#turn === 0 ? 1 : 0;
    return this.#buffers[this.#turn].subarray(0, Math.min(size, left));
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
