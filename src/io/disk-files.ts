/**
 * The Files port on the machine's file systems.
 *
 * Calls go through node:fs's callbacks: a promise of node:fs/promises costs several times as much.
 * What cannot block on the disk (fstat of an open file) is called synchronously, since a trip
 * through the thread pool costs more than the call.
 */
import * as fs from "node:fs";
import { readFileSync } from "node:fs";
import { uptime } from "node:os";
import { dirname } from "node:path";
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { FileFacts, Files, OpenFile } from "../base/storage.ts";

/** writev takes at most this many buffers (IOV_MAX of Linux). */
const maxBuffersPerWrite = 1024;

export class DiskFiles implements Files {
  readonly #directories = new DirectorySync();
  #bootId: string | undefined;

  open(path: string): Promise<OpenFile | undefined> {
    return new Promise((resolve, reject) => {
      fs.open(path, fs.constants.O_RDONLY, (error, fd) => {
        if (error === null) resolve(new DiskFile(fd, path));
        else if (isMissing(error)) resolve(undefined);
        else reject(storageError(`cannot open ${path}`, error));
      });
    });
  }

  async create(path: string): Promise<OpenFile> {
    const flags = fs.constants.O_RDWR | fs.constants.O_CREAT;
    const open = (): Promise<number> =>
      new Promise((resolve, reject) => {
        fs.open(path, flags, 0o644, (error, fd) => {
          if (error === null) resolve(fd);
          else reject(error);
        });
      });
    try {
      const fd = await open().catch(async (error: unknown) => {
        if (!isMissing(error)) throw error;
        await this.#directories.make(dirname(path));
        return open();
      });
      return new DiskFile(fd, path);
    } catch (error) {
      throw storageError(`cannot create ${path}`, error);
    }
  }

  async rename(from: string, to: string): Promise<void> {
    const rename = (): Promise<void> => call((done) => fs.rename(from, to, done));
    try {
      await rename().catch(async (error: unknown) => {
        if (!isMissing(error)) throw error;
        await this.#directories.make(dirname(to));
        await rename();
      });
      const [source, target] = [dirname(from), dirname(to)];
      await this.#directories.sync(target);
      if (source !== target) await this.#directories.sync(source);
    } catch (error) {
      throw storageError(`cannot rename ${from} to ${to}`, error);
    }
  }

  async link(from: string, to: string): Promise<boolean> {
    try {
      const stat = await new Promise<fs.Stats>((resolve, reject) => {
        fs.lstat(from, (error, facts) => {
          if (error === null) resolve(facts);
          else reject(error);
        });
      });
      if (!stat.isFile()) return false;
      await this.#directories.make(dirname(to));
      const { COPYFILE_EXCL, COPYFILE_FICLONE_FORCE } = fs.constants;
      const mode = COPYFILE_EXCL | COPYFILE_FICLONE_FORCE;
      await call((done) => fs.copyFile(from, to, mode, done)).catch(async () => {
        await call((done) => fs.link(from, to, done));
      });
      return true;
    } catch (error) {
      if (noLink.has(errorCode(error))) return false;
      throw storageError(`cannot link ${from} to ${to}`, error);
    }
  }

