import type { Sha256 } from "../base/sha256.ts";

/**
 * One file of one archive, named as apt would look it up: `host/path`, host lower-case with a port
 * only where it is not the scheme's own, path percent-decoded with single slashes and without `.`
 * segments. http and https of one host are one archive. Example:
 * `ftp.us.debian.org/debian/pool/main/g/g++-12/g++-12_12.2.0_amd64.deb`.
 */
export type FileName = string & { readonly __brand: "FileName" };

/** Who vouches for a digest, best first. */
export type Trust =
  /** Listed by a Release whose signature a key of this machine's apt has made. */
  | "verified"
  /** The URL itself names the digest (by-hash); nothing else is claimed. */
  | "self-naming"
  /** Listed by an index whose signature could not be checked (no key, no gpgv, unsigned). */
  | "unverified";

/** What the bytes under a name must be, and who says so. */
export interface Expectation {
  readonly sha256: Sha256;
  /** Exact size; undefined where only the digest is known. */
  readonly sizeBytes: number | undefined;
  readonly trust: Trust;
  /** The list that says so, e.g. `…/dists/bookworm/main/binary-amd64/Packages`; for people. */
  readonly listedIn: string;
  /** Name of the Release at the root of the proof, if there is one. */
  readonly release: string | undefined;
  /** Long fingerprints (upper-case hex) of the keys that signed it; [] unless verified. */
  readonly signedBy: readonly string[];
}

export type HashName = "SHA256" | "SHA512" | "SHA1" | "MD5Sum";

/** What a name is, from its form alone. */
export type FileKind =
  /** InRelease: clear-signed Release. */
  | { readonly kind: "inrelease" }
  | { readonly kind: "release" }
  /** Release.gpg: detached signature. */
  | { readonly kind: "release-signature" }
  /** Packages or Sources, in any compression. */
  | { readonly kind: "index"; readonly of: "packages" | "sources" }
  /** Packages.diff/Index and the like. */
  | { readonly kind: "diff-index" }
  /** One patch below a `*.diff/` directory. */
  | { readonly kind: "diff-patch" }
  | { readonly kind: "by-hash"; readonly hash: HashName; readonly hex: string }
  /** SHA256SUMS beside images. */
  | { readonly kind: "sums" }
  /** SHA256SUMS.sign, SHA256SUMS.gpg. */
  | { readonly kind: "sums-signature" }
  /** Anything else: packages, sources, Contents, Translations, images. */
  | { readonly kind: "file" };
