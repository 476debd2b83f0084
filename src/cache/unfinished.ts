import { AptP2pError, errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Hasher, Hashes } from "../base/ports.ts";
import { sha256FromBytes, type Sha256 } from "../base/sha256.ts";
import type { OpenFile } from "../base/storage.ts";
import { AheadPieces, type AheadWaiting } from "./ahead.ts";
import type { PieceNotes } from "./piece-notes.ts";
import { PrefixProofs } from "./prefix-proofs.ts";
import type { PrefixProof } from "./records.ts";
import type { Claim } from "./space.ts";
import type { FileMeta } from "./types.ts";
import { WriteQueue } from "./write-queue.ts";

/** What the store does for an unfinished file of its. */
export interface UnfinishedHost {
  readonly hashes: Hashes;
  readonly clock: Clock;
  /** Creates the file, or opens the one that is there. */
  readonly create: (path: string) => Promise<OpenFile>;
  readonly waiting: AheadWaiting;
  /** Opens or creates the list of pieces of this digest. */
  readonly createList: (sha: Sha256) => Promise<OpenFile>;
  /** It is not needed any more. Never rejects. */
  readonly removeList: (sha: Sha256) => Promise<void>;
  /** Records a prefix that the file has, or with no proofs that it has none; never rejects. */
  readonly savePrefix: (file: Unfinished, proofs: readonly PrefixProof[]) => Promise<void>;
  /**
   * Takes over a whole file, or removes it if it has a `failure`; resolves when it is recorded, or
   * could not be. Never rejects.
   */
  readonly commit: (file: Unfinished, sha256: Sha256, meta: FileMeta) => Promise<void>;
  /** It is closed: to be resumed later, or to be removed, or whole and no longer read. */
  readonly ended: (file: Unfinished, how: "suspended" | "discarded" | "released") => Promise<void>;
}

export interface UnfinishedStart {
  /** The digest that it shall have; undefined: it can never be committed. */
  readonly key: Sha256 | undefined;
  readonly sizeBytes: number | undefined;
  readonly path: string;
  readonly claim: Claim;
  /** What an earlier run left of it. */
  readonly resumed?: {
    readonly file: OpenFile;
    readonly heldBytes: number;
    readonly hasher: Hasher;
    readonly proofs: PrefixProofs;
  };
}

type State = "growing" | "committed" | "suspended" | "discarded" | "released";

/**
 * A file that is being received: hashed as it comes, written behind, readable as far as written.
 *
 * Rules: bytes come in order from 0, or as whole pieces that wait until the others have come to them
 * (`putPiece`, then `takePiece`, whose bytes the caller appends as they are; they are not written
 * again); exactly one of commit+release, suspend and discard ends it. A failure of the disk never throws here: it is shown as `failure`, and hashing goes on.
 */
export class Unfinished {
  readonly key: Sha256 | undefined;
  readonly sizeBytes: number | undefined;
  readonly path: string;
  readonly #host: UnfinishedHost;
  readonly #claim: Claim;
  readonly #queue: WriteQueue;
  #hasher: Hasher;
  readonly #proofs: PrefixProofs;
  #heldBytes: number;
  #digest: Sha256 | undefined;
  #state: State = "growing";
  #committed: Promise<void> | undefined;
  #saving: Promise<void> | undefined;
  #savedBytes: number;
  #savedMs: number;
  readonly #ahead: AheadPieces | undefined;
  readonly #reads = new Set<Promise<unknown>>();
  #closing = false;
  /** A piece that was taken, and that the file has at `position`. */
  #onDisk: { readonly bytes: Buffer; readonly position: number } | undefined;

