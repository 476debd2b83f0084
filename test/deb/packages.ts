/**
 * The packages under test: the one that `npm run deb` builds, and a "previous build" made from it: the
 * same programs with a lower version and another apt configuration file, so that an upgrade has
 * something to replace.
 */
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { must, run, say } from "./host.ts";

export interface PackagesUnderTest {
  /** Holds current.deb and previous.deb. */
  readonly directory: string;
  readonly version: string;
  readonly previousVersion: string;
  readonly sizeBytes: number;
  readonly installedBytes: number;
  readonly depends: string;
  readonly recommends: string;
}

const projectRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** A conffile whose contents differ in the previous build. */
export const changedConffile = "/etc/apt/apt.conf.d/30apt-p2p";
export const previousLine = "// The previous build's.";

/** `given`: a package that was built before. `directory`: in memory, for both. */
export async function packagesUnderTest(
  given: string | undefined,
  directory: string,
): Promise<PackagesUnderTest> {
  const built = given ?? (await build());
  mkdirSync(directory, { recursive: true });
  const current = join(directory, "current.deb");
  copyFileSync(built, current);
  const field = (name: string): string => must(["dpkg-deb", "-f", current, name]).trim();
  const version = field("Version");
  const previousVersion = `${version}~previous`;
  repack(current, join(directory, "previous.deb"), previousVersion);
  return {
    ...{ directory, version, previousVersion },
    sizeBytes: statSync(current).size,
    installedBytes: Number(field("Installed-Size")) * 1024,
    depends: [field("Pre-Depends"), field("Depends")].filter((text) => text !== "").join(", "),
    recommends: field("Recommends"),
  };
}

async function build(): Promise<string> {
  say("npm run deb");
  const { code, output } = await run(["npm", "run", "--silent", "deb"], {
    env: process.env,
    timeoutMs: 1_200_000,
  });
  if (code !== 0) throw new Error(`npm run deb: exit ${code}\n${output.slice(-3000)}`);
  const directory = join(projectRoot, "build");
  const architecture = must(["dpkg", "--print-architecture"]).trim();
  const newest = readdirSync(directory)
    .filter((name) => name.startsWith("apt-p2p_") && name.endsWith(`_${architecture}.deb`))
    .map((name) => join(directory, name))
    .sort((one, other) => statSync(other).mtimeMs - statSync(one).mtimeMs)[0];
  if (newest === undefined) throw new Error("npm run deb has left no package in build");
  return newest;
}

function repack(from: string, to: string, version: string): void {
  const tree = `${to}.tree`;
  must(["dpkg-deb", "--raw-extract", from, tree]);
  const control = join(tree, "DEBIAN", "control");
  writeFileSync(
    control,
    readFileSync(control, "utf8").replace(/^Version: .*$/m, `Version: ${version}`),
  );
  appendFileSync(join(tree, changedConffile), `${previousLine}\n`);
  must(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, to]);
  rmSync(tree, { recursive: true });
}
