/**
 * Keeps the daemon below the memory that it may have, so that it is never killed in the middle of an
 * apt run: near the limit it takes on nothing for others, and nothing that costs more than the mirror
 * alone. apt is always served.
 *
 * What counts is the process's own memory: the page cache counts towards a control group's limit,
 * too, but the kernel takes that back before it kills.
 */
import type { Counters } from "../base/counters.ts";
import type { Clock, Log } from "../base/ports.ts";
import { MiB, second } from "../base/units.ts";

export interface MemoryGuardParts {
  readonly clock: Clock;
  readonly counters: Counters;
  readonly log: Log;
  readonly rssBytes: () => number;
  /** Of the control group; undefined: there is none. */
  readonly limitBytes: number | undefined;
}

/** From here on others are refused, until it is clearly less: 256 MiB leave apt 38 MiB. */
const highShare = 0.85;
const lowShare = 0.75;
/** Reading it takes some 20 µs, and requests come in thousands. */
const believedMs = second / 4;
/** At rest some 90 MiB; a busy swarm, large indexes and garbage that waits come on top. */
const neededBytes = 192 * MiB;

export class MemoryGuard {
  readonly #parts: MemoryGuardParts;
  #readMs = -Infinity;
  #tight = false;

  constructor(parts: MemoryGuardParts) {
    this.#parts = parts;
  }

  get limitBytes(): number | undefined {
    return this.#parts.limitBytes;
  }

  /** Says in the log if the limit is too low for what the daemon does. */
  warn(): void {
    const { limitBytes, log } = this.#parts;
    if (limitBytes === undefined || limitBytes >= neededBytes) return;
    log.warn("memory-limit-low", { limitBytes, neededBytes, effect: "peers are often refused" });
  }

  /** True: such work has to be refused for now; counted under its name. */
  refuses(what: "uploads" | "downloads"): boolean {
    if (!this.#isTight()) return false;
    this.#parts.counters.add(`daemon.memory.refused.${what}`);
    return true;
  }

  #isTight(): boolean {
    const { clock, limitBytes, log, rssBytes } = this.#parts;
    if (limitBytes === undefined) return false;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#readMs < believedMs) return this.#tight;
    this.#readMs = nowMs;
    const rss = rssBytes();
    const tight = rss > limitBytes * (this.#tight ? lowShare : highShare);
    if (tight !== this.#tight) {
      if (tight) log.warn("memory-tight", { rssBytes: rss, limitBytes });
      else log.info("memory-eased", { rssBytes: rss, limitBytes });
    }
    this.#tight = tight;
    return tight;
  }
}
