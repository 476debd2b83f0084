/**
 * The catalogue over a restart: every change of it goes through here, memory first, then the disk.
 *
 * Files (`<text>.release`, `<plain>.table`) are written before the records that name them and removed
 * after; what has no record is removed at start. A record without its file, or a damaged file, is
 * forgotten: it is read anew when it comes by again. A full disk costs the memory over a restart,
 * nothing else.
 */
import type { Counters } from "../base/counters.ts";
import { errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Hashes, Log } from "../base/ports.ts";
import { parseSha256, sha256FromBytes, type Sha256 } from "../base/sha256.ts";
import type { Files, KeyValue, KeyValueChange } from "../base/storage.ts";
import type { Catalogue } from "./catalogue.ts";
import { parseFacts } from "./facts.ts";
import { readWhole, writeWhole } from "./file-io.ts";
import { KnownRelease, type ReleaseRecord } from "./known-release.ts";
import { Pace } from "./pace.ts";
import { loadTable, saveTable } from "./table-file.ts";
import type { Table } from "./table.ts";

export interface KeeperComponents {
  readonly kv: KeyValue;
  readonly files: Files;
  readonly hashes: Hashes;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  readonly catalogue: Catalogue;
}

interface TableRecord {
  readonly forms: readonly Sha256[];
}

const RELEASE = "archive!release!";
const TABLE = "archive!table!";

export class Keeper {
  readonly #components: KeeperComponents;
  readonly #directory: string;
  /** Writes happen one after another. */
  #tail: Promise<void> = Promise.resolve();

  constructor(components: KeeperComponents, directory: string) {
    this.#components = components;
    this.#directory = directory;
  }

  /** Fills the catalogue from the disk and removes what belongs to nothing. */
  async load(): Promise<void> {
    const changes: KeyValueChange[] = [];
    for await (const [key, value] of this.#components.kv.range(RELEASE)) {
      if (!(await this.#loadRelease(key, value))) changes.push({ key, value: undefined });
    }
    for await (const [key, value] of this.#components.kv.range(TABLE)) {
      if (!(await this.#loadTable(key, value))) changes.push({ key, value: undefined });
    }
    await this.#write("load", async () => {
      await this.#components.kv.batch(changes);
      await this.#sweep();
    });
  }

  /** Takes a Release in, or refreshes the one of the same key. `text`: what its facts come from. */
  async addRelease(release: KnownRelease, text: string): Promise<void> {
    const { catalogue, files, kv, counters } = this.#components;
    const dropped = catalogue.addRelease(release);
    if (dropped.includes(release)) counters.add("archive.release.outdated");
    await this.#write(release.record.name, async () => {
      if (!dropped.includes(release)) {
        const path = this.#releasePath(release.record.text);
        if ((await files.facts(path)) === undefined) {
          await writeWhole(files, path, [Buffer.from(text)]);
        }
        await kv.batch([{ key: RELEASE + release.key, value: JSON.stringify(release.record) }]);
      }
      for (const old of dropped) await this.#forgetRelease(old);
    });
    await this.#dropLooseTables();
  }

  async removeRelease(release: KnownRelease): Promise<void> {
    this.#components.catalogue.removeRelease(release);
    await this.#write(release.record.name, () => this.#forgetRelease(release));
    await this.#dropLooseTables();
  }

