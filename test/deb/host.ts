/**
 * The machine that all this runs on: programs, mounts, control groups. What is made here is undone by
 * whoever made it, through test/kit/scratch.ts.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { undoable } from "../kit/scratch.ts";

export interface Run {
  /** null: killed, since it took too long. */
  readonly code: number | null;
  readonly stdout: string;
  /** Standard output and standard error as they came. */
  readonly output: string;
  readonly milliseconds: number;
}

/** [program, Debian package] of what the host must have. */
const needed = [
  ["mmdebstrap", "mmdebstrap"],
  ["systemd-nspawn", "systemd-container"],
  ["ip", "iproute2"],
  ["tc", "iproute2"],
  ["nsenter", "util-linux"],
  ["setpriv", "util-linux"],
  ["dpkg-deb", "dpkg"],
  ["gpg", "gpg"],
  ["xz", "xz-utils"],
] as const;

const searched = `${process.env["PATH"] ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`;

/** Installs what is missing. Throws with a sentence for people where that cannot be. */
export function prepareHost(): void {
  if (process.getuid?.() !== 0) {
    throw new Error("machines are booted by root only: run this as root (sudo npm run test:deb)");
  }
  const lacking = [...new Set(needed.filter(([name]) => !has(name)).map(([, name]) => name))];
  if (lacking.length === 0) return;
  say(`installing ${lacking.join(" ")}`);
  const install = ["install", "-qy", "--no-install-recommends", ...lacking];
  const options = ["-o", "DPkg::Lock::Timeout=300"];
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const attempt = (): boolean => runSync(["apt-get", ...options, ...install], { env }).status === 0;
  if (attempt()) return;
  runSync(["apt-get", "-q", "update"]);
  if (!attempt()) throw new Error(`please install ${lacking.join(" ")}: apt-get could not`);
}

function has(program: string): boolean {
  return searched.split(":").some((directory) => existsSync(join(directory, program)));
}

export function runSync(
  [file = "", ...args]: readonly string[],
  { input = "", env = {} }: { readonly input?: string; readonly env?: NodeJS.ProcessEnv } = {},
): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const result = spawnSync(file, args, {
    encoding: "utf8",
    input,
    env: { ...process.env, PATH: searched, ...env },
    maxBuffer: 1 << 28,
  });
  if (result.error !== undefined) return { status: -1, stdout: "", stderr: result.error.message };
  return result;
}

/** Standard output of a program that must succeed. */
export function must(words: readonly string[]): string {
  const { status, stdout, stderr } = runSync(words);
  if (status !== 0) throw new Error(`${words.join(" ")}: exit ${status}\n${stderr.slice(-3000)}`);
  return stdout;
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMs: number;
}

/** Runs a program to its end; it and its group are killed after the time. */
export function run(
  [file = "", ...args]: readonly string[],
  { env, timeoutMs }: RunOptions,
): Promise<Run> {
  return new Promise((resolve, reject) => {
    const begunMs = performance.now();
    const child = spawn(file, args, {
      env: env ?? { ...process.env, PATH: searched },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const killing = undoable(() => {
      if (child.pid !== undefined) killGroup(child.pid);
    });
    const timer = setTimeout(killing.undo, timeoutMs);
    let [stdout, output] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      output += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(timer);
      killing.forget();
      resolve({ code, stdout, output, milliseconds: performance.now() - begunMs });
    });
  });
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

/** Whether a process is there and no zombie. */
export function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** Waits without giving the event loop a turn: at the end of the process there is none. */
export function sleepSync(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}

const workPrefix = "apt-p2p-machines-";

/** A directory in memory for everything of this run; unmounted at the end. */
export function memoryDirectory(): string {
  removeLeftovers();
  const path = join(tmpdir(), `${workPrefix}${process.pid}`);
  mkdirSync(path, { mode: 0o755 });
  undoable(() => unmount(path));
  // Two machines with a bundled Node and its packages take half of it.
  must(["mount", "-t", "tmpfs", "-o", "size=4g,mode=0755", "tmpfs", path]);
  return path;
}

/** Of runs whose process was killed; their machines ended with it. */
function removeLeftovers(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = Number(name.startsWith(workPrefix) ? name.slice(workPrefix.length) : NaN);
    if (Number.isInteger(pid) && !isAlive(pid)) unmount(join(tmpdir(), name));
  }
  for (const parent of hierarchies()) {
    for (const name of readdirSync(parent)) {
      const pid = new RegExp(`^${groupPrefix}.*-(\\d+)$`).exec(name)?.[1];
      if (pid !== undefined && !isAlive(Number(pid))) removeControlGroup(join(parent, name));
    }
  }
}

/** Unmounts a file system with all that lies on it, and removes its directory. */
export function unmount(path: string): void {
  // The second is for a directory that somebody still looks into.
  if (runSync(["umount", "-R", path]).status !== 0) runSync(["umount", "-R", "-l", path]);
  rmdirSync(path);
}

const groupPrefix = "apt-p2p-test-";

/**
 * Control groups for one machine, below those of this process, in every hierarchy that systemd uses
 * → their directories. Without them two machines would share their services' groups, and each would
 * end the other's. `name` ends in this process's id.
 */
export function makeControlGroups(name: string): readonly string[] {
  return hierarchies().map((parent) => {
    const path = join(parent, groupPrefix + name);
    mkdirSync(path, { recursive: true });
    return path;
  });
}

/** This process's own groups: of systemd's named hierarchy, of version 2, or of both. */
function hierarchies(): readonly string[] {
  const own = readFileSync("/proc/self/cgroup", "utf8");
  const legacy = /^\d+:name=systemd:(.*)$/m.exec(own)?.[1];
  const unified = /^0::(.*)$/m.exec(own)?.[1];
  const paths = [
    ...(legacy === undefined ? [] : [join("/sys/fs/cgroup/systemd", legacy)]),
    ...(unified === undefined ? [] : [join("/sys/fs/cgroup/unified", unified)]),
    ...(unified === undefined || legacy !== undefined ? [] : [join("/sys/fs/cgroup", unified)]),
  ];
  return paths.filter((path) => existsSync(join(path, "cgroup.procs")));
}

export function removeControlGroup(path: string): void {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeControlGroup(join(path, entry.name));
  }
  try {
    rmdirSync(path);
  } catch (error) {
    say(`the control group ${path} stays: ${String(error)}`);
  }
}

export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
