/**
 * What a newcomer sees first: two machines, a mirror, real apt-get. The first machine has everything
 * from the mirror; the second has it from the first, and only signed metadata from the mirror.
 *
 * Usage: `npm run demo`. As root the machines are network namespaces with our default configuration;
 * else they are daemons on this machine's loopback that are told of each other. Nothing of this
 * machine's own apt is touched, and nothing stays. The exit status tells whether it was as promised.
 */
import { setTimeout as delay } from "node:timers/promises";

import type { LabMachine } from "../test/kit/lab-machine.ts";
import { netlabProblem } from "../test/kit/netlab.ts";
import { checkPackages, openBed, realisticPackages, sourcesOf } from "../test/swarm/bed.ts";
import type { Bed } from "../test/swarm/bed.ts";

const say = (text = ""): void => void process.stdout.write(`${text}\n`);
const kinds = ["signed metadata", "indexes", "packages"] as const;

interface Visit {
  readonly seconds: number;
  readonly fromPeers: number;
  /** Bytes that the mirror sent, by kind. */
  readonly fromMirror: Readonly<Record<(typeof kinds)[number], number>>;
}

const begunMs = performance.now();
const problem = netlabProblem();
say("apt-p2p: two machines, one mirror, real apt-get");
say(
  problem === undefined
    ? "Each machine is a network namespace; the daemons run in their default configuration."
    : `On this machine's loopback (${problem}); the daemons are told of each other.`,
);
const bed = await openBed({
  packages: realisticPackages(40),
  machines: 2,
  network: problem === undefined ? "near" : "loopback",
});
const fine = await show(bed).finally(() => bed.close());
say(`The demonstration took ${((performance.now() - begunMs) / 1000).toFixed(0)} s.`);
process.exit(fine ? 0 : 1);

async function show(bed: Bed): Promise<boolean> {
  const [first, second] = bed.machines;
  if (first === undefined || second === undefined) throw new Error("two machines are needed");
  const { packages } = bed.archive;
  const bytes = packages.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  say(`The archive has ${packages.length} packages, ${megabytes(bytes)} together.`);
  for (const [name, { endpoint }] of [
    ["first", first],
    ["second", second],
  ] as const) {
    say(`The ${name} machine's daemon is at ${endpoint}.`);
  }
  say();
  say("$ apt-get update && apt-get install --download-only …   on the first machine");
  tell(await visit(first, bed), "peers");
  // What has come is recorded, and offered to others, within a second or two.
  await delay(2500);
  say("$ apt-get update && apt-get install --download-only …   on the second machine");
  const got = await visit(second, bed);
  tell(got, "the first machine");
  const fine = got.fromMirror.indexes === 0 && got.fromMirror.packages === 0 && got.fromPeers > 0;
  say(
    fine
      ? "Every package and every index of the second machine came from the first."
      : "That is not what was promised: the mirror sent packages or indexes a second time.",
  );
  return fine;
}

async function visit(machine: LabMachine, { archive, mirror }: Bed): Promise<Visit> {
  const names = archive.packages.map(({ name }) => name);
  mirror.reset();
  const update = await machine.aptOk(["update"]);
  const install = await machine.aptOk(["install", "--download-only", ...names]);
  await checkPackages(machine, archive, names);
  const fromMirror = { "signed metadata": 0, indexes: 0, packages: 0 };
  for (const { path, bytes } of mirror.traffic().answers) fromMirror[kindOf(path)] += bytes;
  const seconds = (update.milliseconds + install.milliseconds) / 1000;
  return { seconds, fromMirror, fromPeers: (await sourcesOf(machine)).fromPeers };
}

function kindOf(path: string): (typeof kinds)[number] {
  if (path.endsWith(".deb")) return "packages";
  return /\/(InRelease|Release|Release\.gpg)$/.test(path) ? "signed metadata" : "indexes";
}

function tell({ fromMirror, fromPeers, seconds }: Visit, peers: string): void {
  const line = (who: string, what: string, bytes: number): void => {
    say(`  ${`from ${who}`.padEnd(24)} ${what.padEnd(22)} ${megabytes(bytes).padStart(10)}`);
  };
  for (const kind of kinds) line("the mirror", kind, fromMirror[kind]);
  line(peers, "indexes and packages", fromPeers);
  say(`  in ${seconds.toFixed(1)} s; every package has been checked against the archive`);
  say();
}

function megabytes(bytes: number): string {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
