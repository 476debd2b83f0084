import { AptP2pError } from "../base/errors.ts";
import type { FileFacts, Files, OpenFile } from "../base/storage.ts";
import type { Clock } from "../base/ports.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { FaultPlan, type CrashKind } from "./fault-plan.ts";
import { MemoryInode } from "./memory-inode.ts";

export interface MemoryFilesOptions {
  readonly faults?: FaultPlan;
  /** Gives the modification times. */
  readonly clock?: Pick<Clock, "wallMs">;
  /** Size of the file system; writes beyond it are NO_SPACE. */
  readonly totalBytes?: number;
  readonly bootId?: string;
}

/** A change of the name space: `inode` undefined removes the path. */
interface NameChange {
  readonly path: string;
  readonly inode: MemoryInode | undefined;
}

/**
 * The Files port in memory. It remembers what is synced: file bytes by `sync`, names by the one
 * that `rename` promises (as with a journal, that makes all earlier names durable).
 * `crash` gives the file system that a restart would find.
 */
export class MemoryFiles implements Files {
  readonly #options: MemoryFilesOptions;
  readonly #faults: FaultPlan;
  readonly #names = new Map<string, MemoryInode>();
  #durableNames = new Map<string, MemoryInode>();
  #unsyncedNames: NameChange[][] = [];
  readonly #inFlight = new Set<(portion: number) => void>();
  #openHandles = 0;

  constructor(options: MemoryFilesOptions = {}) {
    this.#options = options;
    this.#faults = options.faults ?? new FaultPlan();
  }

  get openHandles(): number {
    return this.#openHandles;
  }

