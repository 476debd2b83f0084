/**
 * Two fresh machines of one network: the second `apt-get update` and `install` take packages and
 * indexes from the first, and only signed metadata from the mirror.
 */
import { setTimeout as delay } from "node:timers/promises";

import { checkPackages, difference, openBed, realisticPackages, sourcesOf } from "../bed.ts";
import type { Bed, BedOptions } from "../bed.ts";
import type { Figure } from "../figures.ts";

export interface PairOptions {
  readonly packages?: number;
  readonly network?: BedOptions["network"];
}

export interface PairResult {
  readonly packageBytes: number;
  /** Of package bytes, as the mirror saw it: what it did not send. */
  readonly shareByMirror: number;
  /** By the second machine's counters: bytes of packages and indexes. */
  readonly shareByCounters: number;
  /** Requests of the second machine that the mirror answered with a body, by path. */
  readonly indexesFromMirror: readonly string[];
  readonly packagesFromMirror: readonly string[];
  readonly firstMs: number;
  readonly secondMs: number;
  readonly directMs: number;
}

export async function pair({
  packages = 100,
  network = "near",
}: PairOptions = {}): Promise<PairResult> {
  const bed = await openBed({ packages: realisticPackages(packages), machines: 2, network });
  try {
    return await runPair(bed);
  } finally {
    await bed.close();
  }
}

async function runPair({ archive, machines, mirror }: Bed): Promise<PairResult> {
  const [first, second] = machines;
  if (first === undefined || second === undefined) throw new Error("a pair is two machines");
  const names = archive.packages.map(({ name }) => name);
  const install = ["install", "--download-only", ...names];
  const firstMs = await sum([() => first.aptOk(["update"]), () => first.aptOk(install)]);
  await checkPackages(first, archive, names);
  // Indexes and packages are recorded within a second.
  await delay(2000);

  mirror.reset();
  const before = await sourcesOf(second);
  const secondMs = await sum([() => second.aptOk(["update"]), () => second.aptOk(install)]);
  await checkPackages(second, archive, names);
  const sources = difference(await sourcesOf(second), before);
  const sent = mirror.traffic().answers.filter(({ bytes }) => bytes > 0);

  second.forgetLists();
  second.forgetPackages();
  const directMs = await sum([
    () => second.aptOk(["update"], "direct"),
    () => second.aptOk(install, "direct"),
  ]);
  const packageBytes = archive.packages.reduce((total, { sizeBytes }) => total + sizeBytes, 0);
  const debs = sent.filter(({ path }) => path.endsWith(".deb"));
  return {
    ...{ packageBytes, firstMs, secondMs, directMs },
    shareByMirror: 1 - debs.reduce((total, { bytes }) => total + bytes, 0) / packageBytes,
    shareByCounters: sources.fromPeers / (sources.fromPeers + sources.fromMirror),
    indexesFromMirror: sent.map(({ path }) => path).filter((path) => path.includes("/by-hash/")),
    packagesFromMirror: debs.map(({ path }) => path),
  };
}

async function sum(
  works: readonly (() => Promise<{ readonly milliseconds: number }>)[],
): Promise<number> {
  let total = 0;
  for (const work of works) total += (await work()).milliseconds;
  return total;
}

export function pairFigures(result: PairResult): readonly Figure[] {
  const variant = "default";
  const direct = result.directMs / 1000;
  return [
    {
      variant,
      measure: "package bytes not from the mirror, by its log",
      unit: "share",
      value: result.shareByMirror,
      atLeast: 0.98,
    },
    {
      variant,
      measure: "bytes from the first machine, by counters",
      unit: "share",
      value: result.shareByCounters,
      atLeast: 0.98,
    },
    {
      variant,
      measure: "by-hash indexes from the mirror",
      unit: "files",
      value: result.indexesFromMirror.length,
      atMost: 0,
    },
    {
      variant,
      measure: "time of the second machine",
      unit: "s",
      value: result.secondMs / 1000,
      direct,
    },
    {
      variant,
      measure: "time of the first machine",
      unit: "s",
      value: result.firstMs / 1000,
      direct,
    },
  ];
}
