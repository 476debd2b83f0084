/**
 * One Release (or SHA256SUMS) as the catalogue keeps it: its facts, who vouches for it, indexes of its
 * entries, and the digest tables that hang on it.
 *
 * Rule: it speaks only about names below its own directory and, through its indexes, below its base.
 */
import type { Sha256 } from "../base/sha256.ts";
import { classify, withoutCompression } from "./classify.ts";
import { directoryOf } from "./names.ts";
import type { ReleaseFacts, ReleaseFile } from "./release.ts";
import type { Table } from "./table.ts";
import type { FileName } from "./types.ts";

/** What is kept of a Release over a restart; its text is a file of its own. */
export interface ReleaseRecord {
  /** As it was learned: …/InRelease, …/Release, …/SHA256SUMS; of apt's lists also a lone index. */
  readonly name: FileName;
  /** SHA-256 of the text that was parsed. */
  readonly text: Sha256;
  readonly form: "release" | "sums";
  /** The archive root: Filename fields are relative to it. */
  readonly base: string;
  readonly trust: "verified" | "unverified";
  readonly signedBy: readonly string[];
  /** The Release that lists this document, where that is its proof. */
  readonly provenBy?: FileName;
  /** Why it is not verified, for people. */
  readonly note?: string;
  /** When it was last seen, milliseconds since 1970 UTC. */
  readonly seenAtMs: number;
}

/** An index of a Release that has been read. */
export interface Attachment {
  /** The plain index's digest. */
  readonly plain: Sha256;
  /** Name of the index without the ending of a compression. */
  readonly listedIn: string;
  /** What the table's keys are relative to, with a slash at the end. */
  readonly prefix: string;
  readonly table: Table;
}

/** An entry of a Release that can be read for more: Packages, Sources, diff Index. */
export interface ListedIndex {
  readonly file: ReleaseFile;
  readonly kind: "packages" | "sources" | "diff";
  /** Path without the ending of its compression. */
  readonly plainPath: string;
}

export class KnownRelease {
  readonly record: ReleaseRecord;
  readonly facts: ReleaseFacts;
  /** Where it lies; its entries are relative to this. */
  readonly directory: string;
  /** The indexes among its entries, in every compression. */
  readonly indexes: readonly ListedIndex[];
  attachments: readonly Attachment[] = [];
  readonly #byPath: ReadonlyMap<string, ReleaseFile>;
  readonly #bySha256: ReadonlyMap<Sha256, ReleaseFile>;
  readonly #bySha512: ReadonlyMap<string, ReleaseFile>;

  constructor(record: ReleaseRecord, facts: ReleaseFacts) {
    this.record = record;
    this.facts = facts;
    this.directory = directoryOf(record.name);
    this.#byPath = new Map(facts.files.map((file) => [file.path, file]));
    this.#bySha256 = new Map(facts.files.map((file) => [file.sha256, file]));
    const withAlias = facts.files.filter(({ sha512 }) => sha512 !== undefined);
    this.#bySha512 = new Map(withAlias.map((file) => [file.sha512 ?? "", file]));
    this.indexes = facts.files.flatMap(listedIndex);
  }

  /** One per content and place. */
  get key(): string {
    return `${this.directory}!${this.record.text}`;
  }

  get verified(): boolean {
    return this.record.trust === "verified";
  }

  /** Age of its contents; a document without date is as old as its sighting. */
  get dateMs(): number {
    return this.facts.dateMs ?? (this.record.form === "sums" ? this.record.seenAtMs : 0);
  }

  file(path: string): ReleaseFile | undefined {
    return this.#byPath.get(path);
  }

  fileOfDigest(sha256: Sha256): ReleaseFile | undefined {
    return this.#bySha256.get(sha256);
  }

  fileOfSha512(hex: string): ReleaseFile | undefined {
    return this.#bySha512.get(hex);
  }

  /** The entries of one index in all compressions. */
  indexesAt(plainPath: string): readonly ListedIndex[] {
    return this.indexes.filter((index) => index.plainPath === plainPath);
  }

  /** The rest of `name` below the directory of this Release; undefined if it lies elsewhere. */
  pathOf(name: string): string | undefined {
    return below(this.directory, name);
  }
}

/** The rest of a name below a directory; undefined if it lies elsewhere. */
export function below(directory: string, name: string): string | undefined {
  const inside = name.startsWith(directory) && name[directory.length] === "/";
  return inside ? name.slice(directory.length + 1) : undefined;
}

function listedIndex(file: ReleaseFile): ListedIndex[] {
  const kind = classify(file.path);
  const plainPath = withoutCompression(file.path);
  if (kind.kind === "index") return [{ file, kind: kind.of, plainPath }];
  return kind.kind === "diff-index" ? [{ file, kind: "diff", plainPath }] : [];
}
