/**
 * What others may have of this daemon's files, and what is said of them in the DHT.
 *
 * - `all`, what a current index lists (`fresh`) and what somebody shared by hand, or nothing.
 * - Content of scope `local` never leaves the own network, whatever is shared.
 * - The DHT is told of public files that are worth a look-up, with their pieces; of long downloads
 *   as soon as they have begun, so that a flash crowd finds itself.
 */
import { errorText } from "../base/errors.ts";
import type { Counters } from "../base/counters.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Hashes, Log } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import { hour, second } from "../base/units.ts";
import type { Store } from "../cache/store.ts";
import type { StoredFile } from "../cache/types.ts";
import {
  hashBytes,
  mostInlinePieces,
  mostListedPieces,
  pieceListKey,
  type FileValue,
  type PieceSource,
} from "../krpc/value.ts";
import type { DhtService } from "./dht-service.ts";
import type { Share, SharingStatus } from "./dht-status.ts";

export interface SharingParts {
  readonly store: Pick<Store, "list" | "find" | "watch" | "pieceHashes">;
  readonly listed: (digests: ReadonlySet<Sha256>) => ReadonlySet<Sha256>;
  /** Another text when indexes list other files than before. */
  readonly listing: () => string;
  readonly clock: Clock;
  readonly hashes: Hashes;
  readonly counters: Counters;
  readonly log: Log;
}

export interface SharingSettings {
  readonly share: Share;
  /** Smaller files are not told to the DHT: nobody looks them up. */
  readonly leastBytes: number;
}

type Announcer = Pick<DhtService, "publish" | "publishPieces" | "withdraw">;

/** Changes that come within this time are looked at together. */
const gatherMs = second / 4;
/** A download that is over sooner is not announced. */
const announceAfterMs = second / 2;
/** Other indexes list other files; looking costs a look through the store. */
const listingMs = 15 * second;
const periodMs = 3 * hour;
/** Files in one question to the catalogue. */
const batchFiles = 256;

export class Sharing {
  readonly #parts: SharingParts;
  readonly #settings: SharingSettings;
  /** All that is shared, with near peers at least. */
  readonly #served = new Set<Sha256>();
  /** What the DHT has been told. */
  readonly #published = new Set<Sha256>();
  readonly #unfinished = new Map<Sha256, () => void>();
  #dirty = new Set<Sha256>();
  #announcer: Announcer | undefined;
  #listing = "";
  #version = 0;
  #scannedMs = -Infinity;
  #scannedAtMs: number | undefined;
  #cancelDirty: (() => void) | undefined;
  #cancelTimer: () => void = () => undefined;
  #working: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(parts: SharingParts, settings: SharingSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  start(): void {
    if (this.#settings.share === "none") return;
    this.#parts.store.watch((sha256) => this.#changed(sha256));
    this.#look();
  }

