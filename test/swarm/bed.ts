/**
 * A bed for deployments: a signed archive, a mirror of it, and machines with real apt and real
 * daemons, in a laboratory of network namespaces or, without root, on this machine's loopback.
 */
import { join } from "node:path";

import { buildArchive } from "../kit/archive.ts";
import type { Archive, PackageSpec } from "../kit/archive.ts";
import { freePort } from "../kit/daemon.ts";
import { LabMachine, startMachines } from "../kit/lab-machine.ts";
import type { MachineOptions, Program } from "../kit/lab-machine.ts";
import { startLabMirror } from "../kit/lab-mirror.ts";
import type { LabMirror } from "../kit/lab-mirror.ts";
import { loopbackPlace, NetLab } from "../kit/netlab.ts";
import type { LabNetwork, Link, Place } from "../kit/netlab.ts";
import { scratchDirectory } from "../kit/scratch.ts";

export interface BedOptions {
  readonly packages: readonly PackageSpec[];
  readonly machines: number;
  /** `loopback` needs no root, and knows no rates. */
  readonly network?: LabNetwork | "loopback";
  /** Of the machines. */
  readonly link?: Link;
  readonly mirrorLink?: Link;
  readonly mirrorRoundTripMs?: number;
  readonly settings?: Readonly<Record<string, readonly string[]>>;
  readonly nodeOptions?: readonly string[];
  /** Another build than this checkout's. */
  readonly program?: Program;
}

export interface Bed {
  readonly archive: Archive;
  readonly mirror: LabMirror;
  readonly machines: readonly LabMachine[];
  /** undefined on loopback. */
  readonly lab: NetLab | undefined;
  /** What a machine of this bed is made with. */
  readonly plan: (place: Place) => MachineOptions;
  /** One more machine, not started; `close` ends it. */
  makeMachine(place: Place, more?: Pick<MachineOptions, "settings" | "port">): LabMachine;
  /** The same, started. */
  addMachine(place: Place, settings?: MachineOptions["settings"]): Promise<LabMachine>;
  close(): Promise<void>;
}

let loopbackBeds = 0;

