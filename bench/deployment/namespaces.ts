/** Hosts as network namespaces of this machine, on the bed that bench/swarm-real.ts uses as well. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

import { LabMachine } from "../../test/kit/lab-machine.ts";
import type { Program } from "../../test/kit/lab-machine.ts";
import type { NetLab, Place } from "../../test/kit/netlab.ts";
import { scratchDirectory } from "../../test/kit/scratch.ts";
import { openBed, realisticPackages } from "../../test/swarm/bed.ts";
import type { Bed } from "../../test/swarm/bed.ts";
import { startLiar } from "../../test/swarm/helpers.ts";
import { ScenarioProblem } from "./fields.ts";
import type { BedOptions, HostRun, HostStatus, LabBed, LabHost, Settings } from "./host.ts";
import type { Located, Member } from "./plan.ts";
import type { LabLink, Scenario } from "./scenario.ts";

export async function openNamespaces(
  members: readonly Member[],
  { scenario, debs }: BedOptions,
): Promise<LabBed> {
  if (scenario.archive.sources.length > 0) {
    throw new ScenarioProblem("archive.sources: namespaces reach no network; use made packages");
  }
  const unpacked = debs[0] === undefined ? undefined : unpackedDeb(debs[0]);
  try {
    const bed = await openBed({
      ...{ packages: packagesOf(scenario), machines: 0, network: scenario.network },
      ...{ mirrorLink: given(scenario.mirror), mirrorRoundTripMs: scenario.mirror.roundTrip },
      ...(unpacked !== undefined && { program: unpacked.program }),
    });
    const { lab } = bed;
    if (lab === undefined) throw new Error("a laboratory is needed");
    const close = async (): Promise<void> => {
      await bed.close();
      unpacked?.remove();
    };
    try {
      const places = members.map((member) => located(bed, lab, { member, scenario }));
      return { ...around(bed, lab, places), close };
    } catch (error) {
      await close();
      throw error;
    }
  } catch (error) {
    unpacked?.remove();
    throw error;
  }
}

export function packagesOf({
  archive,
}: Scenario): readonly { readonly name: string; readonly sizeBytes: number }[] {
  const named = archive.packages.map(({ name, size }) => ({ name, sizeBytes: size }));
  return [
    ...named,
    ...realisticPackages(archive.realistic).map(({ name, sizeBytes = 0 }) => ({ name, sizeBytes })),
  ];
}

type NamespacePlace = Located & { readonly host: NamespaceHost; readonly place: Place };

function around(bed: Bed, lab: NetLab, places: readonly NamespacePlace[]): Omit<LabBed, "close"> {
  const placesOf = (members: readonly Member[]): readonly Place[] =>
    places.flatMap(({ member, place }) => (members.includes(member) ? [place] : []));
  return {
    kind: "namespaces",
    places,
    made: { archive: bed.archive, mirror: bed.mirror },
    notes: [],
    settings: {},
    // All at once, each would be slow enough to seem dead.
    width: 4,
    network: {
      partition: (members) => lab.partition(placesOf(members)),
      heal: (members) => lab.heal(placesOf(members)),
      setLink: (member, link) => {
        for (const place of placesOf([member])) lab.hostOf(place).setLink(given(link));
      },
    },
    startLiars: async () => {
      const victims = places.flatMap(({ member, endpoint }) =>
        member.group.liar === undefined ? [endpoint] : [],
      );
      for (const { member, place } of places) {
        const kind = member.group.liar;
        if (kind !== undefined) await startLiar(bed.archive, { place, kind, victims });
      }
    },
  };
}

function located(
  bed: Bed,
  lab: NetLab,
  { member, scenario }: { readonly member: Member; readonly scenario: Scenario },
): NamespacePlace {
  const { nat, link } = member.group;
  const place =
    nat === "none" ? lab.addHost(given(link)) : lab.addRouter(given(link), nat).addHost();
  const { address } = place;
  const own = { ...scenario.settings["proxy"], ...member.group.settings["proxy"] };
  const port = Number(own["port"] ?? 9977);
  const host = new NamespaceHost(bed, place, port);
  return { member, address, endpoint: `${address}:${port}`, host, place };
}

/** Without what is not given. */
function given({ up, down }: LabLink): { upMbit?: number; downMbit?: number } {
  return {
    ...(up !== undefined && { upMbit: up }),
    ...(down !== undefined && { downMbit: down }),
  };
}

class NamespaceHost implements LabHost {
  readonly #bed: Bed;
  readonly #place: Place;
  readonly #port: number;
  #machine: LabMachine | undefined;

  constructor(bed: Bed, place: Place, port: number) {
    this.#bed = bed;
    this.#place = place;
    this.#port = port;
  }

  install(settings: Settings): Promise<void> {
    this.#machine = this.#bed.makeMachine(this.#place, { settings, port: this.#port });
    return Promise.resolve();
  }

  start(): Promise<void> {
    return this.#installed.start();
  }

  stop(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    return this.#installed.stop(signal);
  }

  freeze(): Promise<void> {
    return this.#signal("SIGSTOP");
  }

  thaw(): Promise<void> {
    return this.#signal("SIGCONT");
  }

  apt(args: readonly string[], way: "daemon" | "direct"): Promise<HostRun> {
    return this.#installed.apt(args, way);
  }

  async packages(): Promise<ReadonlySet<string>> {
    return new Set((await this.#installed.packages()).values());
  }

  forget(): Promise<void> {
    this.#installed.forgetPackages();
    this.#installed.forgetLists();
    return Promise.resolve();
  }

  get(words: readonly string[]): Promise<HostRun> {
    return this.#installed.commandInto("sha256sum", "get", ...words, "--output", "-");
  }

  share(path: string): Promise<HostRun> {
    return this.#installed.command("share", path);
  }

  async status(): Promise<HostStatus> {
    return (await this.#installed.status()) as unknown as HostStatus;
  }

  log(): Promise<string> {
    return Promise.resolve(this.#installed.log);
  }

  get #installed(): LabMachine {
    if (this.#machine === undefined) throw new Error("it was not installed");
    return this.#machine;
  }

  #signal(signal: NodeJS.Signals): Promise<void> {
    const { pid } = this.#installed;
    if (pid === undefined) throw new Error("its daemon does not run");
    process.kill(pid, signal);
    return Promise.resolve();
  }
}

/** What the package would install, in a directory of its own: nothing of this machine is changed. */
function unpackedDeb(path: string): { readonly program: Program; readonly remove: () => void } {
  const scratch = scratchDirectory("deb");
  const { status, stderr } = spawnSync("dpkg-deb", ["-x", path, scratch.path], {
    encoding: "utf8",
  });
  const home = join(scratch.path, "usr/lib/apt-p2p");
  const main = join(home, "cli/main.js");
  if (status !== 0 || !existsSync(main)) {
    scratch.remove();
    throw new ScenarioProblem(`${path} is no package of apt-p2p: ${stderr.trim()}`);
  }
  const own = join(home, "node");
  const program = { node: existsSync(own) ? own : process.execPath, main };
  return { program, remove: scratch.remove };
}
