/**
 * How fast a Packages index becomes a digest table, and how long it holds the event loop.
 *
 *     npx tsx bench/parse.ts [FILE]
 *
 * Without FILE it parses 50 MB of made stanzas of Debian's average size (790 bytes). Prints one JSON
 * object: a run of the parser alone (`parser`), one of everything that happens to an index (`index`:
 * hashing, parsing, rows, slots), writing and loading the table (`file`), and learning it through the
 * whole room from apt's lists (`room`).
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay, performance } from "node:perf_hooks";
import { Archive } from "../src/archive/archive.ts";
import { readIndex } from "../src/archive/index-reader.ts";
import { PackagesParser } from "../src/archive/packages.ts";
import { Pace } from "../src/archive/pace.ts";
import { loadTable, saveTable } from "../src/archive/table-file.ts";
import { Counters } from "../src/base/counters.ts";
import { limits } from "../src/base/limits.ts";
import type { Clock, Log } from "../src/base/ports.ts";
import { sha256FromBytes } from "../src/base/sha256.ts";
import { DiskFiles } from "../src/io/disk-files.ts";
import { nodeHashes as hashes } from "../src/io/node-hashes.ts";
import { MemoryKeyValue } from "../src/sim/memory-key-value.ts";

const silent = (): void => undefined;
const log: Log = { debug: silent, info: silent, warn: console.error, error: console.error };
const clock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after: (delayMs, action) => {
    const timer = setTimeout(action, delayMs);
    return () => clearTimeout(timer);
  },
};

/** One stanza as Debian's are: most of it is nothing to us. */
function stanza(number: number): string {
  const name = `package-${number.toString(36)}`;
  const digest = Buffer.from(hashes.of(`content of ${name}`)).toString("hex");
  const depends = Array.from({ length: 14 }, (_, index) => `lib${name}${index} (>= 1.${index})`);
  return [
    `Package: ${name}`,
    "Version: 12.2.0-14+deb12u1",
    "Installed-Size: 4711",
    "Maintainer: Some Team <team@packages.example.org>",
    "Architecture: amd64",
    `Depends: ${depends.join(", ").slice(0, 240)}`,
    "Description: a package that stands for all the others",
    "Homepage: https://www.example.org/",
    "Description-md5: 3f4c8e2f4a7f1f3b0d6f1c2a9b8e7d6c",
    "Section: utils",
    "Priority: optional",
    `Filename: pool/main/${name.charAt(8)}/${name}/${name}_12.2.0-14+deb12u1_amd64.deb`,
    `Size: ${1000 + number}`,
    "MD5sum: 0123456789abcdef0123456789abcdef",
    `SHA256: ${digest}`,
    "",
    "",
  ].join("\n");
}

function made(bytes: number): Buffer {
  const parts: string[] = [];
  for (let number = 0, length = 0; length < bytes; number++) {
    const text = stanza(number);
    parts.push(text);
    length += text.length;
  }
  return Buffer.from(parts.join(""));
}

function* cut(whole: Buffer, bytes: number): Generator<Buffer> {
  for (let at = 0; at < whole.length; at += bytes) yield whole.subarray(at, at + bytes);
}

async function* stream(whole: Buffer): AsyncGenerator<Buffer, void> {
  for (const chunk of cut(whole, limits.readChunkBytes)) {
    // As a file or a pipe does: every chunk comes in a turn of its own.
    await new Promise((resolve) => setImmediate(resolve));
    yield chunk;
  }
}

interface Measured {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly maxStallMs: number;
}

async function measure<T>(work: () => Promise<T>): Promise<{ value: T; measured: Measured }> {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  await new Promise((resolve) => setTimeout(resolve, 20));
  const cpu = process.cpuUsage();
  const start = performance.now();
  delay.enable();
  delay.reset();
  const value = await work();
  await new Promise((resolve) => setTimeout(resolve, 5));
  delay.disable();
  const used = process.cpuUsage(cpu);
  const wallMs = round(performance.now() - start - 5);
  const cpuMs = round((used.user + used.system) / 1000);
  return { value, measured: { wallMs, cpuMs, maxStallMs: round(delay.max / 1e6) } };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** The parser alone, in chunks of the size that the reader uses; median of five. */
function benchParser(whole: Buffer): Record<string, number> {
  const runs = Array.from({ length: 5 }, () => {
    let rows = 0;
    let maxChunkMs = 0;
    const parser = new PackagesParser(() => rows++);
    const start = performance.now();
    for (const chunk of cut(whole, limits.indexSliceBytes)) {
      const before = performance.now();
      parser.push(chunk);
      maxChunkMs = Math.max(maxChunkMs, performance.now() - before);
    }
    parser.end();
    return { rows, maxChunkMs, ms: performance.now() - start };
  });
  return {
    mbPerSecond: round(whole.length / 1e3 / median(runs.map(({ ms }) => ms))),
    rows: runs[0]?.rows ?? 0,
    maxChunkMs: round(median(runs.map(({ maxChunkMs }) => maxChunkMs))),
  };
}

const whole = process.argv[2] === undefined ? made(50e6) : readFileSync(process.argv[2]);
const directory = mkdtempSync(join(tmpdir(), "apt-p2p-bench-"));
try {
  const files = new DiskFiles();
  const parser = benchParser(whole);
  const decompressor = { expand: (_: string, input: AsyncIterable<Buffer>) => input };
  const read = (): ReturnType<typeof readIndex> =>
    readIndex({ clock, hashes, decompressor }, "packages", stream(whole), () => false);
  await read();
  const index = await measure(read);
  const { table, plain } = index.value;
  const path = join(directory, "x.table");
  const saved = await measure(() => saveTable({ files, hashes }, path, table, new Pace(clock)));
  const loaded = await measure(() => loadTable({ files, hashes }, path, new Pace(clock)));
  if (loaded.value?.rowCount !== table.rowCount) throw new Error("the table did not survive");

  const lists = join(directory, "lists");
  const listName = "ftp.us.debian.org_debian_dists_bookworm_main_binary-amd64_Packages";
  const listed = await files.create(join(lists, listName));
  await listed.write([whole], 0);
  await listed.close();
  const archive = new Archive(
    {
      kv: new MemoryKeyValue(),
      files,
      hashes,
      clock,
      log,
      counters: new Counters(),
      signatures: { check: () => Promise.resolve({ kind: "unverifiable", reason: "a bench" }) },
      decompressor,
      openStored: () => Promise.resolve(undefined),
    },
    {
      tableDirectory: join(directory, "tables"),
      aptConfigDirectory: join(directory, "etc"),
      aptListsDirectory: lists,
      ownAuthorities: [],
    },
  );
  await archive.load();
  const room = await measure(() => archive.refreshLists());
  const listedRows = archive.size().rows;
  await archive.close();
  const digests = new Set([plain, sha256FromBytes(hashes.of("content of package-1"))]);
  const before = performance.now();
  const found = archive.listed(digests).size;
  const listedMs = round(performance.now() - before);
  console.log(
    JSON.stringify(
      {
        inputBytes: whole.length,
        parser,
        index: {
          mbPerSecond: round(whole.length / 1e3 / index.measured.wallMs),
          cpuSeconds: round(index.measured.cpuMs / 1000),
          rows: table.rowCount,
          tableBytes: table.byteLength,
          ...index.measured,
        },
        file: { save: saved.measured, load: loaded.measured },
        room: { rows: listedRows, ...room.measured },
        listed: { digests: digests.size, found, ms: listedMs },
      },
      undefined,
      2,
    ),
  );
} finally {
  rmSync(directory, { recursive: true });
}
