/**
 * What peers beyond the own network may still have: within certain hours, and of what was set for a
 * calendar month, by the machine's clock. What was taken is counted across restarts.
 */
import { errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Clock, Log } from "../base/ports.ts";
import type { KeyValue } from "../base/storage.ts";
import type { FarAllowance } from "../swarm/upload-gate.ts";

export interface AllowanceSettings {
  /** Minutes since midnight; `untilMinute` before `fromMinute`: on the next day. */
  readonly hours: "always" | { readonly fromMinute: number; readonly untilMinute: number };
  readonly monthBytes: number | "unlimited";
}

interface AllowanceParts {
  readonly kv: KeyValue;
  readonly clock: Clock;
  readonly log: Log;
}

const key = "peers!month";

export class UploadAllowance implements FarAllowance {
  readonly #parts: AllowanceParts;
  readonly #settings: AllowanceSettings;
  #month: string;
  #usedBytes = 0;
  #recordedBytes = 0;
  #stopTimer: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(parts: AllowanceParts, settings: AllowanceSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#month = monthOf(parts.clock.wallMs());
    const { month, bytes } = parseRecord(parts.kv.get(key));
    if (month === this.#month) this.#usedBytes = this.#recordedBytes = bytes;
  }

  get open(): boolean {
    const { hours } = this.#settings;
    if (hours === "always") return true;
    const { fromMinute, untilMinute } = hours;
    const now = new Date(this.#parts.clock.wallMs());
    const minute = now.getHours() * 60 + now.getMinutes();
    return fromMinute < untilMinute
      ? minute >= fromMinute && minute < untilMinute
      : minute >= fromMinute || minute < untilMinute;
  }

  get leftBytes(): number {
    const { monthBytes } = this.#settings;
    this.#turnMonth();
    return monthBytes === "unlimited" ? Infinity : monthBytes - this.#usedBytes;
  }

  /** Taken in this month, or about to be. */
  get usedBytes(): number {
    this.#turnMonth();
    return this.#usedBytes;
  }

  book(bytes: number): void {
    this.#turnMonth();
    this.#usedBytes += bytes;
    this.#recordSoon();
  }

  giveBack(bytes: number): void {
    this.#turnMonth();
    // Of what was booked last month nothing counts in this one.
    this.#usedBytes = Math.max(0, this.#usedBytes - bytes);
    this.#recordSoon();
  }

  /** Records the count. */
  async close(): Promise<void> {
    this.#stopTimer?.();
    this.#record();
    await this.#writing;
  }

  #turnMonth(): void {
    const month = monthOf(this.#parts.clock.wallMs());
    if (month === this.#month) return;
    this.#month = month;
    this.#usedBytes = this.#recordedBytes = 0;
  }

  #recordSoon(): void {
    if (Math.abs(this.#usedBytes - this.#recordedBytes) >= limits.allowanceRecordBytes) {
      this.#record();
      return;
    }
    this.#stopTimer ??= this.#parts.clock.after(limits.allowanceRecordMs, () => this.#record());
  }

  #record(): void {
    const { kv, log } = this.#parts;
    this.#stopTimer?.();
    this.#stopTimer = undefined;
    this.#recordedBytes = this.#usedBytes;
    const value = JSON.stringify({ month: this.#month, bytes: this.#usedBytes });
    this.#writing = this.#writing
      .then(() => kv.batch([{ key, value }]))
      .catch((thrown: unknown) => log.warn("allowance.failed", { error: errorText(thrown) }));
  }
}

function monthOf(wallMs: number): string {
  const date = new Date(wallMs);
  return `${date.getFullYear()}-${date.getMonth() + 1}`;
}

function parseRecord(text: string | undefined): { month?: string; bytes: number } {
  try {
    const { month, bytes } = JSON.parse(text ?? "{}") as { month?: unknown; bytes?: unknown };
    const counted = typeof bytes === "number" && Number.isSafeInteger(bytes) && bytes >= 0;
    return typeof month === "string" && counted ? { month, bytes } : { bytes: 0 };
  } catch {
    return { bytes: 0 };
  }
}
