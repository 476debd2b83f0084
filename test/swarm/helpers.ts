/** Programs of this directory as processes on hosts of a bed: liars, and whoever else is no daemon. */
import { spawn } from "node:child_process";
import { join } from "node:path";

import type { Archive } from "../kit/archive.ts";
import { node } from "../kit/lab-mirror.ts";
import type { Place } from "../kit/netlab.ts";
import { undoable } from "../kit/scratch.ts";
import type { LiarKind, LiarOptions } from "./liar.ts";

export interface StartedLiar {
  readonly place: Place;
  readonly kind: LiarKind;
  /** Requests that it got, by what they asked for. */
  readonly asked: () => Readonly<Record<string, number>>;
}

/** Has all files of the archive; `victims` (address:port) are those whom it floods, if it does. */
export async function startLiar(
  archive: Archive,
  { place, kind, victims }: Pick<StartedLiar, "place" | "kind"> & Pick<LiarOptions, "victims">,
): Promise<StartedLiar> {
  const paths = archive.packages.map(
    ({ path, sha256 }) => [sha256, join(archive.root, path)] as const,
  );
  const options: LiarOptions = {
    ...{ kind, address: place.address, port: 9977 },
    ...{ files: Object.fromEntries(paths), victims },
  };
  const last = await startHelper(place, "liar-process.ts", options);
  return { place, kind, asked: () => JSON.parse(last()) as Record<string, number> };
}

/** Starts a program of this directory and waits for its first line → its last line. */
export async function startHelper(
  place: Place,
  name: string,
  options: unknown,
): Promise<() => string> {
  const [file, ...args] = place.command(node(`../swarm/${name}`, [JSON.stringify(options)]));
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
  undoable(() => child.kill("SIGKILL"));
  let last = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    last = text.trimEnd().split("\n").at(-1) ?? "";
  });
  await new Promise((resolve, reject) => {
    child.stdout.once("data", resolve);
    child.once("exit", () => reject(new Error(`${name} did not start`)));
  });
  return () => last;
}
