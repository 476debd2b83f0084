/**
 * The two archives of the bench: one whose packages are fetched (incompressible .debs of chosen
 * sizes), and one of the size of Debian main, of which only the indexes exist. Both are signed.
 */
import { copyFileSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { md5, sha256 } from "../../test/kit/bytes.ts";
import { makeDeb } from "../../test/kit/deb.ts";
import { testKeys } from "../../test/kit/keys.ts";
import { mainPackages, mainTranslations } from "./catalogue.ts";
import { runOnce } from "./workspace.ts";

export interface BenchPackage {
  readonly name: string;
  /** Path below the origin, with a leading slash. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** What is measured with; every file is used by one measure only, so that cold means cold. */
export interface BenchArchive {
  /** 100 MB each. */
  readonly large: readonly BenchPackage[];
  /** 20 KB each. */
  readonly small: readonly BenchPackage[];
  /** 20 KB each, for servers to get into their stride before a cold measure. */
  readonly warmUp: readonly BenchPackage[];
  /** For first-byte latency: 20 KB each, and 5 MB each. */
  readonly latencySmall: readonly BenchPackage[];
  readonly latencyMedium: readonly BenchPackage[];
  readonly source: string;
  readonly keyringPath: string;
}

export const benchSuite = "bench";
export const mainSuite = "sized";

/** Writes the archive of fetched packages to `root`/debian. `origin`: host and port. */
export async function buildBenchArchive(root: string, origin: string): Promise<BenchArchive> {
  const paragraphs: string[] = [];
  const group = (name: string, count: number, sizeBytes: number): readonly BenchPackage[] =>
    Array.from({ length: count }, (_, index) => {
      const one = `${name}-${String(index).padStart(4, "0")}`;
      return writePackage(join(root, "debian"), { name: one, sizeBytes }, paragraphs);
    });
  const archive = {
    large: group("large", 6, 100e6),
    small: group("small", 2000, 20e3),
    warmUp: group("warm", 300, 20e3),
    latencySmall: group("quick", 200, 20e3),
    latencyMedium: group("medium", 20, 5e6),
    source: `deb http://${origin}/debian ${benchSuite} main`,
    keyringPath: (await testKeys()).keyringPath,
  };
  await writeSuite(join(root, "debian"), benchSuite, [
    { path: "main/binary-amd64/Packages", text: paragraphs.join("\n") },
  ]);
  return archive;
}

/** Writes the indexes of an archive of Debian main's size to `root`/sized → its source line. */
export async function buildMainIndexes(root: string, origin: string): Promise<string> {
  await writeSuite(join(root, "sized"), mainSuite, [
    { path: "main/binary-amd64/Packages", text: mainPackages() },
    { path: "main/i18n/Translation-en", text: mainTranslations() },
  ]);
  return `deb http://${origin}/sized ${mainSuite} main`;
}

function writePackage(
  root: string,
  { name, sizeBytes }: { readonly name: string; readonly sizeBytes: number },
  paragraphs: string[],
): BenchPackage {
  const version = "1.0-1";
  const { bytes, control } = makeDeb({
    name,
    version,
    architecture: "amd64",
    sizeBytes,
    seed: `bench ${name}`,
  });
  const filename = `pool/main/${name.charAt(0)}/${name}/${name}_${version}_amd64.deb`;
  mkdirSync(dirname(join(root, filename)), { recursive: true });
  writeFileSync(join(root, filename), bytes);
  const digest = sha256(bytes);
  const size = String(bytes.length);
  paragraphs.push(
    `${control}Filename: ${filename}\nSize: ${size}\nMD5sum: ${md5(bytes)}\nSHA256: ${digest}\n`,
  );
  return { name, path: `/debian/${filename}`, sizeBytes: bytes.length, sha256: digest };
}

/** Writes indexes as Debian publishes them: .xz alone, by hash, under a signed InRelease. */
async function writeSuite(
  root: string,
  suite: string,
  indexes: readonly { readonly path: string; readonly text: string }[],
): Promise<void> {
  const directory = join(root, "dists", suite);
  const listed: string[] = [];
  for (const { path, text } of indexes) {
    const file = join(directory, path);
    mkdirSync(join(dirname(file), "by-hash/SHA256"), { recursive: true });
    writeFileSync(file, text);
    runOnce(["xz", "-T0", "-3", "-k", "-f", file]);
    listed.push(listing(sha256(text), Buffer.byteLength(text), path));
    const packed = runOnce(["sha256sum", `${file}.xz`]).slice(0, 64);
    listed.push(listing(packed, statSync(`${file}.xz`).size, `${path}.xz`));
    copyFileSync(`${file}.xz`, join(dirname(file), "by-hash/SHA256", packed));
  }
  const release = [
    "Origin: Bench",
    "Label: Bench",
    `Suite: ${suite}`,
    `Codename: ${suite}`,
    "Date: Sat, 01 Aug 2026 10:00:00 UTC",
    "Acquire-By-Hash: yes",
    "Architectures: amd64",
    "Components: main",
    "SHA256:",
    ...listed,
    "",
  ].join("\n");
  writeFileSync(join(directory, "Release"), release);
  writeFileSync(
    join(directory, "InRelease"),
    await (await testKeys()).clearsign(release, "trusted"),
  );
}

function listing(digest: string, sizeBytes: number, path: string): string {
  return ` ${digest} ${String(sizeBytes).padStart(9)} ${path}`;
}
