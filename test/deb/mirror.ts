/**
 * The only mirror that the machines can reach: a signed archive on a host of the laboratory. For each
 * run of apt it is published anew, with one package more, so that every run has indexes and a package
 * to fetch.
 */
import { copyFileSync } from "node:fs";
import { basename, join } from "node:path";

import { buildArchive } from "../kit/archive.ts";
import type { Archive, PackageSpec } from "../kit/archive.ts";
import { startLabMirror } from "../kit/lab-mirror.ts";
import type { LabMirror } from "../kit/lab-mirror.ts";
import type { LabHost } from "../kit/netlab.ts";
import { scratchDirectory } from "../kit/scratch.ts";

/** The name by which the machines know it; no look-up leaves them. */
export const mirrorName = "ftp.us.debian.org";
/** Of the packages that a check installs. */
export const probePrefix = "probe-";
/** Of what two machines share. */
export const sharedPrefix = "shared-";
const day = 86_400_000;
const probeBytes = 200_000;

export class TestMirror {
  readonly archive: Archive;
  readonly address: string;
  readonly #server: LabMirror;
  readonly #removeDirectory: () => void;
  #published = 0;

  private constructor(archive: Archive, server: LabMirror, removeDirectory: () => void) {
    this.archive = archive;
    this.address = server.place.address;
    this.#server = server;
    this.#removeDirectory = removeDirectory;
  }

  static async start(place: LabHost): Promise<TestMirror> {
    const scratch = scratchDirectory("archive");
    const archive = await buildArchive(join(scratch.path, "debian"), {
      packages: [...background(), ...shared()],
      suite: "stable",
      translations: [],
      // Publications are ten minutes apart, and none may lie in apt's future.
      dateMs: Date.now() - 5 * day,
    });
    const server = await startLabMirror({ place, root: scratch.path });
    return new TestMirror(archive, server, scratch.remove);
  }

  get program(): string {
    return this.#server.program;
  }

  /** What the machines' apt is told. */
  get source(): string {
    return `deb [signed-by=/usr/share/keyrings/test-archive.gpg] http://${mirrorName}/debian stable main`;
  }

  get sharedPackages(): readonly string[] {
    return this.archive.packages.flatMap(({ name }) =>
      name.startsWith(sharedPrefix) ? [name] : [],
    );
  }

  copyKeyring(path: string): void {
    copyFileSync(this.archive.keyringPath, path);
  }

  /** A new publication → the package that only it has. */
  async publish(): Promise<string> {
    const name = `${probePrefix}${++this.#published}`;
    await this.archive.publish({ packages: [{ name, sizeBytes: probeBytes }] });
    return name;
  }

  resetTraffic(): void {
    this.#server.reset();
  }

  /** Packages that went to an address since the last reset, by file name, and their body bytes. */
  packagesTo(address: string): { readonly names: readonly string[]; readonly bytes: number } {
    const sent = this.#server.traffic().answers.filter(({ from, path, bytes }) => {
      return from === address && path.endsWith(".deb") && bytes > 0;
    });
    return {
      names: sent.map(({ path }) => basename(path)),
      bytes: sent.reduce((sum, { bytes }) => sum + bytes, 0),
    };
  }

  close(): void {
    this.#server.close();
    this.#removeDirectory();
  }
}

/** So that indexes are not empty. */
function background(): readonly PackageSpec[] {
  return Array.from({ length: 300 }, (_, index) => ({
    name: `other-${index}`,
    sizeBytes: 4_000,
    architecture: "all",
  }));
}

function shared(): readonly PackageSpec[] {
  return Array.from({ length: 24 }, (_, index) => ({
    name: `${sharedPrefix}${index}`,
    sizeBytes: index < 20 ? 300_000 : 4_000_000,
    architecture: "all",
  }));
}
