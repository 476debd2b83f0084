/**
 * What apt has on disk (/var/lib/apt/lists): a machine that ran `apt update` before the daemon did is
 * covered, and updates that pass us by (patches, https) are noticed.
 *
 * Rules:
 * - Signatures are checked again here; that apt took a file is no signature.
 * - An index counts under the Release that lies beside it. Where that lists only compressed forms,
 *   which apt does not keep, the file counts as their content: apt checked it before it put it there
 *   (and keeps it under root).
 * - An index without any Release (a repository of its own making, trusted=yes) counts unverified.
 * - Files whose size and time have not changed are not read again.
 */
import type { Counters } from "../base/counters.ts";
import { errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Hashes, Log } from "../base/ports.ts";
import { sha256FromBytes, type Sha256 } from "../base/sha256.ts";
import type { FileFacts, Files, KeyValue } from "../base/storage.ts";
import type { Catalogue } from "./catalogue.ts";
import { classify, withoutCompression } from "./classify.ts";
import type { Documents } from "./documents.ts";
import { openStream, readWhole } from "./file-io.ts";
import { parseFacts } from "./facts.ts";
import { hashing, type ReadResult } from "./index-reader.ts";
import type { Indexes } from "./indexes.ts";
import type { Keeper } from "./keeper.ts";
import { KnownRelease } from "./known-release.ts";
import { fromListName } from "./list-names.ts";
import { directoryOf, lastSegment } from "./names.ts";
import type { Sources } from "./sources.ts";
import type { FileName } from "./types.ts";

export interface ListsComponents {
  readonly kv: KeyValue;
  readonly files: Files;
  readonly hashes: Hashes;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  readonly catalogue: Catalogue;
  readonly keeper: Keeper;
  readonly documents: Documents;
  readonly indexes: Indexes;
  readonly sources: Sources;
  /** Runs the reading of an index in its turn. */
  readonly enqueue: (name: FileName, run: () => Promise<void>) => Promise<void>;
}

/** What is remembered of a file: as long as size and time are the same, so is the rest. */
interface ListRecord extends FileFacts {
  /** Of an index: digest of its plain text. */
  readonly plain?: Sha256;
  /** Of a document: key of the Release that came of it. */
  readonly release?: string;
}

interface Listed {
  readonly path: string;
  readonly listName: string;
  readonly name: FileName;
  readonly facts: FileFacts;
  readonly record: ListRecord | undefined;
}

const RECORD = "archive!list!";

export class AptLists {
  readonly #components: ListsComponents;
  readonly #directory: string;
  readonly #ownAuthorities: readonly string[];
  /** State of the directory when it was last scanned; undefined before the first scan. */
  #scanned: number | undefined;
  /** Plain indexes that lie in the directory. Bounded by limits.listsFiles. */
  #plains = new Map<Sha256, Listed>();

  constructor(
    components: ListsComponents,
    settings: { readonly aptListsDirectory: string; readonly ownAuthorities: readonly string[] },
  ) {
    this.#components = components;
    this.#directory = settings.aptListsDirectory;
    this.#ownAuthorities = settings.ownAuthorities;
  }

  /** Whether apt may have changed something since the last scan. One look at the directory. */
  async changed(): Promise<boolean> {
    return this.#scanned === undefined || (await this.#state()) !== this.#scanned;
  }

