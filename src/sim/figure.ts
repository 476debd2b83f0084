/**
 * The figures of the benches, as SVG text: the form of the 2008 paper's figure of response times
 * (bins as its plotting program made them), and cumulative distributions.
 */
import { percentile } from "./statistics.ts";
import { chartSvg, type Axis, type Curve } from "./svg.ts";

/** The paper's bins: centred at 1, 2, … 30 s; the outer ones also hold all that is beyond them. */
const binCount = 30;

/**
 * Each node's average response time, in seconds → the share of nodes in each of the 30 bins; all 0
 * without nodes. Bin i (from 0) holds i + 0.5 ≤ time < i + 1.5.
 */
export function responseTimeBins(seconds: readonly number[]): readonly number[] {
  const counts = new Array<number>(binCount).fill(0);
  for (const time of seconds) {
    const bin = Math.min(binCount, Math.max(1, Math.round(time))) - 1;
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return counts.map((count) => count / Math.max(1, seconds.length));
}

export interface ResponseTimeFigure {
  readonly title: string;
  /** `shares`: of nodes, per bin, as `responseTimeBins` gives them. */
  readonly curves: readonly { readonly name: string; readonly shares: readonly number[] }[];
}

/** The paper's figure: seconds on the x axis, fraction of nodes on the y axis, a line per curve. */
export function responseTimeFigure({ title, curves }: ResponseTimeFigure): string {
  const highest = Math.max(0, ...curves.flatMap(({ shares }) => shares));
  // The paper's axis ends at 0.5; a faster network needs more.
  const top = Math.max(0.5, Math.ceil(10 * highest) / 10);
  return chartSvg({
    title,
    legend: "top right",
    x: {
      ...{ label: "Average response time (s)", from: 0, to: binCount, scale: "linear" },
      ticks: steps(0, binCount, 5).map((value) => [value, String(value)]),
    },
    y: {
      ...{ label: "Fraction of nodes", from: 0, to: top, scale: "linear" },
      ticks: steps(0, top, 0.1).map((value) => [value, value.toFixed(1)]),
    },
    curves: curves.map(({ name, shares }) => ({
      name,
      points: shares.map((share, bin) => [bin + 1, share]),
    })),
  });
}

export interface CdfFigure {
  readonly title: string;
  /** What the values are, with their unit: `First value (ms)`. */
  readonly label: string;
  readonly scale: "linear" | "log";
  /** Values in any order; a curve without any is only in the legend. */
  readonly curves: readonly { readonly name: string; readonly values: readonly number[] }[];
}

/** Values below this have no place on a logarithmic axis: they stand at its left end. */
const leastLogValue = 0.1;
/** Points of one curve; a pixel column each would be 690. */
const cdfPoints = 400;

/** Which share of all values lies at or below x. */
export function cdfFigure({ title, label, scale, curves }: CdfFigure): string {
  const sorted = curves.map(({ values }) => Float64Array.from(values).sort());
  const lowest = Math.min(...sorted.map((values) => values[0] ?? Infinity));
  const highest = Math.max(0, ...sorted.map((values) => values.at(-1) ?? 0));
  return chartSvg({
    title,
    legend: "bottom right",
    x: scale === "log" ? logAxis(label, lowest, highest) : linearAxis(label, highest),
    y: {
      ...{ label: "Cumulative share", from: 0, to: 1, scale: "linear" },
      ticks: steps(0, 1, 0.1).map((value) => [value, value.toFixed(1)]),
    },
    curves: curves.map(({ name }, index) => ({
      name,
      points: cdfOf(sorted[index] ?? new Float64Array()),
    })),
  });
}

function cdfOf(sorted: Float64Array): Curve["points"] {
  if (sorted.length === 0) return [];
  return Array.from({ length: cdfPoints + 1 }, (_, index) => {
    const share = index / cdfPoints;
    return [percentile(sorted, 100 * share), share];
  });
}

/** From 0 to the next round number, with at most ten steps of 1, 2 or 5 times a power of ten. */
function linearAxis(label: string, highest: number): Axis {
  const wanted = highest > 0 ? highest : 1;
  const power = 10 ** Math.floor(Math.log10(wanted / 10));
  const step = ([1, 2, 5].find((each) => wanted <= 10 * each * power) ?? 10) * power;
  const to = Math.ceil(wanted / step) * step;
  const ticks = steps(0, to, step).map((value) => [value, numberText(value)] as const);
  return { label, from: 0, to, scale: "linear", ticks };
}

/** Whole decades around all values; lines at 1, 2 and 5 of each, or at 1 alone where they are many. */
function logAxis(label: string, lowest: number, highest: number): Axis {
  const first = Math.floor(Math.log10(Math.max(leastLogValue, Math.min(lowest, highest))));
  const last = Math.max(first + 1, Math.ceil(Math.log10(Math.max(leastLogValue, highest))));
  const digits = last - first > 4 ? [1] : [1, 2, 5];
  const ticks: number[] = [];
  for (let decade = first; decade < last; decade++) {
    for (const digit of digits) ticks.push(digit * 10 ** decade);
  }
  ticks.push(10 ** last);
  return {
    ...{ label, from: 10 ** first, to: 10 ** last, scale: "log" },
    ticks: ticks.map((value) => [value, numberText(value)] as const),
  };
}

/** Multiples, not sums, so that errors of rounding do not add up. */
function steps(from: number, to: number, step: number): number[] {
  const count = Math.round((to - from) / step);
  return Array.from({ length: count + 1 }, (_, index) => from + index * step);
}

function numberText(value: number): string {
  return String(Number(value.toPrecision(6)));
}
