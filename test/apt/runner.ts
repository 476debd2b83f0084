/** Plays scenarios, several worlds at a time, and compares the tellings of each. */
import { differences } from "./compare.ts";
import type { Telling } from "./compare.ts";
import { Skipped, ways } from "./scenario.ts";
import type { Scenario, Way } from "./scenario.ts";
import { World } from "./world.ts";

export interface Report {
  readonly scenario: Scenario;
  readonly tellings: readonly Telling[];
  readonly differences: readonly string[];
  /** Why it was not played. */
  readonly skipped?: string;
}

export interface RunnerOptions {
  /** Worlds at a time. */
  readonly concurrency: number;
  /** Default: all three. */
  readonly ways?: readonly Way[];
  readonly onReport?: (report: Report) => void;
}

/** The report of each scenario as a promise; all of them are under way when this returns. */
export function play(
  scenarios: readonly Scenario[],
  options: RunnerOptions,
): readonly Promise<Report>[] {
  const gate = new Gate(options.concurrency);
  const chosen = options.ways ?? ways;
  return scenarios.map(async (scenario) => {
    // An hour ago, on a whole second: the archives of all tellings are alike.
    const dateMs = Math.floor(Date.now() / 1000) * 1000 - 3_600_000;
    const told = await Promise.all(
      chosen.map((way) => gate.pass(() => tell(scenario, way, dateMs))),
    );
    const tellings = told.filter((each): each is Telling => !(each instanceof Skipped));
    const skipped = told.find(
      (each): each is Skipped => each instanceof Skipped && !each.thisWayOnly,
    );
    const report: Report =
      skipped === undefined
        ? { scenario, tellings, differences: differences(scenario, tellings) }
        : { scenario, tellings: [], differences: [], skipped: skipped.message };
    options.onReport?.(report);
    return report;
  });
}

async function tell(scenario: Scenario, way: Way, dateMs: number): Promise<Telling | Skipped> {
  const world = await World.create(way, dateMs);
  const begun = performance.now();
  let counters: Readonly<Record<string, number>> = {};
  try {
    await scenario.play(world);
    if (world.throughUs) counters = await world.checkCounters(scenario.counters ?? []);
  } catch (error) {
    if (error instanceof Skipped) return error;
    world.complaints.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
  } finally {
    await world.close();
  }
  return {
    way,
    steps: world.steps,
    complaints: world.complaints,
    ...world.totals,
    milliseconds: Math.round(performance.now() - begun),
    traffic: world.mirrors.flatMap((mirror) =>
      mirror.log.map(
        (each) =>
          `${each.method} ${each.path} ${each.range ?? ""}${each.conditional ? " if-modified" : ""}` +
          ` → ${each.status} ${each.bytes}${each.aborted ? " aborted" : ""}`,
      ),
    ),
    counters,
    daemonLog: world.daemonLog,
  };
}

/** At most so many at a time, in the order of arrival. */
class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(places: number) {
    this.#free = places;
  }

  async pass<T>(action: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await action();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }
}
