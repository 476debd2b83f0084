import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import type { Files } from "../base/storage.ts";

export interface SpaceNeeds {
  readonly files: Files;
  readonly clock: Clock;
  /** Bytes of whole files of our own and of unfinished ones that nobody works on. */
  readonly usedBytes: () => number;
  /**
   * Frees at least `neededBytes`, better `wantedBytes`; nothing if `neededBytes` cannot be reached.
   * Returns what was freed.
   */
  readonly evict: (neededBytes: number, wantedBytes: number) => Promise<number>;
}

export interface SpaceSettings {
  readonly directory: string;
  readonly quotaBytes: number;
  readonly keepFreeBytes: number;
}

interface Sample {
  readonly atMs: number;
  /** Free bytes less what was claimed and not yet written. */
  readonly spareBytes: number;
}

/**
 * Who may write how much. Every file that is being written holds a claim; claims and stored files
 * together stay within the quota, and outstanding claims leave `keepFreeBytes` on the file system.
 */
export class Space {
  readonly #needs: SpaceNeeds;
  readonly #settings: SpaceSettings;
  #claimedBytes = 0;
  #unwrittenBytes = 0;
  #sample: Sample | undefined;
  /** Makers of room wait for each other, so that no two count the same victims. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(needs: SpaceNeeds, settings: SpaceSettings) {
    this.#needs = needs;
    this.#settings = settings;
  }

  get quotaBytes(): number {
    return this.#settings.quotaBytes;
  }

  get claimedBytes(): number {
    return this.#claimedBytes;
  }

  /**
   * Claims room, evicting if need be; `writtenBytes` of it are on the disk already. Rejects with
   * AptP2pError NO_SPACE, or with what the file system says.
   */
  async claim(bytes: number, writtenBytes = 0): Promise<Claim> {
    await this.#make({ bytes, writtenBytes, evicts: true });
    return new Claim(this, { bytes, writtenBytes, evicts: true });
  }

  /** Claims room that is free already: nothing stored goes for it, now or when it grows. */
  async claimSpare(bytes: number): Promise<Claim> {
    await this.#make({ bytes, writtenBytes: 0, evicts: false });
    return new Claim(this, { bytes, writtenBytes: 0, evicts: false });
  }

  /** For Claim: `bytes` more. */
  async grow(bytes: number, evicts: boolean): Promise<void> {
    await this.#make({ bytes, writtenBytes: 0, evicts });
  }

  /** For Claim: claimed bytes have been written. */
  wrote(bytes: number): void {
    this.#unwrittenBytes -= bytes;
  }

  /** For Claim: ends it. What it had written is counted elsewhere from now on, or gone. */
  release(bytes: number, unwrittenBytes: number): void {
    this.#claimedBytes -= bytes;
    this.#unwrittenBytes -= unwrittenBytes;
  }

  /** Free space may have changed behind our back. */
  forgetSample(): void {
    this.#sample = undefined;
  }

  async #make(wish: Wish): Promise<void> {
    const { bytes } = wish;
    if (bytes > this.#settings.quotaBytes) throw tooLarge(bytes, this.#settings.quotaBytes);
    const turn = this.#turn.then(() => this.#makeInTurn(wish));
    this.#turn = turn.catch(() => undefined);
    await turn;
  }

