/**
 * Reads one index from a stream: decompresses (as its first bytes say), hashes the plain text and
 * makes its digest table, in slices that leave the event loop alone for no longer than a turn.
 */
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Hasher, Hashes } from "../base/ports.ts";
import { sha256FromBytes, type Sha256 } from "../base/sha256.ts";
import { sniffCompression, SNIFF_BYTES } from "./compression.ts";
import { parseDiffIndex } from "./diff-index.ts";
import type { IndexParser } from "./index-row.ts";
import type { ListedIndex } from "./known-release.ts";
import { PackagesParser } from "./packages.ts";
import { Pace } from "./pace.ts";
import type { Decompressor } from "./ports.ts";
import { SourcesParser } from "./source-packages.ts";
import { TableBuilder } from "./table-builder.ts";
import type { Table } from "./table.ts";

export interface ReaderComponents {
  readonly clock: Clock;
  readonly hashes: Hashes;
  readonly decompressor: Decompressor;
}

export interface ReadResult {
  /** Digest of the plain text. */
  readonly plain: Sha256;
  readonly plainBytes: number;
  readonly table: Table;
  readonly refusedRows: number;
}

/**
 * Rejects with AptP2pError FORMAT for damage, NO_SPACE for more rows than the catalogue may have,
 * CLOSED when `stopped` says so.
 */
export async function readIndex(
  components: ReaderComponents,
  kind: ListedIndex["kind"],
  source: AsyncIterable<Buffer>,
  stopped: () => boolean,
): Promise<ReadResult> {
  const { clock, hashes } = components;
  const pace = new Pace(clock);
  const hasher = hashes.start();
  const builder = new TableBuilder(hashes);
  const parser = parserFor(kind, builder);
  let plainBytes = 0;
  for await (const slice of slices(expand(components, source))) {
    if (stopped()) throw new AptP2pError("CLOSED", "the daemon stops");
    plainBytes += slice.length;
    hasher.update(slice);
    parser.push(slice);
    if (pace.due()) await pace.pause();
  }
  parser.end();
  const table = await builder.finish(pace);
  const plain = sha256FromBytes(hasher.digest());
  return { plain, plainBytes, table, refusedRows: parser.refusedRows };
}

/** The plain text of a stream, at most limits.indexBytes of it. */
export function expand(
  components: Pick<ReaderComponents, "decompressor">,
  source: AsyncIterable<Buffer>,
): AsyncIterable<Buffer> {
  return expandBounded(components.decompressor, source, limits.indexBytes);
}

/** All plain bytes of a small compressed file. Rejects with AptP2pError FORMAT beyond the limit. */
export async function expandWhole(
  components: Pick<ReaderComponents, "decompressor">,
  source: AsyncIterable<Buffer>,
  limitBytes: number,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of expandBounded(components.decompressor, source, limitBytes)) {
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The same chunks; `hasher` gets what goes by. */
export async function* hashing(
  source: AsyncIterable<Buffer>,
  hasher: Hasher,
): AsyncGenerator<Buffer, void> {
  for await (const chunk of source) {
    hasher.update(chunk);
    yield chunk;
  }
}

async function* expandBounded(
  decompressor: Decompressor,
  source: AsyncIterable<Buffer>,
  limitBytes: number,
): AsyncGenerator<Buffer, void> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    const head = await firstBytes(iterator);
    const whole = prepend(head, iterator);
    const compression = sniffCompression(head);
    yield* compression === "none"
      ? bounded(whole, limitBytes)
      : decompressor.expand(compression, whole, limitBytes);
  } finally {
    await iterator.return?.();
  }
}

/** As many chunks as it takes to tell the compression, as one. */
async function firstBytes(iterator: AsyncIterator<Buffer>): Promise<Buffer> {
  let head: Buffer = Buffer.alloc(0);
  while (head.length < SNIFF_BYTES) {
    const next = await iterator.next();
    if (next.done === true) break;
    head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
  }
  return head;
}

async function* prepend(
  head: Buffer,
  iterator: AsyncIterator<Buffer>,
): AsyncGenerator<Buffer, void> {
  if (head.length > 0) yield head;
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) return;
    yield next.value;
  }
}

async function* bounded(
  source: AsyncIterable<Buffer>,
  limitBytes: number,
): AsyncGenerator<Buffer, void> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > limitBytes) {
      throw new AptP2pError("FORMAT", `more than ${limitBytes} bytes of plain text`);
    }
    yield chunk;
  }
}

async function* slices(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
  for await (const chunk of source) {
    if (chunk.length <= limits.indexSliceBytes) {
      yield chunk;
      continue;
    }
    for (let at = 0; at < chunk.length; at += limits.indexSliceBytes) {
      yield chunk.subarray(at, at + limits.indexSliceBytes);
    }
  }
}

function parserFor(kind: ListedIndex["kind"], builder: TableBuilder): IndexParser {
  const onRow = builder.add.bind(builder);
  if (kind === "packages") return new PackagesParser(onRow);
  return kind === "sources" ? new SourcesParser(onRow) : new DiffIndexParser(builder);
}

/** Packages.diff/Index: the patches below its directory. Small, so parsed whole at its end. */
class DiffIndexParser implements IndexParser {
  readonly #builder: TableBuilder;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  readonly refusedRows = 0;

  constructor(builder: TableBuilder) {
    this.#builder = builder;
  }

  push(chunk: Buffer): void {
    this.#bytes += chunk.length;
    if (this.#bytes > limits.releaseBytes) {
      throw new AptP2pError("FORMAT", `the diff Index has more than ${limits.releaseBytes} bytes`);
    }
    this.#chunks.push(chunk);
  }

  end(): void {
    const { downloads } = parseDiffIndex(Buffer.concat(this.#chunks).toString("utf8"));
    for (const { name, sizeBytes, sha256 } of downloads) {
      this.#builder.add(name, sizeBytes, Buffer.from(sha256, "hex"));
    }
  }
}
