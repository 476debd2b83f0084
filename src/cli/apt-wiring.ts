/**
 * How apt is led to the daemon: a line in apt's configuration names a program, `apt-proxy`, which
 * apt asks for its proxy. All of it are configuration files of the package; `enable` and `disable`
 * only make and remove a marker beside the program, which it obeys.
 */
import {
  accessSync,
  constants,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { AptP2pError, errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { exitCodes } from "./exit-codes.ts";
import type { World } from "./world.ts";

export interface Wiring {
  /** What apt asks. */
  readonly probe: string;
  /** There while apt is told DIRECT whatever the daemon does. */
  readonly marker: string;
}

/** Both lie beside the system's configuration file. */
export function wiringOf(world: World): Wiring {
  const directory = dirname(world.systemConfigFile);
  return { probe: join(directory, "apt-proxy"), marker: join(directory, "disabled") };
}

export function isDisabled({ marker }: Wiring): boolean {
  return isThere(marker, constants.F_OK);
}

export type ProbeState = "ready" | "missing" | "not executable";

export function probeState({ probe }: Wiring): ProbeState {
  if (!isThere(probe, constants.F_OK)) return "missing";
  return isThere(probe, constants.R_OK | constants.X_OK) ? "ready" : "not executable";
}

const markerText =
  "While this file is here, apt is led past apt-p2p. Remove it by: apt-p2p enable\n";

export function disable(world: World): number {
  const wiring = wiringOf(world);
  const before = isDisabled(wiring);
  asRoot(world, () => writeFileSync(wiring.marker, markerText, { mode: 0o644 }));
  world.out.write(
    before
      ? "apt was led past apt-p2p already.\n"
      : "From its next run on apt goes to the mirrors by itself. The daemon goes on sharing;\n" +
          "`apt-p2p enable` undoes this.\n",
  );
  return exitCodes.ok.code;
}

export function enable(world: World): number {
  const wiring = wiringOf(world);
  const before = isDisabled(wiring);
  asRoot(world, () => rmSync(wiring.marker, { force: true }));
  const state = probeState(wiring);
  if (state !== "ready") {
    world.err.write(`apt-p2p: ${wiring.probe} is ${state}; see apt-p2p doctor\n`);
    return exitCodes.found.code;
  }
  world.out.write(
    before
      ? "From its next run on apt uses apt-p2p while its daemon is alive.\n"
      : "apt was not led past apt-p2p; if it is not used, apt-p2p doctor tells why.\n",
  );
  return exitCodes.ok.code;
}

function asRoot(world: World, change: () => void): void {
  const directory = dirname(world.systemConfigFile);
  if (!world.isRoot) {
    throw new AptP2pError("STORAGE", `only root may change ${directory}; run this with sudo`);
  }
  try {
    change();
  } catch (error) {
    throw new AptP2pError("STORAGE", `${directory} cannot be changed: ${errorText(error)}`, {
      cause: error,
    });
  }
}

export interface TextFile {
  readonly path: string;
  readonly text: string;
  /** Readable for everybody. */
  readonly open: boolean;
}

/** The file and those of the directory with these endings, as far as they can be read. */
export function readTexts(file: string, directory: string, endings: RegExp): readonly TextFile[] {
  const names = namesIn(directory).filter((name) => endings.test(name));
  const paths = [file, ...names.slice(0, limits.sourcesFiles).map((name) => join(directory, name))];
  return paths.flatMap((path) => {
    try {
      const open = (statSync(path).mode & 0o004) !== 0;
      return [{ path, text: readFileSync(path, "utf8"), open }];
    } catch {
      return [];
    }
  });
}

function namesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}

function isThere(path: string, how: number): boolean {
  try {
    accessSync(path, how);
    return true;
  } catch {
    return false;
  }
}
