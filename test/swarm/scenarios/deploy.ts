/**
 * Mass deployment, the setting of SystemImager: machines fetch one large image from one server whose
 * link is as fast as each of theirs, by `apt-p2p get`, into a pipe. The bound grows hardly with their number: everybody's uplink helps.
 */
import { setTimeout as delay } from "node:timers/promises";

import { openBed } from "../bed.ts";
import { median } from "../figures.ts";
import type { Figure } from "../figures.ts";
import { boundMs } from "./crowd.ts";

export interface DeployOptions {
  readonly machines: number;
  readonly sizeBytes: number;
  readonly mbit: number;
}

export async function deploy(options: DeployOptions): Promise<readonly Figure[]> {
  const { machines: count, mbit, sizeBytes } = options;
  const link = { upMbit: mbit, downMbit: mbit };
  const packages = [{ name: "image", sizeBytes }];
  const bed = await openBed({ packages, machines: count, link, mirrorLink: link });
  try {
    const { path, sha256 } = bed.archive.package("image");
    // They have met by then.
    await delay(5000);
    bed.mirror.reset();
    const cpuBefore = await cpuSeconds(bed.machines);
    const seconds = await Promise.all(
      bed.machines.map(async (machine) => {
        const wanted = [`${bed.mirror.url}/${path}`, "--sha256", sha256, "--output", "-"];
        const { code, output, milliseconds } = await machine.commandInto(
          "sha256sum",
          "get",
          ...wanted,
        );
        if (code !== 0 || !output.startsWith(sha256)) {
          throw new Error(`get on ${machine.endpoint}: exit ${code}: ${output}\n${machine.log}`);
        }
        return milliseconds / 1000;
      }),
    );
    const cpu = (await cpuSeconds(bed.machines)) - cpuBefore;
    const bound = boundMs(sizeBytes, { machines: count, linkMbit: mbit, mirrorMbit: mbit }) / 1000;
    const variant = `${count} machines, ${mbit} Mbit/s`;
    const { wireBytes } = bed.mirror.traffic();
    return [
      {
        variant,
        measure: "last finisher",
        unit: "s",
        value: Math.max(...seconds),
        bound,
        atMost: 1.3,
      },
      { variant, measure: "median finisher", unit: "s", value: median(seconds), bound },
      {
        variant,
        measure: "copies sent by the server, with headers",
        unit: "copies",
        value: wireBytes / sizeBytes,
      },
      {
        variant,
        measure: "CPU of all daemons for each GB received",
        unit: "s",
        value: cpu / ((count * sizeBytes) / 1e9),
      },
    ];
  } finally {
    await bed.close();
  }
}

async function cpuSeconds(
  machines: readonly { status(): Promise<{ readonly cpuMs: number }> }[],
): Promise<number> {
  const all = await Promise.all(machines.map((machine) => machine.status()));
  return all.reduce((sum, { cpuMs }) => sum + cpuMs, 0) / 1000;
}
