/**
 * A host behind ssh. All that we bring lies in one directory of its file system for temporary files:
 * the program, a private root for apt, cache, state and log. Nothing else of it is changed, nothing is
 * installed into its system, and no rights are needed; when the run is over the directory goes, and if
 * this machine cannot say so any more, it goes by itself after `leaseHours`.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { basename, join } from "node:path";

import { AptRoot } from "../../test/kit/apt-root.ts";
import { allocation, daemonConfiguration, nodeFlags } from "../../test/kit/lab-machine.ts";
import { scratchDirectory } from "../../test/kit/scratch.ts";
import type { HostRun, HostStatus, LabHost, Settings } from "./host.ts";
import { quoted, Shell } from "./shell.ts";

export interface RemotePlan {
  readonly target: string;
  /** Debian's name of its architecture; undefined: it is asked. */
  readonly arch: string | undefined;
  /** Its proxy as apt on it is told. */
  readonly proxy: string;
  /** Lines of its sources.list. */
  readonly sources: readonly string[];
  readonly keyringPath: string | undefined;
  /** What is unpacked there, by architecture: this checkout's build as a tar, or a .deb. */
  readonly build: (arch: string) => string;
}

/** Longer than any run; a daemon that nobody stopped ends then. */
const leaseHours = 12;
const aptTimeoutMs = 900_000;
const readyTenths = 600;
/** `alive PID`: one that has ended and was not yet asked for by its parent counts as gone. */
const alive = `alive() { [ -r "/proc/$1/stat" ] && ! grep -q ') Z ' "/proc/$1/stat"; }`;

export class RemoteHost implements LabHost {
  readonly #plan: RemotePlan;
  readonly #shell: Shell;
  #directory: string | undefined;

  constructor(plan: RemotePlan) {
    this.#plan = plan;
    this.#shell = new Shell(plan.target);
  }

  /** The command that removes everything, while there is anything. */
  get removal(): readonly [target: string, script: string] | undefined {
    const directory = this.#directory;
    if (directory === undefined) return undefined;
    const script = `cd ${quoted([directory])} || exit 0
kill -9 "$(cat daemon.pid 2>/dev/null)" 2>/dev/null
for each in run lease; do
  [ -r $each.pid ] && kill -9 "-$(cat $each.pid)" 2>/dev/null
done
cd / && rm -rf -- ${quoted([directory])}`;
    return [this.#plan.target, script];
  }

  async install(settings: Settings): Promise<void> {
    const facts = await this.#shell.must(
      `umask 022
directory=$(mktemp -d "\${TMPDIR:-/tmp}/apt-p2p-lab-XXXXXX") && chmod 755 "$directory" || exit 1
# Killed programs leave their temporary files: there they go with all the rest.
mkdir -m 1777 "$directory/tmp"
setsid sh -c 'sleep ${leaseHours * 3600}; kill -9 "$(cat "$0/daemon.pid")"; rm -rf "$0"' "$directory" \\
  </dev/null >/dev/null 2>&1 &
echo $! >"$directory/lease.pid"
printf '%s\\n' "$directory" "$(id -un)" "$(dpkg --print-architecture)"`,
    );
    const [directory = "", user = "", arch = ""] = facts.trim().split("\n");
    this.#directory = directory;
    const build = this.#plan.build(this.#plan.arch ?? arch);
    const staged = this.#stage(directory, user, settings);
    try {
      await this.#shell.put([staged.path, build], directory);
    } finally {
      staged.remove();
    }
    await this.#shell.must(unpacking(directory, basename(build)));
  }

