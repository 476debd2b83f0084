import type { Sha256 } from "../base/sha256.ts";

export const piecesSuffix = ".pieces";

/**
 * Where the store's files are: whole ones in `sha256/ab/abcdef…`, unfinished ones in `partial/`
 * under the digest that they shall have, others in `partial/` under names that are no digests.
 * Whatever lies in `partial/` under such a name at start is rubbish.
 */
export class Layout {
  readonly directory: string;
  readonly partial: string;
  #scratch = 0;

  constructor(directory: string) {
    this.directory = directory.replace(/\/+$/, "");
    this.partial = `${this.directory}/partial`;
  }

  whole(sha: Sha256): string {
    return `${this.bucket(sha.slice(0, 2))}/${sha}`;
  }

  /** `prefix`: the first two hexadecimal digits. */
  bucket(prefix: string): string {
    return `${this.directory}/sha256/${prefix}`;
  }

  part(sha: Sha256): string {
    return `${this.partial}/${sha}`;
  }

  /** Which pieces beyond its beginning an unfinished file has. */
  pieces(sha: Sha256): string {
    return `${this.part(sha)}${piecesSuffix}`;
  }

  /** A new path for bytes without a known digest. */
  scratch(kind: "spool" | "import"): string {
    this.#scratch += 1;
    return `${this.partial}/${kind}-${this.#scratch}`;
  }
}