  /**
   * Takes in the documents and puts the indexes that are new into the queue → their ends. Rejects
   * with AptP2pError STORAGE when the directory cannot be read.
   */
  async scan(): Promise<readonly Promise<void>[]> {
    const firstTime = this.#scanned === undefined;
    this.#scanned = await this.#state();
    await this.#components.sources.refresh();
    const listed = await this.#list();
    await this.#forgetVanished(listed);
    this.#components.counters.add("archive.lists.scanned");
    const { releases, changed } = await this.#documents(listed);
    this.#plains = new Map();
    const work: Promise<void>[] = [];
    for (const file of listed) {
      if (classify(file.name).kind !== "index") continue;
      const { plain } = file.record ?? {};
      if (plain !== undefined) this.#plains.set(plain, file);
      const known = plain !== undefined && this.#components.catalogue.hasTable(plain);
      if (file.record !== undefined && (known || !(changed || firstTime))) {
        this.#components.counters.add("archive.lists.unchanged");
        continue;
      }
      const beside = releases.get(file.name);
      work.push(
        this.#components.enqueue(file.name, () =>
          this.#guard(file, () => this.#read(file, beside)),
        ),
      );
    }
    return work;
  }

  /** A plain index by its digest, if it still lies here unchanged. */
  async openPlain(plain: Sha256): Promise<AsyncIterable<Buffer> | undefined> {
    const file = this.#plains.get(plain);
    if (file === undefined || !sameFacts(await this.#facts(file.path), file.facts))
      return undefined;
    return openStream(this.#components.files, file.path);
  }

  /** Learns what is new among the documents → the Release that lies beside each index. */
  async #documents(
    listed: readonly Listed[],
  ): Promise<{ releases: ReleasesBeside; changed: boolean }> {
    const { catalogue } = this.#components;
    const keys = new Map<string, string>();
    let changed = false;
    for (const directory of groupByDirectory(listed).values()) {
      const fresh = directory.some(
        ({ record }) => record?.release === undefined || !catalogue.release(record.release),
      );
      changed ||= fresh;
      for (const file of directory) {
        const key = fresh ? await this.#learn(file) : file.record?.release;
        if (key !== undefined) keys.set(directoryOf(file.name), key);
      }
    }
    return { releases: new ReleasesBeside(keys, catalogue), changed };
  }

  async #learn(file: Listed): Promise<string | undefined> {
    const { documents, files } = this.#components;
    let key: string | undefined;
    await this.#guard(file, async () => {
      const bytes = await readWhole(files, file.path, limits.documentBytes);
      if (bytes === undefined) return;
      key = (await documents.learn(file.name, bytes))?.key;
      await this.#remember(file, key === undefined ? {} : { release: key });
    });
    return key;
  }

  async #read(file: Listed, beside: KnownRelease | undefined): Promise<void> {
    const { counters, files, hashes, indexes } = this.#components;
    const kind = classify(file.name);
    const stream = kind.kind === "index" ? await openStream(files, file.path) : undefined;
    if (kind.kind !== "index" || stream === undefined) return;
    const rawHasher = hashes.start();
    const result = await indexes.parse(kind.of, hashing(stream, rawHasher));
    const raw = sha256FromBytes(rawHasher.digest());
    if (!sameFacts(await this.#facts(file.path), file.facts)) {
      counters.add("archive.lists.overtaken");
      return;
    }
    const { plain } = result;
    const placed = beside === undefined ? [] : placedForms(beside, file.name, [raw, plain]);
    if (beside === undefined) await this.#registerLone(file.name, result);
    await indexes.adopt(file.name, result, [raw, ...placed]);
    this.#plains.set(plain, file);
    await this.#remember(file, { plain });
    counters.add("archive.lists.read");
  }

  /** An index that no Release covers gets a list of its own, unverified, with itself as only entry. */
  async #registerLone(name: FileName, index: ReadResult): Promise<void> {
    const { clock, hashes, indexes, keeper } = this.#components;
    const isLone = (release: KnownRelease): boolean =>
      classify(release.record.name).kind === "index";
    if (!indexes.covering(name).every(isLone)) return;
    const plainName = withoutCompression(name) as FileName;
    const text = `SHA256:\n ${index.plain} ${index.plainBytes} ${lastSegment(plainName)}\n`;
    const record = {
      name: plainName,
      text: sha256FromBytes(hashes.of(text)),
      form: "release",
      base: this.#baseOf(plainName),
      trust: "unverified",
      signedBy: [],
      note: "an index without a Release",
      seenAtMs: clock.wallMs(),
    } as const;
    await keeper.addRelease(new KnownRelease(record, parseFacts("release", text)), text);
  }

  /** The root by the source that has the index below one of its suites; else as its path suggests. */
  #baseOf(name: FileName): string {
    const { sources } = this.#components;
    for (let at = directoryOf(name); at.includes("/"); at = directoryOf(at)) {
      const base = sources.about(at)?.base;
      if (base !== undefined) return base;
    }
    const directory = directoryOf(name);
    const dists = directory.lastIndexOf("/dists/");
    return dists < 0 ? directory : directory.slice(0, dists);
  }

  async #list(): Promise<readonly Listed[]> {
    const { counters, files, kv } = this.#components;
    const found: Listed[] = [];
    for (const { name: listName, directory } of await files.list(this.#directory)) {
      const name = directory ? undefined : fromListName(listName, this.#ownAuthorities);
      if (name === undefined || !LEARNED.has(classify(name).kind)) continue;
      if (found.length >= limits.listsFiles) {
        counters.add("archive.lists.tooMany");
        break;
      }
      const path = `${this.#directory}/${listName}`;
      const facts = await this.#facts(path);
      if (facts === undefined) continue;
      const record = parseRecord(kv.get(RECORD + listName));
      const same = record !== undefined && sameFacts(record, facts);
      found.push({ path, listName, name, facts, record: same ? record : undefined });
    }
    return found;
  }

  async #forgetVanished(listed: readonly Listed[]): Promise<void> {
    const present = new Set(listed.map(({ listName }) => RECORD + listName));
    const gone: { key: string; value: undefined }[] = [];
    for await (const [key] of this.#components.kv.range(RECORD)) {
      if (!present.has(key)) gone.push({ key, value: undefined });
    }
    if (gone.length > 0) await this.#components.kv.batch(gone);
  }

  async #remember(file: Listed, learned: Pick<ListRecord, "plain" | "release">): Promise<void> {
    const record: ListRecord = { ...file.facts, ...learned };
    await this.#components.kv.batch([
      { key: RECORD + file.listName, value: JSON.stringify(record) },
    ]);
  }

  /** One file that cannot be read must not hide the others. */
  async #guard(file: Listed, run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (thrown) {
      this.#components.counters.add("archive.lists.failed");
      const fields = { path: file.path, error: errorText(thrown) };
      this.#components.log.warn("archive.lists.failed", fields);
    }
  }

  /** Newest modification: of the directory itself where the file system tells, else of its files. */
  async #state(): Promise<number> {
    const own = await this.#facts(this.#directory);
    if (own !== undefined) return own.mtimeMs;
    let newestMs = 0;
    for (const { name } of await this.#components.files.list(this.#directory)) {
      newestMs = Math.max(
        newestMs,
        (await this.#facts(`${this.#directory}/${name}`))?.mtimeMs ?? 0,
      );
    }
    return newestMs;
  }

  #facts(path: string): Promise<FileFacts | undefined> {
    return this.#components.files.facts(path);
  }
}

