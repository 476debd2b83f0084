import { AptP2pError, errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { OpenFile } from "../base/storage.ts";

export interface WriteQueueNeeds {
  /** The file; called at the first write, so that a short-lived file costs nothing before. */
  readonly open: () => Promise<OpenFile>;
  /** Asked before each write for the right to reach `endBytes`; undefined grants it at once. */
  readonly reach: (endBytes: number) => Promise<void> | undefined;
  /** The file now has this many bytes. */
  readonly onWritten: (writtenBytes: number) => void;
}

/**
 * Writes chunks to a file, in order and one write at a time. A chunk is written at once when the
 * disk is idle; what comes meanwhile is written together, so writes grow with the load and no
 * chunk ever waits for company. The first failure ends it: later chunks are dropped.
 *
 * Bytes that are at their place already are skipped, in their turn.
 */
export class WriteQueue {
  readonly #needs: WriteQueueNeeds;
  #file: OpenFile | undefined;
  #opening: Promise<OpenFile> | undefined;
  /** A number stands for so many bytes that are in the file already. */
  #chunks: (Buffer | number)[] = [];
  #queuedBytes = 0;
  #inFlightBytes = 0;
  #writtenBytes = 0;
  #failure: AptP2pError | undefined;
  #pumping = false;
  #paused = false;
  #waiters: { readonly whenWaitingBelow: number; readonly resolve: () => void }[] = [];

  constructor(needs: WriteQueueNeeds, resumed?: { file: OpenFile; writtenBytes: number }) {
    this.#needs = needs;
    this.#file = resumed?.file;
    this.#writtenBytes = resumed?.writtenBytes ?? 0;
  }

  /** Bytes from the start of the file that can be read. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  get failure(): AptP2pError | undefined {
    return this.#failure;
  }

  /** The chunk must not change until it is written. */
  push(chunk: Buffer): void {
    if (this.#failure !== undefined || chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#queuedBytes += chunk.length;
    this.#pump();
  }

  /** The next bytes are in the file already. */
  skip(bytes: number): void {
    if (this.#failure !== undefined || bytes === 0) return;
    this.#chunks.push(bytes);
    this.#queuedBytes += bytes;
    this.#pump();
  }

  /** Resolves when less than `limits.downloadWindowBytes` wait for the disk, or at failure. */
  drained(): Promise<void> {
    return this.#waitBelow(limits.downloadWindowBytes);
  }

  /** Resolves when nothing waits, or at failure. */
  flushed(): Promise<void> {
    return this.#waitBelow(1);
  }

  /** The file, created if nothing has been written yet. */
  async file(): Promise<OpenFile> {
    if (this.#file !== undefined) return this.#file;
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  /** Bytes of the written prefix → how many. */
  async read(into: Uint8Array, position: number): Promise<number> {
    const reachable = Math.min(into.length, this.#writtenBytes - position);
    if (reachable <= 0 || this.#file === undefined) return 0;
    return this.#file.read(into.subarray(0, reachable), position);
  }

  /** Throws everything away, on the disk too, and starts at 0. Chunks pushed meanwhile count. */
  async reset(): Promise<void> {
    this.#paused = true;
    this.#chunks = [];
    this.#queuedBytes = 0;
    this.#writtenBytes = 0;
    try {
      await this.#settled();
      // A write that was under way has moved the mark.
      this.#writtenBytes = 0;
      if (this.#failure === undefined) await this.#file?.truncate(0);
      this.#needs.onWritten(0);
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#paused = false;
      this.#pump();
    }
  }

  /** Drops what waits from now on. */
  fail(failure: AptP2pError): void {
    this.#fail(failure);
  }

  /** Waits for the write under way and closes the file. */
  async close(): Promise<void> {
    await this.#settled();
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  #pump(): void {
    if (this.#pumping || this.#paused || this.#chunks.length === 0) return;
    this.#pumping = true;
    this.#writeAll()
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#pumping = false;
        this.#wake();
        this.#pump();
      });
  }

  async #writeAll(): Promise<void> {
    while (this.#chunks.length > 0 && !this.#paused && this.#failure === undefined) {
      const { chunks, bytes } = this.#nextRun();
      const endBytes = this.#writtenBytes + bytes;
      this.#inFlightBytes = bytes;
      this.#queuedBytes -= bytes;
      try {
        if (chunks.length > 0) await this.#write(chunks, { bytes, endBytes });
      } finally {
        this.#inFlightBytes = 0;
      }
      this.#writtenBytes = endBytes;
      this.#needs.onWritten(endBytes);
      this.#wake();
    }
  }

  async #open(): Promise<OpenFile> {
    this.#file = await this.#needs.open();
    return this.#file;
  }

  /** Takes from the front what can be done in one go: chunks to write, or bytes to skip. */
  #nextRun(): { readonly chunks: readonly Buffer[]; readonly bytes: number } {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for (const chunk of this.#chunks) {
      if (typeof chunk === "number") break;
      chunks.push(chunk);
      bytes += chunk.length;
    }
    const [first] = this.#chunks;
    if (typeof first === "number") bytes = first;
    this.#chunks = this.#chunks.slice(Math.max(1, chunks.length));
    return { chunks, bytes };
  }

  async #write(
    chunks: readonly Buffer[],
    { bytes, endBytes }: { readonly bytes: number; readonly endBytes: number },
  ): Promise<void> {
    const room = this.#needs.reach(endBytes);
    if (room !== undefined) await room;
    const file = await this.file();
    await file.write(chunks, endBytes - bytes);
  }

  #fail(error: unknown): void {
    this.#failure ??=
      error instanceof AptP2pError
        ? error
        : new AptP2pError("STORAGE", `cannot write: ${errorText(error)}`, { cause: error });
    this.#chunks = [];
    this.#queuedBytes = 0;
    this.#wake();
  }

  /** Resolves when no write is under way. */
  async #settled(): Promise<void> {
    while (this.#pumping) {
      await new Promise<void>((resolve) => {
        this.#waiters.push({ whenWaitingBelow: 0, resolve });
      });
    }
  }

  #waitBelow(bytes: number): Promise<void> {
    if (this.#failure !== undefined || this.#waitingBytes() < bytes) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters.push({ whenWaitingBelow: bytes, resolve });
    });
  }

  #waitingBytes(): number {
    return this.#queuedBytes + this.#inFlightBytes;
  }

  #wake(): void {
    if (this.#waiters.length === 0) return;
    const waitingBytes = this.#waitingBytes();
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) {
      const met =
        waiter.whenWaitingBelow === 0
          ? !this.#pumping
          : this.#failure !== undefined || waitingBytes < waiter.whenWaitingBelow;
      if (met) waiter.resolve();
      else this.#waiters.push(waiter);
    }
  }
}
