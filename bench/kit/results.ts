/**
 * Figures of a run by measure and server: all values are kept, medians reported.
 */

export interface Figure {
  readonly median: number;
  readonly runs: readonly number[];
}

export interface Measure {
  readonly name: string;
  readonly unit: string;
  readonly figures: Readonly<Record<string, Figure>>;
}

export class Results {
  readonly #units = new Map<string, string>();
  readonly #values = new Map<string, Map<string, number[]>>();

  /** `measure` names what was measured, `server` who was. */
  add(measure: string, unit: string, server: string, value: number): void {
    this.#units.set(measure, unit);
    const servers = this.#values.get(measure) ?? new Map<string, number[]>();
    this.#values.set(measure, servers);
    const values = servers.get(server) ?? [];
    servers.set(server, values);
    values.push(value);
  }

  /** Median of a measure, or undefined if it was not taken. */
  median(measure: string, server: string): number | undefined {
    const values = this.#values.get(measure)?.get(server);
    return values === undefined ? undefined : median(values);
  }

  measures(): readonly Measure[] {
    return [...this.#values].map(([name, servers]) => ({
      name,
      unit: this.#units.get(name) ?? "",
      figures: Object.fromEntries(
        [...servers].map(([server, runs]) => [
          server,
          { median: rounded(median(runs)), runs: runs.map(rounded) },
        ]),
      ),
    }));
  }
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** Quantile with linear interpolation; NaN of nothing. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const position = (sorted.length - 1) * share;
  const low = sorted[Math.floor(position)] ?? Number.NaN;
  const high = sorted[Math.ceil(position)] ?? Number.NaN;
  return low + (high - low) * (position - Math.floor(position));
}

/** Four significant digits: more would be noise. */
export function rounded(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(4)) : 0;
}

/** Rows as an aligned table; the first column to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
  }
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd();
  return rows.map(line).join("\n");
}
