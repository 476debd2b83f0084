/**
 * Decompression of indexes. gzip is Node's own; the others are the programs that Debian has anyway:
 * faster than any JavaScript, on another core, and hostile data stays out of the daemon.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import type { Compression, Decompressor } from "../archive/ports.ts";
import { AptP2pError, errorText } from "../base/errors.ts";
import { KiB } from "../base/units.ts";

/** xz and zstd refuse streams that want more memory; Debian's indexes want 65 MiB and 8 MiB. */
const PROGRAMS: Readonly<Record<Exclude<Compression, "none" | "gzip">, readonly string[]>> = {
  xz: ["xz", "-dc", "-T1", "--memlimit-decompress=128MiB"],
  lzma: ["xz", "-dc", "--format=lzma", "--memlimit-decompress=128MiB"],
  bzip2: ["bzip2", "-dc"],
  zstd: ["zstd", "-dcq", "--memory=128MiB"],
  lz4: ["lz4", "-dcq"],
};

export class SpawnDecompressor implements Decompressor {
  async *expand(
    compression: Compression,
    input: AsyncIterable<Buffer>,
    limitBytes: number,
  ): AsyncGenerator<Buffer, void, undefined> {
    const output =
      compression === "none"
        ? input
        : compression === "gzip"
          ? gunzip(input)
          : runProgram(PROGRAMS[compression], input);
    let total = 0;
    for await (const chunk of output) {
      total += chunk.length;
      if (total > limitBytes) {
        throw new AptP2pError("FORMAT", `expands to more than ${limitBytes} bytes`);
      }
      yield chunk;
    }
  }
}

async function* gunzip(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  const stream = createGunzip({ chunkSize: 64 * KiB });
  const fed = pipeline(Readable.from(input), stream).catch(() => undefined);
  try {
    for await (const chunk of stream) yield chunk as Buffer;
  } catch (thrown) {
    throw damaged("gzip", thrown);
  } finally {
    stream.destroy();
    await fed;
  }
}

async function* runProgram(
  command: readonly string[],
  input: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  const exited = once(child, "close") as Promise<[number | null]>;
  // A failure to start shows up as the rejection of `exited`, looked at below.
  exited.catch(() => undefined);
  let complaint = "";
  child.stderr.on("data", (text: Buffer) => {
    complaint = (complaint + text.toString()).slice(-500);
  });
  // The program may end first (damage): then feeding fails, and the exit code says why.
  const fed = pipeline(Readable.from(input), child.stdin).catch(() => undefined);
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer;
    const [code] = await exited;
    if (code !== 0) throw new Error(complaint.trim() || `exit code ${code ?? "by signal"}`);
  } catch (thrown) {
    throw damaged(program, thrown);
  } finally {
    child.kill("SIGKILL");
    child.stdin.destroy();
    await fed;
  }
}

function damaged(program: string, thrown: unknown): AptP2pError {
  return new AptP2pError("FORMAT", `${program} cannot read it: ${errorText(thrown)}`, {
    cause: thrown,
  });
}
