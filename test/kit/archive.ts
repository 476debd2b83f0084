/**
 * A signed Debian archive, generated: pool, indexes in every compression, by-hash, Translation,
 * Contents, Sources, pdiffs, InRelease and Release.gpg. What is asked for twice with the same
 * options is the same byte for byte, signatures included (within one process).
 *
 * Time in an archive is its own: it is published at `dateMs` and each further publication is ten
 * minutes later, in Release as in the files' Last-Modified, so that no test waits for a clock.
 */
import { mkdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { md5, sha256 } from "./bytes.ts";
import { compress, suffix } from "./compress.ts";
import type { Compression } from "./compress.ts";
import { makeDeb } from "./deb.ts";
import { binaryStanza, contentsText, sourceStanza, translationStanza } from "./indexes.ts";
import { testKeys } from "./keys.ts";
import { PdiffHistory } from "./pdiff.ts";
import { releaseText } from "./release.ts";
import { makeSource } from "./source.ts";
import type { SourceFile } from "./source.ts";

export interface PackageSpec {
  readonly name: string;
  /** Default 1.0-1. An epoch is not part of the file name, as in Debian. */
  readonly version?: string;
  /** Default amd64; `all` is listed with every architecture. */
  readonly architecture?: string;
  /** Default 20,000. */
  readonly sizeBytes?: number;
  /** Content depends on this; default: name, version and architecture. */
  readonly seed?: string;
  /** Path below the archive's root instead of pool/main/…. */
  readonly path?: string;
  /** There is a source package too. */
  readonly source?: boolean;
}

/** How the Release is signed: as Debian does it, by Release.gpg alone, not at all, by a stranger. */
export type Signing = "debian" | "detached" | "none" | "stranger";

export interface ArchiveOptions {
  readonly packages: readonly PackageSpec[];
  readonly suite?: string;
  readonly byHash?: boolean;
  /** What lies on the mirror; Release lists the plain file in any case. Default gz and xz. */
  readonly compressions?: readonly Compression[];
  /** Languages of Translation files; default en. */
  readonly translations?: readonly string[];
  readonly contents?: boolean;
  readonly signed?: Signing;
  /** Default: an hour before now. */
  readonly dateMs?: number;
  /** Valid-Until, counted from the publication. */
  readonly validForMs?: number;
  /** No dists: indexes and packages lie in the root, for `deb URL ./`. */
  readonly flat?: boolean;
  readonly checksums?: readonly ("SHA256" | "MD5Sum")[];
}

export interface Changes {
  /** Added, or in place of those of the same name and architecture. */
  readonly packages?: readonly PackageSpec[];
  readonly remove?: readonly string[];
  /** Offer patches from the publications before; default false. */
  readonly pdiff?: boolean;
}

export interface PublishedPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  /** Below the root. */
  readonly path: string;
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly control: string;
  readonly contains: string;
  readonly source: readonly SourceFile[];
}

export interface IndexFile {
  readonly path: string;
  readonly sha256: string;
  readonly md5: string;
  readonly sizeBytes: number;
}

const TEN_MINUTES = 600_000;
const architectures = ["amd64"] as const;

export async function buildArchive(root: string, options: ArchiveOptions): Promise<Archive> {
  const archive = new Archive(root, options);
  await archive.publish({ packages: options.packages });
  return archive;
}

export class Archive {
  readonly root: string;
  readonly suite: string;
  keyringPath = "";
  readonly #options: ArchiveOptions;
  readonly #packages = new Map<string, PublishedPackage>();
  readonly #pdiffs = new Map<string, PdiffHistory>();
  #index = new Map<string, IndexFile>();
  #dateMs: number;
  #publications = 0;

  constructor(root: string, options: ArchiveOptions) {
    this.root = root;
    this.suite = options.suite ?? "stable";
    this.#options = options;
    this.#dateMs = Math.floor((options.dateMs ?? Date.now() - 3_600_000) / 1000) * 1000;
  }