const DOCUMENTS: ReadonlySet<string> = new Set(["inrelease", "release", "release-signature"]);
const LEARNED: ReadonlySet<string> = new Set([...DOCUMENTS, "index"]);

/** Finds for an index the Release that apt has put beside it. */
class ReleasesBeside {
  /** Directory of a Release → its key. */
  readonly #keys: ReadonlyMap<string, string>;
  readonly #catalogue: Catalogue;

  constructor(keys: ReadonlyMap<string, string>, catalogue: Catalogue) {
    this.#keys = keys;
    this.#catalogue = catalogue;
  }

  get(name: FileName): KnownRelease | undefined {
    for (let at = directoryOf(name); at.includes("/"); at = directoryOf(at)) {
      const key = this.#keys.get(at);
      if (key !== undefined) return this.#catalogue.release(key);
    }
    return undefined;
  }
}

/** The documents of each directory; Release before Release.gpg. */
function groupByDirectory(listed: readonly Listed[]): ReadonlyMap<string, Listed[]> {
  const groups = new Map<string, Listed[]>();
  for (const file of listed) {
    if (!DOCUMENTS.has(classify(file.name).kind)) continue;
    const directory = directoryOf(file.name);
    groups.set(directory, [...(groups.get(directory) ?? []), file]);
  }
  for (const group of groups.values()) group.sort((a, b) => (a.name < b.name ? -1 : 1));
  return groups;
}

/** The compressed forms that an index in apt's lists stands for, if its Release lists no plain one. */
function placedForms(
  release: KnownRelease,
  name: FileName,
  digests: readonly Sha256[],
): readonly Sha256[] {
  const plainPath = withoutCompression(release.pathOf(name) ?? "");
  const entries = release.indexesAt(plainPath);
  const listsPlain = entries.some(({ file }) => file.path === plainPath);
  if (listsPlain || entries.some(({ file }) => digests.includes(file.sha256))) return [];
  return entries.map(({ file }) => file.sha256);
}

function parseRecord(value: string | undefined): ListRecord | undefined {
  if (value === undefined) return undefined;
  try {
    return JSON.parse(value) as ListRecord;
  } catch {
    return undefined;
  }
}

function sameFacts(a: FileFacts | undefined, b: FileFacts): boolean {
  return a?.sizeBytes === b.sizeBytes && a.mtimeMs === b.mtimeMs;
}
