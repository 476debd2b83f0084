/** The report of a run: one object for programs, one page for people, and figures. Pure. */
import { percentile } from "../../src/sim/statistics.ts";
import type { Action } from "./actor.ts";
import { figures } from "./report-figures.ts";
import { reportPage } from "./report-page.ts";
import type { HostResult, PhaseResult, RunResult } from "./run.ts";

export interface Circumstances {
  readonly scenario: string;
  readonly about: string;
  readonly seed: number;
  /** ISO 8601. */
  readonly date: string;
  readonly kind: "namespaces" | "hosts";
  readonly version: string;
  readonly notes: readonly string[];
  readonly machine: Readonly<Record<string, string | number>>;
}

/** Of all runs of one kind (install, get, …) in a phase; times in seconds, of those that went well. */
export interface TimesRow {
  readonly phase: string;
  readonly do: string;
  readonly count: number;
  readonly failed: number;
  readonly median: number;
  readonly p90: number;
  readonly last: number;
}

export interface Report extends Circumstances {
  readonly ok: boolean;
  readonly phases: readonly PhaseResult[];
  readonly times: readonly TimesRow[];
  readonly hosts: readonly Omit<HostResult, "log">[];
  readonly actions: readonly Action[];
  /** `NAME: what went wrong`, of hosts. */
  readonly failures: readonly string[];
  readonly figures: readonly string[];
}

/** File name → content. */
export type ReportFiles = Readonly<Record<string, string>>;

/** What takes time; the rest is only done. */
export const timedActions: readonly string[] = ["update", "install", "get"];

export function reportOf(circumstances: Circumstances, result: RunResult): Report {
  const failures = result.hosts.flatMap(({ name, failures: all }) =>
    all.map((each) => `${name}: ${each}`),
  );
  return {
    ...circumstances,
    ok: failures.length === 0,
    phases: result.phases,
    times: timesOf(result),
    hosts: result.hosts.map(withoutLog),
    actions: result.actions,
    failures,
    figures: Object.keys(figures(circumstances.scenario, result)),
  };
}

export function reportFiles(circumstances: Circumstances, result: RunResult): ReportFiles {
  const report = reportOf(circumstances, result);
  const logs = result.hosts.flatMap(({ name, log }) =>
    log === "" ? [] : [[`logs/${name}.log`, log] as const],
  );
  return {
    "report.json": `${JSON.stringify(report, undefined, 1)}\n`,
    "report.md": reportPage(report),
    ...figures(circumstances.scenario, result),
    ...Object.fromEntries(logs),
  };
}

function withoutLog({ log: _log, ...rest }: HostResult): Omit<HostResult, "log"> {
  return rest;
}

function timesOf({ phases, actions }: RunResult): readonly TimesRow[] {
  return phases.flatMap(({ name }) =>
    timedActions.flatMap((kind) => {
      const all = actions.filter((each) => each.phase === name && each.do === kind);
      if (all.length === 0) return [];
      const sorted = all
        .flatMap(({ ok, milliseconds }) => (ok ? [milliseconds / 1000] : []))
        .sort((a, b) => a - b);
      const at = (share: number): number => Number(percentile(sorted, share).toFixed(3));
      return [
        {
          ...{ phase: name, do: kind, count: all.length, failed: all.length - sorted.length },
          ...{ median: at(50), p90: at(90), last: at(100) },
        },
      ];
    }),
  );
}
