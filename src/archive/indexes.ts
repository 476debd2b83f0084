/**
 * Learning from indexes: Packages, Sources and diff Index files whose bytes are at hand.
 *
 * Rules: an index counts only under Releases that list its digest (of the form at hand, or plain); one
 * that a verified Release lists with other digests is refused, whatever an unverified one says.
 */
import type { Counters } from "../base/counters.ts";
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Hashes, Log } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { Catalogue } from "./catalogue.ts";
import { classify, withoutCompression } from "./classify.ts";
import { readIndex, type ReadResult } from "./index-reader.ts";
import type { Keeper } from "./keeper.ts";
import type { KnownRelease, ListedIndex } from "./known-release.ts";
import { hostOf } from "./names.ts";
import type { Decompressor } from "./ports.ts";
import type { Refusals } from "./refusals.ts";
import type { FileName } from "./types.ts";

export interface IndexesComponents {
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  readonly hashes: Hashes;
  readonly decompressor: Decompressor;
  readonly catalogue: Catalogue;
  readonly keeper: Keeper;
  readonly refusals: Refusals;
  /** Whether to stop in the middle of an index. */
  readonly stopped: () => boolean;
}

export class Indexes {
  readonly #components: IndexesComponents;

  constructor(components: IndexesComponents) {
    this.#components = components;
  }

  /** Releases below whose directory a name lies, best first. */
  covering(name: FileName): readonly KnownRelease[] {
    const releases = this.#components.catalogue.releases(hostOf(name));
    return releases.filter((release) => release.pathOf(name) !== undefined);
  }

  /** What kind of index a file is, by its name or by what a Release lists under its digest. */
  kindOf(name: FileName, sha256: Sha256): ListedIndex["kind"] | undefined {
    const kind = classify(name);
    if (kind.kind === "index") return kind.of;
    if (kind.kind === "diff-index") return "diff";
    if (kind.kind !== "by-hash") return undefined;
    return this.#listing(name, [sha256])[0]?.index.kind;
  }

  /** Reads a stored index of proven digest and takes it in. */
  async read(
    name: FileName,
    sha256: Sha256,
    open: () => Promise<AsyncIterable<Buffer> | undefined>,
  ): Promise<void> {
    const { catalogue, counters } = this.#components;
    const kind = this.kindOf(name, sha256);
    if (kind === undefined) return;
    if (catalogue.plainOf(sha256) !== undefined) {
      counters.add("archive.index.known");
      return;
    }
    const stream = await open();
    if (stream === undefined) {
      counters.add("archive.index.gone");
      return;
    }
    const result = await this.parse(kind, stream);
    await this.adopt(name, result, [sha256]);
  }

  async parse(kind: ListedIndex["kind"], stream: AsyncIterable<Buffer>): Promise<ReadResult> {
    const { counters, stopped } = this.#components;
    const result = await readIndex(this.#components, kind, stream, stopped);
    counters.add("archive.index.read");
    counters.add("archive.index.rows", result.table.rowCount);
    counters.add("archive.index.refusedRows", result.refusedRows);
    return result;
  }

  /**
   * Takes a parsed index in, known by the digests `forms` beside its plain one → whether it counts
   * now. `name` tells where it lies.
   */
  async adopt(name: FileName, result: ReadResult, forms: readonly Sha256[]): Promise<boolean> {
    const { catalogue, counters, keeper } = this.#components;
    const { plain, table } = result;
    const listing = this.#listing(name, [...forms, plain]);
    const refusal = this.#contradiction(name, listing);
    if (refusal !== undefined) {
      this.#components.refusals.add("index", "contradicted", name, refusal);
      return false;
    }
    if (listing.length === 0) {
      counters.add("archive.index.unlisted");
      return false;
    }
    const releases = listing.map(({ release }) => release);
    const known = catalogue.hasTable(plain);
    const room = known ? [] : catalogue.roomFor(table.rowCount, releases);
    if (room === undefined) {
      this.#full(name, table.rowCount);
      return false;
    }
    await keeper.removeTables(room);
    if (known) await keeper.addForms(plain, forms);
    else await keeper.addTable(plain, table, forms);
    counters.add("archive.index.adopted");
    this.#components.refusals.lift(name);
    return true;
  }

  /** Entries of Releases around `name` that have one of the digests, best Release first. */
  #listing(
    name: FileName,
    digests: readonly Sha256[],
  ): readonly { readonly release: KnownRelease; readonly index: ListedIndex }[] {
    return this.covering(name).flatMap((release) =>
      release.indexes
        .filter((index) => digests.includes(index.file.sha256))
        .map((index) => ({ release, index })),
    );
  }

  /** Why an index is refused: something verified lists it otherwise, and nothing verified so. */
  #contradiction(
    name: FileName,
    listing: readonly { readonly release: KnownRelease; readonly index: ListedIndex }[],
  ): string | undefined {
    if (listing.some(({ release }) => release.verified)) return undefined;
    const places = new Set(
      listing.map(({ release, index }) => `${release.directory}/${index.plainPath}`),
    );
    places.add(withoutCompression(name));
    for (const release of this.covering(name).filter(({ verified }) => verified)) {
      for (const place of places) {
        const path = release.pathOf(place);
        if (path !== undefined && release.indexesAt(path).length > 0) {
          return `${release.record.name} lists other digests`;
        }
      }
    }
    return undefined;
  }

  #full(name: FileName, rows: number): void {
    this.#components.counters.add("archive.catalogue.full");
    const error = new AptP2pError(
      "NO_SPACE",
      `no room for ${rows} rows: limits.catalogueRows is ${limits.catalogueRows}; ` +
        "the files of this index pass through unchecked",
    );
    this.#components.log.warn("archive.catalogue.full", { name, error: error.message });
  }
}
