/** What the lookups of an experiment came to. Times in milliseconds. */
import { summary } from "../statistics.ts";
import type { Summary } from "../statistics.ts";
import type { Probe, Prober } from "./prober.ts";

export interface LookupReport {
  readonly lookups: number;
  /** Their values did not come within `probePatienceMs`. */
  readonly missed: number;
  /** Share of the lookups that had their value; 1 without any. */
  readonly success: number;
  readonly firstValue: Summary;
  readonly done: Summary;
  /** Datagrams sent, per lookup. */
  readonly messages: number;
  /** Keys drawn that their publisher knew to be placed nowhere, and askers that went away. */
  readonly unplaced: number;
  readonly abandoned: number;
  /** The first misses, for those who look for the reason. */
  readonly misses: readonly MissReport[];
}

export interface MissReport {
  readonly atMinute: number;
  /** Running nodes that held the value, and of them those that strangers reached. */
  readonly holders: number;
  readonly reachableHolders: number;
  readonly askerAgeMinutes: number | undefined;
  readonly publisherAgeMinutes: number | undefined;
  readonly askerOverloaded: boolean;
}

const reportedMisses = 20;

export function lookupReport(prober: Prober, nowMs: number): LookupReport {
  const { probes, misses, unplaced, abandoned } = prober;
  const messages = probes.reduce((sum, probe) => sum + probe.messages, 0);
  return {
    ...{ lookups: probes.length, missed: misses.length, unplaced, abandoned },
    success: 1 - misses.length / Math.max(1, probes.length),
    firstValue: summary(probes.flatMap(({ firstMs }) => firstMs ?? [])),
    done: summary(probes.flatMap(({ doneMs }) => doneMs ?? [])),
    messages: rounded(messages / Math.max(1, probes.length), 1),
    misses: misses.slice(0, reportedMisses).map((probe) => missReport(probe, nowMs)),
  };
}

function missReport(probe: Probe, nowMs: number): MissReport {
  const { atMs, asker, publisher, holders, reachableHolders } = probe;
  const age = (sinceMs: number | undefined): number | undefined =>
    sinceMs === undefined || nowMs < atMs ? undefined : rounded((atMs - sinceMs) / 60_000, 1);
  return {
    ...{ atMinute: rounded(atMs / 60_000, 1), holders, reachableHolders },
    askerAgeMinutes: age(asker.run?.sinceMs),
    publisherAgeMinutes: age(publisher.run?.sinceMs),
    askerOverloaded: asker.traits.overloaded,
  };
}

/** With so many digits behind the point. */
export function rounded(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}
