/** One seed that holds a package whole, and one mirror of equal speed: who gives it? */
import { setTimeout as delay } from "node:timers/promises";

import { checkPackages, difference, openBed, sourcesOf } from "../bed.ts";
import type { Figure } from "../figures.ts";

export interface EqualOptions {
  readonly sizeBytes: number;
  readonly mbit: number;
}

export async function equal({ sizeBytes, mbit }: EqualOptions): Promise<readonly Figure[]> {
  const bed = await openBed({
    packages: [{ name: "one", sizeBytes }],
    machines: 2,
    mirrorLink: { upMbit: 1000, downMbit: 1000 },
  });
  try {
    const [seed, newcomer] = bed.machines;
    if (seed === undefined || newcomer === undefined) throw new Error("two machines are needed");
    const install = ["install", "--download-only", "one"];
    for (const machine of bed.machines) await machine.aptOk(["update"]);
    await seed.aptOk(install);
    await delay(4000);
    bed.lab?.hostOf(seed.place).setLink({ upMbit: mbit });
    bed.lab?.hostOf(bed.mirror.place).setLink({ upMbit: mbit });
    bed.mirror.reset();
    const before = await sourcesOf(newcomer);
    const { milliseconds } = await newcomer.aptOk(install);
    await checkPackages(newcomer, bed.archive, ["one"]);
    const { fromPeers, fromMirror } = difference(await sourcesOf(newcomer), before);
    const { wireBytes } = bed.mirror.traffic();
    newcomer.forgetPackages();
    const direct = await newcomer.aptOk(install, "direct");
    const variant = "default";
    return [
      {
        variant,
        measure: "bytes from the seed, by counters",
        unit: "share",
        value: fromPeers / (fromPeers + fromMirror),
        atLeast: 0.9,
      },
      {
        variant,
        measure: "bytes not from the mirror, by its link",
        unit: "share",
        value: 1 - wireBytes / sizeBytes,
        atLeast: 0.9,
      },
      {
        variant,
        measure: "time",
        unit: "s",
        value: milliseconds / 1000,
        bound: (sizeBytes * 8) / 1e6 / mbit,
        direct: direct.milliseconds / 1000,
      },
    ];
  } finally {
    await bed.close();
  }
}
