/**
 * What the figures must reach, as ratios within the run where another server is the measure.
 */
import type { Results } from "./kit/results.ts";
import { rounded } from "./kit/results.ts";

export interface Verdict {
  readonly target: string;
  /** The figure or ratio that was found; null if one of its measures was not taken. */
  readonly found: number | null;
  readonly required: string;
  readonly met: boolean | null;
}

interface Target {
  readonly name: string;
  readonly measure: string;
  readonly unit?: string;
  readonly bound: "at least" | "at most";
  readonly limit: number;
  /** Divides our figure by this server's; `minus` subtracts it instead. */
  readonly against?: string;
  readonly againstMeasure?: string;
  readonly minus?: boolean;
}

const nginx = "nginx";
const acng = "apt-cacher-ng";
const direct = "direct";
const large = "100 MB";
const install = "apt install of 1,000 × 20 KB";

const ratios: readonly Target[] = [
  ...["1 client", "4 clients"].map((clients): Target => ({
    name: `warm 100 MB, ${clients}`,
    measure: `${large} warm, ${clients}`,
    bound: "at least",
    limit: 0.55,
    against: nginx,
  })),
  ...["1 client", "4 clients, same file", "4 clients, 4 files"].map((clients): Target => ({
    name: `cold 100 MB, ${clients}`,
    measure: `${large} cold, ${clients}`,
    bound: "at least",
    limit: 0.4,
    against: nginx,
  })),
  ...["1 connection", "8 connections", "64 connections"].map((connections): Target => ({
    name: `warm 20 KB, ${connections}`,
    measure: `20 KB warm, ${connections}`,
    bound: "at least",
    limit: 0.2,
    against: nginx,
  })),
  {
    name: "warm 20 KB, 8 connections",
    measure: "20 KB warm, 8 connections",
    bound: "at least",
    limit: 5,
    against: acng,
  },
  {
    name: "cold 20 KB, 8 connections",
    measure: "20 KB cold, 8 connections",
    bound: "at least",
    limit: 3,
    against: acng,
  },
  ...["cold", "warm"].map((state): Target => ({
    name: `apt install of 1,000 packages, ${state}`,
    measure: `${install}, ${state}`,
    bound: "at most",
    limit: 1.1,
    against: direct,
    againstMeasure: `${install}, direct`,
  })),
  {
    name: "cold apt update of Debian main",
    measure: "apt update of Debian main, cold",
    bound: "at most",
    limit: 1.05,
    against: direct,
  },
];

const firstByte: readonly Target[] = ["20 KB cold", "20 KB warm", "5 MB cold", "5 MB warm"].map(
  (what): Target => ({
    name: `first byte ${what}, p95 behind nginx`,
    measure: `first byte ${what}, p95`,
    bound: "at most",
    limit: 3,
    unit: "ms",
    against: nginx,
    minus: true,
  }),
);

const absolutes: readonly Target[] = [
  {
    name: "warm 100 MB, CPU",
    measure: `${large} warm, 1 client, CPU`,
    bound: "at most",
    limit: 1,
    unit: "s/GB",
  },
  ...["index 65,000 packages during update, own CPU", "index apt's lists at start, own CPU"].map(
    (measure): Target => ({ name: measure, measure, bound: "at most", limit: 1, unit: "s" }),
  ),
  ...["own figure", "seen from outside"].map((how): Target => {
    const measure = `longest event-loop stall, ${how}`;
    return { name: measure, measure, bound: "at most", limit: 50, unit: "ms" };
  }),
  ...["after a restart", "after apt update"].map((when): Target => {
    const measure = `memory at rest ${when}, RSS`;
    return { name: measure, measure, bound: "at most", limit: 90, unit: "MB" };
  }),
  {
    name: "memory serving 20 clients, RSS",
    measure: "memory serving 20 clients, RSS",
    bound: "at most",
    limit: 150,
    unit: "MB",
  },
];

export function verdicts(results: Results): readonly Verdict[] {
  return [...ratios, ...firstByte, ...absolutes].map((target) => verdict(target, results));
}

function verdict(target: Target, results: Results): Verdict {
  const { name, bound, limit, against, minus } = target;
  const sign = bound === "at least" ? "≥" : "≤";
  const of = against === undefined ? (target.unit ?? "") : minus === true ? "ms" : `× ${against}`;
  const required = `${sign} ${String(limit)} ${of}`;
  const found = figure(target, results);
  if (found === undefined) return { target: name, found: null, required, met: null };
  const met = bound === "at least" ? found >= limit : found <= limit;
  return { target: name, found: rounded(found), required, met };
}

function figure(target: Target, results: Results): number | undefined {
  const { measure, against, againstMeasure, minus } = target;
  const ours = results.median(measure, "ours");
  if (ours === undefined || against === undefined) return ours;
  const theirs = results.median(againstMeasure ?? measure, against);
  if (theirs === undefined) return undefined;
  return minus === true ? ours - theirs : ours / theirs;
}
