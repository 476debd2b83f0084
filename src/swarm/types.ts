/** What the parts of a swarm say to each other. */
import type { Endpoint } from "../base/endpoint.ts";
import type { PieceMap } from "./piece-map.ts";

/** How busy a peer says that it is, in every answer (`apt-p2p-load`). */
export interface Load {
  /** Uploads under way. */
  readonly active: number;
  /** Uploads that wait for their turn. */
  readonly queued: number;
  /** Uploads that may be under way at once; at least 1. */
  readonly slots: number;
}

/** A peer's answer about one file (`/~/sha256/…/swarm`). */
export interface PeerState {
  readonly sizeBytes: number;
  readonly have: PieceMap;
  /** What it is fetching from the mirror just now. */
  readonly fetching: PieceMap | undefined;
  /** What others told it that they are fetching there. */
  readonly hearsay?: PieceMap | undefined;
  /** Its random number in the crowd, 32 bits; undefined: it is no member. See mirror-turns.ts. */
  readonly ticket?: number | undefined;
  /** What a seed has given of it lately; undefined: nothing. See sowing.ts. */
  readonly sown?: PieceMap | undefined;
  /** Others that have, or want, the file. */
  readonly peers: readonly Endpoint[];
}

/** Who is asked for pieces. The scheduler looks at nothing but this. */
export interface PeerInfo {
  readonly endpoint: Endpoint;
  /** Of our own network. */
  readonly near: boolean;
  /** Peers of one group speak with one voice: a /24 or /64 beyond the own network. */
  readonly group: string;
  /** What is known before it was asked: `unknown` must be asked for its state first. */
  readonly state: "whole" | "unknown";
  /** How it was found. */
  readonly via: "neighbour" | "dht" | "exchange" | "asker";
  /** Who named it, if `via` is exchange: endpoint text. */
  readonly teller?: string;
}

/** Whole pieces [piece, piece + count) from one source, each verified as soon as it is here. */
export interface PieceRequest {
  /** Endpoint text of the peer; "mirror". */
  readonly source: string;
  readonly piece: number;
  readonly count: number;
  /** Of a seed: only if nobody else has got them of it. */
  readonly unsown?: boolean;
}

/** Why a request ended before all of its pieces were here. */
export type Failure =
  /** 503: it will not now; seconds as it said, or undefined. */
  | { readonly kind: "busy"; readonly retryAfterMs: number | undefined }
  /** 409: a seed has given one of them before; what it has given, if it says so. */
  | { readonly kind: "sown"; readonly sown: PieceMap | undefined }
  /** 404: it has not (any more) what was asked for. */
  | { readonly kind: "missing" }
  /** No connection, cut, silence. */
  | { readonly kind: "broken" }
  /** Something that no honest peer sends: a wrong Content-Range, a coding, a redirect, too much. */
  | { readonly kind: "wrong"; readonly what: string };
