import { parseSha256, type Sha256 } from "../base/sha256.ts";
import type { Files, KeyValue, KeyValueChange } from "../base/storage.ts";
import { piecesSuffix, type Layout } from "./layout.ts";
import { notedBytes, readNotes } from "./piece-notes.ts";
import { decodePart, keys } from "./records.ts";

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
   * files of content that is held whole, and, when the machine was started since, files with neither
   * a record nor a list of pieces (nothing proves their bytes). Records and lists without a file go,
   * too.
   */
  async load(
    { files, kv }: { readonly files: Files; readonly kv: KeyValue },
    layout: Layout,
    isHeld: (sha: Sha256) => boolean,
  ): Promise<void> {
    const sameBoot = kv.get(keys.boot) === files.bootId();
    const names = (await files.list(layout.partial))
      .filter(({ directory }) => !directory)
      .map(({ name }) => name);
    const listed = new Set(names.filter(isList));
    for (const name of names.filter((each) => !isList(each))) {
      const sha = parseSha256(name);
      const hasList = listed.has(`${name}${piecesSuffix}`);
      const isUseful = (key: Sha256): boolean =>
        !isHeld(key) && (sameBoot || hasList || kv.get(keys.part(key)) !== undefined);
      const leftover =
        sha !== undefined && isUseful(sha)
          ? await look({ files, kv, layout }, sha, hasList)
          : undefined;
      if (sha !== undefined && leftover !== undefined) this.add(sha, leftover);
      else await files.remove(`${layout.partial}/${name}`);
    }
    for (const name of listed) {
      const sha = parseSha256(name.slice(0, -piecesSuffix.length));
      if (sha !== undefined && this.#known.has(sha)) continue;
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

async function look(
  { files, kv, layout }: { readonly files: Files; readonly kv: KeyValue; readonly layout: Layout },
  sha: Sha256,
  hasList: boolean,
): Promise<Leftover | undefined> {
  const facts = await files.facts(layout.part(sha));
  if (facts === undefined) return undefined;
  const whole = { sizeBytes: facts.sizeBytes, touchedMs: facts.mtimeMs };
  const list = hasList ? await files.open(layout.pieces(sha)) : undefined;
  if (list === undefined) return whole;
  try {
    const text = kv.get(keys.part(sha));
    const record = text === undefined ? undefined : decodePart(text);
    // Its holes take no room.
    const notes = await readNotes(list, facts.sizeBytes);
    const bytes = notedBytes(notes, record?.proofs.at(-1)?.bytes ?? 0);
    return { ...whole, sizeBytes: Math.min(facts.sizeBytes, bytes) };
  } finally {
    await list.close();
  }
}

function isList(name: string): boolean {
  return name.endsWith(piecesSuffix);
}
