import { AptP2pError, errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { KeyValueChange, OpenFile } from "../base/storage.ts";
import type { Room } from "./evict.ts";
import { mergeMeta, withName } from "./names.ts";
import { readNotes, type PieceNotes } from "./piece-notes.ts";
import { decodePart, encodePart, keys, type PartRecord, type PrefixProof } from "./records.ts";
import { resumePrefix } from "./resume.ts";
import type { Claim, Space } from "./space.ts";
import type { FileMeta } from "./types.ts";
import { Unfinished, type UnfinishedHost, type UnfinishedStart } from "./unfinished.ts";

/**
 * The files that are being received: begins or resumes them, keeps their records, and hands them to
 * the commit. One per digest at a time; what ends is a leftover, gone, or whole.
 */
export class Growing {
  readonly #room: Room;
  readonly #space: Space;
  readonly #host: UnfinishedHost;
  /** undefined: it is being opened. */
  readonly #running = new Map<Sha256, Unfinished | undefined>();
  readonly #spools = new Set<Unfinished>();
  /** Whole files that are not stored after all: their path is free when this resolves. */
  readonly #dropping = new Map<Sha256, Promise<void>>();
  readonly #endUses = new Map<Unfinished, () => void>();
  #closed = false;

  constructor(room: Room, space: Space) {
    this.#room = room;
    this.#space = space;
    const { hashes, clock, files } = room.components;
    this.#host = {
      ...{ hashes, clock, waiting: { bytes: 0 } },
      create: (path) => files.create(path),
      createList: (sha) => files.create(room.layout.pieces(sha)),
      removeList: (sha) => this.#removeList(sha),
      savePrefix: (file, proofs) => this.#savePrefix(file, proofs),
      commit: (file, sha256, meta) => this.#commit(file, sha256, meta),
      ended: (file, how) => this.#ended(file, how),
    };
  }

  get count(): number {
    return this.#running.size;
  }

  get bytes(): number {
    let bytes = 0;
    for (const file of this.#running.values()) bytes += file?.storedBytes ?? 0;
    return bytes;
  }

  /** See Store.begin. */
  async begin(sha: Sha256, sizeBytes: number | undefined): Promise<Unfinished> {
    this.#assertOpen();
    if (this.#running.has(sha)) throw new Error(`${sha} is begun while it is being received`);
    this.#running.set(sha, undefined);
    try {
      await this.#room.commits.room(sha);
      await this.#dropping.get(sha);
      await this.#room.shelf.still(sha);
      const file = await this.#start(sha, sizeBytes);
      this.#running.set(sha, file);
      if (this.#closed) await file.abandon();
      this.#assertOpen();
      return file;
    } catch (error) {
      this.#running.delete(sha);
      throw error;
    }
  }

  /** See Store.spool. */
  async spool(): Promise<Unfinished> {
    this.#assertOpen();
    // What is thrown away at its end must not cost what is kept.
    const claim = await this.#space.claimSpare(limits.claimStepBytes);
    const path = this.#room.layout.scratch("spool");
    const file = this.#new({ key: undefined, sizeBytes: undefined, path, claim });
    this.#spools.add(file);
    return file;
  }

  /** Suspends everything. */
  async close(): Promise<void> {
    this.#closed = true;
    const files = [...this.#running.values(), ...this.#spools].filter((file) => file !== undefined);
    await Promise.allSettled(files.map((file) => file.abandon()));
    await Promise.all(this.#dropping.values());
  }

  async #start(sha: Sha256, sizeBytes: number | undefined): Promise<Unfinished> {
    const leftover = this.#room.leftovers.take(sha);
    const path = this.#room.layout.part(sha);
    const start = { key: sha, sizeBytes, path };
    try {
      if (leftover === undefined) {
        const claim = await this.#space.claim(sizeBytes ?? limits.claimStepBytes);
        return this.#new({ ...start, claim });
      }
      const bytes = Math.max(sizeBytes ?? limits.claimStepBytes, leftover.sizeBytes);
      const claim = await this.#space.claim(bytes, leftover.sizeBytes);
      return await this.#resume({ ...start, claim }).catch((error: unknown) => {
        claim.end();
        throw error;
      });
    } catch (error) {
      if (leftover !== undefined) this.#room.leftovers.add(sha, leftover);
      throw error;
    }
  }

  async #resume(
    start: UnfinishedStart & { readonly key: Sha256; readonly claim: Claim },
  ): Promise<Unfinished> {
    const { files, hashes, counters, log } = this.#room.components;
    const { key, sizeBytes = Infinity, claim } = start;
    const text = this.#read(keys.part(key));
    const record = text === undefined ? undefined : decodePart(text);
    const list = await this.#openList(key, sizeBytes);
    // Files without a record that stem from an earlier boot were removed when the store opened. One
    // with pieces beyond its beginning has holes: then only what is proven is its beginning.
    const sameBoot = record === undefined || record.bootId === files.bootId();
    const trust = {
      record: list === undefined ? record : withProofs(record, list.notes.proofs),
      sameBoot: sameBoot && list === undefined,
    };
    let file: OpenFile | undefined;
    try {
      file = await files.create(start.path);
      const resumed = await resumePrefix(hashes, file, sizeBytes, trust);
      const { sizeBytes: foundBytes } = await file.facts();
      if (list === undefined && foundBytes !== resumed.heldBytes) {
        await file.truncate(resumed.heldBytes);
      }
      claim.written(resumed.heldBytes);
      counters.add("cache.resumed");
      counters.add("cache.resumedBytes", resumed.heldBytes);
      if (resumed.damaged) {
        counters.add("cache.prefixDamaged");
        log.warn("prefix-damaged", { sha256: key, foundBytes, heldBytes: resumed.heldBytes });
      }
      const unfinished = this.#new({ ...start, resumed: { file, ...resumed } });
      if (list !== undefined) {
        await unfinished.resumeAhead(list.file, list.notes);
        counters.add("cache.resumedPieces", [...unfinished.aheadPieces].length);
      }
      // What is proven in this boot counts from now on in this boot.
      if (record !== undefined) await this.#savePrefix(unfinished, resumed.proofs.all);
      return unfinished;
    } catch (error) {
      await file?.close().catch(() => undefined);
      await list?.file.close().catch(() => undefined);
      throw error;
    }
  }

  /** What the list beside a file tells, if there is one. Rejects STORAGE. */
  async #openList(
    key: Sha256,
    sizeBytes: number,
  ): Promise<{ readonly file: OpenFile; readonly notes: PieceNotes } | undefined> {
    const { files } = this.#room.components;
    const path = this.#room.layout.pieces(key);
    if ((await files.facts(path)) === undefined) return undefined;
    // Not `open`: it will be written to.
    const file = await files.create(path);
    try {
      if (sizeBytes !== Infinity) return { file, notes: await readNotes(file, sizeBytes) };
      // Without a size there are no pieces, and nothing may stay beyond the beginning.
      const part = await files.create(this.#room.layout.part(key));
      await part.truncate(0).finally(() => part.close());
      await files.remove(path);
    } catch (error) {
      await file.close().catch(() => undefined);
      throw error;
    }
    await file.close();
    return undefined;
  }

  #new(start: UnfinishedStart): Unfinished {
    return new Unfinished(this.#host, start);
  }

  async #savePrefix({ key, sizeBytes }: Unfinished, proofs: readonly PrefixProof[]): Promise<void> {
    if (key === undefined) return;
    const bootId = this.#room.components.files.bootId();
    const record: PartRecord =
      sizeBytes === undefined ? { proofs, bootId } : { sizeBytes, proofs, bootId };
    await this.#write({
      key: keys.part(key),
      value: proofs.length === 0 ? undefined : encodePart(record),
    });
  }

  /** Without the record the file is only worth less after a power loss. */
  async #write(change: KeyValueChange): Promise<void> {
    const { kv, log } = this.#room.components;
    if (change.value === undefined && this.#read(change.key) === undefined) return;
    await kv.batch([change]).catch((error: unknown) => {
      log.warn("part-not-recorded", { key: change.key, error: errorText(error) });
    });
  }

  #read(key: string): string | undefined {
    const { kv, counters } = this.#room.components;
    try {
      return kv.get(key);
    } catch {
      // The records of whole files are asked for as often, and complain in the log.
      counters.add("cache.readFailures");
      return undefined;
    }
  }

  async #commit(file: Unfinished, sha256: Sha256, meta: FileMeta): Promise<void> {
    const { shelf, commits, components } = this.#room;
    const { key, path, heldBytes } = file;
    if (key === undefined) throw new Error("a spool cannot be committed");
    this.#running.delete(key);
    const pending = commits.get(sha256);
    const held = shelf.table.get(sha256);
    if (pending !== undefined || (held !== undefined && held.path === undefined)) {
      if (pending !== undefined) pending.record = mergeMeta(pending.record, meta);
      else if (held !== undefined) shelf.table.put(sha256, mergeMeta(held, meta));
      components.counters.add("cache.duplicates");
      return this.#drop(key, file);
    }
    if (file.failure !== undefined) {
      components.counters.add("cache.unstored");
      return this.#drop(key, file);
    }
    const { name, ...known } = meta;
    const nowMs = components.clock.wallMs();
    this.#endUses.set(file, shelf.use(sha256));
    return commits.add({
      sha256,
      key,
      partPath: path,
      settle: () => file.settle(),
      endClaim: () => file.endClaim(),
      record: {
        sizeBytes: heldBytes,
        mtimeMs: 0,
        addedAtMs: nowMs,
        verifiedAtMs: nowMs,
        lastUsedMs: nowMs,
        names: withName([], name),
        ...known,
      },
    }).done;
  }

  /** Removes a whole file that is not to be stored; it can be read on until its release. */
  async #drop(key: Sha256, file: Unfinished): Promise<void> {
    const dropping = file
      .settle()
      .catch(() => undefined)
      .then(() => this.#remove(key, file.path))
      .finally(() => this.#dropping.delete(key));
    this.#dropping.set(key, dropping);
    await dropping;
  }

  async #ended(file: Unfinished, how: "suspended" | "discarded" | "released"): Promise<void> {
    this.#endUses.get(file)?.();
    this.#endUses.delete(file);
    this.#spools.delete(file);
    if (how === "released") return;
    const { components, leftovers } = this.#room;
    const { key, path, storedBytes } = file;
    if (key === undefined) await components.files.remove(path);
    else if (how === "suspended" && storedBytes > 0) {
      leftovers.add(key, { sizeBytes: storedBytes, touchedMs: components.clock.wallMs() });
      components.counters.add("cache.suspended");
    } else {
      await this.#remove(key, path);
    }
    if (key !== undefined) this.#running.delete(key);
  }

  async #removeList(sha: Sha256): Promise<void> {
    const { components, layout } = this.#room;
    await components.files.remove(layout.pieces(sha)).catch((error: unknown) => {
      components.log.warn("remove-failed", { path: layout.pieces(sha), error: errorText(error) });
    });
  }

  async #remove(key: Sha256, path: string): Promise<void> {
    const { shelf, components } = this.#room;
    await shelf.removeFile(key, path).catch((error: unknown) => {
      components.log.warn("remove-failed", { path, error: errorText(error) });
    });
    // Not before: without its list a file with holes would be taken for one without.
    await this.#removeList(key);
    await this.#write({ key: keys.part(key), value: undefined });
  }

  #assertOpen(): void {
    if (this.#closed) throw new AptP2pError("CLOSED", "the store is closed");
  }
}

function withProofs(record: PartRecord | undefined, proofs: readonly PrefixProof[]): PartRecord {
  const all = new Map([...(record?.proofs ?? []), ...proofs].map((one) => [one.bytes, one]));
  const growing = [...all.values()].sort((a, b) => a.bytes - b.bytes);
  return { bootId: "", ...record, proofs: growing };
}
