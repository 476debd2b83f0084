/**
 * Many small packages: from a peer of the own network, and, with nobody about, through a daemon that is
 * alone. Both beside apt that asks the mirror itself, 20 ms and 50 Mbit/s away.
 */
import { setTimeout as delay } from "node:timers/promises";

import { checkPackages, difference, openBed, sourcesOf } from "../bed.ts";
import type { Figure } from "../figures.ts";
import type { LabMachine } from "../../kit/lab-machine.ts";

export interface SmallOptions {
  readonly packages: number;
  readonly variant: "peer" | "alone";
}

export async function small({ packages, variant }: SmallOptions): Promise<readonly Figure[]> {
  const specs = Array.from({ length: packages }, (_, index) => ({
    name: `s${String(index).padStart(3, "0")}`,
    sizeBytes: 5_000 + Math.round((55_000 * index) / packages),
  }));
  const bed = await openBed({
    packages: specs,
    machines: variant === "peer" ? 2 : 1,
    mirrorLink: { upMbit: 50, downMbit: 50 },
    mirrorRoundTripMs: 20,
  });
  try {
    const [newcomer, seed] = bed.machines;
    if (newcomer === undefined) throw new Error("a machine is needed");
    const names = specs.map(({ name }) => name);
    const install = ["install", "--download-only", ...names];
    for (const machine of bed.machines) await machine.aptOk(["update"]);
    await seed?.aptOk(install);
    await delay(4000);
    const direct = await time(newcomer, install, "direct");
    await checkPackages(newcomer, bed.archive, names);
    newcomer.forgetPackages();
    const before = await sourcesOf(newcomer);
    const through = await time(newcomer, install, "daemon");
    await checkPackages(newcomer, bed.archive, names);
    const { fromPeers, fromMirror } = difference(await sourcesOf(newcomer), before);
    const atMost = variant === "peer" ? 1 : 1.1;
    return [
      // The bound is apt without us: that is what it is to be compared with.
      { variant, measure: "time", unit: "s", value: through, bound: direct, direct, atMost },
      {
        variant,
        measure: "bytes from the peer",
        unit: "share",
        value: fromPeers / Math.max(1, fromPeers + fromMirror),
        ...(variant === "peer" && { atLeast: 0.98 }),
      },
    ];
  } finally {
    await bed.close();
  }
}

async function time(
  machine: LabMachine,
  args: readonly string[],
  way: "daemon" | "direct",
): Promise<number> {
  return (await machine.aptOk(args, way)).milliseconds / 1000;
}
