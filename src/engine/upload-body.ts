/**
 * The bytes of an upload: sliced and paced as its slot says, counted, and watched. A reader that takes
 * nothing for a while loses its slot and its connection.
 */
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import type { Slot } from "../swarm/upload-gate.ts";
import type { Body } from "./body.ts";

export interface UploadParts {
  readonly clock: Clock;
  readonly slot: Slot;
  /** Ends the connection. */
  readonly cut: () => void;
  readonly onBytes: (bytes: number) => void;
  /** Called once. */
  readonly onEnd: () => void;
}

export class UploadBody implements Body {
  readonly #inner: Body;
  readonly #parts: UploadParts;
  /** What is left of the last chunk. */
  #rest: Buffer | undefined;
  #stopWatch: () => void = () => undefined;
  #stopPace: () => void = () => undefined;
  #giveUp: (reason: AptP2pError) => void = () => undefined;
  #left = false;
  #closed = false;

  constructor(inner: Body, parts: UploadParts) {
    this.#inner = inner;
    this.#parts = parts;
  }

  async next(): Promise<Buffer | undefined> {
    const { slot, onBytes } = this.#parts;
    this.#stopWatch();
    const chunk = this.#rest ?? (await this.#inner.next());
    if (chunk === undefined) {
      this.#watch();
      return undefined;
    }
    if (this.#left) throw gone();
    if (!slot.open) throw new AptP2pError("CLOSED", "nothing is given to such peers any more");
    const slice = chunk.subarray(0, slot.sliceBytes);
    this.#rest = slice.length < chunk.length ? chunk.subarray(slice.length) : undefined;
    await this.#pace(slice.length);
    onBytes(slice.length);
    this.#watch();
    return slice;
  }

  /** The peer has left: whoever waits for the next bytes hears of it. Then comes `close`. */
  leave(): void {
    this.#left = true;
    this.#stopPace();
    this.#giveUp(gone());
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopWatch();
    this.#stopPace();
    this.#inner.close();
    this.#parts.slot.end();
    this.#parts.onEnd();
  }

  /** From a chunk's leaving here until the next one is wanted, the reader is looked at. */
  #watch(): void {
    const { clock, cut } = this.#parts;
    this.#stopWatch = clock.after(limits.uploadStallMs, cut);
  }

  /** Resolves at once, or when so many bytes may leave; rejects CLOSED when the peer leaves. */
  #pace(bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#giveUp = reject;
      this.#stopPace = this.#parts.slot.pace(bytes, resolve);
    });
  }
}

function gone(): AptP2pError {
  return new AptP2pError("CLOSED", "the peer has left");
}
