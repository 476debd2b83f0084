/**
 * The list beside an unfinished file that has pieces beyond its beginning (`partial/<hex>.pieces`):
 * which they are, and how far the beginning reaches. Without it nobody could tell after a crash what
 * is a piece and what a hole.
 *
 * Entries of 36 bytes are only ever added, each after the bytes that it is about were written: a
 * number (u32, big endian) and a SHA-256. Highest bit of the number 0: this piece, and its digest;
 * the last entry of a piece counts, and a digest of zeros means that it is not held any more. Highest
 * bit 1: the digest of the whole beginning up to the end of this piece. An entry is a claim that the
 * bytes themselves must confirm, so a damaged list loses what it no longer tells, and nothing else.
 */
import { limits } from "../base/limits.ts";
import { sha256FromBytes, type Sha256 } from "../base/sha256.ts";
import type { OpenFile } from "../base/storage.ts";
import type { PrefixProof } from "./records.ts";

export const noteBytes = 36;

const beginningBit = 0x8000_0000;
const digestBytes = 32;

export interface PieceNotes {
  /** SHA-256 (32 bytes) of each piece. */
  readonly pieces: ReadonlyMap<number, Buffer>;
  /** Of beginnings, growing. */
  readonly proofs: readonly PrefixProof[];
  /** Where the next entry goes. */
  readonly endBytes: number;
}

export function pieceNote(piece: number, digest: Uint8Array): Buffer {
  const note = Buffer.alloc(noteBytes);
  note.writeUInt32BE(piece);
  note.set(digest, noteBytes - digestBytes);
  return note;
}

/** The piece is not held any more. */
export function droppedNote(piece: number): Buffer {
  return pieceNote(piece, new Uint8Array(digestBytes));
}

export function beginningNote({ bytes, sha256 }: PrefixProof): Buffer {
  const piece = bytes / limits.pieceBytes - 1;
  return pieceNote(beginningBit + piece, Buffer.from(sha256, "hex"));
}

export function parseNotes(bytes: Buffer): PieceNotes {
  const pieces = new Map<number, Buffer>();
  const proofs = new Map<number, Sha256>();
  let endBytes = 0;
  for (; endBytes + noteBytes <= bytes.length; endBytes += noteBytes) {
    const number = bytes.readUInt32BE(endBytes);
    const digest = bytes.subarray(endBytes + noteBytes - digestBytes, endBytes + noteBytes);
    if (number >= beginningBit) {
      proofs.set((number - beginningBit + 1) * limits.pieceBytes, sha256FromBytes(digest));
    } else if (digest.every((byte) => byte === 0)) pieces.delete(number);
    else pieces.set(number, digest);
  }
  const growing = [...proofs].sort(([a], [b]) => a - b);
  return { pieces, proofs: growing.map(([size, sha256]) => ({ bytes: size, sha256 })), endBytes };
}

/** The list of a file of at most `sizeBytes` bytes. What cannot be read is not in it. */
export async function readNotes(list: OpenFile, sizeBytes: number): Promise<PieceNotes> {
  // A piece has two entries, and some more if it was dropped or the daemon crashed again and again.
  const most = 8 * noteBytes * (Math.ceil(sizeBytes / limits.pieceBytes) + 8);
  try {
    const facts = await list.facts();
    const bytes = Buffer.alloc(Math.min(facts.sizeBytes, most));
    return parseNotes(bytes.subarray(0, await list.read(bytes, 0)));
  } catch {
    return parseNotes(Buffer.alloc(0));
  }
}

/** At most so many bytes of the file are none of its holes. */
export function notedBytes({ pieces, proofs }: PieceNotes, provenBytes: number): number {
  const beginning = Math.max(provenBytes, proofs.at(-1)?.bytes ?? 0);
  const beyond = [...pieces.keys()].filter((piece) => piece * limits.pieceBytes >= beginning);
  // The beginning may have got a piece further than anything says.
  return beginning + (beyond.length + 1) * limits.pieceBytes;
}