  async start(): Promise<void> {
    const environment = Object.entries(allocation).map(([name, value]) => `${name}=${value}`);
    const daemon = ["./node", ...nodeFlags, "./main.js", "daemon", "--config", this.#config];
    await this.#shell.must(`cd ${quoted([this.#path])} || exit 1
${alive}
env LC_ALL=C TMPDIR="$PWD/tmp" ${environment.join(" ")} \\
  setsid ${quoted(daemon)} </dev/null >>daemon.log 2>&1 &
echo $! >daemon.pid
tries=0
until ${quoted(this.#command(["status", "--json"]))} 2>/dev/null | tr -d ' \\n' | \\
  grep -q '"listening":\\["'
do
  alive "$(cat daemon.pid)" || { echo 'the daemon has ended:' >&2; tail -c 2000 daemon.log >&2; exit 1; }
  tries=$((tries + 1))
  [ $tries -lt ${readyTenths} ] || { echo 'the daemon is not ready' >&2; exit 1; }
  sleep 0.1
done`);
  }

  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    await this.#shell
      .must(`cd ${quoted([this.#path])} && pid=$(cat daemon.pid 2>/dev/null) || exit 0
${alive}
kill -${signal.slice(3)} "$pid" 2>/dev/null
tries=0
while alive "$pid" && [ $tries -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
kill -9 "$pid" 2>/dev/null
rm -f daemon.pid`);
  }

  async freeze(): Promise<void> {
    await this.#shell.must(`kill -STOP "$(cat ${quoted([join(this.#path, "daemon.pid")])})"`);
  }

  async thaw(): Promise<void> {
    await this.#shell.must(`kill -CONT "$(cat ${quoted([join(this.#path, "daemon.pid")])})"`);
  }

  apt(args: readonly string[], way: "daemon" | "direct"): Promise<HostRun> {
    const proxy = `Acquire::http::Proxy=${way === "daemon" ? this.#plan.proxy : "DIRECT"}`;
    const words = ["apt-get", "-q", "-y", "-o", proxy, ...args];
    const config = join(this.#path, "root/apt.conf");
    const environment = ["LC_ALL=C", `TMPDIR=${join(this.#path, "tmp")}`, `APT_CONFIG=${config}`];
    return this.#timed(quoted(["env", ...environment, ...words]));
  }

  async packages(): Promise<ReadonlySet<string>> {
    const out = await this.#shell.must(
      `cd ${quoted([join(this.#path, "root/var/cache/apt/archives")])} || exit 1
for each in *.deb; do [ ! -e "$each" ] || sha256sum <"$each" || exit 1; done`,
    );
    return new Set(out.split("\n").map((line) => line.slice(0, 64)));
  }

  async forget(): Promise<void> {
    await this.#shell.must(`cd ${quoted([join(this.#path, "root/var")])} || exit 1
for each in cache/apt/archives lib/apt/lists; do rm -rf $each && mkdir -p $each/partial; done`);
  }

  get(words: readonly string[]): Promise<HostRun> {
    const get = quoted(this.#command(["get", ...words, "--output", "-"]));
    // sh has no pipefail.
    const script = `{ ${get}; echo $? >get.code; } | sha256sum; exit "$(cat get.code)"`;
    return this.#timed(quoted(["sh", "-c", script]));
  }

  async share(path: string): Promise<HostRun> {
    await this.#shell.put([path], this.#path);
    return this.#timed(quoted(this.#command(["share", join(this.#path, basename(path))])));
  }

  async status(): Promise<HostStatus> {
    const words = quoted(this.#command(["status", "--json"]));
    return JSON.parse(
      await this.#shell.must(`cd ${quoted([this.#path])} && ${words}`, 30_000),
    ) as HostStatus;
  }

  async log(): Promise<string> {
    if (this.#directory === undefined) return "";
    const path = quoted([join(this.#directory, "daemon.log")]);
    return this.#shell.must(`[ ! -r ${path} ] || tail -c 1000000 ${path}`);
  }

  async close(): Promise<void> {
    if (this.removal === undefined) return;
    await this.#shell.must(this.removal[1]);
    this.#directory = undefined;
  }

  get #path(): string {
    if (this.#directory === undefined) throw new Error("it was not installed");
    return this.#directory;
  }

  get #config(): string {
    return join(this.#path, "root/apt-p2p.conf");
  }

  #command(words: readonly string[]): readonly string[] {
    const [name = "", ...rest] = words;
    return ["./node", "./main.js", name, ...rest, "--config", this.#config];
  }

  /** In the directory, in a process group of its own that `removal` can end → how it ended. */
  async #timed(command: string): Promise<HostRun> {
    const { out, err, code } = await this.#shell.run(
      `cd ${quoted([this.#path])} || exit 1
begun=$(date +%s%N)
setsid ${command} </dev/null >run.out 2>&1 &
echo $! >run.pid
wait $!
code=$?
ended=$(date +%s%N)
rm -f run.pid
tail -c 100000 run.out
printf '\\n%s %s\\n' "$code" "$(((ended - begun) / 1000))"`,
      aptTimeoutMs,
    );
    const [, output = "", status, micros] = /^([^]*)\n(\d+) (\d+)\n$/.exec(out) ?? [];
    if (code !== 0 || status === undefined) {
      throw new Error(`ssh: exit ${code ?? "by a signal"}: ${err.trim().slice(-1000)}`);
    }
    return { code: Number(status), output, milliseconds: Number(micros) / 1000 };
  }

  /** The root of apt and the configuration, as they will lie in `directory` → a tar of them. */
  #stage(
    directory: string,
    user: string,
    settings: Settings,
  ): { readonly path: string; readonly remove: () => void } {
    const at = join(directory, "root");
    const root = new AptRoot({
      ...{ sources: this.#plan.sources, keyringPath: this.#plan.keyringPath },
      placed: { path: at, user },
    });
    const scratch = scratchDirectory("stage");
    try {
      const configuration = daemonConfiguration(
        {
          cacheDirectory: join(directory, "cache"),
          stateDirectory: join(directory, "state"),
          archivesDirectory: join(at, "var/cache/apt/archives"),
          aptConfigDirectory: join(at, "etc/apt"),
          aptListsDirectory: join(at, "var/lib/apt/lists"),
        },
        settings,
      );
      writeFileSync(join(root.path, "apt-p2p.conf"), configuration);
      const path = join(scratch.path, "root.tar");
      tar(["-C", root.path, "-cf", path, "."]);
      return { path, remove: scratch.remove };
    } catch (error) {
      scratch.remove();
      throw error;
    } finally {
      root.remove();
    }
  }
}

function unpacking(directory: string, build: string): string {
  return `cd ${quoted([directory])} || exit 1
mkdir root app && tar -C root -xf root.tar || exit 1
case ${quoted([build])} in
*.deb) dpkg-deb -x ${quoted([build])} app && ln -s app/usr/lib/apt-p2p/cli/main.js main.js || exit 1 ;;
*) tar -C app -xzf ${quoted([build])} && ln -s app/dist/cli/main.js main.js || exit 1 ;;
esac
[ -e main.js ] || { echo 'that is no build of apt-p2p' >&2; exit 1; }
node=app/usr/lib/apt-p2p/node
[ -x "$node" ] || node=$(command -v node) || { echo 'it has no Node.js; give a .deb' >&2; exit 1; }
ln -s "$node" node
./node -e 'const [a, b] = process.versions.node.split(".").map(Number);
process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
  { echo "Node.js 20.19 or newer is needed, not $(./node --version)" >&2; exit 1; }`;
}

export function tar(args: readonly string[]): void {
  const { status, stderr } = spawnSync("tar", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`tar failed: ${stderr.trim()}`);
}
