/** What a scenario is: a story that is played three times, and what may differ between the tellings. */
import type { World } from "./world.ts";

/** How apt reaches its mirror: not through us, by URL prefix, or through us as its HTTP proxy. */
export type Way = "direct" | "prefix" | "proxy";

export const ways: readonly Way[] = ["direct", "prefix", "proxy"];

export interface Scenario {
  /** Short and unique, with dashes: `--only NAME` runs it. */
  readonly name: string;
  readonly topic: string;
  /** Takes more than 15 s; only in the full suite. */
  readonly slow?: boolean;
  /** Part of the subset that `npm test` runs. */
  readonly quick?: boolean;
  readonly play: (world: World) => Promise<void>;
  /** Counters of the daemon that must have moved: the story did exercise what it is about. */
  readonly counters?: readonly string[];
  /**
   * By default a run through us ends with the same exit codes, files, messages and reasons as the
   * direct one, and the mirror sees no more requests and bytes. Each exception has its reason.
   */
  readonly differs?: Partial<Record<Aspect, string>>;
}

export type Aspect = "codes" | "files" | "messages" | "reasons" | "requests" | "bytes";

/** Thrown by a story that cannot be told here, or not in this way; the reason says what is missing. */
export class Skipped extends Error {
  readonly thisWayOnly: boolean;

  constructor(reason: string, thisWayOnly = false) {
    super(reason);
    this.thisWayOnly = thisWayOnly;
  }
}
