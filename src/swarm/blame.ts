/**
 * Who sent what, and who lied. While a file comes, nobody can be sure: a list may be the lie as well
 * as a piece. When the true pieces are known, because the whole digest matched, or because the mirror
 * sent the file, those are named whose pieces or lists were others.
 */
import type { Digest, PieceList } from "./piece-lists.ts";
import type { Peer } from "./peer.ts";

export interface Delivery {
  /** Endpoint text, or "mirror". */
  readonly source: string;
  /** undefined: nobody has hashed it by itself. */
  readonly digest: Digest | undefined;
}

export interface RefusedPiece {
  readonly piece: number;
  readonly digest: Digest;
  readonly source: string;
}

/** What one transfer knows about its sources in the end. */
export interface TransferRecord {
  readonly pieces: ReadonlyMap<number, Delivery>;
  readonly refused: readonly RefusedPiece[];
  readonly lists: readonly { readonly list: PieceList; readonly tellers: readonly string[] }[];
  /** Why peers were given up: endpoint text → reason. */
  readonly dropped: ReadonlyMap<string, string>;
  /** Kept bytes by source that is a peer. */
  readonly bytes: ReadonlyMap<string, number>;
  /** Endpoint texts of peers that said that they have the whole file. */
  readonly whole: ReadonlySet<string>;
}

export interface Liar {
  readonly source: string;
  readonly why: "piece" | "list";
  /** It said that it had the whole file: an unfinished peer may have been deceived itself. */
  readonly whole: boolean;
}

/** More wrong pieces of one transfer than this are named by their first. */
const mostRefused = 64;

export class Deliveries {
  /** By piece; undefined: it is not kept. Large files have many: no object for each. */
  readonly #sources: (string | undefined)[];
  readonly #digests: (Digest | undefined)[];
  readonly #refused: RefusedPiece[] = [];
  readonly #dropped = new Map<string, string>();

  constructor(pieces: number) {
    this.#sources = Array.from({ length: pieces }, () => undefined);
    this.#digests = Array.from({ length: pieces }, () => undefined);
  }

  /** SHA-256 of a piece that is kept, if somebody has hashed it. */
  digestOf(piece: number): Digest | undefined {
    return this.#digests[piece];
  }

  /** What is kept, in the order of the pieces. */
  *kept(): Iterable<readonly [number, Delivery]> {
    for (const [piece, source] of this.#sources.entries()) {
      if (source !== undefined) yield [piece, { source, digest: this.#digests[piece] }];
    }
  }

  keep(piece: number, { source, digest }: Delivery): void {
    this.#sources[piece] = source;
    this.#digests[piece] = digest;
  }

  /** Somebody has hashed a piece of which that was not known. */
  note(piece: number, { source, digest }: Delivery): void {
    if (this.#digests[piece] !== undefined) return;
    this.keep(piece, { source: this.#sources[piece] ?? source, digest });
  }

  refused(piece: RefusedPiece): void {
    if (this.#refused.length < mostRefused) this.#refused.push(piece);
  }

  /** A kept piece is given up since another list is believed now. */
  reconsidered(piece: number): void {
    const [source, digest] = [this.#sources[piece], this.#digests[piece]];
    [this.#sources[piece], this.#digests[piece]] = [undefined, undefined];
    if (source !== undefined && digest !== undefined) this.refused({ piece, digest, source });
  }

  dropped(source: string, why: string): void {
    this.#dropped.set(source, why);
  }

  /** It was not its fault. */
  restored(source: string): void {
    this.#dropped.delete(source);
  }

  record(
    told: readonly { readonly list: PieceList; readonly tellers: ReadonlySet<string> }[],
    peerOf: (source: string) => Peer | undefined,
  ): TransferRecord {
    const pieces = new Map(this.kept());
    const bytes = new Map<string, number>();
    const whole = new Set<string>();
    const sources = new Set([
      ...[...pieces.values()].map(({ source }) => source),
      ...this.#refused.map(({ source }) => source),
      ...told.flatMap(({ tellers }) => [...tellers]),
    ]);
    for (const source of sources) {
      const peer = peerOf(source);
      if (peer === undefined) continue;
      if (peer.keptBytes > 0) bytes.set(source, peer.keptBytes);
      if (peer.saidWhole) whole.add(source);
    }
    const lists = told.map(({ list, tellers }) => ({ list, tellers: [...tellers] }));
    return {
      ...{ pieces, refused: this.#refused, lists, dropped: this.#dropped },
      ...{ bytes, whole },
    };
  }
}

/** The truth as far as a transfer knows it that ended with the right digest. */
export function truthOf(record: TransferRecord): (piece: number) => Digest | undefined {
  return (piece) => record.pieces.get(piece)?.digest;
}

/**
 * Everybody who said or sent something else than the truth, once each. `truth` gives undefined for a
 * piece of which nothing is known: nobody is blamed for it.
 */
export function liarsOf(
  { pieces, refused, lists, whole }: TransferRecord,
  truth: (piece: number) => Digest | undefined,
): Liar[] {
  const liars = new Map<string, Liar>();
  const name = (source: string, why: Liar["why"]): void => {
    if (source === "mirror" || liars.has(source)) return;
    liars.set(source, { source, why, whole: whole.has(source) });
  };
  const isWrong = (piece: number, digest: Digest | undefined): boolean => {
    const right = truth(piece);
    return right !== undefined && digest !== undefined && digest !== right;
  };
  for (const { piece, digest, source } of refused)
    if (isWrong(piece, digest)) name(source, "piece");
  for (const [piece, { digest, source }] of pieces) {
    if (isWrong(piece, digest)) name(source, "piece");
  }
  for (const { list, tellers } of lists) {
    if (!list.hashes.some((digest, piece) => isWrong(piece, digest))) continue;
    for (const teller of tellers) name(teller, "list");
  }
  return [...liars.values()];
}
