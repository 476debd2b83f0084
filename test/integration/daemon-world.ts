/** One daemon, one signed archive on a mirror: what tests of the service itself need. */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildArchive, type Archive, type PackageSpec } from "../kit/archive.ts";
import { startDaemon, type DaemonOptions, type TestDaemon } from "../kit/daemon.ts";
import { startMirror, type TestMirror } from "../kit/mirror.ts";
import { scratchDirectory } from "../kit/scratch.ts";
import { ask } from "./hostile-client.ts";

export interface DaemonWorld {
  readonly daemon: TestDaemon;
  readonly mirror: TestMirror;
  readonly archive: Archive;
  /** Of a package, at the mirror. */
  urlOf(name: string): string;
  /** The daemon learns the archive, as by apt update. */
  update(): Promise<void>;
  close(): Promise<void>;
}

export async function daemonWorld(
  packages: readonly PackageSpec[],
  options: Partial<DaemonOptions> = {},
): Promise<DaemonWorld> {
  const scratch = scratchDirectory("service");
  const at = (name: string): string => join(scratch.path, name);
  const archive = await buildArchive(at("archive"), { packages });
  const mirror = await startMirror({ root: at("archive") });
  mkdirSync(join(at("apt"), "trusted.gpg.d"), { recursive: true });
  copyFileSync(archive.keyringPath, join(at("apt"), "trusted.gpg.d", "kit.gpg"));
  writeFileSync(
    join(at("apt"), "sources.list"),
    `deb [signed-by=${archive.keyringPath}] http://${mirror.authority}/ stable main\n`,
  );
  const daemon = await startDaemon({ aptConfigDirectory: at("apt"), ...options });
  return {
    ...{ daemon, mirror, archive },
    urlOf: (name) => `http://${mirror.authority}/${archive.package(name).path}`,
    update: async () => {
      for (const path of ["InRelease", "main/binary-amd64/Packages.xz"]) {
        const url = `http://${mirror.authority}/dists/stable/${path}`;
        assert.equal((await ask(daemon.port, url)).status, 200, path);
      }
    },
    close: async () => {
      await daemon.close();
      await mirror.close();
      scratch.remove();
    },
  };
}
