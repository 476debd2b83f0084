/** What a row of a bench says about many measured times. */

/**
 * The value below which `p` percent (0 to 100) of the values lie, between two of them linearly
 * interpolated (Hyndman and Fan 1996, type 7). `sorted` ascends; NaN if it is empty.
 */
export function percentile(sorted: ArrayLike<number>, p: number): number {
  const position = (Math.min(100, Math.max(0, p)) / 100) * (sorted.length - 1);
  const below = Math.floor(position);
  const low = sorted[below] ?? NaN;
  const high = sorted[below + 1] ?? low;
  // Not a weighted sum: equal neighbours shall give exactly themselves.
  return low + (position - below) * (high - low);
}

export interface Summary {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

/** Of values in milliseconds, in any order, rounded to whole ones; without values, NaN. */
export function summary(values: Iterable<number>): Summary {
  const sorted = Float64Array.from(values).sort();
  let sum = 0;
  for (const value of sorted) sum += value;
  return {
    count: sorted.length,
    mean: Math.round(sum / sorted.length),
    p50: Math.round(percentile(sorted, 50)),
    p90: Math.round(percentile(sorted, 90)),
    p99: Math.round(percentile(sorted, 99)),
  };
}
