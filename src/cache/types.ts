/** What the store's callers see. */
import type { Counters } from "../base/counters.ts";
import type { Clock, Hashes, Log } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { Files, KeyValue } from "../base/storage.ts";

/** `local` content never leaves the own network, whatever else is shared. */
export type Scope = "public" | "local";

/** A whole file whose bytes have this digest. */
export interface StoredFile {
  readonly sha256: Sha256;
  readonly sizeBytes: number;
  readonly path: string;
  /** False: offered from a directory that is not ours, and never deleted by us. */
  readonly owned: boolean;
  /** Of the file when it was last proven. */
  readonly mtimeMs: number;
  readonly addedAtMs: number;
  /** When its bytes were last proven to have the digest. */
  readonly verifiedAtMs: number;
  readonly lastUsedMs: number;
  /** The newest names first, at most `limits.namesPerFile`. */
  readonly names: readonly string[];
  /** As the mirror said it. */
  readonly lastModified?: string;
  readonly contentType?: string;
  readonly scope: Scope;
  readonly origin: "mirror" | "peers" | "import" | "offer";
  /** It is offered to others although no index lists it: somebody said so. */
  readonly shared?: true;
}

/** What is known about a file when it is committed. */
export interface FileMeta {
  readonly name?: string;
  readonly lastModified?: string;
  readonly contentType?: string;
  readonly scope: Scope;
  readonly origin: "mirror" | "peers" | "import";
  readonly shared?: true;
}

export interface StoreComponents {
  readonly kv: KeyValue;
  readonly files: Files;
  readonly hashes: Hashes;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  /** Which of these digests a current index lists. What none lists is evicted first. */
  readonly listed: (digests: ReadonlySet<Sha256>) => ReadonlySet<Sha256>;
}

export interface StoreSettings {
  /** Absolute; the store owns everything in it. */
  readonly directory: string;
  /** 0 stores nothing; "auto" is a tenth of the file system, at most 10 GB. */
  readonly quotaBytes: number | "auto";
  /** Stays free on the file system whatever the quota says. */
  readonly keepFreeBytes: number;
  /** Absolute; files below are served from where they are. */
  readonly offerDirectories: readonly string[];
}

export interface StoreStats {
  /** Whole files of our own. */
  readonly files: number;
  readonly bytes: number;
  readonly offeredFiles: number;
  readonly offeredBytes: number;
  /** Left over from earlier downloads or under way. */
  readonly unfinishedFiles: number;
  readonly unfinishedBytes: number;
  readonly quotaBytes: number;
  /** On the file system, for an ordinary user. */
  readonly freeBytes: number;
  readonly keepFreeBytes: number;
}

/** How far long work is. Totals are estimates while others change the store. */
export interface Progress {
  readonly done: number;
  readonly total: number;
  readonly bytes: number;
  readonly totalBytes: number;
  readonly note?: string;
}

export type OnProgress = (progress: Progress) => void;

export interface VerifyResult {
  /** Files hashed, and their bytes. */
  readonly files: number;
  readonly bytes: number;
  /** Content was not what it should be, or could not be read; no longer held. */
  readonly damaged: readonly Sha256[];
  /** The file was gone; no longer held. */
  readonly missing: readonly Sha256[];
  /** Ended early on request. */
  readonly aborted: boolean;
}

/** `name` is a pattern over names: `*` any characters, also `/`; `?` one. */
export type CleanWhat = "all" | "unlisted" | { readonly name: string } | { readonly sha: Sha256 };

export interface CleanResult {
  readonly files: number;
  readonly bytes: number;
  /** Would have gone, but is being read or written. */
  readonly inUse: number;
}

export interface ImportResult {
  /** Files taken in, and their bytes. */
  readonly files: number;
  readonly bytes: number;
  /** Of these, without copying the bytes. */
  readonly linked: number;
  readonly alreadyHeld: number;
  /** The first of those that could not be taken in. */
  readonly failed: readonly { readonly path: string; readonly reason: string }[];
  readonly aborted: boolean;
}
