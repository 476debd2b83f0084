/** What crowds have got of files that are whole here: each piece is given once while there are others. */
import { BoundedMap } from "../base/bounded-map.ts";
import { limits } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import { formatHave, wireBounds } from "../swarm/peer-wire.ts";
import type { PieceMap } from "../swarm/piece-map.ts";
import { pieceAt, shapeOf } from "../swarm/shape.ts";
import { Sowing } from "../swarm/sowing.ts";

/** Bytes [start, end) of a file. */
interface Part {
  readonly start: number;
  readonly end: number;
}

export class Sowings {
  readonly #clock: Clock;
  readonly #files = new BoundedMap<Sha256, Sowing>(limits.sownFiles);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** undefined: nothing. Not to be changed. */
  sown(sha256: Sha256): PieceMap | undefined {
    const sown = this.#files.get(sha256)?.sown;
    return sown === undefined || sown.count === 0 ? undefined : sown;
  }

  header(sha256: Sha256): Readonly<Record<string, string>> {
    const sown = this.sown(sha256);
    if (sown === undefined || sown.pieces > wireBounds.headerSownPieces) return {};
    return { "apt-p2p-sown": formatHave(sown) };
  }

  /** → what is to be called in the end with the number of bytes sent; undefined: some were given before. */
  sow(
    { sha256, sizeBytes }: { readonly sha256: Sha256; readonly sizeBytes: number },
    { start, end }: Part,
  ): ((bytes: number) => void) | undefined {
    const sowing = this.#files.get(sha256) ?? new Sowing(shapeOf(sizeBytes).pieces);
    this.#files.set(sha256, sowing);
    const [first, last] = [pieceAt(start), pieceAt(end - 1)];
    const unsow = sowing.sow(first, last - first + 1, this.#clock.monotonicMs());
    if (unsow === undefined) return undefined;
    return (bytes) => {
      if (start + bytes < end) unsow(pieceAt(start + bytes) - first);
    };
  }
}