  /** Takes in the table of a plain index, known by further digests as well. */
  async addTable(plain: Sha256, table: Table, forms: readonly Sha256[]): Promise<void> {
    const { catalogue, files, hashes, clock } = this.#components;
    catalogue.addTable(plain, table);
    for (const form of forms) catalogue.addForm(form, plain);
    await this.#write(plain, async () => {
      await saveTable({ files, hashes }, this.#tablePath(plain), table, new Pace(clock));
      await this.#recordForms(plain);
    });
  }

  /** More digests under which a known table's index is listed. */
  async addForms(plain: Sha256, forms: readonly Sha256[]): Promise<void> {
    const { catalogue } = this.#components;
    const before = catalogue.formsOf(plain).length;
    for (const form of forms) catalogue.addForm(form, plain);
    if (catalogue.formsOf(plain).length === before) return;
    await this.#write(plain, () => this.#recordForms(plain));
  }

  async removeTables(plains: readonly Sha256[]): Promise<void> {
    for (const plain of plains) {
      this.#components.catalogue.removeTable(plain);
      await this.#write(plain, async () => {
        await this.#components.kv.batch([{ key: TABLE + plain, value: undefined }]);
        await this.#components.files.remove(this.#tablePath(plain));
      });
    }
  }

  /** Resolves when all writes so far are done. */
  async flushed(): Promise<void> {
    await this.#tail;
  }

  async #dropLooseTables(): Promise<void> {
    await this.removeTables(this.#components.catalogue.looseTables());
  }

  async #loadRelease(key: string, value: string): Promise<boolean> {
    const { catalogue, counters, files, hashes } = this.#components;
    try {
      const record = JSON.parse(value) as ReleaseRecord;
      const bytes = await readWhole(files, this.#releasePath(record.text), limits.documentBytes);
      if (bytes !== undefined && sha256FromBytes(hashes.of(bytes)) === record.text) {
        const release = new KnownRelease(record, parseFacts(record.form, bytes.toString("utf8")));
        if (RELEASE + release.key === key && !catalogue.addRelease(release).includes(release)) {
          counters.add("archive.load.releases");
          return true;
        }
      }
    } catch (thrown) {
      this.#components.log.warn("archive.load.failed", { key, error: errorText(thrown) });
    }
    counters.add("archive.load.refused");
    return false;
  }

  async #loadTable(key: string, value: string): Promise<boolean> {
    const { catalogue, clock, counters, files, hashes } = this.#components;
    const plain = parseSha256(key.slice(TABLE.length));
    try {
      const { forms } = JSON.parse(value) as TableRecord;
      const table =
        plain === undefined
          ? undefined
          : await loadTable({ files, hashes }, this.#tablePath(plain), new Pace(clock));
      if (plain !== undefined && table !== undefined) {
        catalogue.addTable(plain, table);
        for (const form of forms) catalogue.addForm(form, plain);
        counters.add("archive.load.tables");
        return true;
      }
    } catch (thrown) {
      this.#components.log.warn("archive.load.failed", { key, error: errorText(thrown) });
    }
    counters.add("archive.load.refused");
    return false;
  }

  async #forgetRelease(release: KnownRelease): Promise<void> {
    const { catalogue, files, kv } = this.#components;
    if (catalogue.release(release.key) !== undefined) return;
    await kv.batch([{ key: RELEASE + release.key, value: undefined }]);
    const { text } = release.record;
    if (catalogue.releases().some((other) => other.record.text === text)) return;
    await files.remove(this.#releasePath(text));
  }

  async #recordForms(plain: Sha256): Promise<void> {
    const { catalogue, kv } = this.#components;
    if (!catalogue.hasTable(plain)) return;
    const record: TableRecord = { forms: catalogue.formsOf(plain) };
    await kv.batch([{ key: TABLE + plain, value: JSON.stringify(record) }]);
  }

  /** Removes files without a record, and tables that hang on no Release. */
  async #sweep(): Promise<void> {
    const { catalogue, files, kv } = this.#components;
    for (const plain of catalogue.looseTables()) {
      catalogue.removeTable(plain);
      await kv.batch([{ key: TABLE + plain, value: undefined }]);
    }
    const wanted = new Set(catalogue.releases().map(({ record }) => `${record.text}.release`));
    for (const { name, directory } of await files.list(this.#directory)) {
      const plain = parseSha256(name.replace(/\.table$/, ""));
      const held = wanted.has(name) || (plain !== undefined && catalogue.hasTable(plain));
      if (directory || held || !/^[0-9a-f]{64}\.(?:table|release)(?:\.new)?$/.test(name)) continue;
      await files.remove(`${this.#directory}/${name}`);
    }
  }

  /** Runs a write after the earlier ones; a failure is logged, since memory has it all. */
  #write(what: string, run: () => Promise<void>): Promise<void> {
    this.#tail = this.#tail.then(run).catch((thrown: unknown) => {
      this.#components.counters.add("archive.write.failed");
      this.#components.log.warn("archive.write.failed", { what, error: errorText(thrown) });
    });
    return this.#tail;
  }

  #releasePath(text: Sha256): string {
    return `${this.#directory}/${text}.release`;
  }

  #tablePath(plain: Sha256): string {
    return `${this.#directory}/${plain}.table`;
  }
}
