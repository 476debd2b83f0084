/**
 * The archive room: what must the file of a name be, and who says so?
 *
 * It learns from documents and indexes that pass through the daemon (`learnDocument`, `learnFile`) and
 * from apt's own lists (`refreshLists`), keeps what it learned over a restart, and answers
 * synchronously from memory. Nothing here fetches anything.
 */
import type { Counters } from "../base/counters.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Hashes, Log } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { Files, KeyValue } from "../base/storage.ts";
import { Catalogue } from "./catalogue.ts";
import { classify } from "./classify.ts";
import { Documents, scopeOfDocument } from "./documents.ts";
import { expandWhole } from "./index-reader.ts";
import { Indexes } from "./indexes.ts";
import { Keeper } from "./keeper.ts";
import type { KnownRelease } from "./known-release.ts";
import { AptLists } from "./lists.ts";
import { directoryOf, hostOf } from "./names.ts";
import { Patches } from "./patches.ts";
import type { Decompressor, Signatures, StoredFiles } from "./ports.ts";
import { Refusals, type Refusal } from "./refusals.ts";
import { Sources } from "./sources.ts";
import type { Expectation, FileKind, FileName } from "./types.ts";
import { WorkQueue } from "./work-queue.ts";

export interface ArchiveComponents extends StoredFiles {
  readonly kv: KeyValue;
  readonly files: Files;
  readonly hashes: Hashes;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  readonly signatures: Signatures;
  readonly decompressor: Decompressor;
}

export interface ArchiveSettings {
  /** Where Releases and digest tables are kept; nobody else writes there. */
  readonly tableDirectory: string;
  /** /etc/apt */
  readonly aptConfigDirectory: string;
  /** /var/lib/apt/lists */
  readonly aptListsDirectory: string;
  /** The forms `host:port` under which apt addresses this daemon, lower-case. */
  readonly ownAuthorities: readonly string[];
}

/** A Release for people; JSON-able. */
export interface ReleaseSummary {
  readonly name: FileName;
  readonly suite: string | undefined;
  readonly codename: string | undefined;
  /** Milliseconds since 1970 UTC. */
  readonly dateMs: number | undefined;
  readonly validUntilMs: number | undefined;
  readonly trust: "verified" | "unverified";
  readonly signedBy: readonly string[];
  readonly note: string | undefined;
  /** Indexes of it that have been read, and the files that they list. */
  readonly tables: number;
  readonly rows: number;
}

/** Everything about one name, for `apt-p2p why`; JSON-able. */
export interface Explanation {
  readonly kind: FileKind;
  readonly expectations: readonly Expectation[];
  /** Known Releases of the host, those around the name first. */
  readonly releases: readonly ReleaseSummary[];
  /** What was refused from this host. */
  readonly refused: readonly Refusal[];
}

export class Archive {
  readonly #components: ArchiveComponents;
  readonly #catalogue: Catalogue;
  readonly #keeper: Keeper;
  readonly #queue: WorkQueue;
  readonly #refusals: Refusals;
  readonly #sources: Sources;
  readonly #documents: Documents;
  readonly #indexes: Indexes;
  readonly #patches: Patches;
  readonly #lists: AptLists;
  /** Documents being learned: indexes wait for them, since they say what an index is. */
  readonly #learning = new Set<Promise<unknown>>();
  #refreshing: Promise<void> | undefined;

