import type { FileName } from "../archive/types.ts";
import type { Body } from "./body.ts";

/** Where a request wants to go: any of the two ways in, taken apart. See target.ts. */
export interface Target {
  readonly scheme: "http" | "https";
  /** Lower-case name or address literal; IPv6 in brackets; with `:port` where it is not the default. */
  readonly authority: string;
  /** Path and query, byte for byte as asked. */
  readonly path: string;
  /** The name under which archive and store know it; undefined where there is none (a query, `..`). */
  readonly name: FileName | undefined;
}

/** A client's request as far as it matters here. Header names are lower-case. */
export interface ClientRequest {
  readonly method: "GET" | "HEAD";
  readonly target: Target;
  /** The URL began with our own name (see target.ts): the client can be sent to the mirror itself. */
  readonly prefixed: boolean;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

/** Where an answer's bytes come from; one per request, for log and counters. */
export type Origin =
  /** The store. */
  | "cache"
  /** A mirror, and into the store once proven. */
  | "mirror"
  /** Peers, at least its first bytes, and into the store once proven. */
  | "peers"
  /** A download that another request had started. */
  | "shared"
  /** A mirror, unproven: passed on as apt would have got it. */
  | "unproven"
  /** A copy of a Release that the mirror confirmed (304) or, if allowed, could not be asked about. */
  | "document"
  /** Nobody: a 304, a 416 or an error. */
  | "none";

export interface Answer {
  readonly status: number;
  /** Reason phrase, where it says more than the status: apt shows it to the user. */
  readonly reason?: string;
  readonly headers: Readonly<Record<string, string>>;
  /** undefined: no body follows (HEAD, 304). */
  readonly body: Body | undefined;
  readonly origin: Origin;
  /** Whether the digest was known before the first byte. */
  readonly known: boolean;
}
