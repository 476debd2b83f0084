import type { Body } from "./body.ts";

/** What a download does for its readers. */
export interface BodySource {
  /** The bytes from `position`; undefined at the end; null: none now, wake() tells when. */
  next(position: number, end: number | undefined): Promise<Buffer | undefined | null>;
  moved(): void;
  closed(body: DownloadBody): void;
}

/** One waiter's view of a download. */
export class DownloadBody implements Body {
  position: number;
  readonly #source: BodySource;
  readonly #end: number | undefined;
  #wakeUp: (() => void) | undefined;
  #woken = false;
  #closed = false;

  constructor(source: BodySource, start: number, end: number | undefined) {
    this.#source = source;
    this.position = start;
    this.#end = end;
  }

  async next(): Promise<Buffer | undefined> {
    for (;;) {
      this.#woken = false;
      const bytes = await this.#source.next(this.position, this.#end);
      if (bytes === undefined) return undefined;
      if (bytes !== null) {
        this.position += bytes.length;
        this.#source.moved();
        return bytes;
      }
      await this.#change();
    }
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
    this.#source.closed(this);
  }

  #change(): Promise<void> {
    if (this.#woken) return Promise.resolve();
    return new Promise((resolve) => {
      this.#wakeUp = resolve;
    });
  }
}
