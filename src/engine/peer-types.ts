/** What the parts that serve peers say to each other, and what they need from outside. */
import type { Counters } from "../base/counters.ts";
import type { Endpoint } from "../base/endpoint.ts";
import type { Clock, Hashes, Random } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { Store } from "../cache/store.ts";
import type { StoredFile } from "../cache/types.ts";
import type { PieceMap } from "../swarm/piece-map.ts";
import type { UploadGate, Uploader } from "../swarm/upload-gate.ts";
import type { Body } from "./body.ts";

/** What others may have of a download under way. */
export interface SharedDownload {
  readonly sizeBytes: number;
  /** Whole pieces that can be read. Not to be changed. */
  readonly have: PieceMap;
  /** Those that are being fetched from the mirror just now. */
  readonly fetching: PieceMap | undefined;
  /** Those that others said that they are fetching there. */
  readonly hearsay?: PieceMap | undefined;
  /** Its number in the crowd; see swarm/mirror-turns.ts. */
  readonly ticket?: number | undefined;
  readonly scope: "public" | "local" | "unknown";
  /** → how many bytes; 0: they are not there (any more). */
  read(into: Uint8Array, position: number): Promise<number>;
  /** 64 hexadecimal digits. */
  pieceHash(piece: number): Promise<string | undefined>;
  /** Whether a piece that is had could soon be nowhere any more; see swarm/rarity.ts. */
  isRare(piece: number): boolean;
  /** Others who have, or want, the file. */
  peers(): readonly Endpoint[];
  /** Who asks serves peers itself, and wants this file. */
  heard(endpoint: Endpoint): void;
  /** Called when other pieces are had, and at the end; the returned function stops that. */
  changed(listener: () => void): () => void;
}

/** What may be given to whom. */
export interface SharedFiles {
  mayGive(file: StoredFile, near: boolean): boolean;
  /** All that near peers may have, and a number that changes with them. */
  readonly digests: { readonly all: ReadonlySet<Sha256>; readonly version: number };
}

export interface PeerAnswersParts {
  readonly store: Pick<Store, "find" | "open">;
  /** 32 bytes for each piece of a whole file; undefined: it is not there. */
  readonly pieceHashes: (sha256: Sha256) => Promise<Uint8Array | undefined>;
  /** A download of which others may have what is here. */
  readonly unfinished: (sha256: Sha256) => SharedDownload | undefined;
  readonly shared: SharedFiles;
  readonly gate: UploadGate;
  /** True: no uploads just now, there is no room for what they hold. */
  readonly crowded?: () => boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly hashes: Hashes;
  readonly counters: Counters;
  readonly isNear: (address: string) => boolean;
  /** A near peer has asked, which serves peers itself. */
  readonly heard: (endpoint: Endpoint) => void;
}

export interface PeerAnswersSettings {
  /** False: nothing is shared. */
  readonly enabled: boolean;
  /** Peers beyond the own network get nothing. */
  readonly nearOnly: boolean;
}

export interface PeerRequest {
  readonly method: string;
  /** Begins with `/~/`. */
  readonly url: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Canonical literal. */
  readonly remoteAddress: string;
  /** Reads the body; undefined: it is longer than that, or took too long. */
  readonly readBody: (mostBytes: number) => Promise<Buffer | undefined>;
  /** Ends the connection. */
  readonly cut: () => void;
}

export interface Ask {
  readonly who: Uploader;
  readonly request: PeerRequest;
  readonly signal: AbortSignal;
}

/** What became of a question; each has a counter. */
export type Outcome =
  | { readonly what: "missing" | "busy" | "spent" | "forbidden" | "method" }
  | {
      readonly what:
        "whole" | "unfinished" | "sown" | "pieces" | "swarm" | "filter" | "have" | "bad";
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: Body | Uint8Array;
    };
