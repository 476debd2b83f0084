/** What a scenario measured, and rows of it over several runs. */

export interface Figure {
  readonly variant: string;
  readonly measure: string;
  readonly unit: string;
  readonly value: number;
  /** What nobody can do better than, in the same unit. */
  readonly bound?: number;
  /** What the value, or with a bound its ratio to it, must keep to. */
  readonly atMost?: number;
  readonly atLeast?: number;
  /** The same figure of apt without us, in the same run. */
  readonly direct?: number;
}

export interface Row {
  readonly variant: string;
  readonly measure: string;
  readonly unit: string;
  readonly median: number;
  readonly runs: readonly number[];
  readonly bound?: number;
  /** Median to bound. */
  readonly ratio?: number;
  readonly atMost?: number;
  readonly atLeast?: number;
  readonly direct?: number;
  /** undefined: nothing was asked of it. */
  readonly met?: boolean;
}

/** One row for each variant and measure, in the order in which they first came. */
export function rows(figures: readonly Figure[]): readonly Row[] {
  const groups = new Map<string, Figure[]>();
  for (const figure of figures) {
    const key = `${figure.variant}\n${figure.measure}`;
    groups.set(key, [...(groups.get(key) ?? []), figure]);
  }
  return [...groups.values()].map(row);
}

function row(group: readonly Figure[]): Row {
  const [first] = group;
  if (first === undefined) throw new Error("no figure");
  const { variant, measure, unit, atMost, atLeast } = first;
  const value = median(group.map((each) => each.value));
  const bounds = group.flatMap(({ bound }) => (bound === undefined ? [] : [bound]));
  const directs = group.flatMap(({ direct }) => (direct === undefined ? [] : [direct]));
  const bound = bounds.length > 0 ? median(bounds) : undefined;
  const judged = bound === undefined ? value : value / bound;
  const asked = atMost !== undefined || atLeast !== undefined;
  return {
    ...{ variant, measure, unit, median: rounded(value) },
    runs: group.map((each) => rounded(each.value)),
    ...(bound !== undefined && { bound: rounded(bound), ratio: rounded(judged) }),
    ...(directs.length > 0 && { direct: rounded(median(directs)) }),
    ...(atMost !== undefined && { atMost }),
    ...(atLeast !== undefined && { atLeast }),
    ...(asked && { met: judged <= (atMost ?? Infinity) && judged >= (atLeast ?? -Infinity) }),
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2;
}

/** Four significant digits: more would be noise. */
function rounded(value: number): number {
  return Number(value.toPrecision(4));
}
