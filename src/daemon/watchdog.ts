/**
 * Tells systemd that the daemon is well, as long as it is: that the event loop turns, and that each
 * of the given checks passes within its time.
 *
 * A restart interrupts apt, so it must be worth it. Four checks fit into the interval that systemd
 * allows, and one that passes is enough: load, a slow disk or a long pause of the machine make the
 * daemon late, not unwell. Only what a restart can mend is checked.
 */
import type { Counters } from "../base/counters.ts";
import { AptP2pError, errorText } from "../base/errors.ts";
import type { Clock, Log } from "../base/ports.ts";

/** Resolves when all is well. Rejects, or stays silent until `signal` aborts, when it is not. */
export type HealthCheck = (signal: AbortSignal) => Promise<void>;

export interface WatchdogParts {
  /** What systemd allows between two signs of life. */
  readonly intervalMs: number;
  /** By the name that the log gives them. */
  readonly checks: Readonly<Record<string, HealthCheck>>;
  /** Gives the sign of life. */
  readonly tell: () => Promise<unknown>;
  readonly clock: Clock;
  readonly counters: Counters;
  readonly log: Log;
}

const checksPerInterval = 4;

/** Checks from now on → a function that ends it. */
export function startWatchdog(parts: WatchdogParts): () => void {
  const { clock, counters, intervalMs, log, tell } = parts;
  const everyMs = intervalMs / checksPerInterval;
  let ended = false;
  let cancel = (): void => undefined;
  const turn = async (): Promise<void> => {
    const problems = await unwell(parts, everyMs);
    if (ended) return;
    if (problems.length === 0) {
      counters.add("daemon.watchdog.passed");
      await tell();
    } else {
      counters.add("daemon.watchdog.failed");
      log.warn("unwell", { problems: problems.join("; ") });
    }
  };
  const begin = (): void => {
    const nextMs = clock.monotonicMs() + everyMs;
    const again = (): void => {
      // A sign of life that was long under way is followed by the next at once.
      if (!ended) cancel = clock.after(Math.max(1, nextMs - clock.monotonicMs()), begin);
    };
    turn().then(again, again);
  };
  begin();
  return () => {
    ended = true;
    cancel();
  };
}

/** What is wrong; nothing: all is well. */
async function unwell({ checks, clock }: WatchdogParts, withinMs: number): Promise<string[]> {
  const late = new AbortController();
  const cancel = clock.after(withinMs, () => late.abort());
  const problems = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      try {
        await Promise.race([check(late.signal), aborted(late.signal)]);
        return [];
      } catch (thrown) {
        return [`${name}: ${errorText(thrown)}`];
      }
    }),
  );
  cancel();
  return problems.flat();
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(new AptP2pError("CLOSED", "no answer in time")));
  });
}
