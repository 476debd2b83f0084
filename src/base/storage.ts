/**
 * Ports for what survives a restart. The daemon passes LevelDB and the disk, the simulator memory
 * that can crash. Failures reject with AptP2pError: NO_SPACE when the disk is full (ENOSPC, EDQUOT),
 * STORAGE otherwise.
 */

/** One change in a batch; `value` undefined deletes the key. */
export interface KeyValueChange {
  readonly key: string;
  readonly value: string | undefined;
}

/**
 * An ordered map from text to text. Keys are `room!kind!…`, values JSON. Batches are atomic, also
 * when the process is killed in the middle.
 */
export interface KeyValue {
  /** Synchronous: a point look-up in a warm database costs some 3 µs. */
  get(key: string): string | undefined;
  /** All entries whose key starts with `prefix`, in key order, as of the call. */
  range(prefix: string): AsyncIterable<readonly [key: string, value: string]>;
  /** `sync` waits until the disk has it (survives a power loss). */
  batch(changes: readonly KeyValueChange[], options?: { readonly sync?: boolean }): Promise<void>;
}

export interface FileFacts {
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  /** False: it was removed; only whoever has it open still sees it. */
  readonly linked: boolean;
}

/** An open file. Reads and writes name their position; several may run at once. */
export interface OpenFile {
  /** Fills `into` from `position` as far as the file reaches → bytes read (0 at its end). */
  read(into: Uint8Array, position: number): Promise<number>;
  /** Writes all chunks one after another from `position` on. */
  write(chunks: readonly Uint8Array[], position: number): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  /** Returns when the file's bytes are on the disk. */
  sync(): Promise<void>;
  facts(): Promise<FileFacts>;
  close(): Promise<void>;
}

/** Files by absolute path. */
export interface Files {
  /** undefined: there is no such file. */
  open(path: string): Promise<OpenFile | undefined>;
  /** Opens for reading and writing; creates the file (mode 0644) and its directories (0755). */
  create(path: string): Promise<OpenFile>;
  /** Replaces `to`; creates its directory; returns when the directories' entries are on the disk. */
  rename(from: string, to: string): Promise<void>;
  /**
   * Makes `to` (new) hold `from`'s bytes without copying them: a copy-on-write clone or a hard link.
   * False where the file system can do neither, or `from` is no regular file: then copy. Creates the
   * directory; nothing is promised about the disk before the file is renamed.
   */
  link(from: string, to: string): Promise<boolean>;
  /** No error if there is no such file. */
  remove(path: string): Promise<void>;
  facts(path: string): Promise<FileFacts | undefined>;
  /** Names (not paths) of the regular files and of the directories in a directory; [] if missing. */
  list(path: string): Promise<readonly { readonly name: string; readonly directory: boolean }[]>;
  /** Bytes that an unprivileged process could still write, and the size of the file system. */
  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>;
  /** Changes with every boot: what was only in the page cache before is then in doubt. */
  bootId(): string;
}