  remove(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.unlink(path, (error) => {
        if (error === null || isMissing(error)) resolve();
        else reject(storageError(`cannot remove ${path}`, error));
      });
    });
  }

  facts(path: string): Promise<FileFacts | undefined> {
    return new Promise((resolve, reject) => {
      fs.stat(path, (error, stat) => {
        if (error === null) resolve(stat.isFile() ? factsOf(stat) : undefined);
        else if (isMissing(error)) resolve(undefined);
        else reject(storageError(`cannot look at ${path}`, error));
      });
    });
  }

  list(path: string): Promise<readonly { readonly name: string; readonly directory: boolean }[]> {
    return new Promise((resolve, reject) => {
      fs.readdir(path, { withFileTypes: true }, (error, entries) => {
        if (error !== null) {
          if (isMissing(error)) resolve([]);
          else reject(storageError(`cannot list ${path}`, error));
          return;
        }
        const known = entries.filter((entry) => entry.isFile() || entry.isDirectory());
        resolve(known.map((entry) => ({ name: entry.name, directory: entry.isDirectory() })));
      });
    });
  }

  /** A directory that does not exist yet is on the file system of its nearest parent. */
  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }> {
    return new Promise((resolve, reject) => {
      fs.statfs(path, (error, stat) => {
        if (error === null) {
          const { bsize, bavail, blocks } = stat;
          resolve({ freeBytes: bavail * bsize, totalBytes: blocks * bsize });
        } else if (isMissing(error) && dirname(path) !== path) {
          resolve(this.space(dirname(path)));
        } else {
          reject(storageError(`cannot ask for the free space of ${path}`, error));
        }
      });
    });
  }

  bootId(): string {
    this.#bootId ??= readBootId();
    return this.#bootId;
  }
}

class DiskFile implements OpenFile {
  readonly #fd: number;
  readonly #path: string;
  #open = true;
  /** When its beginning was last read; the kernel has it in memory for a while. */
  #readMs = -Infinity;

  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
  }

  read(into: Uint8Array, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#assertOpen();
      if (position === 0 && into.length <= limits.quickReadBytes && this.#isRecent()) {
        const count = fs.readSync(this.#fd, into, 0, into.length, 0);
        if (count === into.length) {
          resolve(count);
          return;
        }
      }
      const next = (done: number): void => {
        const left = into.length - done;
        fs.read(this.#fd, into, done, left, position + done, (error, count) => {
          if (error !== null) reject(storageError(`cannot read ${this.#path}`, error));
          else if (count === 0 || count === left) resolve(done + count);
          else next(done + count);
        });
      };
      next(0);
    });
  }

  #isRecent(): boolean {
    const nowMs = performance.now();
    const recent = nowMs - this.#readMs < limits.quickReadMs;
    this.#readMs = nowMs;
    return recent;
  }

  async write(chunks: readonly Uint8Array[], position: number): Promise<void> {
    let at = position;
    for (let index = 0; index < chunks.length; index += maxBuffersPerWrite) {
      at = await this.#writeAll(chunks.slice(index, index + maxBuffersPerWrite), at);
    }
  }

  truncate(sizeBytes: number): Promise<void> {
    this.#assertOpen();
    return this.#call("truncate", (done) => fs.ftruncate(this.#fd, sizeBytes, done));
  }

  sync(): Promise<void> {
    this.#assertOpen();
    return this.#call("sync", (done) => fs.fsync(this.#fd, done));
  }

  facts(): Promise<FileFacts> {
    return new Promise((resolve) => {
      this.#assertOpen();
      resolve(factsOf(fs.fstatSync(this.#fd)));
    });
  }

  close(): Promise<void> {
    this.#assertOpen();
    this.#open = false;
    return this.#call("close", (done) => fs.close(this.#fd, done));
  }

  /** Writes up to `maxBuffersPerWrite` chunks → the position behind them. */
  #writeAll(chunks: readonly Uint8Array[], position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#assertOpen();
      const next = (left: readonly Uint8Array[], at: number): void => {
        const done = (error: Error | null, count: number): void => {
          if (error !== null) reject(storageError(`cannot write ${this.#path}`, error));
          else {
            const rest = withoutFirst(left, count);
            if (rest.length === 0) resolve(at + count);
            else next(rest, at + count);
          }
        };
        const [first] = left;
        if (first === undefined) resolve(at);
        else if (left.length === 1) fs.write(this.#fd, first, 0, first.length, at, done);
        else fs.writev(this.#fd, left, at, done);
      };
      next(chunks, position);
    });
  }

  #call(what: string, start: (done: fs.NoParamCallback) => void): Promise<void> {
    return call(start).catch((error: unknown) => {
      throw storageError(`cannot ${what} ${this.#path}`, error);
    });
  }

  /** The number of a closed file may already be another file's. */
  #assertOpen(): void {
    if (!this.#open) throw new Error(`${this.#path} is used after it was closed`);
  }
}

