/**
 * How lookups spend time and messages. The customizations of 2008 (Dale and Liu, "apt-p2p",
 * section "Response Time") are switches, so that each can be measured by itself; `defaultPolicy` is
 * what the daemon runs.
 */
import { dhtLimits } from "../base/dht-limits.ts";
import { minute, second } from "../base/units.ts";
import type { Schedule } from "../krpc/transactions.ts";
import type { TableSettings } from "./routing-table.ts";
import type { Peer } from "./peer-book.ts";

export interface LookupPolicy {
  readonly name: string;
  /** The lookup ends when so many of the closest have answered. */
  readonly k: number;
  /** Queries under way at once, as far as they hold a slot. */
  readonly alpha: number;
  /** Of them, to nodes that are not near the target yet: they only show the way. */
  readonly farAlpha: number;
  /** When a query to this peer is sent again, suspected, given up. */
  readonly schedule: (peer: Peer) => Schedule;
  /** Leap-frog: a query to a node that is no longer among the k closest gives up its slot. */
  readonly leapFrog: boolean;
  /** Early abort: the end comes when the k closest have answered, whatever is under way. */
  readonly earlyAbort: boolean;
  /** A suspect gives up its slot; it is waited for all the same. */
  readonly freeSuspects: boolean;
  /** A suspect counts as absent, too, unless it answers after all. */
  readonly skipSuspects: boolean;
  /** Among the k closest not yet asked, the ones with the shortest round trips go first. */
  readonly rttFirst: boolean;
  /** The lookup ends by then with what it has. */
  readonly limitMs: number;
  /** Values come with find_value's answer; else they are asked for when the search has ended (2008). */
  readonly inlineValues: boolean;
}

/** 2008: sent at 0, 2 and 6 s, given up at 9 s. */
const schedule2008: Schedule = {
  resendMs: [2 * second, 6 * second],
  suspectMs: 9 * second,
  failMs: 9 * second,
};

/** Before re-transmissions: sent once. */
const schedule2008Once: Schedule = { resendMs: [], suspectMs: 12 * second, failMs: 12 * second };

const original: LookupPolicy = {
  name: "original",
  k: 8,
  alpha: 8,
  farAlpha: 8,
  schedule: () => schedule2008Once,
  ...{ leapFrog: false, earlyAbort: false },
  ...{ freeSuspects: false, skipSuspects: false },
  ...{ rttFirst: false, inlineValues: false, limitMs: 2 * minute },
};

/**
 * The steps of 2008, each with all before it. The fourth, re-ping, changes no lookup but the table:
 * see `deadFactor` of the laboratory's contenders.
 */
export const policies2008: readonly LookupPolicy[] = [
  original,
  { ...original, name: "retransmit", schedule: () => schedule2008 },
  { ...original, name: "leapfrog", schedule: () => schedule2008, leapFrog: true },
  {
    ...{ ...original, name: "abort", schedule: () => schedule2008 },
    ...{ leapFrog: true, earlyAbort: true },
  },
  {
    ...{ ...original, name: "reping", schedule: () => schedule2008 },
    ...{ leapFrog: true, earlyAbort: true },
  },
];

/** RFC 6298 without its floor of a second: round trips of apt's neighbours are far shorter. */
export function retransmissionMs({ srttMs, rttvarMs }: Peer): number {
  if (srttMs === undefined) return dhtLimits.firstTimeoutMs;
  const timeout = srttMs + 4 * rttvarMs;
  return Math.min(dhtLimits.longestTimeoutMs, Math.max(dhtLimits.shortestTimeoutMs, timeout));
}

/**
 * Late after one time-out: others are asked instead. Only when these are late as well it is worth
 * sending again, for most lookups have ended by then.
 */
function adaptive(peer: Peer): Schedule {
  const timeout = retransmissionMs(peer);
  return {
    resendMs: [dhtLimits.resendFactor * timeout],
    // A slow host may well be known to be slow: that is no reason to wait for it.
    suspectMs: Math.min(timeout, dhtLimits.longestWaitMs),
    failMs: Math.max((dhtLimits.resendFactor + 2) * timeout, dhtLimits.longestTimeoutMs),
  };
}

/** For stores, pings and refreshes, which nobody waits for: four tries over some seconds. */
export function patientSchedule(peer: Peer): Schedule {
  const timeout = Math.max(retransmissionMs(peer), dhtLimits.patientTimeoutMs);
  const resendMs = [timeout, 2.5 * timeout, 4.5 * timeout];
  return { resendMs, suspectMs: 2 * timeout, failMs: 7 * timeout };
}

export const defaultPolicy: LookupPolicy = {
  name: "default",
  ...{ k: dhtLimits.k, alpha: dhtLimits.alpha, farAlpha: dhtLimits.farAlpha, schedule: adaptive },
  ...{ leapFrog: true, earlyAbort: true },
  ...{ freeSuspects: true, skipSuspects: true },
  ...{ rttFirst: true, inlineValues: true, limitMs: dhtLimits.lookupMs },
};

/** The background pass: waits for the slow as well, so that values go to the true closest. */
export const patientPolicy: LookupPolicy = {
  ...{ ...defaultPolicy, name: "patient", schedule: patientSchedule },
  ...{ leapFrog: false, skipSuspects: false, rttFirst: false, limitMs: minute },
};

export const defaultTable: TableSettings = { bucketSizes: dhtLimits.bucketSizes, rttBias: true };
/** 2008: buckets of 8 everywhere. */
export const table2008: TableSettings = { bucketSizes: [8], rttBias: false };

/** How long a suspicion outlives the lookup that raised it. */
export const suspicionMs = 5 * minute;
