/** What others may have of a download under way. */
import type { Endpoint } from "../base/endpoint.ts";
import type { Hashes } from "../base/ports.ts";
import type { PieceMap } from "../swarm/piece-map.ts";
import { groupOf } from "../swarm/peer-book.ts";
import { pieceLength, pieceStart } from "../swarm/shape.ts";
import type { Download } from "./download.ts";
import { mapOf, type SwarmSession } from "./swarm-session.ts";

export interface ShareParts {
  readonly hashes: Hashes;
  readonly isNear: (address: string) => boolean;
}

/** Peers that one answer names; see peer-wire.ts. */
const namedPeers = 20;

export class UnfinishedShare {
  readonly sizeBytes: number;
  readonly #parts: ShareParts;
  readonly #download: Download;
  readonly #session: SwarmSession;

  constructor(parts: ShareParts, download: Download, session: SwarmSession) {
    this.#parts = parts;
    this.#download = download;
    this.#session = session;
    this.sizeBytes = session.transfer.shape.sizeBytes;
  }

  /** Whole pieces that were verified, or came from the mirror. Not to be changed. */
  get have(): PieceMap {
    return this.#session.transfer.held;
  }

  get fetching(): PieceMap | undefined {
    const { transfer } = this.#session;
    return mapOf(transfer.fetching, transfer.shape.pieces);
  }

  get ticket(): number {
    return this.#session.transfer.ticket;
  }

  /** What others told that they are fetching there. */
  get hearsay(): PieceMap | undefined {
    const { transfer } = this.#session;
    return mapOf([...transfer.hearsay], transfer.shape.pieces);
  }

  /** `unknown` until the mirror has answered or a peer has said where its copy came from. */
  get scope(): "public" | "local" | "unknown" {
    const { origin } = this.#download;
    if (origin !== undefined) return origin;
    if (this.#session.firstPeerMs === undefined) return "unknown";
    return this.#session.publicPeers ? "public" : "local";
  }

  /** Bytes of pieces that are had → how many; 0: they are not here any more. Rejects STORAGE. */
  read(into: Uint8Array, position: number): Promise<number> {
    return this.#download.readHeld(into, position);
  }

  /** SHA-256 of a piece that is had, 64 hexadecimal digits. */
  async pieceHash(piece: number): Promise<string | undefined> {
    const { transfer } = this.#session;
    const known = transfer.digestOf(piece);
    if (known !== undefined) return known;
    const bytes = Buffer.allocUnsafe(pieceLength(transfer.shape, piece));
    for (let at = 0; at < bytes.length;) {
      const count = await this.read(bytes.subarray(at), pieceStart(piece) + at);
      if (count === 0) return undefined;
      at += count;
    }
    const digest = Buffer.from(this.#parts.hashes.of(bytes)).toString("hex");
    transfer.noteDigest(piece, digest);
    return digest;
  }

  /** Whether a piece that is had could soon be nowhere any more. */
  isRare(piece: number): boolean {
    return this.#session.transfer.rarity.has(piece);
  }

  /** Others who have answered for this file. */
  peers(): readonly Endpoint[] {
    return this.#session.transfer.knownPeers(namedPeers);
  }

  /** Who asks serves peers itself, and wants the same file. */
  heard(endpoint: Endpoint): void {
    const near = this.#parts.isNear(endpoint.address);
    const group = groupOf(endpoint.address, near);
    this.#session.addPeers([{ endpoint, near, group, state: "unknown", via: "asker" }]);
  }

  /** Called when other pieces are had, and at the end; the returned function stops that. */
  changed(listener: () => void): () => void {
    return this.#session.onChange(listener);
  }
}
