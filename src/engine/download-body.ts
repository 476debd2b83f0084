import { giveReadBuffer, takeReadBuffer, type Body } from "./body.ts";

/** What a download does for its readers. */
export interface BodySource {
  /** The bytes from its position; undefined at the end; null: none now, wake() tells when. */
  next(body: DownloadBody, end: number | undefined): Promise<Buffer | undefined | null>;
  moved(): void;
  closed(body: DownloadBody): void;
}

/** One waiter's view of a download. */
export class DownloadBody implements Body {
  position: number;
  /** Whoever sends them may still look at the bytes from here on; see Body. */
  heldFrom: number;
  #lastFrom: number;
  /** Two, of which the older one may be used again. */
  #memory: Buffer[] = [];
  #finished = false;
  readonly #source: BodySource;
  readonly #end: number | undefined;
  #wakeUp: (() => void) | undefined;
  #woken = false;
  #closed = false;

  constructor(source: BodySource, start: number, end: number | undefined) {
    this.#source = source;
    this.position = start;
    this.heldFrom = start;
    this.#lastFrom = start;
    this.#end = end;
  }

  async next(): Promise<Buffer | undefined> {
    this.heldFrom = this.#lastFrom;
    for (;;) {
      this.#woken = false;
      const bytes = await this.#source.next(this, this.#end);
      if (bytes === undefined) {
        this.#finished = true;
        return undefined;
      }
      if (bytes !== null) {
        this.#lastFrom = this.position;
        this.position += bytes.length;
        this.#source.moved();
        return bytes;
      }
      await this.#change();
    }
  }

  /** For the next bytes: what the chunk before the last was read into. */
  memory(): Buffer {
    const [older] = this.#memory;
    const memory = older !== undefined && this.#memory.length === 2 ? older : takeReadBuffer();
    this.#memory = [...this.#memory.slice(-1), memory];
    return memory;
  }

  wake(): void {
    this.#woken = true;
    const wakeUp = this.#wakeUp;
    this.#wakeUp = undefined;
    wakeUp?.();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // Of a body that is cut off, bytes may still be on their way.
    if (this.#finished) for (const memory of this.#memory) giveReadBuffer(memory);
    this.#memory = [];
    this.#source.closed(this);
  }

  #change(): Promise<void> {
    if (this.#woken) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wakeUp = resolve;
    });
  }
}