  /** Resolves when the store is not read any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelTimer();
    this.#cancelDirty?.();
    for (const cancel of this.#unfinished.values()) cancel();
    await this.#working;
  }

  /** From now on the DHT is told; undefined: not any more. */
  announceTo(announcer: Announcer | undefined): void {
    this.#announcer = announcer;
    this.#published.clear();
    if (announcer !== undefined) for (const sha256 of this.#served) this.#changed(sha256);
  }

  status(): SharingStatus {
    return { files: this.#served.size, scannedAtMs: this.#scannedAtMs };
  }

  /** Digests that near peers may have, and a number that changes with them. */
  get digests(): { readonly all: ReadonlySet<Sha256>; readonly version: number } {
    return { all: this.#served, version: this.#version };
  }

  /** Whether a whole file may be given to a peer. */
  mayGive(file: StoredFile, near: boolean): boolean {
    if (this.#settings.share === "none" || (!near && file.scope === "local")) return false;
    return this.#served.has(file.sha256) || this.#isShared(file);
  }

  /** Whether what a download has of a file may be given to others. */
  mayGiveUnfinished(sha256: Sha256, byHand: boolean): boolean {
    const { share } = this.#settings;
    if (share === "none") return false;
    return share === "all" || byHand || this.#parts.listed(new Set([sha256])).size > 0;
  }

  /** A download has begun: others who want the file shall know. */
  unfinished(sha256: Sha256, sizeBytes: number): void {
    if (this.#settings.share === "none" || sizeBytes < this.#settings.leastBytes) return;
    if (this.#unfinished.size >= limits.announcedDownloads) return;
    const cancel = this.#parts.clock.after(announceAfterMs, () => {
      if (this.#parts.store.find(sha256) !== undefined) return;
      this.#parts.counters.add("share.unfinished");
      this.#announcer?.publish(sha256, {
        ...{ state: { kind: "unfinished", eighths: 0 }, pieces: { kind: "none" } },
        privateAddresses: [],
      });
    });
    this.#unfinished.set(sha256, cancel);
  }

  /** It is over, well or not. */
  ended(sha256: Sha256): void {
    const cancel = this.#unfinished.get(sha256);
    if (cancel === undefined) return;
    cancel();
    this.#unfinished.delete(sha256);
    if (this.#parts.store.find(sha256) === undefined) this.#announcer?.withdraw(sha256);
  }

  #isShared(file: StoredFile): boolean {
    if (this.#settings.share === "all" || file.shared === true) return true;
    return this.#parts.listed(new Set([file.sha256])).size > 0;
  }

  /** Now and then: whether everything must be looked at again. */
  #look(): void {
    const { clock, listing } = this.#parts;
    const now = listing();
    const due = clock.monotonicMs() - this.#scannedMs >= periodMs;
    if (due || now !== this.#listing) {
      this.#listing = now;
      this.#scannedMs = clock.monotonicMs();
      this.#work(() => this.#scan());
    }
    this.#cancelTimer = clock.after(listingMs, () => this.#look());
  }

  #changed(sha256: Sha256): void {
    if (this.#stopped) return;
    this.#dirty.add(sha256);
    this.#cancelDirty ??= this.#parts.clock.after(gatherMs, () => {
      this.#cancelDirty = undefined;
      const dirty = this.#dirty;
      this.#dirty = new Set();
      this.#work(() => this.#review(dirty));
    });
  }

  /** One after the other; a failure is told and ends nothing. */
  #work(what: () => Promise<void>): void {
    this.#working = this.#working.then(what).catch((thrown: unknown) => {
      this.#parts.counters.add("share.failed");
      this.#scannedMs = -Infinity;
      this.#parts.log.warn("share-failed", { error: errorText(thrown) });
    });
  }

  async #scan(): Promise<void> {
    const { store, counters, clock } = this.#parts;
    counters.add("share.scans");
    const gone = new Set([...this.#served, ...this.#published]);
    let batch: StoredFile[] = [];
    for await (const file of store.list()) {
      if (this.#stopped) return;
      gone.delete(file.sha256);
      batch.push(file);
      if (batch.length < batchFiles) continue;
      await this.#reviewFiles(batch);
      batch = [];
    }
    await this.#reviewFiles(batch);
    for (const sha256 of gone) this.#forget(sha256);
    this.#scannedAtMs = clock.wallMs();
  }

  async #review(digests: ReadonlySet<Sha256>): Promise<void> {
    const files: StoredFile[] = [];
    for (const sha256 of digests) {
      const file = this.#parts.store.find(sha256);
      if (file === undefined) this.#forget(sha256);
      else files.push(file);
    }
    await this.#reviewFiles(files);
  }

  async #reviewFiles(files: readonly StoredFile[]): Promise<void> {
    const listed = this.#parts.listed(new Set(files.map(({ sha256 }) => sha256)));
    for (const file of files) {
      if (this.#stopped) return;
      const { sha256, scope, sizeBytes } = file;
      const all = this.#settings.share === "all" || file.shared === true;
      if (!all && !listed.has(sha256)) {
        this.#forget(sha256);
        continue;
      }
      if (!this.#served.has(sha256)) {
        this.#served.add(sha256);
        this.#version++;
        this.#parts.counters.add("share.served");
      }
      this.#unfinished.delete(sha256);
      if (scope === "public" && sizeBytes >= this.#settings.leastBytes) await this.#publish(file);
    }
  }

  async #publish({ sha256, sizeBytes }: StoredFile): Promise<void> {
    const { counters } = this.#parts;
    if (this.#announcer === undefined || this.#published.has(sha256)) return;
    const pieces = await this.#pieces(sha256, sizeBytes);
    if (pieces === undefined || this.#stopped) return;
    const value: FileValue = { state: { kind: "complete" }, pieces, privateAddresses: [] };
    if (this.#announcer.publish(sha256, value) !== "published") return;
    this.#published.add(sha256);
    counters.add("dht.share.published");
  }

  /** What a value says of the pieces; a longer list goes into the DHT by itself. */
  async #pieces(sha256: Sha256, sizeBytes: number): Promise<PieceSource | undefined> {
    const { store, hashes: sums } = this.#parts;
    const count = Math.ceil(sizeBytes / limits.pieceBytes);
    if (count <= 1) return { kind: "none" };
    const bytes = await store.pieceHashes(sha256);
    if (bytes === undefined) return undefined;
    if (count > mostListedPieces) return { kind: "peer", digest: sums.of(bytes) };
    const hashes = Array.from({ length: count }, (_, piece) =>
      Uint8Array.from(bytes.subarray(piece * hashBytes, (piece + 1) * hashBytes)),
    );
    if (count <= mostInlinePieces) return { kind: "inline", hashes };
    this.#announcer?.publishPieces({ hashes });
    return { kind: "key", key: pieceListKey(sums, { hashes }) };
  }

  #forget(sha256: Sha256): void {
    if (this.#served.delete(sha256)) this.#version++;
    if (!this.#published.delete(sha256)) return;
    this.#parts.counters.add("dht.share.withdrawn");
    this.#announcer?.withdraw(sha256);
  }
}