  /** Paths of all files, sorted. */
  get paths(): readonly string[] {
    return [...this.#names.keys()].sort();
  }

  /** A file's bytes as every process would read them; for checks. */
  peek(path: string): Uint8Array | undefined {
    return this.#names.get(path)?.bytes();
  }

  /** Puts a durable file there, as if it had always been; for setting up and for damaging files. */
  plant(path: string, bytes: Uint8Array, mtimeMs = this.#nowMs()): void {
    const inode = MemoryInode.durable(bytes, mtimeMs);
    this.#names.set(path, inode);
    this.#durableNames.set(path, inode);
  }

  async open(path: string): Promise<OpenFile | undefined> {
    await this.#faults.step("open");
    const inode = this.#names.get(path);
    return inode === undefined ? undefined : this.#handle(inode);
  }

  async create(path: string): Promise<OpenFile> {
    await this.#run("create", () => {
      if (!this.#names.has(path)) this.#rename([{ path, inode: new MemoryInode(this.#nowMs()) }]);
    });
    const inode = this.#names.get(path);
    if (inode === undefined) throw new AptP2pError("STORAGE", `${path} vanished`);
    return this.#handle(inode);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#run("rename", () => {
      const inode = this.#names.get(from);
      if (inode === undefined) throw missing(from);
      this.#rename([
        { path: from, inode: undefined },
        { path: to, inode },
      ]);
    });
    await this.#syncNames();
  }

  async link(from: string, to: string): Promise<boolean> {
    await this.#run("link", () => {
      const inode = this.#names.get(from);
      if (inode === undefined) throw missing(from);
      this.#rename([{ path: to, inode }]);
    });
    return true;
  }

  async remove(path: string): Promise<void> {
    await this.#run("remove", () => {
      if (this.#names.has(path)) this.#rename([{ path, inode: undefined }]);
    });
  }

  async facts(path: string): Promise<FileFacts | undefined> {
    await this.#faults.step("facts");
    return this.#names.get(path)?.facts();
  }

  async list(
    path: string,
  ): Promise<readonly { readonly name: string; readonly directory: boolean }[]> {
    await this.#faults.step("list");
    const found = new Map<string, boolean>();
    const prefix = path.endsWith("/") ? path : `${path}/`;
    for (const file of this.#names.keys()) {
      if (!file.startsWith(prefix)) continue;
      const [name = "", ...below] = file.slice(prefix.length).split("/");
      found.set(name, below.length > 0);
    }
    return [...found].map(([name, directory]) => ({ name, directory }));
  }

  async space(): Promise<{ readonly freeBytes: number; readonly totalBytes: number }> {
    await this.#faults.step("space");
    return { freeBytes: this.#freeBytes(), totalBytes: this.#totalBytes() };
  }

  bootId(): string {
    return this.#options.bootId ?? "boot-0";
  }

  /**
   * Ends this world and returns what a restart finds. An operation under way has happened, or not,
   * or half. `power` also loses unsynced writes (some, or parts of them, may have reached the disk)
   * and the latest unsynced names, and changes the boot id.
   */
  crash(kind: CrashKind, random: SeededRandom, faults = new FaultPlan()): MemoryFiles {
    this.#faults.stop();
    for (const apply of this.#inFlight) if (random.chance(0.5)) apply(random.next());
    const bootId = kind === "kill" ? this.bootId() : `${this.bootId()}+`;
    const after = new MemoryFiles({ ...this.#options, faults, bootId });
    const names = new Map(kind === "kill" ? this.#names : this.#durableNames);
    if (kind === "power") {
      const kept = random.below(this.#unsyncedNames.length + 1);
      for (const changes of this.#unsyncedNames.slice(0, kept)) applyNames(names, changes);
    }
    const survivors = new Map<MemoryInode, MemoryInode>();
    for (const [path, inode] of names) {
      const survivor =
        survivors.get(inode) ?? (kind === "kill" ? inode.copy() : inode.afterPowerLoss(random));
      survivors.set(inode, survivor);
      after.#names.set(path, survivor);
    }
    after.#durableNames = new Map(after.#names);
    return after;
  }

  #handle(inode: MemoryInode): OpenFile {
    this.#openHandles++;
    let open = true;
    const step = async (what: string): Promise<void> => {
      if (!open) throw new Error(`${what} on a closed file`);
      await this.#faults.step(what);
    };
    return {
      read: async (into, position) => {
        await step("read");
        return inode.read(into, position);
      },
      write: async (chunks, position) => {
        if (!open) throw new Error("write on a closed file");
        const bytes = Buffer.concat(chunks);
        await this.#run("write", (portion) => {
          const wanted = Math.ceil(bytes.length * portion);
          const growth = position + wanted - inode.sizeBytes;
          const excess = Math.max(0, growth - this.#freeBytes());
          inode.write(bytes.subarray(0, Math.max(0, wanted - excess)), position, this.#nowMs());
          if (excess > 0) throw new AptP2pError("NO_SPACE", "the simulated disk is full");
        });
      },
      truncate: (sizeBytes) =>
        this.#run("truncate", () => inode.truncate(sizeBytes, this.#nowMs())),
      sync: async () => {
        await step("sync");
        inode.sync();
      },
      facts: async () => {
        await step("facts");
        return { ...inode.facts(), linked: [...this.#names.values()].includes(inode) };
      },
      close: async () => {
        if (!open) throw new Error("close on a closed file");
        open = false;
        this.#openHandles--;
        await this.#faults.step("close");
      },
    };
  }

  /** Runs `apply` when its turn has come; a crash before that may run any portion of it. */
  async #run(operation: string, apply: (portion: number) => void): Promise<void> {
    const attempt = (portion: number): void => {
      try {
        apply(portion);
      } catch {
        // A crash in the middle of an operation that fails: nobody is left to be told.
      }
    };
    this.#inFlight.add(attempt);
    try {
      await this.#faults.step(operation);
    } finally {
      this.#inFlight.delete(attempt);
    }
    apply(1);
  }

  #rename(changes: NameChange[]): void {
    applyNames(this.#names, changes);
    this.#unsyncedNames.push(changes);
  }

  async #syncNames(): Promise<void> {
    await this.#faults.step("sync directory");
    for (const changes of this.#unsyncedNames) applyNames(this.#durableNames, changes);
    this.#unsyncedNames = [];
  }

  #totalBytes(): number {
    return this.#options.totalBytes ?? Number.MAX_SAFE_INTEGER;
  }

  #freeBytes(): number {
    let usedBytes = 0;
    for (const inode of new Set(this.#names.values())) usedBytes += inode.sizeBytes;
    return this.#totalBytes() - usedBytes;
  }

  #nowMs(): number {
    return this.#options.clock?.wallMs() ?? 0;
  }
}

function applyNames(names: Map<string, MemoryInode>, changes: readonly NameChange[]): void {
  for (const { path, inode } of changes) {
    if (inode === undefined) names.delete(path);
    else names.set(path, inode);
  }
}

function missing(path: string): AptP2pError {
  return new AptP2pError("STORAGE", `there is no file ${path}`);
}
