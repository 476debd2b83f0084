/**
 * A digest table: what one index says about its files, immutable, 54 bytes a row and 6 to 12 for
 * finding it. Debian's main (65,000 packages) takes 4 MB.
 *
 * Rows lie in segments in the order of the index; slots are an open-addressing hash over the first
 * bytes of their keys. A name that the index lists twice with different digests has two rows.
 */
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { sha256FromBytes, type Sha256 } from "../base/sha256.ts";
import { DigestQuery } from "./digest-query.ts";
import type { Pace } from "./pace.ts";
import {
  DIGEST_AT,
  KEY_BYTES,
  ROW_BYTES,
  SEGMENT_ROWS,
  SIZE_AT,
  UNKNOWN_SIZE,
} from "./table-row.ts";

export interface TableRow {
  readonly sha256: Sha256;
  /** undefined: the index does not tell. */
  readonly sizeBytes: number | undefined;
}

export class Table {
  readonly rowCount: number;
  /** All full but the last one; together `rowCount` rows. */
  readonly segments: readonly Buffer[];
  /** Row number + 1; 0 is empty. A power of two, at most two thirds full. */
  readonly #slots: Uint32Array;

  private constructor(segments: readonly Buffer[], rowCount: number, slots: Uint32Array) {
    this.segments = segments;
    this.rowCount = rowCount;
    this.#slots = slots;
  }

  /**
   * Builds the slots over segments that are whole rows and, all but the last, full. Throws
   * AptP2pError FORMAT when keys crowd as those of honest names never do.
   */
  static async over(segments: readonly Buffer[], pace: Pace): Promise<Table> {
    let rowCount = 0;
    for (const segment of segments) rowCount += segment.length / ROW_BYTES;
    const slots = new Uint32Array(slotCount(rowCount));
    for (const [number, segment] of segments.entries()) {
      const rows = segment.length / ROW_BYTES;
      for (let from = 0; from < rows; from += TURN_ROWS) {
        const first = number * SEGMENT_ROWS;
        for (let row = from; row < Math.min(rows, from + TURN_ROWS); row++) {
          insert(slots, segment.readUInt32BE(row * ROW_BYTES), first + row);
        }
        if (pace.due()) await pace.pause();
      }
    }
    return new Table(segments, rowCount, slots);
  }

  /** Memory that the table takes, in bytes. */
  get byteLength(): number {
    let bytes = this.#slots.byteLength;
    for (const segment of this.segments) bytes += segment.length;
    return bytes;
  }

  /** The rows of a key (`tableKey`): none, one, or one per digest. */
  find(key: Uint8Array): readonly TableRow[] {
    const found: TableRow[] = [];
    const mask = this.#slots.length - 1;
    let slot = firstSlot(key, mask);
    for (;;) {
      const row = (this.#slots[slot] ?? 0) - 1;
      if (row < 0) return found;
      const segment = this.segments[Math.floor(row / SEGMENT_ROWS)];
      const at = (row % SEGMENT_ROWS) * ROW_BYTES;
      if (segment !== undefined && sameKey(segment, at, key)) addRow(found, segment, at);
      slot = (slot + 1) & mask;
    }
  }

  /** Adds to `found` those digests of the query that a row has. */
  collect(query: DigestQuery, found: Set<Sha256>): void {
    for (const segment of this.segments) {
      for (let at = DIGEST_AT; at < segment.length; at += ROW_BYTES) {
        query.test(segment, at, found);
      }
    }
  }
}

/** Rows that are inserted between two looks at the clock: well below a millisecond. */
const TURN_ROWS = 2048;

function slotCount(rows: number): number {
  let slots = 16;
  while (slots < rows * 1.5) slots *= 2;
  return slots;
}

function firstSlot(key: Uint8Array, mask: number): number {
  const first =
    ((key[0] ?? 0) << 24) | ((key[1] ?? 0) << 16) | ((key[2] ?? 0) << 8) | (key[3] ?? 0);
  return first & mask;
}

function insert(slots: Uint32Array, first: number, row: number): void {
  const mask = slots.length - 1;
  let slot = first & mask;
  for (let probes = 0; slots[slot] !== 0; probes++) {
    if (probes > limits.tableProbes) {
      throw new AptP2pError("FORMAT", "the names of the index collide as only made ones do");
    }
    slot = (slot + 1) & mask;
  }
  slots[slot] = row + 1;
}

function sameKey(segment: Buffer, at: number, key: Uint8Array): boolean {
  for (let index = 0; index < KEY_BYTES; index++) {
    if (segment[at + index] !== key[index]) return false;
  }
  return true;
}

function addRow(found: TableRow[], segment: Buffer, at: number): void {
  const sha256 = sha256FromBytes(segment.subarray(at + DIGEST_AT, at + ROW_BYTES));
  if (found.some((row) => row.sha256 === sha256)) return;
  const sizeBytes = segment.readUIntBE(at + SIZE_AT, 6);
  found.push({ sha256, sizeBytes: sizeBytes === UNKNOWN_SIZE ? undefined : sizeBytes });
}
