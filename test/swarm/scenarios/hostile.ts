/**
 * Liars among the neighbours. A machine lives several lives: each begins with nothing known of anybody,
 * among some honest machines that hold everything and some liars, and runs apt a few times. Every run
 * must end well with the right files.
 */
import { createHash } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";

import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import type { LabMachine } from "../../kit/lab-machine.ts";
import type { NetLab } from "../../kit/netlab.ts";
import { openBed } from "../bed.ts";
import type { Bed } from "../bed.ts";
import type { BogusOptions } from "../bogus-values.ts";
import { median } from "../figures.ts";
import type { Figure } from "../figures.ts";
import { startHelper, startLiar } from "../helpers.ts";
import type { StartedLiar } from "../helpers.ts";
import { liarKinds } from "../liar.ts";
import type { LiarKind } from "../liar.ts";

export interface HostileOptions {
  /** Of the peers, from 0 to 1. */
  readonly share: number;
  readonly peers: number;
  readonly lives: number;
  readonly installsPerLife: number;
  readonly seed: number;
  /** Default: all in turn. */
  readonly kinds?: readonly LiarKind[];
  /** Values of the DHT that name peers which do not exist. */
  readonly bogusValues: number;
}

export interface Run {
  readonly seconds: number;
  readonly what: string;
  readonly trouble: string | undefined;
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const mirrorMbit = 50;
/** A node keeps no more of one key (PROTOCOL.md). */
const valuesPerKey = 200;
const perInstall = 4;

export async function hostile(options: HostileOptions): Promise<readonly Figure[]> {
  const liars = Math.max(1, Math.round(options.share * options.peers));
  const bed = await openBed({
    packages: packagesFor(options.installsPerLife),
    machines: options.peers - liars + 1,
    link: { upMbit: 200, downMbit: 200 },
  });
  try {
    return await run(bed, { ...options, liars });
  } finally {
    await bed.close();
  }
}

/** For each install two of several pieces, one of one piece, one small. */
function packagesFor(installs: number): readonly { name: string; sizeBytes: number }[] {
  const sizes = [1_900_000, 1_200_000, 400_000, 20_000];
  return Array.from({ length: installs * perInstall }, (_, index) => ({
    name: `h${String(index).padStart(3, "0")}`,
    sizeBytes: (sizes[index % perInstall] ?? 0) + 1000 * index,
  }));
}

async function run(
  bed: Bed,
  options: HostileOptions & { readonly liars: number },
): Promise<readonly Figure[]> {
  const [client, ...honest] = bed.machines;
  if (client === undefined || bed.lab === undefined) throw new Error("a laboratory is needed");
  const names = bed.archive.packages.map(({ name }) => name);
  for (const machine of honest) {
    await machine.aptOk(["update"]);
    await machine.aptOk(["install", "--download-only", ...names]);
  }
  bed.lab.hostOf(bed.mirror.place).setLink({ upMbit: mirrorMbit });
  const direct = await directSeconds(client, names);
  const places = await startLiars(bed, options.kinds ?? liarKinds);
  const bogus = await startBogusValues(bed, options.bogusValues);
  const random = new SeededRandom(options.seed);
  const runs: Run[] = [];
  let peak = 0;
  const costs: Cost[] = [];
  for (let life = 0; life < options.lives; life++) {
    const chosen = Array.from(
      { length: options.liars },
      (_, index) => places[(life * options.liars + index) % places.length],
    );
    const neighbours = chosen.flatMap((liar) =>
      liar === undefined ? [] : [`${liar.place.address}:9977`],
    );
    await client.stop("SIGKILL");
    client.wipe({ peers: [`neighbours = ${neighbours.join(", ")}`] });
    await client.start();
    await delay(random.below(1000));
    const before = chosen.map((liar) => (liar === undefined ? 0 : bytesAsked(liar)));
    const kinds = chosen.map((liar) => liar?.kind).join(", ");
    runs.push(
      ...(await live(client, bed, { life, kinds, installs: options.installsPerLife, perInstall })),
    );
    // Liars tell five times a second how often they were asked.
    await delay(400);
    const liars = chosen.flatMap((liar, index) =>
      liar === undefined
        ? []
        : [{ kind: liar.kind, asked: bytesAsked(liar) - (before[index] ?? 0) }],
    );
    const cost = costOf((await client.status()).counters, liars);
    costs.push(cost);
    const lied = cost.refusedPieces + cost.refetches + cost.falseAnswers.length > 0;
    if (lied || cost.fromPeers === 0) say(`life ${life} (${kinds}): ${told(cost)}`);
    peak = Math.max(peak, client.peakMemoryBytes());
  }
  const failed = runs.filter(({ trouble }) => trouble !== undefined);
  for (const { what, trouble } of failed) say(`FAILED ${what}:\n${trouble}`);
  const variant = `${Math.round(options.share * 100)} % liars`;
  const installs = runs.filter(({ what }) => what.includes("install"));
  const seconds = installs.map((each) => each.seconds).sort((a, b) => a - b);
  const asked = places.flatMap((liar) => Object.values(liar.asked())).reduce((a, b) => a + b, 0);
  const believed = places.filter((liar) => (liar.asked()["file"] ?? 0) > 0);
  for (const { kind, asked: got } of places) say(`${kind}: ${JSON.stringify(got())}`);
  const fromPeers = costs.reduce((sum, each) => sum + each.fromPeers, 0);
  const fromMirror = costs.reduce((sum, each) => sum + each.fromMirror, 0);
  const most = (of: (cost: Cost) => number): number => Math.max(...costs.map(of));
  const honestPeak = Math.max(...honest.map((machine) => machine.peakMemoryBytes()));
  return [
    { variant, measure: "apt runs", unit: "runs", value: runs.length },
    { variant, measure: "runs that failed", unit: "runs", value: failed.length, atMost: 0 },
    { variant, measure: "median install", unit: "s", value: median(seconds), direct },
    { variant, measure: "slowest install", unit: "s", value: seconds.at(-1) ?? NaN },
    {
      variant,
      measure: "installs later than direct and 250 ms",
      unit: "share",
      value: seconds.filter((each) => each > direct + 0.25).length / Math.max(1, seconds.length),
    },
    {
      variant,
      measure: "bytes from peers",
      unit: "share",
      value: fromPeers / (fromPeers + fromMirror),
    },
    { variant, measure: "questions to liars", unit: "requests", value: asked },
    {
      variant,
      measure: `kinds of liars (of ${places.length}) that were asked for bytes`,
      unit: "kinds",
      value: believed.length,
    },
    {
      variant,
      measure: "pieces refused in one life, for each liar that can be to blame, at most",
      unit: "pieces",
      value: most(({ refusedPieces, toBlame }) => refusedPieces / Math.max(1, toBlame)),
      atMost: 1,
    },
    {
      variant,
      measure: "files fetched again in one life, for each consistent liar, at most",
      unit: "files",
      value: most(({ refetches, consistent }) => refetches / Math.max(1, consistent)),
      atMost: 1,
    },
    {
      variant,
      measure: "answers with false or broken bytes taken from one liar in one life, at most",
      unit: "answers",
      value: most(({ falseAnswers }) => Math.max(0, ...falseAnswers.map(({ count }) => count))),
    },
    {
      variant,
      measure: "lives in which nothing came from peers",
      unit: "lives",
      value: costs.filter((cost) => cost.fromPeers === 0).length,
    },
    {
      variant,
      measure: "bytes in vain in one life, at most",
      unit: "pieces",
      value: most(({ wastedBytes }) => wastedBytes) / 524_288,
    },
    { variant, measure: "values of peers that do not exist", unit: "values", value: bogus() },
    { variant, measure: "most memory of the client", unit: "MB", value: peak / 1e6, atMost: 250 },
    {
      variant,
      measure: "most memory of an honest peer",
      unit: "MB",
      value: honestPeak / 1e6,
      atMost: 250,
    },
  ];
}

/** What lies have cost a client in one life. */
export interface Cost {
  readonly fromPeers: number;
  readonly fromMirror: number;
  readonly refusedPieces: number;
  /** Whole files that were wrong. */
  readonly refetches: number;
  /** Refused, or asked for twice. */
  readonly wastedBytes: number;
  readonly banned: number;
  /** Liars of this life that send wrong bytes or lists, and those of them that send both alike. */
  readonly toBlame: number;
  readonly consistent: number;
  /** Of those that can only harm, by their own count: how often they were asked for bytes. */
  readonly falseAnswers: readonly { readonly kind: LiarKind; readonly count: number }[];
}

const blamable: ReadonlySet<LiarKind> = new Set([
  ...(["wrong bytes", "wrong list", "consistent lie", "endless"] as const),
]);
const falseBytes: ReadonlySet<LiarKind> = new Set([
  ...(["wrong bytes", "consistent lie", "short", "endless", "200", "wrong range"] as const),
  ...(["gzip", "redirect"] as const),
]);

export function bytesAsked({ asked }: StartedLiar): number {
  return asked()["file"] ?? 0;
}

export function costOf(
  counters: Readonly<Record<string, number>>,
  liars: readonly { readonly kind: LiarKind; readonly asked: number }[],
): Cost {
  const of = (name: string): number => counters[name] ?? 0;
  return {
    ...{ fromPeers: of("engine.bytes.fromPeers"), fromMirror: of("engine.bytes.fromMirror") },
    ...{ refusedPieces: of("swarm.pieces.refused"), refetches: of("swarm.mismatch") },
    wastedBytes: of("swarm.bytes.refused") + of("swarm.bytes.duplicate"),
    banned: of("swarm.banned"),
    toBlame: liars.filter(({ kind }) => blamable.has(kind)).length,
    consistent: liars.filter(({ kind }) => kind === "consistent lie").length,
    falseAnswers: liars
      .filter(({ kind, asked }) => falseBytes.has(kind) && asked > 0)
      .map(({ kind, asked }) => ({ kind, count: asked })),
  };
}

export function told(cost: Cost): string {
  return Object.entries(cost)
    .map(([name, value]) => `${name} ${JSON.stringify(value)}`)
    .join(", ");
}

/** Of an install past the daemon: the median of all that will be made. */
async function directSeconds(client: LabMachine, names: readonly string[]): Promise<number> {
  await client.aptOk(["update"], "direct");
  const seconds: number[] = [];
  for (let at = 0; at < names.length; at += perInstall) {
    const some = names.slice(at, at + perInstall);
    const run = await client.aptOk(["install", "--download-only", ...some], "direct");
    seconds.push(run.milliseconds / 1000);
  }
  return median(seconds);
}

export interface LivePlan {
  /** Its number, and who is there: for messages. */
  readonly life: number;
  readonly kinds: string;
  readonly installs: number;
  /** Packages of each. */
  readonly perInstall: number;
}

/** apt-get update and the installs; a run that fails is told in its result. */
export async function live(
  client: LabMachine,
  { archive }: Bed,
  { life, kinds, installs, perInstall }: LivePlan,
): Promise<readonly Run[]> {
  const runs: Run[] = [];
  const apt = async (args: readonly string[], names: readonly string[]): Promise<void> => {
    const { code, output, milliseconds } = await client.apt(args);
    const right = new Set((await client.packages()).values());
    const wrong = names.filter((name) => !right.has(archive.package(name).sha256));
    const fine = code === 0 && wrong.length === 0;
    const what = `life ${life} (${kinds}): apt-get ${args.join(" ")}`;
    const said = `exit ${code}, missing or wrong: ${wrong.join(" ") || "nothing"}\n${output.slice(-1500)}`;
    const trouble = fine ? undefined : `${said}\n${client.log.slice(-3000)}`;
    runs.push({ seconds: milliseconds / 1000, what, trouble });
    if (milliseconds > 5000) say(`slow: ${what}: ${Math.round(milliseconds)} ms`);
  };
  await apt(["update"], []);
  const all = archive.packages.map(({ name }) => name);
  for (let install = 0; install < installs; install++) {
    const names = all.slice(install * perInstall, (install + 1) * perInstall);
    await apt(["install", "--download-only", ...names], names);
  }
  return runs;
}

export async function startLiars(
  bed: Bed,
  kinds: readonly LiarKind[],
): Promise<readonly StartedLiar[]> {
  const lab = labOf(bed);
  const victims = bed.machines.map(({ endpoint }) => endpoint);
  return Promise.all(
    kinds.map((kind) => startLiar(bed.archive, { place: lab.addHost(), kind, victims })),
  );
}

/** Values of the DHT that name peers which do not exist → how many are in place. */
export async function startBogusValues(bed: Bed, values: number): Promise<() => number> {
  const host = labOf(bed).addHost();
  const nodes = Math.min(valuesPerKey, values);
  // As many as a key may have for each package, the rest for files that nobody wants.
  const digests = Array.from({ length: Math.ceil(values / nodes) }, (_, index) => {
    const made = createHash("sha256").update(`file ${index}`).digest("hex");
    return bed.archive.packages[index]?.sha256 ?? made;
  });
  const options: BogusOptions = {
    addresses: host.addAddresses(nodes),
    bootstrap: { address: bed.machines[0]?.place.address ?? "", port: 9977 },
    digests,
  };
  const last = await startHelper(host, "bogus-values.ts", options);
  return () => Number(last());
}

function labOf({ lab }: Bed): NetLab {
  if (lab === undefined) throw new Error("a laboratory is needed");
  return lab;
}
