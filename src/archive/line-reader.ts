/**
 * Cuts a stream of chunks into lines without copying: the handler sees each line where it lies.
 *
 * Lines end with LF or CRLF. Only a line that spans chunks is copied; no chunk is kept after `push`.
 */
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";

/** The line is `bytes[start..end)` without its end; valid only during the call. */
export type LineHandler = (bytes: Buffer, start: number, end: number) => void;

const LF = 10;
const CR = 13;

export class LineReader {
  readonly #onLine: LineHandler;
  /** The beginning of a line whose end has not come yet: `#carry[0..#carried)`. */
  #carry = Buffer.allocUnsafe(1024);
  #carried = 0;

  constructor(onLine: LineHandler) {
    this.#onLine = onLine;
  }

  /** Throws AptP2pError FORMAT when a line exceeds `limits.indexLineBytes`. */
  push(chunk: Buffer): void {
    let start = 0;
    if (this.#carried > 0) {
      start = chunk.indexOf(LF) + 1;
      this.#keep(chunk, 0, start === 0 ? chunk.length : start - 1);
      if (start === 0) return;
      this.#flush();
    }
    for (;;) {
      const end = chunk.indexOf(LF, start);
      if (end < 0) break;
      this.#onLine(chunk, start, end > start && chunk[end - 1] === CR ? end - 1 : end);
      start = end + 1;
    }
    this.#keep(chunk, start, chunk.length);
  }

  /** Hands out a last line that has no end. */
  end(): void {
    if (this.#carried > 0) this.#flush();
  }

  #flush(): void {
    const length = this.#carried;
    this.#carried = 0;
    const end = this.#carry[length - 1] === CR ? length - 1 : length;
    this.#onLine(this.#carry, 0, end);
  }

  #keep(chunk: Buffer, start: number, end: number): void {
    const wanted = this.#carried + (end - start);
    if (wanted > limits.indexLineBytes) {
      throw new AptP2pError("FORMAT", `a line is longer than ${limits.indexLineBytes} bytes`);
    }
    if (wanted > this.#carry.length) {
      const larger = Buffer.allocUnsafe(Math.max(wanted, 2 * this.#carry.length));
      this.#carry.copy(larger, 0, 0, this.#carried);
      this.#carry = larger;
    }
    chunk.copy(this.#carry, this.#carried, start, end);
    this.#carried = wanted;
  }
}
