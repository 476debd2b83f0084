/** The compressions of Debian's indexes, made with the programs that make them elsewhere. */
import { spawn } from "node:child_process";
import { gzipSync } from "node:zlib";

export type Compression = "none" | "gz" | "xz" | "zst" | "bz2" | "lz4";

const programs = {
  xz: ["xz", "-c", "-1"],
  zst: ["zstd", "-q", "-c", "-3"],
  bz2: ["bzip2", "-c", "-1"],
  lz4: ["lz4", "-q", "-c", "-1"],
} as const;

export function suffix(compression: Compression): string {
  return compression === "none" ? "" : `.${compression}`;
}

export async function compress(data: Buffer, compression: Compression): Promise<Buffer> {
  if (compression === "none") return data;
  if (compression === "gz") return gzipSync(data, { level: 6 });
  const [program, ...args] = programs[compression];
  return await filter(program, args, data);
}

/** What `program` prints when it is given `input`. */
export async function filter(
  program: string,
  args: readonly string[],
  input: Buffer,
): Promise<Buffer> {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  const chunks: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  if (code !== 0) throw new Error(`${program} ended with ${String(code)}`);
  return Buffer.concat(chunks);
}
