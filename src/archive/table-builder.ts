/**
 * Collects the rows of an index. Rows go into fixed segments, so nothing is ever copied or grown in
 * one piece; the slots are built at the end, in turns.
 */
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Hashes } from "../base/ports.ts";
import type { Pace } from "./pace.ts";
import { Table } from "./table.ts";
import {
  DIGEST_AT,
  KEY_BYTES,
  ROW_BYTES,
  SEGMENT_ROWS,
  SIZE_AT,
  tableKey,
  UNKNOWN_SIZE,
} from "./table-row.ts";

export class TableBuilder {
  readonly #hashes: Hashes;
  readonly #full: Buffer[] = [];
  #segment = Buffer.allocUnsafeSlow(SEGMENT_ROWS * ROW_BYTES);
  /** Bytes used of `#segment`. */
  #used = 0;
  #rowCount = 0;

  constructor(hashes: Hashes) {
    this.#hashes = hashes;
  }

  get rowCount(): number {
    return this.#rowCount;
  }

  /**
   * Adds a file under its relative name (text, or its UTF-8). Throws AptP2pError NO_SPACE beyond
   * `limits.catalogueRows`.
   */
  add(name: string | Uint8Array, sizeBytes: number | undefined, sha256: Uint8Array): void {
    if (this.#rowCount >= limits.catalogueRows) throw tooMany();
    if (this.#used === this.#segment.length) this.#nextSegment();
    const at = this.#used;
    const segment = this.#segment;
    const key = tableKey(this.#hashes, name);
    for (let index = 0; index < KEY_BYTES; index++) segment[at + index] = key[index] ?? 0;
    segment.writeUIntBE(sizeBytes ?? UNKNOWN_SIZE, at + SIZE_AT, 6);
    segment.set(sha256, at + DIGEST_AT);
    this.#used += ROW_BYTES;
    this.#rowCount++;
  }

  /** The table; the builder cannot be used afterwards. Throws as `Table.over`. */
  async finish(pace: Pace): Promise<Table> {
    // A copy of the right size, so that the unused part of the last segment is not kept.
    const last = Buffer.allocUnsafeSlow(this.#used);
    this.#segment.copy(last, 0, 0, this.#used);
    return Table.over(last.length === 0 ? this.#full : [...this.#full, last], pace);
  }

  #nextSegment(): void {
    this.#full.push(this.#segment);
    this.#segment = Buffer.allocUnsafeSlow(SEGMENT_ROWS * ROW_BYTES);
    this.#used = 0;
  }
}

function tooMany(): AptP2pError {
  return new AptP2pError(
    "NO_SPACE",
    `the index lists more than ${limits.catalogueRows} files (limits.catalogueRows)`,
  );
}