  /** For the store; others get one from `begin` or `spool`. */
  constructor(host: UnfinishedHost, start: UnfinishedStart) {
    this.#host = host;
    this.#claim = start.claim;
    this.key = start.key;
    this.sizeBytes = start.sizeBytes;
    this.path = start.path;
    this.#hasher = start.resumed?.hasher ?? host.hashes.start();
    this.#proofs = start.resumed?.proofs ?? new PrefixProofs();
    this.#heldBytes = start.resumed?.heldBytes ?? 0;
    this.#savedBytes = this.#heldBytes;
    this.#savedMs = host.clock.monotonicMs();
    const needs = {
      open: () => host.create(start.path),
      reach: (endBytes: number) => this.#reach(endBytes),
      onWritten: (writtenBytes: number) => this.#noteWritten(writtenBytes),
    };
    this.#queue = new WriteQueue(
      needs,
      start.resumed && { file: start.resumed.file, writtenBytes: start.resumed.heldBytes },
    );
    const { key, sizeBytes } = start;
    if (key === undefined || sizeBytes === undefined) return;
    this.#ahead = new AheadPieces({
      ...{ hashes: host.hashes, waiting: host.waiting, sizeBytes },
      file: () => this.#queue.file(),
      list: () => host.createList(key),
      reach: (endBytes) => start.claim.reach(endBytes),
      heldBytes: () => this.#heldBytes,
      proof: () => this.#proofs.within(this.#queue.writtenBytes).at(-1),
      onStored: () => this.#noteSpace(),
      failed: (error) => this.#queue.fail(storageError(error)),
    });
  }

  /** Pieces beyond what is held. */
  get aheadPieces(): Iterable<number> {
    return this.#ahead ?? [];
  }

  /** Bytes that the file has, in order and beyond. */
  get storedBytes(): number {
    return this.writtenBytes + (this.#ahead?.storedBytes ?? 0);
  }

  /** For the store: takes up the pieces of an earlier run. Rejects STORAGE. */
  async resumeAhead(list: OpenFile, notes: PieceNotes): Promise<void> {
    if (this.#ahead === undefined) throw new Error("without a size there are no pieces");
    await this.#ahead.resume(list, notes);
  }

  /**
   * Keeps a whole piece whose turn has not come; the caller has verified it and must not change the
   * chunks. False: it cannot be kept, since the beginning has reached it, or the disk fails or is
   * too slow. Throws for what is no piece of the file.
   */
  putPiece(piece: number, chunks: readonly Buffer[]): boolean {
    if (this.#state !== "growing" || this.failure !== undefined) return false;
    if (piece * limits.pieceBytes < this.#heldBytes) return false;
    return this.#ahead?.put(piece, chunks) === true;
  }

  /** A kept piece is wrong, or not wanted any more. */
  dropPiece(piece: number): void {
    this.#ahead?.drop(piece);
  }

  /**
   * A kept piece, for appending it (or from where the beginning stands in it) before anything else;
   * undefined: it is not here any more. Never rejects.
   */
  async takePiece(piece: number): Promise<Buffer | undefined> {
    if (this.#ahead === undefined || this.#closing) return undefined;
    const taken = await this.#whileOpen(this.#ahead.take(piece)).catch(() => undefined);
    if (taken?.onDisk === true) {
      this.#onDisk = { bytes: taken.bytes, position: piece * limits.pieceBytes };
    }
    return taken?.bytes;
  }

  /** Bytes of kept pieces → how many; 0: they are not here. Rejects STORAGE. */
  readAhead(into: Uint8Array, position: number): Promise<number> {
    if (this.#ahead === undefined || this.#closing) return Promise.resolve(0);
    return this.#whileOpen(this.#ahead.read(into, position));
  }

  /** Contiguous bytes received, all hashed; the last of them may wait for the disk. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Contiguous bytes that `read` reaches. */
  get writtenBytes(): number {
    return this.#queue.writtenBytes;
  }

  /** Why nothing is written any more: NO_SPACE, STORAGE, or CLOSED with the store. */
  get failure(): AptP2pError | undefined {
    return this.#queue.failure;
  }

  /** Takes the next bytes, which the caller must not change afterwards. */
  append(chunk: Buffer): void {
    if (this.#state === "committed" || this.#state === "released") {
      throw new Error("a committed file is appended to");
    }
    if (this.#digest !== undefined) throw new Error("a file is appended to after its digest");
    const onDisk = this.#isOnDisk(chunk);
    this.#hash(chunk);
    if (this.#state !== "growing") return;
    if (onDisk) this.#queue.skip(chunk.length);
    else this.#queue.push(chunk);
  }

  /** Resolves when less than `limits.downloadWindowBytes` wait for the disk, or at failure. */
  drained(): Promise<void> {
    return this.#queue.drained();
  }

  /** Resolves when all bytes are written, or at failure. */
  flushed(): Promise<void> {
    return this.#queue.flushed();
  }

  /** Reads from the written prefix → how many bytes; 0 also when it is closed. Rejects STORAGE. */
  read(into: Uint8Array, position: number): Promise<number> {
    if (this.#closing) return Promise.resolve(0);
    return this.#whileOpen(this.#queue.read(into, position));
  }

  /** Of all held bytes; nothing can be appended afterwards. */
  digest(): Sha256 {
    this.#digest ??= sha256FromBytes(this.#hasher.digest());
    return this.#digest;
  }

  /**
   * Makes it a stored file: the store's `find` knows it from now on; fsync, rename and record
   * follow behind. Reads go on until `release`. What could not be written (`failure`) is quietly
   * not stored. Throws if the digest is none of `accepted`: that must have been checked.
   */
  commit(accepted: readonly Sha256[], meta: FileMeta): void {
    const sha256 = this.digest();
    if (!accepted.includes(sha256)) throw new Error(`${sha256} is not the digest to be stored`);
    if (this.key === undefined) throw new Error("a spool cannot be committed");
    if (this.#state === "suspended" && this.failure !== undefined) return;
    this.#assertGrowing("committed");
    this.#state = "committed";
    this.#committed = this.#host.commit(this, sha256, meta);
  }

  /** Throws away all bytes and starts again at 0. */
  async restart(): Promise<void> {
    if (this.#state !== "growing") return;
    this.#hasher = this.#host.hashes.start();
    this.#proofs.clear();
    this.#heldBytes = 0;
    this.#savedBytes = 0;
    this.#digest = undefined;
    this.#onDisk = undefined;
    const reset = this.#queue.reset();
    await this.#ahead?.clear(reset);
    await this.#saving;
    if (this.key !== undefined) await this.#host.savePrefix(this, []);
    await reset;
  }

  /** Keeps what is written for a later `begin` of the same digest, and closes. */
  async suspend(): Promise<void> {
    if (this.#state !== "growing") return;
    if (this.key === undefined) return this.discard();
    this.#state = "suspended";
    await this.#ahead?.close();
    await this.#queue.flushed();
    await this.#saving;
    await this.#host.savePrefix(this, this.#proofs.within(this.#queue.writtenBytes));
    await this.#end("suspended");
  }

  /** As `suspend`, at once and for good: the store closes. */
  async abandon(): Promise<void> {
    const suspending = this.suspend();
    await this.#queue.flushed();
    this.#queue.fail(new AptP2pError("CLOSED", "the store is closed"));
    await suspending;
  }

  /** Removes file and record, and closes. */
  async discard(): Promise<void> {
    if (this.#state !== "growing") return;
    this.#state = "discarded";
    this.#ahead?.forget();
    await this.#saving;
    await this.#end("discarded");
  }

  /** After `commit`: ends the reading; resolves when the commit is done and all is closed. */
  async release(): Promise<void> {
    if (this.#state === "released" || this.#state === "suspended") return;
    if (this.#committed === undefined) throw new Error("a file is released before its commit");
    this.#state = "released";
    await this.#committed;
    await this.#end("released");
  }

  /** For the commit: all bytes are in the file, and nothing else will touch its record. */
  async settle(): Promise<OpenFile> {
    await this.#ahead?.close();
    await this.#queue.flushed();
    await this.#saving;
    if (this.failure !== undefined) throw this.failure;
    // Not before: without the list everything in the file is taken for its beginning.
    if (this.#ahead?.hasList === true && this.key !== undefined) {
      await this.#host.removeList(this.key);
    }
    return this.#queue.file();
  }

  /** For the commit: the bytes count as a stored file from now on. */
  endClaim(): void {
    this.#claim.end();
  }

  async #end(how: "suspended" | "discarded" | "released"): Promise<void> {
    this.#onDisk = undefined;
    this.#closing = true;
    try {
      await Promise.allSettled(this.#reads);
      try {
        await this.#ahead?.close();
      } finally {
        await this.#queue.close();
      }
    } finally {
      await this.#host.ended(this, how);
      this.#claim.end();
    }
  }

  /** Peers read whenever they like: the file is not closed under them. */
  #whileOpen<T>(read: Promise<T>): Promise<T> {
    this.#reads.add(read);
    const end = (): void => void this.#reads.delete(read);
    read.then(end, end);
    return read;
  }

  /** Whether the file has this chunk at its place: it is of a piece that was taken from there. */
  #isOnDisk(chunk: Buffer): boolean {
    if (this.#onDisk === undefined) return false;
    const { bytes, position } = this.#onDisk;
    const offset = chunk.byteOffset - bytes.byteOffset;
    const isPart = chunk.buffer === bytes.buffer && offset >= 0;
    const isWithin = isPart && offset + chunk.length <= bytes.length;
    const fits = isWithin && position + offset === this.#heldBytes;
    if (!fits || offset + chunk.length === bytes.length) this.#onDisk = undefined;
    return fits;
  }

  /** Before the beginning is written up to `endBytes`. */
  #reach(endBytes: number): Promise<void> | undefined {
    const busy = this.#ahead?.busy(endBytes);
    if (busy === undefined) return this.#claim.reach(endBytes);
    return busy.then(() => this.#claim.reach(endBytes));
  }

  /** Hashes a chunk, stopping at piece boundaries for a proof of the prefix. */
  #hash(chunk: Buffer): void {
    let rest = chunk;
    let toBoundary = limits.pieceBytes - (this.#heldBytes % limits.pieceBytes);
    while (rest.length >= toBoundary) {
      this.#hasher.update(rest.length === toBoundary ? rest : rest.subarray(0, toBoundary));
      this.#heldBytes += toBoundary;
      if (this.key !== undefined) {
        const sha256 = sha256FromBytes(this.#hasher.peek());
        this.#proofs.add({ bytes: this.#heldBytes, sha256 });
        this.#ahead?.passed(this.#heldBytes / limits.pieceBytes - 1);
      }
      rest = rest.subarray(toBoundary);
      toBoundary = limits.pieceBytes;
    }
    if (rest.length > 0) this.#hasher.update(rest);
    this.#heldBytes += rest.length;
  }

  #noteSpace(): void {
    this.#claim.written(Math.min(this.storedBytes, this.sizeBytes ?? Infinity));
  }

  #noteWritten(writtenBytes: number): void {
    this.#noteSpace();
    this.#ahead?.grown(writtenBytes);
    if (this.key === undefined || this.#saving !== undefined) return;
    if (writtenBytes - this.#savedBytes < limits.pieceBytes || this.#state !== "growing") return;
    const nowMs = this.#host.clock.monotonicMs();
    const due =
      writtenBytes - this.#savedBytes >= limits.prefixRecordBytes ||
      nowMs - this.#savedMs >= limits.prefixRecordMs;
    if (!due) return;
    this.#savedBytes = writtenBytes;
    this.#savedMs = nowMs;
    const proofs = this.#proofs.within(writtenBytes);
    this.#saving = this.#host.savePrefix(this, proofs).finally(() => {
      this.#saving = undefined;
    });
  }

  #assertGrowing(what: string): void {
    if (this.#state !== "growing") throw new Error(`a ${this.#state} file is ${what}`);
  }
}

function storageError(error: unknown): AptP2pError {
  if (error instanceof AptP2pError) return error;
  return new AptP2pError("STORAGE", `cannot write: ${errorText(error)}`, { cause: error });
}
