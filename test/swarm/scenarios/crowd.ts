/**
 * Many machines want one new package at the same time, and the mirror is much slower than they are
 * together: the setting of Slurpie (2004). The bound for each: F / the mirror's rate, F / its own, and
 * all copies over everybody's uplink.
 */
import { setTimeout as delay } from "node:timers/promises";

import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import type { LabMachine } from "../../kit/lab-machine.ts";
import { checkPackages, openBed, sourcesOf } from "../bed.ts";
import type { Bed } from "../bed.ts";
import { median } from "../figures.ts";
import type { Figure } from "../figures.ts";

/** `leaving`: each daemon is killed as soon as its apt has what it wanted. */
export type CrowdVariant = "together" | "staggered" | "leaving" | "direct";

export interface CrowdOptions {
  readonly machines: number;
  readonly sizeBytes: number;
  readonly linkMbit: number;
  readonly mirrorMbit: number;
  readonly variant: CrowdVariant;
  readonly seed: number;
  /** `staggered`: they start within this time. */
  readonly withinMs: number;
}

export const crowd48: Omit<CrowdOptions, "variant" | "seed"> = {
  machines: 48,
  sizeBytes: 20e6,
  linkMbit: 100,
  mirrorMbit: 10,
  withinMs: 60_000,
};

export interface CrowdResult {
  readonly sizeBytes: number;
  readonly boundMs: number;
  /** From the common start, or `staggered`: from each machine's own. */
  readonly timesMs: readonly number[];
  /** Body bytes over the package's size; by the mirror's link, headers included. */
  readonly copies: number;
  readonly requests: number;
  readonly peakMemoryBytes: number;
  /** Bytes from peers over all bytes. */
  readonly peerShare: number;
}

export async function crowd(options: CrowdOptions): Promise<CrowdResult> {
  const link = { upMbit: options.linkMbit, downMbit: options.linkMbit };
  const bed = await openBed({
    packages: [{ name: "new", sizeBytes: options.sizeBytes }],
    machines: options.machines,
    link,
    mirrorLink: { upMbit: options.mirrorMbit, downMbit: options.mirrorMbit },
  });
  try {
    // Everybody knows the indexes; those who already had them give them to the others.
    for (const machine of bed.machines) await machine.aptOk(["update"]);
    await delay(5000);
    bed.mirror.reset();
    return await run(bed, options);
  } finally {
    await bed.close();
  }
}

async function run(bed: Bed, options: CrowdOptions): Promise<CrowdResult> {
  const { archive, machines, mirror } = bed;
  const random = new SeededRandom(options.seed);
  const spanMs = options.variant === "staggered" ? options.withinMs : 0;
  const peaks: number[] = [];
  const shares: { peers: number; mirror: number }[] = [];
  const timesMs = await Promise.all(
    machines.map(async (machine) => {
      await delay(spanMs * random.next());
      return one(machine, options.variant, { peaks, shares });
    }),
  );
  for (const machine of machines) await checkPackages(machine, archive, ["new"]);
  const traffic = mirror.traffic();
  const { sizeBytes } = archive.package("new");
  const fromPeers = shares.reduce((sum, { peers }) => sum + peers, 0);
  const fromMirror = shares.reduce((sum, each) => sum + each.mirror, 0);
  return {
    ...{ sizeBytes, timesMs, boundMs: boundMs(sizeBytes, options), requests: traffic.requests },
    copies: traffic.wireBytes / sizeBytes,
    peakMemoryBytes: Math.max(0, ...peaks),
    peerShare: fromPeers / Math.max(1, fromPeers + fromMirror),
  };
}

async function one(
  machine: LabMachine,
  variant: CrowdVariant,
  seen: { readonly peaks: number[]; readonly shares: { peers: number; mirror: number }[] },
): Promise<number> {
  const install = ["install", "--download-only", "new"];
  const { milliseconds } = await machine.aptOk(install, variant === "direct" ? "direct" : "daemon");
  seen.peaks.push(machine.peakMemoryBytes());
  if (variant === "leaving") {
    await machine.stop("SIGKILL");
    return milliseconds;
  }
  const { fromMirror, fromPeers } = await sourcesOf(machine);
  seen.shares.push({ peers: fromPeers, mirror: fromMirror });
  return milliseconds;
}

/** Kumar and Ross, 2006: the least time for all of them, uplinks, downlinks and server together. */
export function boundMs(
  sizeBytes: number,
  { machines, linkMbit, mirrorMbit }: Pick<CrowdOptions, "machines" | "linkMbit" | "mirrorMbit">,
): number {
  const megabits = (sizeBytes * 8) / 1e6;
  const seconds = Math.max(
    megabits / mirrorMbit,
    megabits / linkMbit,
    (machines * megabits) / (mirrorMbit + machines * linkMbit),
  );
  return seconds * 1000;
}

export function crowdFigures(
  result: CrowdResult,
  { variant, machines }: CrowdOptions,
): readonly Figure[] {
  const seconds = result.timesMs.map((each) => each / 1000);
  const asked = variant !== "direct";
  const bound = result.boundMs / 1000;
  return [
    {
      variant,
      measure: "last finisher",
      unit: "s",
      value: Math.max(...seconds),
      bound,
      ...(asked && { atMost: 1.4 }),
    },
    { variant, measure: "median finisher", unit: "s", value: median(seconds), bound },
    {
      variant,
      measure: "copies sent by the mirror, with headers",
      unit: "copies",
      value: result.copies,
      ...(asked && { atMost: 1.4 }),
      direct: machines,
    },
    { variant, measure: "requests to the mirror", unit: "requests", value: result.requests },
    { variant, measure: "bytes from peers", unit: "share", value: result.peerShare },
    {
      variant,
      measure: "most memory of a daemon",
      unit: "MB",
      value: result.peakMemoryBytes / 1e6,
      atMost: 250,
    },
  ];
}
