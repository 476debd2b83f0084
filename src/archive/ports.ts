/** What the archive room needs from outside: signature checks, decompression, stored files. */
import type { Sha256 } from "../base/sha256.ts";

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

/** Stored files of proven content. */
export interface StoredFiles {
  /** The file's bytes, or undefined where no file of this digest is held. */
  openStored(sha256: Sha256): Promise<AsyncIterable<Buffer> | undefined>;
}
