import { AptP2pError } from "../base/errors.ts";
import type { Body } from "./body.ts";
import { DownloadBody } from "./download-body.ts";
import type { Received } from "./received.ts";

/** What its readers need of a download. */
export interface ReadersHost {
  readonly received: () => Received;
  /** How far they may read now. */
  readonly releasedBytes: () => number;
  /** Why nothing more will come. */
  readonly error: () => AptP2pError | undefined;
  /** All of it may be read. */
  readonly complete: () => boolean;
  /** One has left. */
  readonly left: () => void;
}

/** Those who read a download while it grows, each at its own pace. */
export class Readers {
  readonly #host: ReadersHost;
  readonly #all = new Set<DownloadBody>();
  #given = false;

  constructor(host: ReadersHost) {
    this.#host = host;
  }

  get size(): number {
    return this.#all.size;
  }

  /** Some reader has been given bytes: they cannot be exchanged unseen any more. */
  get given(): boolean {
    return this.#given;
  }

  /** Bytes [start, end); `end` undefined: to the end. */
  open(start: number, end: number | undefined): Body {
    const body = new DownloadBody(
      {
        next: (body, until) => this.#read(body, until),
        moved: () => this.#host.received().moved(),
        closed: (reader) => this.#closed(reader),
      },
      start,
      end,
    );
    this.#all.add(body);
    this.#host.received().addReader(body);
    return body;
  }

  /** What is received goes somewhere else from now on. */
  follow(received: Received): void {
    for (const reader of this.#all) received.addReader(reader);
  }

  wake(): void {
    for (const reader of this.#all) reader.wake();
  }

  /** The next bytes; undefined at the end; null: nothing now, wait to be woken. */
  async #read(body: DownloadBody, end: number | undefined): Promise<Buffer | undefined | null> {
    const { position } = body;
    const until = Math.min(end ?? Infinity, this.#host.releasedBytes());
    if (position < until) {
      // From here on the body cannot be exchanged unseen, even if the reading takes a while.
      this.#given = true;
      const received = this.#host.received();
      const bytes = await received.read(position, until, () => body.memory());
      if (bytes.length === 0) {
        // It may have been thrown away meanwhile, as wrong.
        const failure = this.#host.error() ?? received.failure;
        throw failure ?? new AptP2pError("STORAGE", "cannot read what was written");
      }
      return bytes;
    }
    const error = this.#host.error();
    if (error !== undefined) throw error;
    return this.#host.complete() || position >= (end ?? Infinity) ? undefined : null;
  }

  #closed(reader: DownloadBody): void {
    this.#all.delete(reader);
    this.#host.received().removeReader(reader);
    this.#host.left();
  }
}
