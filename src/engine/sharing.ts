/**
 * What others may have of this daemon's files, and what is said of them in the DHT.
 *
 * - `all`, what a current index lists (`fresh`) and what somebody shared by hand, or nothing.
 * - Content of scope `local` never leaves the own network, whatever is shared.
 * - The DHT is told of public files that are worth a look-up, with their pieces; of long downloads
 *   as soon as they have begun, so that a flash crowd finds itself.
 */
import { errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import { hour, second } from "../base/units.ts";
import type { Urgency } from "../cache/piece-hashes.ts";
import type { Store } from "../cache/store.ts";
import type { StoredFile } from "../cache/types.ts";
import type { Share, SharingStatus } from "./dht-status.ts";
import { Publishing, type Announcer, type PublishingParts } from "./publishing.ts";

/** A download under way, as far as it matters here. */
export interface DownloadView {
  /** Somebody wanted it by its digest, listed or not. */
  readonly byHand: boolean;
  /** `unknown`: nobody has said yet where it comes from. */
  readonly scope: "public" | "local" | "unknown";
}

export interface SharingParts extends PublishingParts {
  readonly store: Pick<Store, "list" | "find" | "watch" | "pieceHashes">;
  readonly listed: (digests: ReadonlySet<Sha256>) => ReadonlySet<Sha256>;
  /** Another text when indexes list other files than before. */
  readonly listing: () => string;
  readonly download: (sha256: Sha256) => DownloadView | undefined;
  readonly clock: Clock;
}

export interface SharingSettings {
  readonly share: Share;
  /** Smaller files are not told to the DHT: nobody looks them up. */
  readonly leastBytes: number;
}

/** Changes that come within this time are looked at together. */
const gatherMs = second / 4;
/** A download that is over sooner is not announced; one of unknown origin is looked at again. */
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
  readonly #publishing: Publishing;
  /** Downloads of which the DHT will hear, or has; ends the waiting for that. */
  readonly #unfinished = new Map<Sha256, () => void>();
  #dirty = new Set<Sha256>();
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
    this.#publishing = new Publishing(parts);
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
    await this.#publishing.stop();
  }

  /** From now on the DHT is told; undefined: not any more. */
  announceTo(announcer: Announcer | undefined): void {
    if (this.#settings.share === "none") return;
    this.#publishing.announceTo(announcer);
    if (announcer !== undefined) this.#work(() => this.#scan());
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

  /** A download has begun: others who want the file shall know, if they may have it. */
  unfinished(sha256: Sha256, sizeBytes: number): void {
    if (this.#settings.share === "none" || sizeBytes < this.#settings.leastBytes) return;
    if (this.#unfinished.size >= limits.announcedDownloads || this.#unfinished.has(sha256)) return;
    this.#unfinished.set(sha256, this.#announceLater(sha256));
  }

  /** It is over, well or not. */
  ended(sha256: Sha256): void {
    const cancel = this.#unfinished.get(sha256);
    if (cancel === undefined) return;
    cancel();
    this.#unfinished.delete(sha256);
    if (this.#parts.store.find(sha256) === undefined) this.#publishing.withdraw(sha256);
  }

  #announceLater(sha256: Sha256): () => void {
    return this.#parts.clock.after(announceAfterMs, () => {
      const download = this.#parts.download(sha256);
      if (download === undefined || this.#parts.store.find(sha256) !== undefined) return;
      const { scope, byHand } = download;
      if (scope === "unknown") this.#unfinished.set(sha256, this.#announceLater(sha256));
      else if (scope === "public" && this.mayGiveUnfinished(sha256, byHand)) {
        this.#publishing.unfinished(sha256);
      }
    });
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
  #work(what: () => Promise<void> | void): void {
    this.#working = this.#working.then(what).catch((thrown: unknown) => {
      this.#parts.counters.add("share.failed");
      this.#scannedMs = -Infinity;
      this.#parts.log.warn("share-failed", { error: errorText(thrown) });
    });
  }

  async #scan(): Promise<void> {
    const { store, counters, clock } = this.#parts;
    counters.add("share.scans");
    const gone = new Set(this.#served);
    let batch: StoredFile[] = [];
    for await (const file of store.list()) {
      if (this.#stopped) return;
      gone.delete(file.sha256);
      batch.push(file);
      if (batch.length < batchFiles) continue;
      this.#reviewFiles(batch, "later");
      batch = [];
    }
    this.#reviewFiles(batch, "later");
    // What has come meanwhile may not have been listed.
    for (const sha256 of gone) if (store.find(sha256) === undefined) this.#forget(sha256);
    this.#scannedAtMs = clock.wallMs();
  }

  #review(digests: ReadonlySet<Sha256>): void {
    const files: StoredFile[] = [];
    for (const sha256 of digests) {
      const file = this.#parts.store.find(sha256);
      if (file === undefined) this.#forget(sha256);
      else files.push(file);
    }
    this.#reviewFiles(files, "now");
  }

  #reviewFiles(files: readonly StoredFile[], urgency: Urgency): void {
    const listed = this.#parts.listed(new Set(files.map(({ sha256 }) => sha256)));
    for (const file of files) {
      const { sha256, scope, sizeBytes } = file;
      this.#unfinished.get(sha256)?.();
      this.#unfinished.delete(sha256);
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
      const told = scope === "public" && sizeBytes >= this.#settings.leastBytes;
      if (told) this.#publishing.complete(file, urgency);
      else this.#publishing.withdraw(sha256);
    }
  }

  #forget(sha256: Sha256): void {
    if (this.#served.delete(sha256)) this.#version++;
    // A download of it may be under way again, and have been told.
    if (!this.#unfinished.has(sha256)) this.#publishing.withdraw(sha256);
  }
}
