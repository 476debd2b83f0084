/** Whole files and streams over the Files port. */
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Files } from "../base/storage.ts";

/** The bytes of a file; undefined if there is none. Throws AptP2pError FORMAT if it is too large. */
export async function readWhole(
  files: Files,
  path: string,
  limitBytes: number,
): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const stream = await openStream(files, path);
  if (stream === undefined) return undefined;
  for await (const chunk of stream) {
    bytes += chunk.length;
    if (bytes > limitBytes) {
      throw new AptP2pError("FORMAT", `${path} has more than ${limitBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** A stream over a file, read as it is asked for; undefined if there is none. Iterate it, or leak. */
export async function openStream(
  files: Files,
  path: string,
): Promise<AsyncGenerator<Buffer, void> | undefined> {
  const file = await files.open(path);
  if (file === undefined) return undefined;
  return (async function* () {
    try {
      for (let position = 0; ;) {
        const buffer = Buffer.allocUnsafe(limits.readChunkBytes);
        const read = await file.read(buffer, position);
        if (read === 0) return;
        position += read;
        yield buffer.subarray(0, read);
      }
    } finally {
      await file.close();
    }
  })();
}

/** Writes a file so that it is there whole, on the disk, or not at all. */
export async function writeWhole(
  files: Files,
  path: string,
  chunks: readonly Uint8Array[],
): Promise<void> {
  const temporary = `${path}.new`;
  const file = await files.create(temporary);
  try {
    await file.truncate(0);
    let position = 0;
    for (const chunk of chunks) {
      await file.write([chunk], position);
      position += chunk.length;
    }
    await file.sync();
  } finally {
    await file.close();
  }
  await files.rename(temporary, path);
}
