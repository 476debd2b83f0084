/**
 * Peers that are of little use: half behind routers that let nobody in, all slow, all frozen. Whatever
 * they are, apt must not be later than it would have been with the mirror alone.
 */
import { setTimeout as delay } from "node:timers/promises";

import type { LabMachine } from "../../kit/lab-machine.ts";
import { checkPackages, difference, openBed, realisticPackages, sourcesOf } from "../bed.ts";
import type { Bed } from "../bed.ts";
import type { Figure } from "../figures.ts";

/** `frozen`: they hold everything, have said so, and stop answering (SIGSTOP). */
export type NatVariant = "half behind NAT" | "all behind NAT" | "slow" | "frozen";

export interface NatOptions {
  readonly variant: NatVariant;
  readonly peers: number;
  readonly packages: number;
}

const mirrorMbit = 20;

export async function nat(options: NatOptions): Promise<readonly Figure[]> {
  const bed = await openBed({
    ...{ network: "far", machines: 1, packages: realisticPackages(options.packages) },
    link: { upMbit: 100, downMbit: 100 },
  });
  try {
    return await run(bed, options);
  } finally {
    await bed.close();
  }
}

async function run(bed: Bed, { variant, peers: count }: NatOptions): Promise<readonly Figure[]> {
  const [meeting] = bed.machines;
  const { lab, archive, mirror } = bed;
  if (meeting === undefined || lab === undefined) throw new Error("a laboratory is needed");
  const settings = { dht: [`bootstrap = ${meeting.endpoint}`] };
  const peers: LabMachine[] = [];
  for (let index = 0; index < count; index++) {
    const hidden =
      variant === "all behind NAT" || (variant === "half behind NAT" && index % 2 === 1);
    const place = hidden
      ? lab.addRouter({}, index % 4 === 1 ? "cone" : "symmetric").addHost()
      : lab.addHost();
    peers.push(await bed.addMachine(place, settings));
  }
  const names = archive.packages.map(({ name }) => name);
  const install = ["install", "--download-only", ...names];
  for (const peer of peers) {
    await peer.aptOk(["update"]);
    await peer.aptOk(install);
  }
  const newcomer = await bed.addMachine(lab.addHost({ upMbit: 100, downMbit: 100 }), settings);
  // They have been published by then.
  await delay(20_000);
  lab.hostOf(mirror.place).setLink({ upMbit: mirrorMbit });
  if (variant === "slow") for (const { place } of peers) lab.hostOf(place).setLink({ upMbit: 0.5 });
  await newcomer.aptOk(["update"]);
  const direct = (await newcomer.aptOk(install, "direct")).milliseconds / 1000;
  newcomer.forgetPackages();
  if (variant === "frozen") for (const { pid } of peers) process.kill(pid ?? 0, "SIGSTOP");
  const before = await sourcesOf(newcomer);
  const through = (await newcomer.aptOk(install)).milliseconds / 1000;
  if (variant === "frozen") for (const { pid } of peers) process.kill(pid ?? 0, "SIGCONT");
  await checkPackages(newcomer, archive, names);
  const { fromPeers, fromMirror } = difference(await sourcesOf(newcomer), before);
  return [
    { variant, measure: "time", unit: "s", value: through, atMost: 1.05 * direct + 0.25, direct },
    {
      variant,
      measure: "bytes from peers",
      unit: "share",
      value: fromPeers / Math.max(1, fromPeers + fromMirror),
    },
  ];
}
