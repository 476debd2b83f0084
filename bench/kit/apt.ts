/**
 * Real apt with a private root: its own sources, keyrings, lists and archives; nothing of the
 * machine's configuration is read or changed.
 */
import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

export interface AptRoot {
  readonly directory: string;
  /** What a daemon that serves this root gets as apt_config_dir. */
  readonly configDirectory: string;
  readonly listsDirectory: string;
  readonly archivesDirectory: string;
}

export interface AptRun {
  readonly code: number;
  readonly seconds: number;
  readonly output: string;
}

/** `sources`: one-line format. `keyrings`: files that apt trusts for every source. */
export function makeAptRoot(
  directory: string,
  options: { readonly sources: readonly string[]; readonly keyrings: readonly string[] },
): AptRoot {
  const root: AptRoot = {
    directory,
    configDirectory: join(directory, "etc/apt"),
    listsDirectory: join(directory, "var/lib/apt/lists"),
    archivesDirectory: join(directory, "var/cache/apt/archives"),
  };
  const trusted = join(root.configDirectory, "trusted.gpg.d");
  for (const made of [
    trusted,
    join(root.configDirectory, "apt.conf.d"),
    join(root.configDirectory, "preferences.d"),
    join(root.configDirectory, "sources.list.d"),
    join(root.listsDirectory, "partial"),
    join(root.archivesDirectory, "partial"),
    join(directory, "var/lib/dpkg"),
    join(directory, "var/log/apt"),
  ]) {
    mkdirSync(made, { recursive: true });
  }
  writeFileSync(join(directory, "var/lib/dpkg/status"), "");
  writeFileSync(join(root.configDirectory, "sources.list"), options.sources.join("\n") + "\n");
  for (const ring of options.keyrings) copyFileSync(ring, join(trusted, basename(ring)));
  writeFileSync(join(directory, "apt.conf"), configuration(directory));
  return root;
}

function configuration(directory: string): string {
  const lines: readonly (readonly [string, string])[] = [
    ["APT::Architecture", "amd64"],
    ["APT::Architectures", "amd64"],
    ["APT::Sandbox::User", process.getuid?.() === 0 ? "root" : ""],
    ["APT::Install-Recommends", "false"],
    ["Dir", directory],
    ["Dir::State", join(directory, "var/lib/apt")],
    ["Dir::State::status", join(directory, "var/lib/dpkg/status")],
    ["Dir::Cache", join(directory, "var/cache/apt")],
    ["Dir::Etc", join(directory, "etc/apt")],
    ["Dir::Etc::trustedparts", join(directory, "etc/apt/trusted.gpg.d")],
    ["Dir::Log", join(directory, "var/log/apt")],
    ["Dir::Bin::Methods", "/usr/lib/apt/methods"],
    ["Acquire::Languages", "en"],
    ["Acquire::Check-Valid-Until", "false"],
  ];
  const clear = [
    "APT::Update::Post-Invoke",
    "APT::Update::Post-Invoke-Success",
    "DPkg::Post-Invoke",
  ];
  return [
    ...lines.map(([name, value]) => `${name} "${value}";`),
    ...clear.map((name) => `#clear ${name};`),
    "",
  ].join("\n");
}

/** Runs apt-get in the root; `proxy` is a URL, or undefined for none. Rejects only on a time-out. */
export function runApt(
  root: AptRoot,
  args: readonly string[],
  options: { readonly proxy?: string | undefined; readonly timeoutMs?: number } = {},
): Promise<AptRun> {
  const proxy = options.proxy ?? "";
  const command = ["-q", "-y", "-o", `Acquire::http::Proxy=${proxy === "" ? "DIRECT" : proxy}`];
  const env = {
    PATH: process.env["PATH"],
    LC_ALL: "C",
    APT_CONFIG: join(root.directory, "apt.conf"),
  };
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn("apt-get", [...command, ...args], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    }
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new Error(`apt-get ${args.join(" ").slice(0, 100)}: no end in time\n${output}`));
    }, options.timeoutMs ?? 300_000);
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      resolve({ code: code ?? -1, seconds: (performance.now() - started) / 1000, output });
    });
  });
}

/** As runApt, and fails with apt's messages unless it ended well and without a warning. */
export async function aptOk(
  root: AptRoot,
  args: readonly string[],
  options: { readonly proxy?: string | undefined; readonly timeoutMs?: number } = {},
): Promise<AptRun> {
  const run = await runApt(root, args, options);
  if (run.code !== 0 || /^[EW]: /m.test(run.output)) {
    const command = `apt-get ${args.join(" ").slice(0, 100)}`;
    throw new Error(`${command}: exit ${String(run.code)}\n${run.output.slice(-3000)}`);
  }
  return run;
}

/** Forgets all downloaded packages. */
export function emptyArchives(root: AptRoot): void {
  rmSync(root.archivesDirectory, { recursive: true, force: true });
  mkdirSync(join(root.archivesDirectory, "partial"), { recursive: true });
}

/** Forgets all downloaded indexes. */
export function emptyLists(root: AptRoot): void {
  rmSync(root.listsDirectory, { recursive: true, force: true });
  mkdirSync(join(root.listsDirectory, "partial"), { recursive: true });
}

/** Number of packages that lie in the root's archives. */
export function downloadedPackages(root: AptRoot): number {
  return readdirSync(root.archivesDirectory).filter((name) => name.endsWith(".deb")).length;
}
