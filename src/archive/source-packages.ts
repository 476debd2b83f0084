/**
 * Sources indexes: a push parser for the files of every source package, `Directory` joined with each
 * entry of `Checksums-Sha256`. The `Files` field (MD5) and SHA-1 are never read.
 */
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import {
  copyName,
  isBlank,
  parseHex64,
  parseSize,
  startsField,
  trimRange,
  type IndexParser,
  type RowHandler,
} from "./index-row.ts";
import { LineReader } from "./line-reader.ts";

const DIRECTORY = Buffer.from("directory:");
const CHECKSUMS = Buffer.from("checksums-sha256:");
const LF = 10;

export class SourcesParser implements IndexParser {
  readonly #onRow: RowHandler;
  readonly #lines = new LineReader((bytes, start, end) => this.#line(bytes, start, end));
  /** The stanza's directory with a slash behind it (nothing for `.`); then a file's name after it. */
  readonly #name = Buffer.allocUnsafeSlow(limits.nameBytes);
  readonly #sha256 = Buffer.allocUnsafeSlow(32);
  /** Bytes of the directory in `#name`; -1 while there is none, or when it is refused. */
  #directoryLength = -1;
  /** The checksum lines, each with LF: the directory may come after them. Grows to indexLineBytes. */
  #files = Buffer.allocUnsafe(4096);
  #filesLength = 0;
  #inChecksums = false;
  #any = false;
  refusedRows = 0;

  constructor(onRow: RowHandler) {
    this.#onRow = onRow;
  }

  push(chunk: Buffer): void {
    this.#lines.push(chunk);
  }

  end(): void {
    this.#lines.end();
    this.#endStanza();
  }

  #line(bytes: Buffer, start: number, end: number): void {
    if (start === end) {
      this.#endStanza();
      return;
    }
    this.#any = true;
    if (isBlank(bytes[start])) {
      if (this.#inChecksums) this.#keep(bytes, start, end);
      return;
    }
    this.#inChecksums = startsField(bytes, start, end, CHECKSUMS);
    if (this.#inChecksums) this.#keep(bytes, start + CHECKSUMS.length, end);
    else if (startsField(bytes, start, end, DIRECTORY)) {
      this.#setDirectory(bytes, start + DIRECTORY.length, end);
    }
  }

  #setDirectory(bytes: Buffer, start: number, end: number): void {
    const value = trimRange(bytes, start, end);
    // A flat repository writes `.`, or nothing.
    const isRoot =
      value.end === value.start || bytes.toString("latin1", value.start, value.end) === ".";
    this.#directoryLength = isRoot ? 0 : copyName(bytes, value, this.#name);
    if (this.#directoryLength > 0) {
      if (this.#directoryLength >= this.#name.length) this.#directoryLength = -1;
      else this.#name[this.#directoryLength++] = 0x2f;
    }
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    const wanted = this.#filesLength + (end - start) + 1;
    if (wanted > limits.indexLineBytes) {
      throw new AptP2pError("FORMAT", `Checksums-Sha256 exceeds ${limits.indexLineBytes} bytes`);
    }
    if (wanted > this.#files.length) {
      const larger = Buffer.allocUnsafe(Math.max(wanted, 2 * this.#files.length));
      this.#files.copy(larger, 0, 0, this.#filesLength);
      this.#files = larger;
    }
    bytes.copy(this.#files, this.#filesLength, start, end);
    this.#files[wanted - 1] = LF;
    this.#filesLength = wanted;
  }

  #endStanza(): void {
    if (this.#any && this.#filesLength === 0) this.refusedRows++;
    let start = 0;
    while (start < this.#filesLength) {
      const end = this.#files.indexOf(LF, start);
      const line = trimRange(this.#files, start, end);
      if (line.end > line.start && !this.#row(line.start, line.end)) this.refusedRows++;
      start = end + 1;
    }
    this.#directoryLength = -1;
    this.#filesLength = 0;
    this.#inChecksums = false;
    this.#any = false;
  }

  /** Hands over the row `<hex> <size> <name>`; false if it is refused. */
  #row(start: number, end: number): boolean {
    const files = this.#files;
    const hexEnd = nextBlank(files, start, end);
    const size = trimRange(files, hexEnd, end);
    const sizeEnd = nextBlank(files, size.start, end);
    const name = trimRange(files, sizeEnd, end);
    const sizeBytes = parseSize(files, size.start, sizeEnd);
    if (this.#directoryLength < 0 || sizeBytes < 0) return false;
    if (files.subarray(name.start, name.end).includes(0x2f)) return false;
    if (!parseHex64(files, start, hexEnd, this.#sha256)) return false;
    const length = copyName(files, name, this.#name, this.#directoryLength);
    if (length < 0) return false;
    this.#onRow(this.#name.subarray(0, length), sizeBytes, this.#sha256);
    return true;
  }
}

function nextBlank(bytes: Buffer, start: number, end: number): number {
  while (start < end && !isBlank(bytes[start])) start++;
  return start;
}
