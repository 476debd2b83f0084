import type { Sha256 } from "../base/sha256.ts";
import type { Store } from "../cache/store.ts";
import { FileBody } from "./body.ts";

/** A stored file's bytes as a stream; undefined if it is not held. Chunks are the reader's to keep. */
export async function storedBytes(
  store: Store,
  sha256: Sha256,
): Promise<AsyncIterable<Buffer> | undefined> {
  const opened = await store.open(sha256);
  return opened && stream(new FileBody(opened.handle, 0, opened.file.sizeBytes));
}

async function* stream(body: FileBody): AsyncGenerator<Buffer, void, undefined> {
  try {
    for (let chunk = await body.next(); chunk !== undefined; chunk = await body.next()) {
      yield Buffer.from(chunk);
    }
  } finally {
    body.close();
  }
}
