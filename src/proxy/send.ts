/**
 * Puts an answer on the wire.
 *
 * Rules: the status line leaves together with the first bytes of the body, so that a failure before
 * them is still an honest status. A body that cannot be finished ends in a cut connection, but not
 * before the answers ahead of it on the same connection are out. Nothing is read ahead of a slow
 * client by more than one chunk.
 */
import type { ServerResponse } from "node:http";
import { AptP2pError } from "../base/errors.ts";
import type { Body } from "../engine/body.ts";
import type { Answer } from "../engine/types.ts";

export interface Sent {
  readonly bytes: number;
  /** Why the body did not come to its end. */
  readonly failure: unknown;
}

/**
 * Sends; never rejects. `gone` is the end of the client's connection: an answer that waits behind
 * others has no connection yet, and hears of its end from nowhere else. `broken`: what becomes of a
 * body that fails before its first byte; apt is told why, a peer takes the end of its connection for
 * what it is.
 */
export async function send(
  response: ServerResponse,
  answer: Answer,
  gone: AbortSignal,
  broken: "tell" | "cut" = "tell",
): Promise<Sent> {
  const { body } = answer;
  const sent = { bytes: 0 };
  try {
    // Nothing is read for an answer that waits behind others: it would only lie in memory.
    if (body !== undefined) await turnOf(response, gone);
    const first = await body?.next();
    writeHead(response, answer);
    const whole = first === undefined || answer.headers["content-length"] === `${first.length}`;
    if (first !== undefined) sent.bytes = first.length;
    if (body !== undefined && first !== undefined && !whole) {
      await pump({ response, gone, sent }, body, first);
      await settled(gone, (done) => response.end(done));
    } else {
      // The chunk's memory goes back with close(): it must be out by then.
      await settled(gone, (done) => response.end(first, done));
    }
    return { bytes: sent.bytes, failure: undefined };
  } catch (thrown) {
    const mismatch = thrown instanceof AptP2pError && thrown.code === "MISMATCH";
    const text = thrown instanceof Error ? thrown.message : String(thrown);
    await giveUp(response, broken === "tell" && !mismatch ? text : undefined, gone);
    return { bytes: sent.bytes, failure: thrown };
  } finally {
    body?.close();
  }
}

function writeHead(response: ServerResponse, { status, reason, headers }: Answer): void {
  const all = { ...headers, via: "1.1 apt-p2p" };
  if (reason === undefined) response.writeHead(status, all);
  else response.writeHead(status, reason, all);
}

interface Sending {
  readonly response: ServerResponse;
  readonly gone: AbortSignal;
  readonly sent: { bytes: number };
}

async function pump({ response, gone, sent }: Sending, body: Body, first: Buffer): Promise<void> {
  let chunk: Buffer | undefined = first;
  while (chunk !== undefined) {
    const next: Buffer = chunk;
    const sending = settled(gone, (done) => response.write(next, done));
    // Whoever does not wait for it, because reading failed, may.
    sending.catch(() => undefined);
    chunk = await body.next();
    // A chunk's memory is used again by the second read after it: by then it must be out.
    await sending;
    if (chunk !== undefined) sent.bytes += chunk.length;
  }
}

/** Runs a call of the response; rejects with CLOSED when the client has left. */
function settled(
  gone: AbortSignal,
  call: (done: (error?: Error | null) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const left = (): void => reject(new AptP2pError("CLOSED", "the client has left"));
    if (gone.aborted) {
      left();
      return;
    }
    gone.addEventListener("abort", left);
    call((error) => {
      gone.removeEventListener("abort", left);
      if (error instanceof Error) left();
      else resolve();
    });
  });
}

/** Resolves when the answers ahead on the same connection are out. */
export function turnOf(response: ServerResponse, gone: AbortSignal): Promise<void> {
  if (response.socket !== null) return Promise.resolve();
  return settled(gone, (turn) => response.once("socket", () => turn()));
}

/**
 * Before the head: an honest 502, if there is something to tell. Else the connection ends, when this
 * answer's turn has come.
 */
async function giveUp(
  response: ServerResponse,
  told: string | undefined,
  gone: AbortSignal,
): Promise<void> {
  if (response.destroyed || gone.aborted) return;
  if (!response.headersSent && told !== undefined) {
    const text = Buffer.from(`${told}\n`);
    response.writeHead(502, { "content-type": "text/plain", "content-length": text.length });
    response.end(text);
    return;
  }
  await turnOf(response, gone).catch(() => undefined);
  // What the answers ahead still have on its way goes out first.
  response.socket?.destroySoon();
}
