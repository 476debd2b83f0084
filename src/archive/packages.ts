/**
 * Packages indexes: a push parser for Filename, Size and SHA256 of every stanza.
 *
 * Nothing else is looked at, nothing of a chunk is kept: lines are told apart by their first byte,
 * values go into three reused buffers. Field names in any case; of a repeated field the last counts.
 */
import { limits } from "../base/limits.ts";
import {
  copyName,
  parseHex64,
  parseSize,
  startsField,
  trimRange,
  type IndexParser,
  type RowHandler,
} from "./index-row.ts";
import { LineReader } from "./line-reader.ts";

const FILENAME = Buffer.from("filename:");
const SIZE = Buffer.from("size:");
const SHA256 = Buffer.from("sha256:");
const LOWER_F = 0x66;
const LOWER_S = 0x73;

export class PackagesParser implements IndexParser {
  readonly #onRow: RowHandler;
  readonly #lines = new LineReader((bytes, start, end) => this.#line(bytes, start, end));
  readonly #name = Buffer.allocUnsafeSlow(limits.nameBytes);
  readonly #sha256 = Buffer.allocUnsafeSlow(32);
  /** Of the stanza being read; -1 while there is none, or when it is refused. */
  #nameLength = -1;
  #sizeBytes = -1;
  #hasSha256 = false;
  /** Whether the stanza has a line at all. */
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
    // Bit 5 tells upper from lower case.
    const first = (bytes[start] ?? 0) | 0x20;
    if (first === LOWER_S) this.#sizeOrDigest(bytes, start, end);
    else if (first === LOWER_F && startsField(bytes, start, end, FILENAME)) {
      const value = trimRange(bytes, start + FILENAME.length, end);
      this.#nameLength = copyName(bytes, value, this.#name);
    }
  }

  #sizeOrDigest(bytes: Buffer, start: number, end: number): void {
    if (startsField(bytes, start, end, SIZE)) {
      const value = trimRange(bytes, start + SIZE.length, end);
      this.#sizeBytes = parseSize(bytes, value.start, value.end);
    } else if (startsField(bytes, start, end, SHA256)) {
      const value = trimRange(bytes, start + SHA256.length, end);
      this.#hasSha256 = parseHex64(bytes, value.start, value.end, this.#sha256);
    }
  }

  #endStanza(): void {
    if (this.#nameLength >= 0 && this.#sizeBytes >= 0 && this.#hasSha256) {
      this.#onRow(this.#name.subarray(0, this.#nameLength), this.#sizeBytes, this.#sha256);
    } else if (this.#any) {
      this.refusedRows++;
    }
    this.#nameLength = -1;
    this.#sizeBytes = -1;
    this.#hasSha256 = false;
    this.#any = false;
  }
}
