import { parseSha256, type Sha256 } from "../base/sha256.ts";
import type { Files, KeyValue, KeyValueChange } from "../base/storage.ts";
import { piecesSuffix, type Layout } from "./layout.ts";
import { keys } from "./records.ts";

export interface Leftover {
  readonly sizeBytes: number;
  /** When it was last worked on. */
  readonly touchedMs: number;
}

/**
 * Unfinished files that nobody works on, by the digest that they shall have. Known by the files in
 * `partial/`, some tens at most in ordinary life, so all are kept in memory.
 */
export class Leftovers {
  readonly #known = new Map<Sha256, Leftover>();
  #bytes = 0;

  get count(): number {
    return this.#known.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(sha: Sha256): Leftover | undefined {
    return this.#known.get(sha);
  }

  add(sha: Sha256, leftover: Leftover): void {
    this.take(sha);
    this.#known.set(sha, leftover);
    this.#bytes += leftover.sizeBytes;
  }

  /** Removes it from the list: somebody works on it, or it goes. */
  take(sha: Sha256): Leftover | undefined {
    const leftover = this.#known.get(sha);
    if (leftover === undefined) return undefined;
    this.#known.delete(sha);
    this.#bytes -= leftover.sizeBytes;
    return leftover;
  }

  entries(): Iterable<readonly [Sha256, Leftover]> {
    return this.#known.entries();
  }

  /**
   * Looks at what an earlier run left in `partial/` and cleans up: files without a digest for name,
   * files of content that is held whole, and, when the machine was started since, files without a
   * record (nothing proves their bytes). Records without a file go, too.
   */
  async load(
    { files, kv }: { readonly files: Files; readonly kv: KeyValue },
    layout: Layout,
    isHeld: (sha: Sha256) => boolean,
  ): Promise<void> {
    const sameBoot = kv.get(keys.boot) === files.bootId();
    const lists: string[] = [];
    for (const { name, directory } of await files.list(layout.partial)) {
      if (directory) continue;
      // Its fate is that of the file beside which it lies.
      if (name.endsWith(piecesSuffix)) {
        lists.push(name);
        continue;
      }
      const path = `${layout.partial}/${name}`;
      const sha = parseSha256(name);
      const facts = sha === undefined ? undefined : await files.facts(path);
      const useful =
        sha !== undefined && !isHeld(sha) && (sameBoot || kv.get(keys.part(sha)) !== undefined);
      if (useful && facts !== undefined) {
        this.add(sha, { sizeBytes: facts.sizeBytes, touchedMs: facts.mtimeMs });
      } else {
        await files.remove(path);
      }
    }
    for (const name of lists) {
      const sha = parseSha256(name.slice(0, -piecesSuffix.length));
      if (sha === undefined || !this.#known.has(sha))
        await files.remove(`${layout.partial}/${name}`);
    }
    const changes: KeyValueChange[] = [];
    for await (const [key] of kv.range(keys.parts)) {
      const sha = parseSha256(key.slice(keys.parts.length));
      if (sha === undefined || !this.#known.has(sha)) changes.push({ key, value: undefined });
    }
    if (!sameBoot) changes.push({ key: keys.boot, value: files.bootId() });
    // Synced: a file begun in this boot must not be taken for one of an earlier boot, or inversely.
    if (changes.length > 0) await kv.batch(changes, { sync: !sameBoot });
  }
}
