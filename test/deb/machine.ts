/**
 * A freshly booted machine: a root file system below an overlay, systemd as its first process, and the
 * network of one host of the laboratory. It is run by systemd-nspawn and shuts down as a machine does,
 * since a killed one would leave processes and mounts behind.
 */
import { spawn } from "node:child_process";
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import type { LabHost } from "../kit/netlab.ts";
import { undoable } from "../kit/scratch.ts";
import type { Undoable } from "../kit/scratch.ts";
import {
  isAlive,
  makeControlGroups,
  must,
  removeControlGroup,
  run,
  runSync,
  say,
  sleepSync,
  unmount,
} from "./host.ts";
import type { Run } from "./host.ts";
import { mirrorName } from "./mirror.ts";
import type { TestMirror } from "./mirror.ts";

export interface MachinePlan {
  readonly name: string;
  readonly place: LabHost;
  /** The unpacked root file system; stays as it is. */
  readonly base: string;
  /** In memory, for what this machine writes. */
  readonly directory: string;
  /** On the host; seen as /srv/debs and /srv/packages. */
  readonly debs: string;
  readonly dependencies: string;
  readonly mirror: TestMirror;
}

const BOOT_WITHIN_MS = 30_000;
const POWER_OFF_WITHIN_MS = 30_000;
const COMMAND_WITHIN_MS = 180_000;
const surroundings = [
  "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  ...["HOME=/", "LC_ALL=C.UTF-8", "TERM=dumb", "DEBIAN_FRONTEND=noninteractive"],
];

export class Machine {
  readonly name: string;
  readonly address: string;
  readonly #plan: MachinePlan;
  readonly #root: string;
  readonly #unmounting: Undoable;
  #runs: Booted | undefined;

