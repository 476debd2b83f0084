/** What the engine needs from outside. `src/io` implements these for the daemon, `src/sim` for tests. */

/** A request to a mirror. Header names are lower-case; only those given are sent. */
export interface MirrorRequest {
  readonly method: "GET" | "HEAD";
  /** Absolute http: or https: URL; the path is sent byte for byte. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface MirrorResponse {
  readonly status: number;
  /** Lower-case names; hop-by-hop headers are already gone. */
  readonly headers: Readonly<Record<string, string>>;
  /** Where the redirects ended. */
  readonly finalUrl: string;
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

/** What a check of an OpenPGP signature came to. */
export type SignatureVerdict =
  | { readonly kind: "verified"; readonly signedBy: readonly string[] }
  /** A key that we have did not make this signature over this text. */
  | { readonly kind: "contradicted"; readonly reason: string }
  /** No key, no program, no signature: nothing is known. */
  | { readonly kind: "unverifiable"; readonly reason: string };

export interface SignedText {
  /** The whole InRelease, or the plain Release when `signature` is given. */
  readonly text: Buffer;
  /** Detached signature (Release.gpg, SHA256SUMS.sign). */
  readonly signature?: Buffer;
  /** Keys that apt's sources accept for this archive; undefined: all trusted keys of apt. */
  readonly signedBy?: SignedBy;
}

/** Signed-By of a source, taken apart. */
export interface SignedBy {
  readonly keyFiles: readonly string[];
  /** Upper-case hex fingerprints; with none any key of the files will do. */
  readonly fingerprints: readonly string[];
  /** ASCII-armoured key blocks embedded in the source. */
  readonly embeddedKeys: readonly string[];
}

export interface Signatures {
  check(signed: SignedText): Promise<SignatureVerdict>;
}

export type Compression = "none" | "gzip" | "xz" | "bzip2" | "zstd" | "lz4" | "lzma";

export interface Decompressor {
  /**
   * Decompresses a stream; rejects with AptP2pError FORMAT on damage, or when more than
   * `limitBytes` would come out (a bomb).
   */
  expand(
    compression: Compression,
    input: AsyncIterable<Buffer>,
    limitBytes: number,
  ): AsyncIterable<Buffer>;
}
