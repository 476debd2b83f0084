import type { IncomingMessage } from "node:http";
import { AptP2pError } from "../base/errors.ts";
import { KiB } from "../base/units.ts";
import { noteReceived } from "./young-garbage.ts";
import { CUT_SHORT, mirrorFailure } from "./mirror-failure.ts";

/** Bytes of a body that may wait for their reader. */
export const BODY_AHEAD_BYTES = 256 * KiB;

/**
 * A body as it arrives. The chunks are handed on one by one as the socket gave them: the stream's own
 * iterator would copy them into larger ones, and costs more turns.
 */
export class ResponseBody implements AsyncIterable<Buffer>, AsyncIterator<Buffer> {
  readonly #response: IncomingMessage;
  readonly #timer: NodeJS.Timeout;
  #chunks: Buffer[] = [];
  #chunksBytes = 0;
  #waiting:
    { resolve: (step: IteratorResult<Buffer>) => void; reject: (e: Error) => void } | undefined;
  #end: { readonly error: AptP2pError | undefined } | undefined;

  constructor(response: IncomingMessage, host: string, stallTimeoutMs: number) {
    this.#response = response;
    this.#timer = setTimeout(() => {
      // The time that the reader takes is not the mirror's: only a wait for bytes counts.
      if (this.#waiting === undefined) return;
      const seconds = stallTimeoutMs / 1000;
      this.#finish(new AptP2pError("UPSTREAM", `${host} sent nothing for ${seconds} s`));
      response.destroy();
    }, stallTimeoutMs).unref();
    // What has no body may have ended already, and what broke may have broken.
    if (response.readableEnded) this.#finish(undefined);
    else if (response.destroyed) this.#finish(mirrorFailure(host, new Error(CUT_SHORT)));
    // got waits for a reader of its own stream in this way; as long as it does, nothing flows here.
    response.removeAllListeners("readable");
    response.on("data", (chunk: Buffer) => this.#take(chunk));
    response.on("end", () => this.#finish(undefined));
    response.on("error", (error) => this.#finish(mirrorFailure(host, error)));
    response.on("close", () => {
      // After an end or an error this changes nothing.
      this.#finish(mirrorFailure(host, new Error(CUT_SHORT)));
    });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Buffer>> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#chunksBytes -= chunk.length;
      if (this.#response.isPaused() && this.#chunksBytes < BODY_AHEAD_BYTES / 2) {
        this.#response.resume();
      }
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.#end?.error !== undefined) return Promise.reject(this.#end.error);
    if (this.#end !== undefined) return Promise.resolve({ done: true, value: undefined });
    this.#timer.refresh();
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  return(): Promise<IteratorResult<Buffer>> {
    this.#finish(undefined);
    this.#chunks = [];
    this.#response.destroy();
    return Promise.resolve({ done: true, value: undefined });
  }

  #take(chunk: Buffer): void {
    noteReceived(chunk.length);
    const waiting = this.#waiting;
    if (waiting !== undefined) {
      this.#waiting = undefined;
      waiting.resolve({ done: false, value: chunk });
      return;
    }
    this.#chunks.push(chunk);
    this.#chunksBytes += chunk.length;
    if (this.#chunksBytes >= BODY_AHEAD_BYTES) this.#response.pause();
  }

  #finish(error: AptP2pError | undefined): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    clearTimeout(this.#timer);
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (error !== undefined) waiting?.reject(error);
    else waiting?.resolve({ done: true, value: undefined });
  }
}
