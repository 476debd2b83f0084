import { limits } from "../base/limits.ts";
import type { Files, OpenFile } from "../base/storage.ts";

interface Kept {
  readonly handle: OpenFile;
  users: number;
  /** Nobody new gets it; it is closed with its last user. */
  forgotten: boolean;
}

/**
 * Opened files by path, kept open for the next reader: opening and closing cost more than reading a
 * small file. Readers share a handle, since every read names its position. Whoever places, removes or
 * doubts a file must `forget` it, when that is done.
 */
export class OpenFiles {
  readonly #files: Pick<Files, "open">;
  /** The least recently opened first. */
  readonly #kept = new Map<string, Kept>();
  /** How often something was forgotten: what is being opened meanwhile may be what is meant. */
  #forgotten = 0;

  constructor(files: Pick<Files, "open">) {
    this.#files = files;
  }

  /** Files that are kept open, in use or not. */
  get size(): number {
    return this.#kept.size;
  }

  /** undefined: there is no such file. Rejects as Files.open does. */
  async open(path: string): Promise<OpenFile | undefined> {
    const kept = this.#kept.get(path);
    if (kept !== undefined) {
      this.#kept.delete(path);
      this.#kept.set(path, kept);
      return this.#share(kept);
    }
    const forgotten = this.#forgotten;
    const handle = await this.#files.open(path);
    // Another caller may have been faster, or the file is an old one: then it is the caller's own.
    if (handle === undefined || this.#kept.has(path) || forgotten !== this.#forgotten) {
      return handle;
    }
    const opened = { handle, users: 0, forgotten: false };
    this.#kept.set(path, opened);
    const shared = this.#share(opened);
    this.#trim();
    return shared;
  }

  /** Whoever opens this path from now on gets the file that is there now. */
  forget(path: string): void {
    this.#forgotten += 1;
    this.#drop(path);
  }

  /** Closes what nobody uses; the rest with its last user. */
  close(): void {
    for (const path of [...this.#kept.keys()]) this.forget(path);
  }

  #drop(path: string): void {
    const kept = this.#kept.get(path);
    if (kept === undefined) return;
    this.#kept.delete(path);
    kept.forgotten = true;
    if (kept.users === 0) closeQuietly(kept.handle);
  }

  #share(kept: Kept): OpenFile {
    kept.users += 1;
    const { handle } = kept;
    let open = true;
    return {
      read: (into, position) => handle.read(into, position),
      write: (chunks, position) => handle.write(chunks, position),
      truncate: (sizeBytes) => handle.truncate(sizeBytes),
      sync: () => handle.sync(),
      facts: () => handle.facts(),
      close: () => {
        if (!open) throw new Error("a shared file is closed twice");
        open = false;
        kept.users -= 1;
        return kept.forgotten && kept.users === 0 ? handle.close() : Promise.resolve();
      },
    };
  }

  #trim(): void {
    for (const [path, { users }] of this.#kept) {
      if (this.#kept.size <= limits.keptOpenFiles) return;
      if (users === 0) this.#drop(path);
    }
  }
}

function closeQuietly(handle: OpenFile): void {
  handle.close().catch(() => undefined);
}