  async #makeInTurn({ bytes, writtenBytes, evicts }: Wish): Promise<void> {
    const newBytes = bytes - writtenBytes;
    if (this.#sampleIsOld()) await this.#takeSample();
    let lackBytes = this.#lack(bytes, newBytes);
    if (lackBytes > 0) {
      await this.#takeSample();
      lackBytes = this.#lack(bytes, newBytes);
    }
    if (lackBytes > 0 && evicts) {
      const slackBytes = Math.floor(this.#settings.quotaBytes * limits.evictionSlackShare);
      const freedBytes = await this.#needs.evict(lackBytes, lackBytes + slackBytes);
      if (freedBytes > 0) await this.#takeSample();
      lackBytes = this.#lack(bytes, newBytes);
    }
    if (lackBytes > 0) throw this.#noSpace(bytes, lackBytes);
    this.#claimedBytes += bytes;
    this.#unwrittenBytes += newBytes;
    if (this.#sample !== undefined) {
      this.#sample = { ...this.#sample, spareBytes: this.#sample.spareBytes - newBytes };
    }
  }

  /** Bytes that are missing for `bytes` more in the quota and `newBytes` more on the disk. */
  #lack(bytes: number, newBytes: number): number {
    const { quotaBytes, keepFreeBytes } = this.#settings;
    const overQuota = this.#needs.usedBytes() + this.#claimedBytes + bytes - quotaBytes;
    const spareBytes = this.#sample?.spareBytes ?? 0;
    const overDisk = newBytes > 0 ? newBytes + keepFreeBytes - spareBytes : 0;
    return Math.max(0, overQuota, overDisk);
  }

  #sampleIsOld(): boolean {
    const nowMs = this.#needs.clock.monotonicMs();
    return this.#sample === undefined || nowMs - this.#sample.atMs >= limits.freeSpaceMs;
  }

  async #takeSample(): Promise<void> {
    const { freeBytes } = await this.#needs.files.space(this.#settings.directory);
    const spareBytes = freeBytes - this.#unwrittenBytes;
    this.#sample = { atMs: this.#needs.clock.monotonicMs(), spareBytes };
  }

  #noSpace(bytes: number, lackBytes: number): AptP2pError {
    const { directory, quotaBytes, keepFreeBytes } = this.#settings;
    return new AptP2pError(
      "NO_SPACE",
      `no room for ${bytes} bytes in ${directory}: ${lackBytes} bytes are missing although ` +
        `everything unused was considered (quota ${quotaBytes}, keep_free ${keepFreeBytes}); ` +
        `raise the quota or free space on that file system`,
    );
  }
}

interface Wish {
  readonly bytes: number;
  /** Of these on the disk already. */
  readonly writtenBytes: number;
  /** Whether stored files may go for it. */
  readonly evicts: boolean;
}

/** The right of one file to grow. */
export class Claim {
  readonly #space: Space;
  #bytes: number;
  #writtenBytes: number;
  readonly #evicts: boolean;
  #ended = false;

  constructor(space: Space, { bytes, writtenBytes, evicts }: Wish) {
    this.#space = space;
    this.#bytes = bytes;
    this.#writtenBytes = writtenBytes;
    this.#evicts = evicts;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Before a write up to `endBytes`: undefined when that is claimed, else resolves when it is. */
  reach(endBytes: number): Promise<void> | undefined {
    if (endBytes <= this.#bytes) return undefined;
    const moreBytes = Math.max(endBytes - this.#bytes, limits.claimStepBytes);
    return this.#space.grow(moreBytes, this.#evicts).then(() => {
      this.#bytes += moreBytes;
      if (this.#ended) this.#space.release(moreBytes, moreBytes);
    });
  }

  /** The file now has this many bytes on the disk (fewer after a restart from the beginning). */
  written(bytes: number): void {
    if (this.#ended) return;
    this.#space.wrote(bytes - this.#writtenBytes);
    this.#writtenBytes = bytes;
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#space.release(this.#bytes, this.#bytes - this.#writtenBytes);
  }
}

/** A tenth of the file system, at most 10 GB. */
export function automaticQuota(totalBytes: number): number {
  return Math.min(Math.floor(totalBytes / 10), 10_000_000_000);
}

function tooLarge(bytes: number, quotaBytes: number): AptP2pError {
  return new AptP2pError(
    "NO_SPACE",
    `${bytes} bytes are more than the whole quota of ${quotaBytes} bytes; raise the quota to store such files`,
  );
}
