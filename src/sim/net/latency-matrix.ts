import { AptP2pError } from "../../base/errors.ts";
import { percentile } from "../statistics.ts";
import type { Latency } from "./latency.ts";

/** Hosts of a measured matrix: 16 million numbers, 128 MB; the largest published ones have 2,500. */
const mostRows = 4096;

/**
 * Measured round trips in milliseconds, a row of numbers per host, between them tabs or spaces. Host
 * i has row i modulo the number of rows. A pair has the mean of both directions, or the one that was
 * measured (positive and not NaN), or else the mean of both rows' medians; so has a pair of two hosts
 * in one row. Throws FORMAT, naming the line, for anything else than a square of numbers.
 */
export function matrix(text: string): Latency {
  const rows = parseRows(text);
  const size = rows.length;
  const medians = rows.map(({ values, line }, index) => medianOf(values, index, line));
  const table = new Float64Array(size * size);
  const measured = (a: number, b: number): number => {
    const value = a === b ? undefined : rows[a]?.values[b];
    return value !== undefined && value > 0 ? value : NaN;
  };
  for (let a = 0; a < size; a++) {
    for (let b = 0; b <= a; b++) {
      const there = measured(a, b);
      const back = measured(b, a);
      const either = Number.isNaN(there) ? back : there;
      const both = Number.isNaN(there + back) ? either : (there + back) / 2;
      const typical = ((medians[a] ?? 0) + (medians[b] ?? 0)) / 2;
      const value = Number.isNaN(both) ? typical : both;
      table[a * size + b] = value;
      table[b * size + a] = value;
    }
  }
  return { roundTripMs: (a, b) => table[(a % size) * size + (b % size)] ?? 0 };
}

interface Row {
  readonly line: number;
  readonly values: readonly number[];
}

function parseRows(text: string): readonly Row[] {
  const rows: Row[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    if (rows.length === mostRows) throw wrong(index + 1, `more than ${mostRows} rows`);
    rows.push({
      line: index + 1,
      values: line
        .trim()
        .split(/\s+/)
        .map(numberAt(index + 1)),
    });
  }
  if (rows.length === 0) throw wrong(1, "there are no rows");
  for (const { line, values } of rows) {
    if (values.length === rows.length) continue;
    throw wrong(line, `there must be ${rows.length} numbers, as there are rows: ${values.length}`);
  }
  return rows;
}

function numberAt(line: number): (word: string) => number {
  return (word) => {
    if (/^nan$/i.test(word)) return NaN;
    const value = Number(word);
    if (Number.isFinite(value) && value >= 0) return value;
    throw wrong(line, `this is no time in milliseconds: ${word.slice(0, 40)}`);
  };
}

function medianOf(values: readonly number[], own: number, line: number): number {
  const known = values.filter((value, index) => index !== own && value > 0);
  // A matrix of one host has no other to measure.
  if (known.length === 0 && values.length > 1) throw wrong(line, "no other host was measured");
  return known.length === 0 ? 0 : percentile(Float64Array.from(known).sort(), 50);
}

function wrong(line: number, problem: string): AptP2pError {
  return new AptP2pError("FORMAT", `latency matrix, line ${line}: ${problem}`);
}