  constructor(components: ArchiveComponents, settings: ArchiveSettings) {
    this.#components = components;
    const catalogue = new Catalogue(components.hashes);
    const keeper = new Keeper({ ...components, catalogue }, settings.tableDirectory);
    const queue = new WorkQueue(components);
    const refusals = new Refusals(components);
    const sources = new Sources(components, settings);
    const shared = { ...components, catalogue, keeper, refusals, sources };
    const documents = new Documents(shared);
    const indexes = new Indexes({ ...shared, stopped: () => queue.closed });
    this.#catalogue = catalogue;
    this.#keeper = keeper;
    this.#queue = queue;
    this.#refusals = refusals;
    this.#sources = sources;
    this.#documents = documents;
    this.#indexes = indexes;
    this.#lists = new AptLists(
      {
        ...shared,
        documents,
        indexes,
        enqueue: (name, run) => queue.add(this.#scopeOf(name), `list ${name}`, run),
      },
      settings,
    );
    this.#patches = new Patches({
      ...shared,
      openStored: (sha256) => components.openStored(sha256),
      indexes,
      openPlain: (plain) => this.#lists.openPlain(plain),
    });
  }

  /** Loads what was known before the last stop, and apt's sources. */
  async load(): Promise<void> {
    await this.#sources.refresh();
    await this.#keeper.load();
  }

  /** Stops reading; resolves when what was learned is on the disk. */
  async close(): Promise<void> {
    await this.#queue.close();
    await this.#keeper.flushed();
  }

  /** Resolves when all that is being read has been read. */
  async idle(): Promise<void> {
    await this.#queue.idle();
    await this.#keeper.flushed();
  }

  /** What the file of this name must be, best first; [] when nothing is known. */
  expectations(name: FileName): readonly Expectation[] {
    return this.#catalogue.expectations(name);
  }

  /**
   * Resolves when nothing that is being read could still say something about `name`, at most after
   * limits.indexWaitMs.
   */
  async settled(name: FileName): Promise<void> {
    await this.#queue.settled(name, limits.indexWaitMs);
  }

  /** Takes in a document (InRelease, Release, SHA256SUMS, a signature) as it came from the mirror. */
  async learnDocument(name: FileName, bytes: Buffer): Promise<void> {
    const learned = this.#queue.beside(scopeOfDocument(name), () =>
      this.#documents.learn(name, bytes),
    );
    this.#learning.add(learned);
    try {
      await learned;
    } finally {
      this.#learning.delete(learned);
    }
  }

  /**
   * A file of proven digest is stored. If it can tell something (an index, a patch, SHA256SUMS) it is
   * read in the background, in its turn; `open` is called then.
   */
  learnFile(
    name: FileName,
    sha256: Sha256,
    open: () => Promise<AsyncIterable<Buffer> | undefined>,
  ): void {
    const { kind } = classify(name);
    if (!READ_FROM_STORE.has(kind)) return;
    void this.#queue.add(this.#scopeOf(name), `file ${name} ${sha256}`, async () => {
      await Promise.allSettled(this.#learning);
      if (kind === "sums") await this.#readSums(name, open);
      else if (kind !== "diff-patch") await this.#indexes.read(name, sha256, open);
      const directory = diffDirectory(name, kind, this.#indexes.kindOf(name, sha256));
      if (directory !== undefined) this.#applyPatches(directory);
    });
  }

  /** Reads apt's lists directory: what is new or changed. Resolves when all of it has been read. */
  refreshLists(): Promise<void> {
    this.#refreshing ??= this.#refreshLists().finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  /** Whether apt may have changed its lists since the last `refreshLists`; cheap. */
  listsChanged(): Promise<boolean> {
    return this.#lists.changed();
  }

  /** Those of the digests that a known Release or index lists. */
  listed(digests: ReadonlySet<Sha256>): ReadonlySet<Sha256> {
    return this.#catalogue.listed(digests);
  }

  releases(): readonly ReleaseSummary[] {
    return this.#catalogue.releases().map(summary);
  }

  /** Tables and rows in memory. */
  size(): { readonly tables: number; readonly rows: number } {
    return { tables: this.#catalogue.tableCount, rows: this.#catalogue.rowCount };
  }

  explain(name: FileName): Explanation {
    const around = this.#indexes.covering(name);
    const others = this.#catalogue
      .releases(hostOf(name))
      .filter((release) => !around.includes(release));
    return {
      kind: classify(name),
      expectations: this.expectations(name),
      releases: [...around, ...others].map(summary),
      refused: this.#refusals.ofHost(hostOf(name)),
    };
  }

  /** Hosts (lower-case, without ports) that apt's sources name, as of the last refresh. */
  hostsOfSources(): ReadonlySet<string> {
    return this.#sources.hosts();
  }

  /** Reads apt's sources again: before a host is refused because they did not name it. */
  async refreshSources(): Promise<void> {
    await this.#sources.refresh();
  }

  async #refreshLists(): Promise<void> {
    const work = await this.#queue.beside("", () => this.#lists.scan());
    await Promise.all(work);
    await this.#keeper.flushed();
  }

  async #readSums(
    name: FileName,
    open: () => Promise<AsyncIterable<Buffer> | undefined>,
  ): Promise<void> {
    const stream = await open();
    if (stream === undefined) return;
    const bytes = await expandWhole(this.#components, stream, limits.releaseBytes);
    await this.#documents.learn(name, bytes);
  }

  /** Once for all patches that are waiting: each attempt reads the whole chain. */
  #applyPatches(directory: string): void {
    void this.#queue.add(this.#scopeOf(directory as FileName), `patch ${directory}`, () =>
      this.#patches.apply(directory),
    );
  }

  /** Names that an index at `name` may speak about begin so. */
  #scopeOf(name: FileName): string {
    return this.#indexes.covering(name)[0]?.record.base ?? hostOf(name);
  }
}

const READ_FROM_STORE: ReadonlySet<string> = new Set<FileKind["kind"]>([
  "index",
  "diff-index",
  "diff-patch",
  "by-hash",
  "sums",
]);

/** The `….diff` directory that a patch or a diff Index (perhaps by hash) belongs to. */
function diffDirectory(
  name: FileName,
  kind: FileKind["kind"],
  indexKind: string | undefined,
): string | undefined {
  if (kind === "diff-patch" || kind === "diff-index") return directoryOf(name);
  if (kind !== "by-hash") return undefined;
  const directory = directoryOf(directoryOf(directoryOf(name)));
  return indexKind === "diff" || directory.endsWith(".diff") ? directory : undefined;
}

function summary(release: KnownRelease): ReleaseSummary {
  const { facts, record, attachments } = release;
  return {
    name: record.name,
    suite: facts.suite,
    codename: facts.codename,
    dateMs: facts.dateMs,
    validUntilMs: facts.validUntilMs,
    trust: record.trust,
    signedBy: record.signedBy,
    note: record.note,
    tables: attachments.length,
    rows: attachments.reduce((sum, { table }) => sum + table.rowCount, 0),
  };
}
