/**
 * Puts an answer on the wire.
 *
 * Rules: the status line leaves together with the first bytes of the body, so that a failure before
 * them is still an honest status. A body that cannot be finished ends in a cut connection, but not
 * before the answers ahead of it on the same connection are out. Nothing is read ahead of a slow
 * client by more than one chunk.
 */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { AptP2pError } from "../base/errors.ts";
import type { Body } from "../engine/body.ts";
import type { Answer } from "../engine/types.ts";

export interface Sent {
  readonly bytes: number;
  /** Why the body did not come to its end. */
  readonly failure: unknown;
}

/** Sends; never rejects. Rejections of the first read are the caller's: see `first`. */
export async function send(response: ServerResponse, answer: Answer): Promise<Sent> {
  const { body } = answer;
  if (body === undefined) {
    writeHead(response, answer);
    response.end();
    return { bytes: 0, failure: undefined };
  }
  let bytes = 0;
  try {
    const first = await body.next();
    writeHead(response, answer);
    if (first !== undefined) bytes = first.length;
    if (first === undefined || answer.headers["content-length"] === String(first.length)) {
      // The chunk's memory goes back with close(): it must be out by then.
      await end(response, first);
      return { bytes, failure: undefined };
    }
    bytes += await pump(response, body, write(response, first));
    await end(response);
    return { bytes, failure: undefined };
  } catch (thrown) {
    return { bytes, failure: await giveUp(response, thrown) };
  } finally {
    body.close();
  }
}

function writeHead(response: ServerResponse, { status, reason, headers }: Answer): void {
  const all = { ...headers, via: "1.1 apt-p2p" };
  if (reason === undefined) response.writeHead(status, all);
  else response.writeHead(status, reason, all);
}

async function pump(response: ServerResponse, body: Body, first: Promise<void>): Promise<number> {
  let sending = first;
  let bytes = 0;
  for (;;) {
    const chunk = await body.next();
    // A chunk's memory is used again by the second read after it: by then it must be out.
    await sending;
    if (chunk === undefined) return bytes;
    bytes += chunk.length;
    sending = write(response, chunk);
  }
}

/** Rejects when the client has left. Whoever does not wait for it, because reading failed, may. */
function write(response: ServerResponse, chunk: Buffer): Promise<void> {
  const written = new Promise<void>((resolve, reject) => {
    if (response.destroyed) {
      reject(new AptP2pError("CLOSED", "the client has left"));
      return;
    }
    response.write(chunk, (error) => {
      if (error instanceof Error) {
        reject(new AptP2pError("CLOSED", "the client has left", { cause: error }));
      } else resolve();
    });
  });
  written.catch(() => undefined);
  return written;
}

/** Resolves when all is handed to the system, or the client has left. */
function end(response: ServerResponse, last?: Buffer): Promise<void> {
  return new Promise((resolve) => {
    response.once("close", resolve);
    response.end(last, resolve);
  });
}

/** Before the head: an honest 502. After it: the connection ends, when this answer's turn has come. */
async function giveUp(response: ServerResponse, thrown: unknown): Promise<unknown> {
  if (response.destroyed) return thrown;
  if (!response.headersSent && !(thrown instanceof AptP2pError && thrown.code === "MISMATCH")) {
    const text = `${thrown instanceof Error ? thrown.message : String(thrown)}\n`;
    response.writeHead(502, { "content-type": "text/plain", "content-length": text.length });
    response.end(text);
    return thrown;
  }
  if (response.socket === null) await once(response, "socket").catch(() => undefined);
  response.destroy();
  return thrown;
}