/**
 * Puts directory entries on the disk; callers at the same time share one fsync. Few run at once:
 * each occupies a thread of the pool that readers need, too.
 */
class DirectorySync {
  readonly #waiting = new Map<string, Promise<void>>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #queue: (() => void)[] = [];
  #active = 0;

  sync(directory: string): Promise<void> {
    const waiting = this.#waiting.get(directory);
    if (waiting !== undefined) return waiting;
    // One that runs already may have begun before the caller's change: wait for the one after it.
    const before = this.#running.get(directory) ?? new Promise<void>((next) => setImmediate(next));
    const next = before
      .catch(() => undefined)
      .then(() => {
        this.#waiting.delete(directory);
        const running = this.#sync(directory).finally(() => this.#running.delete(directory));
        this.#running.set(directory, running);
        return running;
      });
    this.#waiting.set(directory, next);
    return next;
  }

  async #sync(directory: string): Promise<void> {
    if (this.#active >= limits.parallelSyncs) {
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    } else {
      this.#active += 1;
    }
    try {
      await syncDirectory(directory);
    } finally {
      const next = this.#queue.shift();
      if (next === undefined) this.#active -= 1;
      else next();
    }
  }

  /** Creates a directory and its parents, durably. */
  async make(directory: string): Promise<void> {
    const first = await new Promise<string | undefined>((resolve, reject) => {
      fs.mkdir(directory, { recursive: true, mode: 0o755 }, (error, path) => {
        if (error === null) resolve(path);
        else reject(error);
      });
    });
    if (first === undefined) return;
    for (let made = directory; made.startsWith(first); made = dirname(made)) {
      await this.sync(dirname(made));
    }
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const fd = await new Promise<number>((resolve, reject) => {
    fs.open(directory, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY, (error, opened) => {
      if (error === null) resolve(opened);
      else reject(error);
    });
  });
  try {
    await call((done) => fs.fsync(fd, done));
  } catch (error) {
    // Some file systems (FUSE, network) cannot sync a directory; theirs is then the best there is.
    if (errorCode(error) !== "EINVAL" && errorCode(error) !== "ENOTSUP") throw error;
  } finally {
    await call((done) => fs.close(fd, done));
  }
}

function call(start: (done: fs.NoParamCallback) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    start((error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}

/** What is left to write of `chunks` after their first `count` bytes. */
function withoutFirst(chunks: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let left = count;
  for (const [index, chunk] of chunks.entries()) {
    if (left < chunk.length) return [chunk.subarray(left), ...chunks.slice(index + 1)];
    left -= chunk.length;
  }
  return [];
}

/** Whole milliseconds: a fraction would not survive every file system. */
function factsOf(stat: fs.Stats): FileFacts {
  return { sizeBytes: stat.size, mtimeMs: Math.floor(stat.mtimeMs), linked: stat.nlink > 0 };
}

function errorCode(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return code ?? "";
}

function isMissing(error: unknown): boolean {
  return errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR";
}

const full = new Set(["ENOSPC", "EDQUOT"]);
/** Why a link is refused where a copy may work. */
const noLink = new Set(["EXDEV", "EPERM", "EACCES", "EMLINK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

function storageError(what: string, error: unknown): AptP2pError {
  if (error instanceof AptP2pError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  if (!full.has(errorCode(error)))
    return new AptP2pError("STORAGE", `${what}: ${reason}`, { cause: error });
  return new AptP2pError("NO_SPACE", `${what}: the disk or the quota of this user is full`, {
    cause: error,
  });
}

function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
  } catch {
    // Not Linux, or /proc is hidden: the time of the boot, coarse enough to be the same every time.
    const bootedMs = Date.now() - uptime() * 1000;
    return `booted-${Math.round(bootedMs / 60_000)}`;
  }
}