  constructor(plan: MachinePlan) {
    this.#plan = plan;
    this.name = plan.name;
    this.address = plan.place.address;
    const [root, upper, work] = ["root", "upper", "work"].map((each) => {
      const path = join(plan.directory, each);
      mkdirSync(path, { recursive: true });
      return path;
    });
    this.#root = root ?? "";
    this.#unmounting = undoable(() => {
      unmount(this.#root);
      rmSync(plan.directory, { recursive: true });
    });
    const layers = `lowerdir=${plan.base},upperdir=${upper ?? ""},workdir=${work ?? ""}`;
    must(["mount", "-t", "overlay", "-o", layers, "overlay", this.#root]);
    this.#furnish();
  }

  /** As an installer leaves it: sources, their key, names. */
  #furnish(): void {
    const { mirror, name } = this.#plan;
    this.write(
      "/etc/apt/sources.list",
      `${mirror.source}\ndeb [trusted=yes] file:/srv/packages ./\n`,
    );
    mirror.copyKeyring(join(this.#root, "/usr/share/keyrings/test-archive.gpg"));
    this.write("/etc/hostname", `${name}\n`);
    this.write(
      "/etc/hosts",
      `127.0.0.1 localhost\n::1 localhost\n${mirror.address} ${mirrorName}\n`,
    );
    this.write("/etc/resolv.conf", "");
    for (const each of ["debs", "packages"]) mkdirSync(join(this.#root, "srv", each));
  }

  /** Until all its units have started → seconds. */
  async boot(): Promise<number> {
    const begunMs = performance.now();
    const booted = new Booted(this.#plan, this.#root);
    this.#runs = booted;
    const deadline = begunMs + BOOT_WITHIN_MS;
    for (;;) {
      const state = booted.leader === undefined ? "" : await this.#systemState();
      if (state === "running" || state === "degraded") break;
      if (!isAlive(booted.pid) || performance.now() > deadline) {
        throw new Error(`${this.name} has not booted (${state}):\n${booted.console()}`);
      }
      await delay(50);
    }
    return (performance.now() - begunMs) / 1000;
  }

  async #systemState(): Promise<string> {
    const { stdout } = await this.run("systemctl is-system-running", { timeoutMs: 5_000 });
    return stdout.trim();
  }

  /** A shell script on it, as root. */
  run(script: string, { timeoutMs = COMMAND_WITHIN_MS } = {}): Promise<Run> {
    return run([...this.entrance(), "sh", "-c", script], { timeoutMs });
  }

  /** Standard output of a script that must succeed. */
  async ok(script: string): Promise<string> {
    const { code, stdout, output } = await this.run(script);
    if (code !== 0)
      throw new Error(`${this.name}: ${script}: exit ${code}\n${output.slice(-3000)}`);
    return stdout;
  }

  /** The command that runs what follows it on this machine. */
  entrance(): readonly string[] {
    const leader = this.#runs?.leader;
    if (leader === undefined) throw new Error(`${this.name} is off`);
    return ["nsenter", "-t", `${leader}`, "-a", "env", "-i", ...surroundings];
  }

  /** Not below /tmp or /run, which are its own. */
  write(path: string, text: string): void {
    const full = join(this.#root, path);
    mkdirSync(dirname(full), { recursive: true });
    writeFileSync(full, text);
  }

  append(path: string, text: string): void {
    appendFileSync(join(this.#root, path), text);
  }

  read(path: string): string {
    return readFileSync(join(this.#root, path), "utf8");
  }

  has(path: string): boolean {
    return existsSync(join(this.#root, path));
  }

  powerOff(): void {
    this.#runs?.powerOff();
    this.#runs = undefined;
  }

  /** Off, and nothing is left of it. */
  remove(): void {
    this.powerOff();
    this.#unmounting.undo();
  }
}

/** One run of a machine, from power on to power off. */
class Booted {
  readonly pid: number;
  readonly #name: string;
  readonly #consolePath: string;
  readonly #groups: readonly string[];
  readonly #ending: Undoable;
  #leader: number | undefined;

  constructor({ name, place, directory, debs, dependencies }: MachinePlan, root: string) {
    this.#name = `${name}-${process.pid}`;
    this.#consolePath = join(directory, "console");
    this.#groups = makeControlGroups(this.#name);
    const nspawn = [
      ...["systemd-nspawn", "-D", root, "-M", this.#name, `--hostname=${name}`, "--boot"],
      ...["--register=no", "--keep-unit", "--link-journal=no", "--console=read-only"],
      ...["--resolv-conf=off", "--timezone=off"],
      `--network-namespace-path=/run/netns/${place.namespace}`,
      `--bind-ro=${debs}:/srv/debs`,
      `--bind-ro=${dependencies}:/srv/packages`,
    ];
    // On SIGTERM nspawn shuts the machine down: it does not outlive this process, even if that is killed.
    const bound = ["setpriv", "--pdeathsig", "TERM", ...nspawn];
    const joins = this.#groups.map((group) => `echo 0 > '${group}/cgroup.procs' && `);
    const script = `${joins.join("")}exec "$@"`;
    const console = openSync(this.#consolePath, "a");
    const child = spawn("sh", ["-c", script, "sh", ...bound], {
      env: { PATH: process.env["PATH"], TERM: "linux" },
      stdio: ["ignore", console, console],
      detached: true,
    });
    if (child.pid === undefined) throw new Error("sh cannot be started");
    this.pid = child.pid;
    this.#ending = undoable(() => this.#end());
  }

  /** The machine's first process, once it runs systemd. */
  get leader(): number | undefined {
    if (this.#leader !== undefined && isAlive(this.#leader)) return this.#leader;
    const { stdout } = runSync(["ps", "-o", "pid=,comm=", "--ppid", `${this.pid}`]);
    const found = /^\s*(\d+) systemd$/m.exec(stdout)?.[1];
    this.#leader = found === undefined ? undefined : Number(found);
    return this.#leader;
  }

  console(): string {
    return readFileSync(this.#consolePath, "utf8").slice(-3000);
  }

  powerOff(): void {
    this.#ending.undo();
  }

  #end(): void {
    const { leader } = this;
    if (leader !== undefined) {
      const enter = ["nsenter", "-t", `${leader}`, "-a", "env", "-i", ...surroundings];
      runSync(["timeout", "5", ...enter, "systemctl", "poweroff", "--no-wall"]);
    }
    if (!this.#gone(leader === undefined ? 0 : POWER_OFF_WITHIN_MS)) {
      say(`${this.#name} does not shut down: its first process is killed`);
      if (leader !== undefined) process.kill(leader, "SIGKILL");
      else process.kill(this.pid, "SIGTERM");
      if (!this.#gone(5_000)) say(`${this.#name} stays: systemd-nspawn has process id ${this.pid}`);
    }
    for (const group of this.#groups) removeControlGroup(group);
    const leftover = `/run/systemd/nspawn/propagate/${this.#name}`;
    if (existsSync(leftover)) rmdirSync(leftover);
  }

  #gone(withinMs: number): boolean {
    const deadline = performance.now() + withinMs;
    while (isAlive(this.pid)) {
      if (performance.now() > deadline) return false;
      sleepSync(50);
    }
    return true;
  }
}
