/** The Debian package beside the program: what is said in both must be the same. */
import type { Tree } from "../tree.ts";

const unitPath = "debian/apt-p2p.service";
const wrapperPath = "debian/bin/apt-p2p";

interface Manifest {
  readonly version?: string;
  readonly scripts?: Readonly<Record<string, string>>;
}

/** The version at the top of debian/changelog, if it is not package.json's. */
export function wrongPackageVersion(files: Tree): string[] {
  const { version } = manifest(files);
  const [, own] = /^apt-p2p \(([^)]*)\)/.exec(files.get("debian/changelog") ?? "") ?? [];
  return own === version ? [] : [`debian/changelog says ${own ?? "nothing"}`];
}

/** Settings of `npm start`, of Node and of its memory, that the installed program is run without. */
export function lostSettings(files: Tree): string[] {
  const start = manifest(files).scripts?.["start"] ?? "";
  const [, settings = ""] = /&&(.*?)\bdist\/cli\/main\.js\b/.exec(start) ?? [];
  const wanted = settings.split(/\s+/).filter((word) => word !== "" && word !== "node");
  if (wanted.length === 0) return ["npm start has no settings that this checker can read"];
  const lines = (files.get(wrapperPath) ?? "").replaceAll("\\\n", " ").split("\n");
  const effective = lines.filter((line) => /^(?:export|exec) /.test(line)).join(" ");
  const words = new Set(effective.split(/\s+/));
  return wanted.filter((word) => !words.has(word)).map((word) => `${wrapperPath}: no ${word}`);
}

/** What the unit does in another way than the program expects. */
export function wrongUnit(files: Tree, hopeless: readonly number[]): string[] {
  const text = files.get(unitPath) ?? "";
  const values = (name: string): string[] =>
    [...text.matchAll(new RegExp(`^${name}=(.*)$`, "gm"))].map(([, value = ""]) => value);
  const demanded: Readonly<Record<string, string>> = {
    ExecStart: "/usr/bin/apt-p2p daemon",
    // As for root, under whose name the other commands look for the daemon.
    Environment: "XDG_CACHE_HOME=/var/cache XDG_STATE_HOME=/var/lib",
    RestartPreventExitStatus: hopeless.join(" "),
  };
  const problems = Object.entries(demanded).flatMap(([name, value]) => {
    const found = values(name).join("; ");
    return found === value ? [] : [`${unitPath}: ${name}=${found}, not ${value}`];
  });
  // Node compiles as it runs, and ends at once where that is forbidden.
  if (values("MemoryDenyWriteExecute").length > 0) problems.push(`${unitPath}: Node cannot start`);
  return problems;
}

function manifest(files: Tree): Manifest {
  return JSON.parse(files.get("package.json") ?? "{}") as Manifest;
}
