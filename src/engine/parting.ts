/** Keeps the reader of a file waiting for a moment, if what it has last would go with it. */
import type { Counters } from "../base/counters.ts";
import type { Clock } from "../base/ports.ts";

/** Between two looks at what others have got meanwhile. */
const lookMs = 20;

interface Parting {
  /** Whether others would be left without something; see swarm/rarity.ts. */
  readonly rare: () => boolean;
  /** How long it may take; asked when something is rare. */
  readonly allowMs: () => number;
  /** Nobody waits any more. */
  readonly over: () => boolean;
}

/** Resolves when nothing is rare any more, or the time is over. */
export async function part(
  { clock, counters }: { readonly clock: Clock; readonly counters: Counters },
  { rare, allowMs, over }: Parting,
): Promise<void> {
  if (!rare()) return;
  const untilMs = clock.monotonicMs() + allowMs();
  const ended = (): boolean => over() || clock.monotonicMs() >= untilMs;
  if (ended()) return;
  counters.add("swarm.partings");
  while (rare() && !ended()) {
    await new Promise<void>((resolve) => void clock.after(lookMs, resolve));
  }
}