  get packages(): readonly PublishedPackage[] {
    return [...this.#packages.values()];
  }

  /** The package's published facts; a test that names one that is not there is wrong. */
  package(name: string): PublishedPackage {
    const found = this.packages.find((each) => each.name === name);
    if (found === undefined) throw new Error(`no package ${name} in this archive`);
    return found;
  }

  /** Directory of the Release file, below the root; "" for a flat archive. */
  get releaseDirectory(): string {
    return this.#options.flat === true ? "" : `dists/${this.suite}/`;
  }

  get releaseText(): string {
    return releaseText({
      suite: this.suite,
      dateMs: this.#dateMs,
      validUntilMs:
        this.#options.validForMs === undefined
          ? undefined
          : this.#dateMs + this.#options.validForMs,
      byHash: this.#options.byHash ?? true,
      architectures,
      checksums: this.#options.checksums ?? ["SHA256"],
      files: [...this.#index.values()],
    });
  }

  async publish(changes: Changes): Promise<void> {
    if (this.#publications++ > 0) this.#dateMs += TEN_MINUTES;
    for (const name of changes.remove ?? []) {
      for (const [key, known] of this.#packages)
        if (known.name === name) this.#packages.delete(key);
    }
    for (const spec of changes.packages ?? []) this.#publishPackage(spec);
    this.#index = new Map();
    await this.#publishBinaries(changes.pdiff === true);
    await this.#publishSources();
    await this.#publishRelease();
  }

  #publishPackage(spec: PackageSpec): void {
    const { name, version = "1.0-1", architecture = "amd64", sizeBytes = 20_000 } = spec;
    const seed = spec.seed ?? `${name} ${version} ${architecture}`;
    const deb = makeDeb({ name, version, architecture, sizeBytes, seed });
    const upstream = version.replace(/^\d+:/, "");
    const directory = this.#options.flat === true ? "" : `pool/main/${name.slice(0, 1)}/${name}/`;
    const path = spec.path ?? `${directory}${name}_${upstream}_${architecture}.deb`;
    this.#write(path, deb.bytes);
    const source = spec.source === true ? makeSource({ name, version: upstream, directory }) : [];
    for (const file of source) this.#write(file.path, file.bytes);
    this.#packages.set(`${name} ${architecture}`, {
      name,
      version,
      architecture,
      path,
      sha256: sha256(deb.bytes),
      sizeBytes: deb.bytes.length,
      control: deb.control,
      contains: deb.contains,
      source,
    });
  }

  async #publishBinaries(pdiff: boolean): Promise<void> {
    const flat = this.#options.flat === true;
    for (const architecture of architectures) {
      const listed = this.packages.filter(
        (each) => each.architecture === architecture || each.architecture === "all",
      );
      const text = listed.map((each) => binaryStanza(each)).join("\n");
      const path = flat ? "Packages" : `main/binary-${architecture}/Packages`;
      await this.#publishIndex(path, text);
      if (!flat) this.#publishPdiff(path, text, pdiff);
      if (this.#options.contents === true && !flat) {
        await this.#publishIndex(`main/Contents-${architecture}`, contentsText(listed));
      }
    }
    if (flat) return;
    for (const language of this.#options.translations ?? ["en"]) {
      const text = this.packages.map((each) => translationStanza(each, language)).join("\n");
      await this.#publishIndex(`main/i18n/Translation-${language}`, text);
    }
  }

  async #publishSources(): Promise<void> {
    const withSource = this.packages.filter((each) => each.source.length > 0);
    if (withSource.length === 0) return;
    const path = this.#options.flat === true ? "Sources" : "main/source/Sources";
    await this.#publishIndex(path, withSource.map((each) => sourceStanza(each)).join("\n"));
  }

  #publishPdiff(path: string, text: string, offer: boolean): void {
    const history = this.#pdiffs.get(path) ?? new PdiffHistory();
    this.#pdiffs.set(path, history);
    history.add(text, this.#dateMs);
    if (!offer || history.patches.length === 0) return;
    for (const patch of history.patches) {
      this.#write(`${this.releaseDirectory}${path}.diff/${patch.name}.gz`, patch.compressed);
    }
    this.#list(`${path}.diff/Index`, Buffer.from(history.index()));
  }

  async #publishIndex(path: string, text: string): Promise<void> {
    const plain = Buffer.from(text);
    const kept = this.#options.compressions ?? ["gz", "xz"];
    if (!kept.includes("none")) {
      this.#index.set(path, facts(path, plain));
      rmSync(join(this.root, this.releaseDirectory, path), { force: true });
    }
    for (const compression of kept) {
      this.#list(path + suffix(compression), await compress(plain, compression));
    }
  }

  /** Writes an index that Release lists, by name and, if the archive does so, by hash. */
  #list(path: string, bytes: Buffer): void {
    const file = facts(path, bytes);
    this.#index.set(path, file);
    this.#write(this.releaseDirectory + path, bytes);
    if (this.#options.byHash === false) return;
    const directory = dirname(this.releaseDirectory + path);
    this.#write(`${directory}/by-hash/SHA256/${file.sha256}`, bytes);
  }

  async #publishRelease(): Promise<void> {
    const keys = await testKeys();
    this.keyringPath = keys.keyringPath;
    const signed = this.#options.signed ?? "debian";
    const signer = signed === "stranger" ? "stranger" : "trusted";
    const text = this.releaseText;
    this.#write(`${this.releaseDirectory}Release`, Buffer.from(text));
    if (signed === "none") return;
    const detached = await keys.detach(text, signer);
    this.#write(`${this.releaseDirectory}Release.gpg`, Buffer.from(detached));
    if (signed === "detached") return;
    const inline = await keys.clearsign(text, signer);
    this.#write(`${this.releaseDirectory}InRelease`, Buffer.from(inline));
  }

  #write(path: string, bytes: Buffer): void {
    const full = join(this.root, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, bytes);
    utimesSync(full, this.#dateMs / 1000, this.#dateMs / 1000);
  }
}

function facts(path: string, bytes: Buffer): IndexFile {
  return { path, sha256: sha256(bytes), md5: md5(bytes), sizeBytes: bytes.length };
}
