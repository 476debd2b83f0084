/** What the benches of the living laboratory share: options, cost of a run, and the way to print it. */
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";

export interface LabOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly hours: number;
  /** Keys that each node publishes. */
  readonly keys: number;
  /** Share of the nodes that are behind NATs. */
  readonly nat: number;
  readonly json: boolean;
  /** Where the JSON is to be written besides; undefined: nowhere. */
  readonly out: string | undefined;
}

export function labOptions(
  defaults: Pick<LabOptions, "nodes" | "hours"> & Partial<Pick<LabOptions, "keys" | "nat">>,
): LabOptions {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: "1" },
      nodes: { type: "string", default: String(defaults.nodes) },
      hours: { type: "string", default: String(defaults.hours) },
      keys: { type: "string", default: String(defaults.keys ?? 5) },
      nat: { type: "string", default: String(defaults.nat ?? 0.5) },
      json: { type: "boolean", default: false },
      out: { type: "string" },
    },
  });
  const { json, out } = values;
  return {
    ...{ seed: Number(values.seed), nodes: Number(values.nodes), hours: Number(values.hours) },
    ...{ keys: Number(values.keys), nat: Number(values.nat), json, out },
  };
}

/** What a run took of this machine. */
export interface Cost {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly datagramsPerCpuSecond: number;
  readonly rssMiB: number;
  /** Of the machine: a busy one is slower, so wall seconds alone say little. */
  readonly cores: number;
}

export async function timed<T>(
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly cost: (datagrams: number) => Cost }> {
  const startMs = performance.now();
  const startCpu = process.cpuUsage();
  const result = await run();
  const wallSeconds = tenths((performance.now() - startMs) / 1000);
  const { user, system } = process.cpuUsage(startCpu);
  const cpuSeconds = tenths((user + system) / 1e6);
  return {
    result,
    cost: (datagrams) => ({
      ...{ wallSeconds, cpuSeconds, cores: cpus().length },
      datagramsPerCpuSecond: Math.round(datagrams / Math.max(0.1, cpuSeconds)),
      rssMiB: Math.round(process.memoryUsage().rss / 2 ** 20),
    }),
  };
}

/** The row as JSON or as a table with what matters; to a file, always as JSON. */
export function print(
  { json, out }: Pick<LabOptions, "json" | "out">,
  row: object,
  lines: readonly (readonly [name: string, value: string])[],
): void {
  const text = JSON.stringify(row, undefined, 1);
  if (out !== undefined) writeFileSync(out, `${text}\n`);
  if (json) console.log(text);
  else for (const [name, value] of lines) console.log(`${name.padEnd(34)} ${value}`);
}

function tenths(value: number): number {
  return Math.round(10 * value) / 10;
}
