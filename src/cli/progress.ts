/**
 * One line on a terminal that is written over while long work goes on. Elsewhere nothing: whoever
 * reads a log wants the result.
 */
import { number, record, text } from "./facts.ts";
import { bytesText, countText, durationText, percentText, visible } from "./text.ts";
import type { World } from "./world.ts";

/** Eyes gain nothing from more, and a slow terminal loses. */
const intervalMs = 100;

export class Progress {
  readonly #world: Pick<World, "err" | "wallMs">;
  readonly #title: string;
  readonly #startedMs: number;
  #shownMs = -Infinity;
  #width = 0;

  constructor(title: string, world: Pick<World, "err" | "wallMs">) {
    this.#world = world;
    this.#title = title;
    this.#startedMs = world.wallMs();
  }

  /** `{ done, total, bytes, totalBytes, note }`, each of them optional. */
  show(progress: unknown): void {
    const nowMs = this.#world.wallMs();
    if (!this.#world.err.isTerminal || nowMs - this.#shownMs < intervalMs) return;
    this.#shownMs = nowMs;
    const elapsedMs = nowMs - this.#startedMs;
    const room = Math.max(20, this.#world.err.columns - 1);
    const line = visible(progressText(this.#title, record(progress), elapsedMs)).slice(0, room);
    this.#world.err.write(`\r${line.padEnd(this.#width)}`);
    this.#width = line.length;
  }

  /** Leaves an empty line, for the result to start on. */
  clear(): void {
    if (this.#width > 0) this.#world.err.write(`\r${" ".repeat(this.#width)}\r`);
    this.#width = 0;
  }
}

type Facts = Readonly<Record<string, unknown>>;

function progressText(title: string, facts: Facts, elapsedMs: number): string {
  const [done, total] = [number(facts["done"]), number(facts["total"])];
  const [bytes, totalBytes] = [number(facts["bytes"]), number(facts["totalBytes"])];
  const share = (totalBytes ?? 0) > 0 ? [bytes ?? 0, totalBytes ?? 0] : [done ?? 0, total ?? 0];
  const parts = [
    percentText(share[0] ?? 0, share[1] ?? 0),
    done === undefined ? "" : `${countText(done)}${of(total, countText)} files`,
    bytes === undefined ? "" : `${bytesText(bytes)}${of(totalBytes, bytesText)}`,
    remainingText(share[0] ?? 0, share[1] ?? 0, elapsedMs),
    text(facts["note"]) ?? "",
  ];
  return `${title}: ${parts.filter((part) => part !== "").join(", ")}`;
}

function of(total: number | undefined, show: (value: number) => string): string {
  return total === undefined ? "" : ` of ${show(total)}`;
}

/** The first seconds say too little. */
function remainingText(part: number, whole: number, elapsedMs: number): string {
  if (elapsedMs < 3000 || part <= 0 || part >= whole) return "";
  return `${durationText((elapsedMs * (whole - part)) / part)} left`;
}