export async function openBed(options: BedOptions): Promise<Bed> {
  const scratch = scratchDirectory("bed");
  const closing: (() => Promise<void> | void)[] = [scratch.remove];
  const close = async (): Promise<void> => {
    for (const undo of closing.splice(0).reverse()) await undo();
  };
  try {
    const root = join(scratch.path, "mirror");
    const archive = await buildArchive(root, { packages: options.packages });
    const { lab, mirrorPlace, places, ports } = await lay(options);
    closing.push(() => lab?.close());
    const mirror = await startLabMirror({
      ...{ place: mirrorPlace, root, port: ports.mirror },
      roundTripMs: options.mirrorRoundTripMs ?? 0,
    });
    closing.push(() => mirror.close());
    const onLoopback =
      lab === undefined ? loopbackSettings(mirrorPlace, places, ports.daemon) : undefined;
    const plan = (place: Place): MachineOptions => ({
      place,
      sources: [`deb ${mirror.url}/ ${archive.suite} main`],
      keyringPath: archive.keyringPath,
      port: ports.daemon,
      nodeOptions: options.nodeOptions ?? [],
      settings: merged(onLoopback?.(place) ?? {}, options.settings ?? {}),
      ...(options.program !== undefined && { program: options.program }),
    });
    const started: LabMachine[] = [];
    closing.push(async () => {
      await Promise.all(started.map((machine) => machine.close()));
    });
    started.push(...(await startMachines(places.map(plan))));
    const machines = [...started];
    const makeMachine: Bed["makeMachine"] = (place, { settings = {}, ...more } = {}) => {
      const usual = plan(place);
      const machine = new LabMachine({
        ...{ ...usual, ...more },
        settings: merged(usual.settings ?? {}, settings),
      });
      started.push(machine);
      return machine;
    };
    const addMachine: Bed["addMachine"] = async (place, settings = {}) => {
      const machine = makeMachine(place, { settings });
      await machine.start();
      return machine;
    };
    return { archive, mirror, machines, lab, plan, makeMachine, addMachine, close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Layout {
  readonly lab: NetLab | undefined;
  readonly mirrorPlace: Place;
  readonly places: readonly Place[];
  readonly ports: { readonly mirror: number; readonly daemon: number };
}

async function lay(options: BedOptions): Promise<Layout> {
  const { network = "near", machines, link = {}, mirrorLink = {} } = options;
  if (network === "loopback") {
    const bed = `127.88.${(process.pid + 100 * loopbackBeds++) % 250}`;
    const places = Array.from({ length: machines }, (_, index) =>
      loopbackPlace(`${bed}.${index + 2}`),
    );
    const ports = { mirror: await freePort(), daemon: await freePort() };
    return { lab: undefined, mirrorPlace: loopbackPlace(`${bed}.1`), places, ports };
  }
  const lab = new NetLab(network);
  const mirrorPlace = lab.addHost(mirrorLink);
  const places = lab.addHosts(machines, link);
  return { lab, mirrorPlace, places, ports: { mirror: 80, daemon: 9977 } };
}

/** One address for each daemon; those at the others are named, since loopback has no multicast. */
function loopbackSettings(
  mirror: Place,
  places: readonly Place[],
  port: number,
): (place: Place) => Record<string, readonly string[]> {
  return (place) => ({
    proxy: [`port = ${port}`, `bind = ${place.address}`],
    mirror: [`allow_upstreams = ${mirror.address}`],
    dht: ["enabled = no"],
    peers: [
      `neighbours = ${places
        .filter((each) => each !== place)
        .map((each) => `${each.address}:${port}`)
        .join(", ")}`,
    ],
  });
}

/** Lines by section: those of `second` replace those of the same name. */
export function merged(
  first: Readonly<Record<string, readonly string[]>>,
  second: Readonly<Record<string, readonly string[]>>,
): Readonly<Record<string, readonly string[]>> {
  const result: Record<string, readonly string[]> = { ...first };
  for (const [section, lines] of Object.entries(second)) {
    const names = new Set(lines.map(nameOf));
    const kept = (result[section] ?? []).filter((line) => !names.has(nameOf(line)));
    result[section] = [...kept, ...lines];
  }
  return result;
}

function nameOf(line: string): string {
  return line.split("=")[0]?.trim() ?? "";
}

/** What came from where, by the machine's own counters, in bytes. */
export interface Sources {
  readonly fromPeers: number;
  readonly fromMirror: number;
  readonly fromCache: number;
}

export async function sourcesOf(machine: LabMachine): Promise<Sources> {
  const { counters } = await machine.status();
  return {
    fromPeers: counters["engine.bytes.fromPeers"] ?? 0,
    fromMirror: counters["engine.bytes.fromMirror"] ?? 0,
    fromCache: counters["proxy.bytes.cache"] ?? 0,
  };
}

export function difference(later: Sources, earlier: Sources): Sources {
  return {
    fromPeers: later.fromPeers - earlier.fromPeers,
    fromMirror: later.fromMirror - earlier.fromMirror,
    fromCache: later.fromCache - earlier.fromCache,
  };
}

/** Every package that apt has fetched is the archive's, and none is missing. */
export async function checkPackages(
  machine: LabMachine,
  archive: Archive,
  names: readonly string[],
): Promise<void> {
  const got = await machine.packages();
  const right = new Set(got.values());
  for (const name of names) {
    if (!right.has(archive.package(name).sha256)) {
      throw new Error(`${machine.endpoint}: ${name} is missing or wrong`);
    }
  }
  if (got.size !== names.length) throw new Error(`${machine.endpoint} has ${got.size} packages`);
}

/** Sizes as Debian's: p10 8 KB, median 58 KB, p90 1.6 MB, p99 23 MB; the same for the same count. */
export function realisticPackages(count: number, prefix = "p"): readonly PackageSpec[] {
  return Array.from({ length: count }, (_, index) => {
    const share = (index + 0.5) / count;
    const factor = Math.exp(quantile(share) * (share < 0.5 ? 1.55 : 2.59));
    const sizeBytes = Math.min(23e6, Math.max(3_000, Math.round(58_000 * factor)));
    return { name: `${prefix}${String(index).padStart(3, "0")}`, sizeBytes };
  });
}

/** Of the standard normal distribution, by the logistic one: within 0.1 of it from 1 to 99 %. */
function quantile(share: number): number {
  return Math.log(share / (1 - share)) / 1.702;
}
