import { errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Sha256 } from "../base/sha256.ts";
import type { Room } from "./evict.ts";
import { keys } from "./records.ts";

const hashBytes = 32;

/** `later`: nobody waits for it, and the machine has other things to do. */
export type Urgency = "now" | "later";

interface Job {
  readonly sha: Sha256;
  urgency: Urgency;
  readonly result: Promise<Buffer | undefined>;
  readonly resolve: (hashes: Buffer | undefined) => void;
}

/**
 * The SHA-256 of every piece of whole files: what peers need to check pieces one by one. Computed
 * when somebody asks, one file at a time and piece by piece; recorded as long as the file is held.
 */
export class PieceHashes {
  readonly #room: Room;
  /** Waiting or at work. */
  readonly #jobs = new Map<Sha256, Job>();
  #working: Promise<void> | undefined;
  readonly #ending = new AbortController();

  constructor(room: Room) {
    this.#room = room;
  }

  /** 32 bytes for each piece; undefined: the file is not held, or cannot be read. Never rejects. */
  of(sha: Sha256, urgency: Urgency): Promise<Buffer | undefined> {
    const running = this.#jobs.get(sha);
    if (running !== undefined) {
      if (urgency === "now") running.urgency = urgency;
      return running.result;
    }
    const recorded = this.#recorded(sha);
    if (recorded !== undefined || this.#ending.signal.aborted) return Promise.resolve(recorded);
    let resolve: Job["resolve"] = () => undefined;
    const result = new Promise<Buffer | undefined>((settle) => {
      resolve = settle;
    });
    this.#jobs.set(sha, { sha, urgency, result, resolve });
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
    return result;
  }

  /** What a download has found out about a file that is held now, or will be. */
  note(sha: Sha256, sizeBytes: number, hashes: Uint8Array): void {
    if (hashes.length !== piecesOf(sizeBytes) * hashBytes) {
      throw new Error(`${hashes.length} bytes are not the hashes of ${sizeBytes} bytes`);
    }
    const value = Buffer.from(hashes).toString("base64");
    this.#room.shelf.table.alsoWrite({ key: keys.pieces(sha), value });
  }

  /** Resolves when no file is read any more. */
  async close(): Promise<void> {
    this.#ending.abort();
    await this.#working;
  }

  #recorded(sha: Sha256): Buffer | undefined {
    const { shelf, components } = this.#room;
    const file = shelf.find(sha);
    if (file === undefined) return undefined;
    try {
      const text = components.kv.get(keys.pieces(sha));
      const hashes = Buffer.from(text ?? "", "base64");
      return hashes.length === piecesOf(file.sizeBytes) * hashBytes ? hashes : undefined;
    } catch {
      components.counters.add("cache.readFailures");
      return undefined;
    }
  }

  async #work(): Promise<void> {
    for (let job = this.#next(); job !== undefined; job = this.#next()) {
      const { sha } = job;
      const hashes = await this.#compute(sha).catch((error: unknown) => {
        this.#room.components.log.warn("pieces-failed", { sha256: sha, error: errorText(error) });
        return undefined;
      });
      this.#jobs.delete(sha);
      job.resolve(hashes);
    }
  }

  #next(): Job | undefined {
    const jobs = [...this.#jobs.values()];
    return jobs.find(({ urgency }) => urgency === "now") ?? jobs[0];
  }

  async #compute(sha: Sha256): Promise<Buffer | undefined> {
    const { shelf, components } = this.#room;
    const opened = this.#ending.signal.aborted ? undefined : await shelf.open(sha);
    if (opened === undefined) return undefined;
    const { file, handle } = opened;
    try {
      const parts: Uint8Array[] = [];
      const whole = components.hashes.start();
      const piece = Buffer.allocUnsafe(Math.min(limits.pieceBytes, Math.max(1, file.sizeBytes)));
      for (let at = 0; parts.length < piecesOf(file.sizeBytes); at += limits.pieceBytes) {
        const startedMs = components.clock.monotonicMs();
        const bytes = piece.subarray(0, await handle.read(piece, at));
        whole.update(bytes);
        parts.push(components.hashes.of(bytes));
        if (this.#ending.signal.aborted) return undefined;
        await this.#rest(components.clock.monotonicMs() - startedMs);
      }
      // A file that has changed since it was proven is told to nobody.
      if (Buffer.from(whole.digest()).toString("hex") !== sha) {
        shelf.lose(sha, "damaged");
        return undefined;
      }
      const hashes = Buffer.concat(parts);
      components.counters.add("cache.pieceLists");
      this.note(sha, file.sizeBytes, hashes);
      // What could not be written has been logged, and is computed again one day.
      await shelf.table.flush().catch(() => undefined);
      return hashes;
    } finally {
      await handle.close();
    }
  }

  /** As long as the last piece took, if nobody waits. */
  async #rest(tookMs: number): Promise<void> {
    if ([...this.#jobs.values()].some(({ urgency }) => urgency === "now")) return;
    await new Promise<void>((resolve) => this.#room.components.clock.after(tookMs, resolve));
  }
}

function piecesOf(sizeBytes: number): number {
  return Math.max(1, Math.ceil(sizeBytes / limits.pieceBytes));
}
