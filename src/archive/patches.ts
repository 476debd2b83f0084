/**
 * New indexes from patches (pdiff): when apt updates by ed scripts, nobody fetches the new index; it
 * is made here from an older one that can still be opened, for its digest table.
 *
 * Rule: nothing is believed on the way: every patch must have the digest that the diff Index lists,
 * and the result the one that it calls current. The diff Index itself is one that a Release lists.
 */
import type { Counters } from "../base/counters.ts";
import { AptP2pError, errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Hashes, Log } from "../base/ports.ts";
import { sha256FromBytes, type Sha256 } from "../base/sha256.ts";
import type { Catalogue } from "./catalogue.ts";
import { classify } from "./classify.ts";
import { parseDiffIndex, type DiffIndex, type DiffStep } from "./diff-index.ts";
import { applyEdits } from "./ed-apply.ts";
import { parseEdScript, type Edit } from "./ed-script.ts";
import { expand, expandWhole } from "./index-reader.ts";
import type { Indexes } from "./indexes.ts";
import type { Keeper } from "./keeper.ts";
import type { KnownRelease } from "./known-release.ts";
import type { Decompressor, StoredFiles } from "./ports.ts";
import type { FileName } from "./types.ts";

export interface PatchesComponents extends StoredFiles {
  readonly log: Log;
  readonly counters: Counters;
  readonly hashes: Hashes;
  readonly decompressor: Decompressor;
  readonly catalogue: Catalogue;
  readonly keeper: Keeper;
  readonly indexes: Indexes;
  /** Another place where a plain index may lie: apt's lists. */
  readonly openPlain: (plain: Sha256) => Promise<AsyncIterable<Buffer> | undefined>;
}

interface Script {
  readonly edits: readonly Edit[];
  /** Bytes of its plain text. */
  readonly bytes: number;
}

export class Patches {
  readonly #components: PatchesComponents;

  constructor(components: PatchesComponents) {
    this.#components = components;
  }

  /** Makes the current index beside a `….diff` directory, as far as what is stored allows. */
  async apply(diffDirectory: string): Promise<void> {
    const name = diffDirectory.replace(/\.diff$/, "") as FileName;
    const kind = classify(name);
    if (kind.kind !== "index" || name === diffDirectory) return;
    for (const release of this.#components.indexes.covering(name)) {
      const diff = await this.#diffIndex(release, diffDirectory);
      if (diff === undefined) continue;
      const listed = release.indexesAt(release.pathOf(name) ?? "");
      // The Release vouches for the diff Index, and that for its current digest: so what the Release
      // lists under the index's compressed names is that content, too.
      const plain = listed.find(({ file }) => `${release.directory}/${file.path}` === name);
      if (plain !== undefined && plain.file.sha256 !== diff.current.sha256) return;
      const forms = listed.map(({ file }) => file.sha256);
      if (this.#components.catalogue.hasTable(diff.current.sha256)) {
        await this.#components.keeper.addForms(diff.current.sha256, forms);
      } else {
        await this.#make({ name, of: kind.of, diff, forms });
      }
      return;
    }
  }

  /** The content of a diff Index that a Release lists, if it is stored. */
  async #diffIndex(release: KnownRelease, diffDirectory: string): Promise<DiffIndex | undefined> {
    const path = release.pathOf(`${diffDirectory}/Index`);
    for (const { file } of path === undefined ? [] : release.indexesAt(path)) {
      const stream = await this.#components.openStored(file.sha256);
      if (stream === undefined) continue;
      const bytes = await expandWhole(this.#components, stream, limits.releaseBytes);
      return parseDiffIndex(bytes.toString("utf8"));
    }
    return undefined;
  }

  /** Tries every base that can be opened, the newest (fewest patches) first. */
  async #make(wanted: {
    readonly name: FileName;
    readonly of: "packages" | "sources";
    readonly diff: DiffIndex;
    readonly forms: readonly Sha256[];
  }): Promise<void> {
    const { counters, indexes } = this.#components;
    const { name, of, diff, forms } = wanted;
    let chain: Script[] = [];
    for (const step of [...diff.steps].reverse()) {
      const script = await this.#script(step, name);
      if (script === undefined) {
        if (diff.merged) continue;
        return;
      }
      chain = diff.merged ? [script] : [script, ...chain];
      if (chain.reduce((sum, { bytes }) => sum + bytes, 0) > limits.patchBytes) return;
      const base = await this.#base(step.from);
      if (base === undefined) continue;
      const result = await indexes.parse(of, patched(base, chain));
      if (result.plain !== diff.current.sha256) {
        counters.add("archive.patch.mismatch");
        continue;
      }
      if (await indexes.adopt(name, result, forms)) counters.add("archive.patch.applied");
      return;
    }
  }

  /** A patch that is stored; undefined if it is not, or is not what the diff Index says. */
  async #script(step: DiffStep, name: FileName): Promise<Script | undefined> {
    const digest = step.download?.sha256 ?? step.patch.sha256;
    const stream = await this.#components.openStored(digest);
    if (stream === undefined) return undefined;
    try {
      const bytes = await expandWhole(this.#components, stream, limits.patchBytes);
      if (sha256FromBytes(this.#components.hashes.of(bytes)) !== step.patch.sha256) {
        throw new AptP2pError("MISMATCH", "its plain text is not what the diff Index lists");
      }
      return { edits: parseEdScript(bytes), bytes: bytes.length };
    } catch (thrown) {
      this.#components.counters.add("archive.patch.refused");
      const fields = { name, patch: step.patch.name, error: errorText(thrown) };
      this.#components.log.warn("archive.patch.refused", fields);
      return undefined;
    }
  }

  async #base(plain: Sha256): Promise<AsyncIterable<Buffer> | undefined> {
    for (const digest of [plain, ...this.#components.catalogue.formsOf(plain)]) {
      const stream = await this.#components.openStored(digest);
      if (stream !== undefined) return expand(this.#components, stream);
    }
    const stream = await this.#components.openPlain(plain);
    return stream === undefined ? undefined : expand(this.#components, stream);
  }
}

function patched(base: AsyncIterable<Buffer>, chain: readonly Script[]): AsyncIterable<Buffer> {
  return chain.reduce((stream, { edits }) => applyEdits(stream, edits), base);
}
