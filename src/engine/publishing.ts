/**
 * What the DHT is told of this daemon's files: whole ones with their pieces, one after the other
 * since all their bytes may have to be read for that; and those that are under way.
 */
import type { Counters } from "../base/counters.ts";
import { errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { NodeId } from "../base/node-id.ts";
import type { Hashes, Log } from "../base/ports.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { Urgency } from "../cache/piece-hashes.ts";
import type { Store } from "../cache/store.ts";
import type { StoredFile } from "../cache/types.ts";
import {
  hashBytes,
  mostInlinePieces,
  mostListedPieces,
  pieceListKey,
  type PieceSource,
} from "../krpc/value.ts";
import type { DhtService } from "./dht-service.ts";

export interface PublishingParts {
  readonly store: Pick<Store, "pieceHashes">;
  readonly hashes: Hashes;
  readonly counters: Counters;
  readonly log: Log;
}

export type Announcer = Pick<
  DhtService,
  "publish" | "publishPieces" | "withdraw" | "withdrawPieces"
>;

/** What has been told of a file. */
interface Told {
  readonly complete: boolean;
  /** The list of its pieces is in the DHT by itself. */
  readonly listKey?: NodeId;
}

interface Waiting {
  readonly sizeBytes: number;
  readonly urgency: Urgency;
}

interface Pieces {
  readonly source: PieceSource;
  /** Goes into the DHT by itself. */
  readonly list?: { readonly key: NodeId; readonly hashes: readonly Uint8Array[] };
}

export class Publishing {
  readonly #parts: PublishingParts;
  readonly #told = new Map<Sha256, Told>();
  readonly #waiting = new Map<Sha256, Waiting>();
  #announcer: Announcer | undefined;
  #working: Promise<void> | undefined;

  constructor(parts: PublishingParts) {
    this.#parts = parts;
  }

  /** Who tells the DHT; it knows nothing yet. undefined: nobody, from now on. */
  announceTo(announcer: Announcer | undefined): void {
    this.#announcer = announcer;
    this.#told.clear();
    this.#waiting.clear();
  }

  /** A whole file shall be told. `now`: it is new, and others may want it. */
  complete({ sha256, sizeBytes }: StoredFile, urgency: Urgency): void {
    if (this.#announcer === undefined || this.#told.get(sha256)?.complete === true) return;
    const before = this.#waiting.get(sha256);
    if (before !== undefined && (before.urgency === "now" || urgency === "later")) return;
    this.#waiting.set(sha256, { sizeBytes, urgency });
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  /** A file has begun to come. */
  unfinished(sha256: Sha256): void {
    const announcer = this.#announcer;
    if (announcer === undefined || this.#told.has(sha256)) return;
    const outcome = announcer.publish(sha256, {
      ...{ state: { kind: "unfinished", eighths: 0 }, pieces: { kind: "none" } },
      privateAddresses: [],
    });
    if (outcome !== "published") return;
    this.#told.set(sha256, { complete: false });
    this.#parts.counters.add("share.unfinished");
  }

  /** Whatever was told does not hold any more. */
  withdraw(sha256: Sha256): void {
    this.#waiting.delete(sha256);
    const told = this.#told.get(sha256);
    if (told === undefined) return;
    this.#told.delete(sha256);
    this.#parts.counters.add("dht.share.withdrawn");
    this.#announcer?.withdraw(sha256);
    if (told.listKey !== undefined) this.#announcer?.withdrawPieces(told.listKey);
  }

  /** Resolves when the store is not read any more. */
  async stop(): Promise<void> {
    this.announceTo(undefined);
    await this.#working;
  }

  async #work(): Promise<void> {
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const [sha256, waiting] = next;
      await this.#publish(sha256, waiting).catch((thrown: unknown) => {
        this.#parts.counters.add("share.failed");
        this.#parts.log.warn("publish-failed", { sha256, error: errorText(thrown) });
      });
      // Asked for again meanwhile, as something else, it stays.
      if (this.#waiting.get(sha256) === waiting) this.#waiting.delete(sha256);
    }
  }

  #next(): readonly [Sha256, Waiting] | undefined {
    let first: readonly [Sha256, Waiting] | undefined;
    for (const entry of this.#waiting) {
      if (entry[1].urgency === "now") return entry;
      first ??= entry;
    }
    return first;
  }

  async #publish(sha256: Sha256, waiting: Waiting): Promise<void> {
    const pieces = await this.#pieces(sha256, waiting);
    // Withdrawn meanwhile, or nobody is there any more.
    const announcer = this.#announcer;
    if (pieces === undefined || announcer === undefined || !this.#waiting.has(sha256)) return;
    const { source, list } = pieces;
    const value = { state: { kind: "complete" }, pieces: source, privateAddresses: [] } as const;
    if (announcer.publish(sha256, value) !== "published") return;
    if (list !== undefined) announcer.publishPieces(list);
    this.#told.set(sha256, { complete: true, ...(list !== undefined && { listKey: list.key }) });
    this.#parts.counters.add("dht.share.published");
  }

  /** What a value says of the pieces; undefined: the file is gone. */
  async #pieces(sha256: Sha256, { sizeBytes, urgency }: Waiting): Promise<Pieces | undefined> {
    const { store, hashes: sums } = this.#parts;
    const count = Math.ceil(sizeBytes / limits.pieceBytes);
    if (count <= 1) return { source: { kind: "none" } };
    const bytes = await store.pieceHashes(sha256, urgency);
    if (bytes === undefined) return undefined;
    if (count > mostListedPieces) return { source: { kind: "peer", digest: sums.of(bytes) } };
    const hashes = Array.from({ length: count }, (_, piece) =>
      Uint8Array.from(bytes.subarray(piece * hashBytes, (piece + 1) * hashBytes)),
    );
    if (count <= mostInlinePieces) return { source: { kind: "inline", hashes } };
    const key = pieceListKey(sums, { hashes });
    return { source: { kind: "key", key }, list: { key, hashes } };
  }
}
