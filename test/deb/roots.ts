/**
 * Root file systems of freshly installed machines: Debian's smallest system that boots, made by
 * mmdebstrap from the archive that this machine's apt is configured for. They are kept outside of the
 * repository for the next run, with the packages that ours depends on beside them: a machine of the
 * test has no network but the laboratory's, so it gets those from a `file:` source.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { undoable } from "../kit/scratch.ts";
import { isDebian, machineSources } from "../real/machine-sources.ts";
import type { MachineSource } from "../real/machine-sources.ts";
import { must, run, say } from "./host.ts";

export interface RootSystem {
  readonly release: string;
  /** Of the root file system. */
  readonly tar: string;
  /** Directory with packages and their index `Packages`. */
  readonly dependencies: string;
  /** undefined: it was kept from an earlier run. */
  readonly madeInSeconds: number | undefined;
}

/** Beyond what every Debian has: init, its bus, and what a system for people has anyway. */
const included = ["systemd-sysv", "dbus", "libpam-systemd", "ca-certificates"];

/** A week: an older one is no freshly installed machine any more. */
const keptMs = 7 * 86_400_000;
const patienceMs = 900_000;

/** `depends`: the fields Depends and Recommends of our package. */
export async function rootSystem(
  release: string,
  depends: { readonly depends: string; readonly recommends: string },
): Promise<RootSystem> {
  const facts = JSON.stringify([release, included, depends]);
  const name = `${release}-${createHash("sha256").update(facts).digest("hex").slice(0, 12)}`;
  const parent = join(process.env["XDG_CACHE_HOME"] ?? tmpdir(), "apt-p2p-test-deb");
  const directory = join(parent, name);
  const found = {
    release,
    tar: join(directory, "root.tar"),
    dependencies: join(directory, "packages"),
  };
  const age = Date.now() - (statSync(found.tar, { throwIfNoEntry: false })?.mtimeMs ?? 0);
  if (age < keptMs) return { ...found, madeInSeconds: undefined };
  const source = await debianSource(release);
  const begunMs = performance.now();
  say(`${release}: making a root file system`);
  const unfinished = `${directory}.${process.pid}`;
  const removal = undoable(() => rmSync(unfinished, { recursive: true, force: true }));
  mkdirSync(join(unfinished, "packages"), { recursive: true });
  await bootstrap({ release, source, directory: unfinished, ...depends });
  writeIndex(join(unfinished, "packages"));
  rmSync(directory, { recursive: true, force: true });
  renameSync(unfinished, directory);
  removal.forget();
  const madeInSeconds = Math.round((performance.now() - begunMs) / 100) / 10;
  return { ...found, madeInSeconds };
}

interface Bootstrap {
  readonly release: string;
  readonly source: MachineSource;
  readonly directory: string;
  readonly depends: string;
  readonly recommends: string;
}

async function bootstrap(plan: Bootstrap): Promise<void> {
  const { release, source, directory } = plan;
  const signedBy = source.signedBy?.startsWith("/") === true ? source.signedBy : undefined;
  const keys = signedBy === undefined ? "" : `[signed-by=${signedBy.split(/\s+/).join(",")}] `;
  const download = "apt-get -qy --download-only satisfy";
  const words = [
    ...["mmdebstrap", "--variant=minbase", "--format=tar", "--quiet"],
    `--include=${included.join(",")}`,
    // A snapshot of an archive is past its date.
    '--aptopt=Acquire::Check-Valid-Until "false"',
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    `--customize-hook=chroot "$1" ${download} '${plan.depends}'`,
    // What is only recommended may be missing.
    `--customize-hook=chroot "$1" ${download} '${plan.recommends}' || true`,
    `--customize-hook=copy-out /var/cache/apt/archives ${join(directory, "packages")}`,
    ...[release, join(directory, "root.tar"), `deb ${keys}${source.uri} ${release} main`],
  ];
  const env = { PATH: process.env["PATH"], LC_ALL: "C", TMPDIR: memory() };
  const { code, output } = await run(words, { env, timeoutMs: patienceMs });
  if (code !== 0) {
    throw new Error(`no root file system of ${release} can be made here:\n${output.slice(-3000)}`);
  }
}

/** Where mmdebstrap unpacks: in memory if there is such a place. */
function memory(): string {
  return existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
}

/** Makes a source of the packages that were copied out, for `deb [trusted=yes] file:/… ./`. */
function writeIndex(directory: string): void {
  const archives = join(directory, "archives");
  for (const name of readdirSync(archives).filter((each) => each.endsWith(".deb"))) {
    // apt writes an epoch's colon as %3a, and would decode that in a Filename.
    renameSync(join(archives, name), join(directory, name.replaceAll("%3a", ".")));
  }
  rmSync(archives, { recursive: true });
  const stanzas = readdirSync(directory).map((name) => {
    const bytes = readFileSync(join(directory, name));
    const control = must(["dpkg-deb", "-f", join(directory, name)]).trim();
    const digest = createHash("sha256").update(bytes).digest("hex");
    return `${control}\nFilename: ./${name}\nSize: ${bytes.length}\nSHA256: ${digest}\n`;
  });
  writeFileSync(join(directory, "Packages"), stanzas.join("\n"));
}

/** The first source of this machine whose archive has the release. */
async function debianSource(release: string): Promise<MachineSource> {
  for (const source of machineSources()) {
    const candidate = { ...source, suite: release, components: ["main"] };
    if (!source.suite.includes("-") && (await isDebian(candidate))) return candidate;
  }
  throw new Error(`no archive of this machine's apt configuration has ${release}`);
}
