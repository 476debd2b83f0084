/** What a download is told, what it asks, and what becomes of it. */
import type { Expectation } from "../archive/types.ts";
import type { AptP2pError } from "../base/errors.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { Sink } from "./received.ts";
import type { SwarmSession } from "./swarm-session.ts";

export interface DownloadPlan {
  readonly url: string;
  /** What the bytes may be; with none of them they are passed on unproven. */
  readonly accepted: readonly Expectation[];
  /** Request headers for the mirror. */
  readonly headers: Readonly<Record<string, string>>;
  /** Where the bytes go; may hold a beginning from an earlier run. */
  readonly sink: DownloadSink;
  /** Where they go when the answer cannot be the expected file (an error page, another size). */
  readonly spare: () => DownloadSink;
  /** See MirrorRequest. */
  readonly urgent: boolean;
  /** Size comes from the mirror alone: it sent a wrong body before, and apt shall see how. */
  readonly suspect: boolean;
  /** Collects the body (up to `limits.documentBytes`) for `onWhole`. */
  readonly collect: boolean;
  /** Peers, beside the mirror; `position`: bytes that are here. undefined: the mirror alone. */
  readonly swarm?: ((position: number) => SwarmSession) | undefined;
}

export interface DownloadSink extends Sink {
  restart(): void | Promise<void>;
}

/** Asked at the turning points; the engine implements these. */
export interface DownloadHooks {
  /** The whole body is here, and nobody has its end yet. `sha256` undefined: unproven. */
  onWhole(sha256: Sha256 | undefined, head: Head, collected: Buffer | undefined): void;
  /** The body is none of the accepted ones. */
  onMismatch(digest: Sha256): "refetch" | "pass";
  onReceived(bytes: number): void;
  /** The swarm has done what it could; called before the whole is judged. */
  onSwarmEnd?(session: SwarmSession): void;
}

export interface Head {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Length of the whole body; undefined if the mirror does not tell and nobody knows. */
  readonly sizeBytes: number | undefined;
  /** See MirrorResponse. */
  readonly global: boolean;
  /** It was made up for a file that peers bring: the mirror has not been asked. */
  readonly peers?: true;
}

export type Outcome =
  | { readonly kind: "proven"; readonly sha256: Sha256 }
  /** Passed on without proof: unknown digest, another status than 200, or a mirror that insists. */
  | { readonly kind: "unproven" }
  | { readonly kind: "mismatch" }
  | { readonly kind: "failed"; readonly error: AptP2pError };

/**
 * What may never leave the own network: private answers, and those of private mirrors. undefined: the
 * mirror was not asked.
 */
export function scopeOf({ headers, global, peers }: Head): "public" | "local" | undefined {
  if (peers === true && Object.keys(headers).length === 0) return undefined;
  const control = headers["cache-control"] ?? "";
  return !global || /\b(private|no-store)\b/i.test(control) ? "local" : "public";
}
