/**
 * Says in the DHT which files of the store others may have. The store is looked through at the
 * start, when its totals have changed, and now and then, since what indexes list changes as well.
 *
 * - Content of scope `local` never leaves the own network, whatever is shared.
 * - Files smaller than the least that anybody looks up are not published.
 */
import type { Counters } from "../base/counters.ts";
import type { Clock, Log } from "../base/ports.ts";
import { errorText } from "../base/errors.ts";
import type { Sha256 } from "../base/sha256.ts";
import { hour, second } from "../base/units.ts";
import type { Store } from "../cache/store.ts";
import type { StoredFile } from "../cache/types.ts";
import type { FileValue } from "../krpc/value.ts";
import type { DhtService } from "./dht-service.ts";
import type { Share, SharingStatus } from "./dht-status.ts";

export interface SharingParts {
  readonly store: Pick<Store, "list" | "stats">;
  readonly listed: (digests: ReadonlySet<Sha256>) => ReadonlySet<Sha256>;
  readonly dht: Pick<DhtService, "publish" | "withdraw">;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly log: Log;
}

export interface SharingSettings {
  readonly share: Share;
  readonly leastBytes: number;
}

/** How soon a new file is noticed; one look at the totals. */
const watchMs = 5 * second;
/** While the store changes all the time, looking through it takes a hundredth of the time at most. */
const restShare = 100;
const periodMs = 3 * hour;
/** Files in one question to the catalogue. */
const batchFiles = 256;

/**
 * A file that this daemon has as a whole. Its piece hashes are not known yet, which `none` says for
 * long files as well.
 */
const complete: FileValue = {
  state: { kind: "complete" },
  pieces: { kind: "none" },
  privateAddresses: [],
};

export class Sharing {
  readonly #parts: SharingParts;
  readonly #settings: SharingSettings;
  readonly #shared = new Set<Sha256>();
  #totals = "";
  #scannedMs = -Infinity;
  #tookMs = 0;
  #scannedAtMs: number | undefined;
  #stopTimer: () => void = () => undefined;
  #working: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(parts: SharingParts, settings: SharingSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  start(): void {
    this.#working = this.#look();
  }

  /** Resolves when the store is not read any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopTimer();
    await this.#working;
  }

  status(): SharingStatus {
    return { files: this.#shared.size, scannedAtMs: this.#scannedAtMs };
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { store, clock, log, counters } = this.#parts;
    try {
      const { files, bytes, offeredFiles, offeredBytes } = await store.stats();
      const totals = [files, bytes, offeredFiles, offeredBytes].join();
      const sinceMs = clock.monotonicMs() - this.#scannedMs;
      if (sinceMs >= periodMs || (totals !== this.#totals && sinceMs >= restShare * this.#tookMs)) {
        this.#totals = totals;
        this.#scannedMs = clock.monotonicMs();
        await this.#scan();
        this.#tookMs = clock.monotonicMs() - this.#scannedMs;
      }
    } catch (thrown) {
      counters.add("dht.share.failed");
      log.warn("share-failed", { error: errorText(thrown) });
    }
    if (this.#stopped) return;
    this.#stopTimer = clock.after(watchMs, () => {
      this.#working = this.#look();
    });
  }

  async #scan(): Promise<void> {
    const { store, counters, clock, dht } = this.#parts;
    if (this.#settings.share === "none") return;
    counters.add("dht.share.scans");
    const present = new Set<Sha256>();
    let batch: StoredFile[] = [];
    for await (const file of store.list()) {
      if (this.#stopped) return;
      if (this.#mayBeShared(file)) batch.push(file);
      if (batch.length < batchFiles) continue;
      this.#publish(batch, present);
      batch = [];
    }
    this.#publish(batch, present);
    for (const sha256 of [...this.#shared]) {
      if (present.has(sha256)) continue;
      this.#shared.delete(sha256);
      counters.add("dht.share.withdrawn");
      dht.withdraw(sha256);
    }
    this.#scannedAtMs = clock.wallMs();
  }

  #mayBeShared({ scope, sizeBytes }: StoredFile): boolean {
    return scope === "public" && sizeBytes >= this.#settings.leastBytes;
  }

  #publish(files: readonly StoredFile[], present: Set<Sha256>): void {
    const { listed, dht, counters } = this.#parts;
    const digests = new Set(files.map(({ sha256 }) => sha256));
    const chosen = this.#settings.share === "all" ? digests : listed(digests);
    for (const sha256 of chosen) {
      if (!this.#shared.has(sha256)) {
        if (dht.publish(sha256, complete) !== "published") continue;
        this.#shared.add(sha256);
        counters.add("dht.share.published");
      }
      present.add(sha256);
    }
  }
}
