/** What the engine needs from outside. `src/io` implements these for the daemon, `src/sim` for tests. */
import type { Endpoint } from "../base/endpoint.ts";

/** A request to a mirror. Header names are lower-case; only those given are sent. */
export interface MirrorRequest {
  readonly method: "GET" | "HEAD";
  /** Absolute http: or https: URL; the path is sent byte for byte. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Indexes do not queue behind packages for a connection. */
  readonly urgent: boolean;
}

export interface MirrorResponse {
  readonly status: number;
  /** Lower-case names; hop-by-hop headers are already gone. */
  readonly headers: Readonly<Record<string, string>>;
  /** Whether it came from a global address; what did not is never shared beyond the own network. */
  readonly global: boolean;
  /**
   * The body as sent (not decompressed). Rejects with AptP2pError UPSTREAM when it is cut short or
   * stalls. Ending the iteration early closes the connection.
   */
  readonly body: AsyncIterable<Buffer>;
}

export interface Mirror {
  /**
   * Sends the request, follows redirects (to allowed addresses only) and returns when the final
   * status line and headers are in. Rejects with AptP2pError: FORBIDDEN for an address that may not
   * be dialled, UPSTREAM for everything that apt would report as a failed connection, CLOSED when
   * `signal` aborts.
   */
  fetch(request: MirrorRequest, signal: AbortSignal): Promise<MirrorResponse>;
}

/** The DHT's sockets: one datagram out. Never throws, never waits; what gets lost gets lost. */
export interface DatagramPort {
  send(to: Endpoint, bytes: Uint8Array): void;
}

/** A request to another daemon of this kind. Header names are lower-case. */
export interface PeerHttpRequest {
  readonly to: Endpoint;
  /** Of the own network: there a connection is made within a moment, or never. */
  readonly near: boolean;
  readonly method: "GET" | "HEAD" | "POST";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Until the answer's head; a default without it. */
  readonly patienceMs?: number;
  /** Its answer goes on for long: pieces must not wait for the connection. */
  readonly news?: true;
}

export interface PeerHttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** As that of a MirrorResponse. */
  readonly body: AsyncIterable<Buffer>;
}

export interface PeerPort {
  /** Rejects with AptP2pError: UPSTREAM for whatever goes wrong, CLOSED when `signal` aborts. */
  send(request: PeerHttpRequest, signal: AbortSignal): Promise<PeerHttpResponse>;
}
