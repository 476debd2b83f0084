import { errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { Room } from "./evict.ts";
import { keys } from "./records.ts";

const hashBytes = 32;

/**
 * The SHA-256 of every piece of whole files: what peers need to check pieces one by one. Computed
 * when somebody asks, one file at a time and piece by piece, so that nobody waits for it; recorded
 * as long as the file is held.
 */
export class PieceHashes {
  readonly #room: Room;
  readonly #running = new Map<Sha256, Promise<Buffer | undefined>>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(room: Room) {
    this.#room = room;
  }

  /** 32 bytes for each piece; undefined: the file is not held, or cannot be read. Never rejects. */
  of(sha: Sha256): Promise<Buffer | undefined> {
    const running = this.#running.get(sha);
    if (running !== undefined) return running;
    const recorded = this.#recorded(sha);
    if (recorded !== undefined) return Promise.resolve(recorded);
    const computing = this.#turn
      .then(() => this.#compute(sha))
      .catch((error: unknown) => {
        this.#room.components.log.warn("pieces-failed", { sha256: sha, error: errorText(error) });
        return undefined;
      })
      .finally(() => this.#running.delete(sha));
    this.#turn = computing;
    this.#running.set(sha, computing);
    return computing;
  }

  #recorded(sha: Sha256): Buffer | undefined {
    const file = this.#room.shelf.find(sha);
    const text = file === undefined ? undefined : this.#room.components.kv.get(keys.pieces(sha));
    if (file === undefined || text === undefined) return undefined;
    const hashes = Buffer.from(text, "base64");
    const pieces = Math.max(1, Math.ceil(file.sizeBytes / limits.pieceBytes));
    return hashes.length === pieces * hashBytes ? hashes : undefined;
  }

  async #compute(sha: Sha256): Promise<Buffer | undefined> {
    const { shelf, components } = this.#room;
    const opened = await shelf.open(sha);
    if (opened === undefined) return undefined;
    const { file, handle } = opened;
    try {
      const parts: Uint8Array[] = [];
      const whole = components.hashes.start();
      const piece = Buffer.allocUnsafe(Math.min(limits.pieceBytes, Math.max(1, file.sizeBytes)));
      for (let at = 0; at < file.sizeBytes || parts.length === 0; at += limits.pieceBytes) {
        const count = await handle.read(piece, at);
        const bytes = piece.subarray(0, count);
        whole.update(bytes);
        parts.push(components.hashes.of(bytes));
      }
      // A file that has changed since it was proven is told to nobody.
      if (Buffer.from(whole.digest()).toString("hex") !== sha) {
        shelf.lose(sha, "damaged");
        return undefined;
      }
      const hashes = Buffer.concat(parts);
      components.counters.add("cache.pieceLists");
      shelf.table.alsoWrite({ key: keys.pieces(sha), value: hashes.toString("base64") });
      return hashes;
    } finally {
      await handle.close();
    }
  }
}
