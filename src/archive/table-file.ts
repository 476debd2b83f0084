/**
 * Digest tables on the disk: magic and version (8 bytes), row count (4 bytes, big-endian), the rows,
 * and the SHA-256 of all that. A file that is not exactly so is refused; its index is read anew.
 */
import { limits } from "../base/limits.ts";
import type { Hashes } from "../base/ports.ts";
import type { Files, OpenFile } from "../base/storage.ts";
import { writeWhole } from "./file-io.ts";
import type { Pace } from "./pace.ts";
import { ROW_BYTES, SEGMENT_ROWS } from "./table-row.ts";
import { Table } from "./table.ts";

/** The last byte is the version of the format. */
const MAGIC = Buffer.from("aptp2pt\x01", "latin1");
const HEADER_BYTES = MAGIC.length + 4;
const TRAILER_BYTES = 32;

export async function saveTable(
  components: { readonly files: Files; readonly hashes: Hashes },
  path: string,
  table: Table,
  pace: Pace,
): Promise<void> {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32BE(table.rowCount, MAGIC.length);
  const chunks = [header, ...table.segments];
  const hasher = components.hashes.start();
  for (const chunk of chunks) {
    hasher.update(chunk);
    if (pace.due()) await pace.pause();
  }
  await writeWhole(components.files, path, [...chunks, hasher.digest()]);
}

/** undefined: there is no such file, or it is damaged. */
export async function loadTable(
  components: { readonly files: Files; readonly hashes: Hashes },
  path: string,
  pace: Pace,
): Promise<Table | undefined> {
  const file = await components.files.open(path);
  if (file === undefined) return undefined;
  try {
    const segments = await readSegments(file, components.hashes);
    return segments === undefined ? undefined : await Table.over(segments, pace);
  } catch {
    return undefined;
  } finally {
    await file.close();
  }
}

async function readSegments(file: OpenFile, hashes: Hashes): Promise<Buffer[] | undefined> {
  const header = await readExactly(file, 0, HEADER_BYTES);
  if (header?.subarray(0, MAGIC.length).equals(MAGIC) !== true) return undefined;
  const rowCount = header.readUInt32BE(MAGIC.length);
  const endOfRows = HEADER_BYTES + rowCount * ROW_BYTES;
  const { sizeBytes } = await file.facts();
  if (rowCount > limits.catalogueRows || sizeBytes !== endOfRows + TRAILER_BYTES) return undefined;
  const hasher = hashes.start();
  hasher.update(header);
  const segments: Buffer[] = [];
  for (let position = HEADER_BYTES; position < endOfRows;) {
    const bytes = Math.min(SEGMENT_ROWS * ROW_BYTES, endOfRows - position);
    const segment = await readExactly(file, position, bytes);
    if (segment === undefined) return undefined;
    hasher.update(segment);
    segments.push(segment);
    position += bytes;
  }
  const trailer = await readExactly(file, endOfRows, TRAILER_BYTES);
  return trailer?.equals(hasher.digest()) === true ? segments : undefined;
}

async function readExactly(
  file: OpenFile,
  position: number,
  bytes: number,
): Promise<Buffer | undefined> {
  const buffer = Buffer.allocUnsafeSlow(bytes);
  for (let filled = 0; filled < bytes;) {
    const read = await file.read(buffer.subarray(filled), position + filled);
    if (read === 0) return undefined;
    filled += read;
  }
  return buffer;
}
