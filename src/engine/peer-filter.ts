/** The filter of all that near peers may have, made anew when that has changed. */
import type { Hashes } from "../base/ports.ts";
import { Bloom } from "../swarm/bloom.ts";
import type { SharedFiles } from "./peer-types.ts";

interface Made {
  readonly version: number;
  readonly bytes: Uint8Array;
  /** With its quotes. */
  readonly etag: string;
}

export class PeerFilter {
  readonly #parts: { readonly shared: SharedFiles; readonly hashes: Hashes };
  #made: Made | undefined;

  constructor(parts: { readonly shared: SharedFiles; readonly hashes: Hashes }) {
    this.#parts = parts;
  }

  current(): Omit<Made, "version"> {
    const { all, version } = this.#parts.shared.digests;
    if (this.#made?.version === version) return this.#made;
    const { bytes } = Bloom.of(all, all.size);
    const digest = Buffer.from(this.#parts.hashes.of(bytes)).toString("hex", 0, 16);
    this.#made = { version, bytes, etag: `"${digest}"` };
    return this.#made;
  }
}
