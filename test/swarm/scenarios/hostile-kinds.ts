/**
 * One kind of liar at a time, with nobody else there but a slow mirror: whoever is the only peer is
 * asked for bytes. The price of each kind, compared with apt alone on the same link.
 */
import { setTimeout as delay } from "node:timers/promises";

import { openBed } from "../bed.ts";
import type { Bed } from "../bed.ts";
import { median } from "../figures.ts";
import type { Figure } from "../figures.ts";
import { liarKinds } from "../liar.ts";
import type { LiarKind } from "../liar.ts";
import { bytesAsked, costOf, live, startLiars, told } from "./hostile.ts";
import type { Cost, Run } from "./hostile.ts";

export interface KindsOptions {
  readonly kinds?: readonly LiarKind[];
  /** Lives of the client for each kind; in each it knows nothing of anybody at first. */
  readonly lives: number;
  readonly installsPerLife: number;
  readonly mirrorMbit: number;
}

/** What a refetch may add: the file once more, and the pause that apt makes (1 s). */
const aptPauseSeconds = 1;
const filesPerInstall = 2;
const fileBytes = 1_500_000;

const say = (text: string): void => void process.stderr.write(`${text}\n`);

export async function hostileKinds(options: KindsOptions): Promise<readonly Figure[]> {
  const count = options.installsPerLife * filesPerInstall;
  const packages = Array.from({ length: count }, (_, index) => ({
    name: `k${index}`,
    sizeBytes: fileBytes + 1000 * index,
  }));
  const bed = await openBed({ packages, machines: 1, link: { upMbit: 200, downMbit: 200 } });
  try {
    bed.lab?.hostOf(bed.mirror.place).setLink({ upMbit: options.mirrorMbit });
    return await run(bed, options);
  } finally {
    await bed.close();
  }
}

interface KindResult {
  readonly kind: LiarKind;
  readonly runs: readonly Run[];
  readonly costs: readonly Cost[];
  /** Requests for bytes that it got. */
  readonly asked: number;
}

async function run(bed: Bed, options: KindsOptions): Promise<readonly Figure[]> {
  const direct = await directSeconds(bed, options);
  const refetchSeconds = (fileBytes * 8) / (options.mirrorMbit * 1e6) + aptPauseSeconds;
  const results: KindResult[] = [];
  for (const kind of options.kinds ?? liarKinds) {
    const result = await livesWith(bed, kind, options);
    results.push(result);
    const late = lateness(result, direct);
    say(`${kind}: asked ${result.asked}, latest ${late.toFixed(2)} s over direct`);
    for (const cost of result.costs) say(`  ${told(cost)}`);
    for (const { what, trouble } of result.runs) {
      if (trouble !== undefined) say(`FAILED ${what}:\n${trouble}`);
    }
  }
  return figures(results, { direct, refetchSeconds });
}

async function livesWith(
  bed: Bed,
  kind: LiarKind,
  { lives, installsPerLife: installs }: KindsOptions,
): Promise<KindResult> {
  const [client] = bed.machines;
  const [liar] = await startLiars(bed, [kind]);
  if (client === undefined || liar === undefined) throw new Error("a client and a liar are needed");
  const runs: Run[] = [];
  const costs: Cost[] = [];
  for (let life = 0; life < lives; life++) {
    await client.stop("SIGKILL");
    client.wipe({ peers: [`neighbours = ${liar.place.address}:9977`] });
    await client.start();
    await delay(300);
    const before = bytesAsked(liar);
    runs.push(
      ...(await live(client, bed, { life, kinds: kind, installs, perInstall: filesPerInstall })),
    );
    // It tells five times a second how often it was asked.
    await delay(400);
    const asked = bytesAsked(liar) - before;
    costs.push(costOf((await client.status()).counters, [{ kind, asked }]));
  }
  return { kind, runs, costs, asked: bytesAsked(liar) };
}

/** Medians of three runs past the daemon: of an update, and of an install. */
async function directSeconds(bed: Bed, { installsPerLife }: KindsOptions): Promise<number> {
  const [client] = bed.machines;
  if (client === undefined) throw new Error("a client is needed");
  await client.aptOk(["update"], "direct");
  const seconds: number[] = [];
  const names = bed.archive.packages.map(({ name }) => name);
  for (let at = 0; at < installsPerLife * filesPerInstall; at += filesPerInstall) {
    const some = names.slice(at, at + filesPerInstall);
    const { milliseconds } = await client.aptOk(["install", "--download-only", ...some], "direct");
    seconds.push(milliseconds / 1000);
  }
  return median(seconds);
}

function installsOf({ runs }: KindResult): readonly Run[] {
  return runs.filter(({ what }) => what.includes("install"));
}

/** Of the latest install over apt alone. */
function lateness(result: KindResult, direct: number): number {
  return Math.max(...installsOf(result).map(({ seconds }) => seconds - direct));
}

function figures(
  results: readonly KindResult[],
  { direct, refetchSeconds }: { readonly direct: number; readonly refetchSeconds: number },
): readonly Figure[] {
  const variant = "each kind alone with a client";
  const runs = results.flatMap((result) => result.runs);
  const costs = results.flatMap((result) => result.costs);
  const most = (of: (cost: Cost) => number): number => Math.max(...costs.map(of));
  const consistent = results.filter(({ kind }) => kind === "consistent lie");
  const others = results.filter(({ kind }) => kind !== "consistent lie");
  const latest = (some: readonly KindResult[]): number =>
    Math.max(...some.map((each) => lateness(each, direct)));
  return [
    { variant, measure: "apt runs", unit: "runs", value: runs.length },
    {
      ...{ variant, measure: "runs that failed", unit: "runs", atMost: 0 },
      value: runs.filter(({ trouble }) => trouble !== undefined).length,
    },
    {
      ...{ variant, measure: `kinds of liars (of ${results.length}) that were asked for bytes` },
      ...{ unit: "kinds", value: results.filter(({ asked }) => asked > 0).length },
    },
    {
      ...{ variant, measure: "pieces refused from one liar in one life, at most", unit: "pieces" },
      ...{ value: most(({ refusedPieces }) => refusedPieces), atMost: 1 },
    },
    {
      ...{ variant, measure: "files fetched again because of one liar in one life, at most" },
      ...{ unit: "files", value: most(({ refetches }) => refetches), atMost: 1 },
    },
    {
      ...{ variant, measure: "median install", unit: "s", direct },
      value: median(results.flatMap(installsOf).map(({ seconds }) => seconds)),
    },
    ...results.map((result) => ({
      ...{ variant, measure: `latest install over apt alone: ${result.kind}`, unit: "s" },
      value: lateness(result, direct),
    })),
    {
      ...{ variant, measure: "latest install over apt alone, of all but consistent lies" },
      ...{ unit: "s", value: others.length === 0 ? 0 : latest(others), atMost: 0.25 },
    },
    {
      ...{ variant, measure: "the same of consistent lies; one refetch allowed", unit: "s" },
      value: consistent.length === 0 ? 0 : latest(consistent),
      ...{ bound: refetchSeconds, atMost: 1 },
    },
  ];
}
