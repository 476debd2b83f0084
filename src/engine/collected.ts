import { limits } from "../base/limits.ts";
import { keepPieceBuffer } from "./piece-buffers.ts";

/** A body kept in memory beside its way to the disk, as long as it is short. */
export class Collected {
  #chunks: Buffer[] | undefined = [];
  #bytes = 0;

  add(chunk: Buffer): void {
    this.#bytes += chunk.length;
    keepPieceBuffer(chunk);
    if (this.#bytes <= limits.documentBytes) this.#chunks?.push(chunk);
    else this.#chunks = undefined;
  }

  /** undefined: it was too long. */
  get bytes(): Buffer | undefined {
    return this.#chunks === undefined ? undefined : Buffer.concat(this.#chunks);
  }
}
