/**
 * Hosts that ssh reaches. A made archive is served from this machine, at an address by which they
 * reach it; they reach each other by their own.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { buildArchive } from "../../test/kit/archive.ts";
import { freePort } from "../../test/kit/daemon.ts";
import { main } from "../../test/kit/lab-machine.ts";
import { startLabMirror } from "../../test/kit/lab-mirror.ts";
import { loopbackPlace } from "../../test/kit/netlab.ts";
import { pooled } from "../../test/kit/pooled.ts";
import { scratchDirectory, undoable } from "../../test/kit/scratch.ts";
import { ScenarioProblem } from "./fields.ts";
import type { BedOptions, LabBed } from "./host.ts";
import type { HostLine } from "./hosts-file.ts";
import { packagesOf } from "./namespaces.ts";
import type { Located, Member } from "./plan.ts";
import { RemoteHost, tar } from "./remote-host.ts";
import type { RemotePlan } from "./remote-host.ts";
import { namespacesOnly } from "./scenario.ts";
import type { Scenario } from "./scenario.ts";
import { runAllNow } from "./shell.ts";

export interface RemoteOptions extends BedOptions {
  /** In the order of the members. */
  readonly lines: readonly HostLine[];
  /** address or address:port of this machine; undefined: only foreign archives can be used. */
  readonly mirror: string | undefined;
}

/** Of the build, which lies in its dist/cli. */
const projectRoot = dirname(dirname(dirname(main)));
/** How many connections are made at once. */
const width = 16;

export async function openHosts(
  members: readonly Member[],
  options: RemoteOptions,
): Promise<LabBed> {
  const { scenario } = options;
  refuseWhatNeedsNamespaces(scenario);
  const scratch = scratchDirectory("hosts");
  try {
    const made = await madeArchive(options, join(scratch.path, "mirror"));
    const common = {
      sources: made?.sources ?? scenario.archive.sources,
      keyringPath: made?.archive.keyringPath ?? scenario.archive.keyring,
      build: builds(options.debs, scratch.path),
    };
    const hosts = options.lines.map(({ target, arch, address }, index) => {
      const member = members[index];
      if (member === undefined) throw new Error("more hosts than members");
      return located(scenario, { member, address }, { ...common, target, arch });
    });
    const removal = undoable(() => {
      runAllNow(hosts.flatMap(({ host }) => (host.removal === undefined ? [] : [host.removal])));
    });
    const close = async (): Promise<void> => {
      made?.mirror.close();
      await pooled(hosts, width, ({ host }) => host.close().catch(() => undefined));
      // Who could not be reached is tried once more.
      removal.undo();
      scratch.remove();
    };
    return {
      ...{ kind: "hosts", places: hosts, made, width, network: undefined, close },
      notes: notesOn(scenario),
      // A mirror of a private network is not asked unless it is named.
      settings: made === undefined ? {} : { mirror: [`allow_upstreams = ${made.address}`] },
      startLiars: () => Promise.resolve(),
    };
  } catch (error) {
    scratch.remove();
    throw error;
  }
}

type MadeArchive = NonNullable<LabBed["made"]> & {
  readonly address: string;
  readonly sources: readonly string[];
};

async function madeArchive(
  { scenario, mirror: where }: RemoteOptions,
  root: string,
): Promise<MadeArchive | undefined> {
  if (scenario.archive.sources.length > 0) return undefined;
  const [, address, port] = /^([\w.-]+)(?::(\d{1,5}))?$/.exec(where ?? "") ?? [];
  if (address === undefined) {
    throw new ScenarioProblem(
      "--mirror: the scenario's archive is served from here: expected ADDRESS or ADDRESS:PORT of this machine, as the hosts reach it",
    );
  }
  const archive = await buildArchive(root, { packages: packagesOf(scenario) });
  const mirror = await startLabMirror({
    ...{ place: loopbackPlace(address), root, port: Number(port ?? (await freePort())) },
    roundTripMs: scenario.mirror.roundTrip,
  });
  return { archive, mirror, address, sources: [`deb ${mirror.url}/ ${archive.suite} main`] };
}

function located(
  scenario: Scenario,
  { member, address }: Pick<Located, "member" | "address">,
  plan: Omit<RemotePlan, "proxy">,
): Located & { readonly host: RemoteHost } {
  const own = { ...scenario.settings["proxy"], ...member.group.settings["proxy"] };
  const port = own["port"] ?? "9977";
  const [bound = "localhost"] = (own["bind"] ?? "localhost").split(/\s*,\s*/);
  const everywhere = ["0.0.0.0", "::", "localhost"].includes(bound);
  const near = everywhere ? "localhost" : bound.replace("{address}", address);
  const host = new RemoteHost({ ...plan, proxy: `http://${near}:${port}` });
  const far = address.includes(":") ? `[${address}]` : address;
  return { member, address, endpoint: `${far}:${port}`, host };
}

function refuseWhatNeedsNamespaces({ groups, phases }: Scenario): void {
  groups.forEach(({ nat, liar }, index) => {
    if (nat !== "none") throw new ScenarioProblem(`groups[${index}].nat: only in namespaces`);
    if (liar !== undefined) throw new ScenarioProblem(`groups[${index}].liar: only in namespaces`);
  });
  phases.forEach(({ events }, phase) => {
    events.forEach((event, index) => {
      if (!namespacesOnly.includes(event.do)) return;
      const path = `phases[${phase}].events[${index}].do`;
      throw new ScenarioProblem(`${path}: ${event.do} is only possible in namespaces`);
    });
  });
}

function notesOn({ groups, mirror, network }: Scenario): readonly string[] {
  const rates = [mirror, ...groups.map(({ link }) => link)];
  const limited = rates.some(({ up, down }) => up !== undefined || down !== undefined);
  return [
    ...(limited ? ["The hosts have their own links: rates of the scenario do not count."] : []),
    ...(network === "far" ? ["The hosts have their own network: `far` does not count."] : []),
  ];
}

/** The file to unpack on a host of an architecture; this checkout's build is packed when first asked for. */
function builds(debs: readonly string[], directory: string): RemotePlan["build"] {
  let packed: string | undefined;
  return (arch) => {
    if (debs.length === 0) return (packed ??= packedBuild(join(directory, "build.tar.gz")));
    const deb = debs.find((each) => each.endsWith(`_${arch}.deb`));
    if (deb === undefined) throw new Error(`none of the packages is for ${arch}`);
    return deb;
  };
}

function packedBuild(path: string): string {
  const packages = runtimePackages(["classic-level"]).map((name) => `node_modules/${name}`);
  // LevelDB's sources and what it brings for other systems.
  const without = ["classic-level/deps", "prebuilds/android*", "prebuilds/darwin*"];
  const excluded = [...without, "prebuilds/win32*"].map((each) => `--exclude=*/${each}`);
  tar(["-C", projectRoot, ...excluded, "-czf", path, "package.json", "dist", ...packages]);
  return path;
}

/** With all that they need; npm lays them flat, or inside of who needs another version. */
function runtimePackages(names: readonly string[]): readonly string[] {
  const found = new Set<string>();
  const visit = (name: string): void => {
    const manifest = join(projectRoot, "node_modules", name, "package.json");
    if (found.has(name) || !existsSync(manifest)) return;
    found.add(name);
    const { dependencies = {} } = JSON.parse(readFileSync(manifest, "utf8")) as {
      dependencies?: Readonly<Record<string, string>>;
    };
    Object.keys(dependencies).forEach(visit);
  };
  names.forEach(visit);
  return [...found];
}
