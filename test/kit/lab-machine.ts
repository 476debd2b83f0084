/**
 * A machine of a laboratory as a user would have it: a private root of real apt, and our daemon in its
 * default configuration apart from directories. On this machine's loopback (`loopbackPlace`), where no
 * namespace keeps daemons apart, it gets an address of its own and is told its neighbours.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import {
  createReadStream,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { AptRoot } from "./apt-root.ts";
import { LabHost } from "./netlab.ts";
import type { Place } from "./netlab.ts";
import { pooled } from "./pooled.ts";
import { scratchDirectory, undoable } from "./scratch.ts";
import type { Undoable } from "./scratch.ts";

export interface MachineOptions {
  readonly place: Place;
  /** Lines of its sources.list. */
  readonly sources: readonly string[];
  readonly keyringPath: string;
  /** TCP and UDP; default 9977, as configured. */
  readonly port?: number;
  /** Lines of the configuration file by section, beyond directories. */
  readonly settings?: Readonly<Record<string, readonly string[]>>;
  readonly environment?: Readonly<Record<string, string>>;
  /** For the daemon's Node, such as --cpu-prof. */
  readonly nodeOptions?: readonly string[];
  /** Another build than this checkout's. */
  readonly program?: Program;
}

/** A build of ours: the Node that runs it, and its main.js. */
export interface Program {
  readonly node: string;
  readonly main: string;
}

export interface AptRun {
  /** null: killed. */
  readonly code: number | null;
  readonly output: string;
  readonly milliseconds: number;
}

export interface MachineStatus {
  readonly counters: Readonly<Record<string, number>>;
  readonly memory: { readonly rssBytes: number };
  readonly cpuMs: number;
}

const projectRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** APT_P2P_MAIN names another build to test, such as an installed one. */
export const main = process.env["APT_P2P_MAIN"] ?? join(projectRoot, "dist", "cli", "main.js");
const READY_WITHIN_MS = 60_000;
/** As the package starts it: see the script `start` in package.json. */
export const nodeFlags = [
  "--single-threaded-gc",
  "--max-semi-space-size=4",
  "--max-old-space-size=256",
];
export const allocation = {
  MALLOC_ARENA_MAX: "1",
  MALLOC_MMAP_THRESHOLD_: "49152",
  MALLOC_TRIM_THRESHOLD_: "262144",
};

/** Starts them four at a time: all at once, each would be slow enough to seem dead. */
export async function startMachines(
  plans: readonly MachineOptions[],
): Promise<readonly LabMachine[]> {
  const machines = plans.map((plan) => new LabMachine(plan));
  await pooled(machines, 4, (machine) => machine.start());
  return machines;
}

export class LabMachine {
  readonly place: Place;
  readonly root: AptRoot;
  readonly port: number;
  readonly #options: MachineOptions;
  readonly #directory: string;
  readonly #stateDirectory: string;
  readonly #cacheDirectory: string;
  readonly #configPath: string;
  readonly #removeDirectory: () => void;
  #child: ChildProcess | undefined;
  #killing: Undoable | undefined;
  #log = "";

  constructor(options: MachineOptions) {
    const scratch = scratchDirectory("machine");
    this.place = options.place;
    this.port = options.port ?? 9977;
    this.#options = options;
    this.#directory = scratch.path;
    this.#removeDirectory = scratch.remove;
    this.#stateDirectory = join(scratch.path, "state");
    this.#cacheDirectory = join(scratch.path, "cache");
    this.#configPath = join(scratch.path, "apt-p2p.conf");
    this.root = new AptRoot({ sources: options.sources, keyringPath: options.keyringPath });
    writeFileSync(this.#configPath, this.#configuration(options));
  }

  /** Its proxy, for apt on it. */
  get proxy(): string {
    return `http://${this.#local}:${this.port}`;
  }

  /** address:port of its daemon, for others. */
  get endpoint(): string {
    return `${this.place.address}:${this.port}`;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get log(): string {
    return this.#log;
  }

  async start(): Promise<void> {
    // nsenter becomes the program, so that this is the daemon's own process id.
    const { nodeOptions = [] } = this.#options;
    const flags = [...nodeFlags, ...nodeOptions];
    const child = this.#spawn([
      ...[this.#program.node, ...flags, this.#program.main],
      ...["daemon", ...this.#config],
    ]);
    this.#child = child;
    this.#killing = undoable(() => child.kill("SIGKILL"));
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.#log = (this.#log + text).slice(-(1 << 20));
      });
    }
    const deadline = performance.now() + READY_WITHIN_MS;
    while (!(await this.#answers())) {
      const ended = child.exitCode ?? child.signalCode;
      if (ended !== null || performance.now() > deadline) {
        const how = ended === null ? "is not ready" : `ended with ${ended}`;
        throw new Error(`the daemon of ${this.endpoint} ${how}:\n${this.#log.slice(-2000)}`);
      }
      await delay(50);
    }
  }

  /** Ends the daemon: as a user would (SIGTERM), or as a power cut (SIGKILL). */
  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    const hurry = setTimeout(() => child.kill("SIGKILL"), 10_000);
    child.kill(signal);
    if (child.exitCode === null && child.signalCode === null) {
      await new Promise((resolve) => child.once("exit", resolve));
    }
    clearTimeout(hurry);
    this.#killing?.forget();
  }

  /** `apt-get -q -y ARGS` in its root, through its daemon; `direct`: past it. */
  async apt(args: readonly string[], way: "daemon" | "direct" = "daemon"): Promise<AptRun> {
    const proxy = `Acquire::http::Proxy=${way === "daemon" ? this.proxy : "DIRECT"}`;
    const [file, ...words] = this.place.command(["apt-get", "-q", "-y", "-o", proxy, ...args]);
    const begunMs = performance.now();
    const child = spawn(file, words, {
      ...this.root.surroundings,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const killing = undoable(() => {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    });
    const timer = setTimeout(killing.undo, 900_000);
    return { ...(await ending(child)), milliseconds: performance.now() - begunMs };

    async function ending(apt: ChildProcess): Promise<Omit<AptRun, "milliseconds">> {
      let output = "";
      for (const stream of [apt.stdout, apt.stderr]) {
        stream?.setEncoding("utf8").on("data", (text: string) => (output += text));
      }
      const code = await new Promise<number | null>((resolve, reject) => {
        apt.once("error", reject);
        apt.once("close", resolve);
      });
      clearTimeout(timer);
      killing.forget();
      return { code, output };
    }
  }

  /** The same, and an error unless apt was content. */
  async aptOk(args: readonly string[], way: "daemon" | "direct" = "daemon"): Promise<AptRun> {
    const result = await this.apt(args, way);
    if (result.code !== 0 || /^[EW]: /m.test(result.output)) {
      const words = args.join(" ").slice(0, 100);
      const said = `${result.output.slice(-2000)}\n${this.#log.slice(-2000)}`;
      throw new Error(`apt-get ${words} on ${this.endpoint}: exit ${result.code}\n${said}`);
    }
    return result;
  }

  /** A command of the program with its configuration. */
  command(...words: readonly string[]): Promise<AptRun> {
    return this.#run([...this.#commandLine, ...words, ...this.#config]);
  }

  /** The same with its output into a shell's `pipe`, such as "sha256sum". */
  commandInto(pipe: string, ...words: readonly string[]): Promise<AptRun> {
    const script = `set -o pipefail; "$@" | ${pipe}`;
    const command = [...this.#commandLine, ...words, ...this.#config];
    return this.#run(["bash", "-c", script, "bash", ...command]);
  }

  async #run(words: readonly string[]): Promise<AptRun> {
    const begunMs = performance.now();
    const child = this.#spawn(words);
    const killing = undoable(() => child.kill("SIGKILL"));
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => (output += text));
    }
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    killing.forget();
    return { code, output, milliseconds: performance.now() - begunMs };
  }

  /** By its control socket, which no namespace hides. */
  async status(): Promise<MachineStatus> {
    return JSON.parse(await this.#ask()) as MachineStatus;
  }

  /** Name → SHA-256 of the packages that its apt has fetched. */
  packages(): Promise<ReadonlyMap<string, string>> {
    return digests(this.root.archivesDirectory);
  }

  /** apt forgets what it has fetched; the daemon does not. */
  forgetPackages(): void {
    emptied(this.root.archivesDirectory);
  }

  forgetLists(): void {
    emptied(this.root.listsDirectory);
  }

  /** Most memory that its daemon has had so far, in bytes (proc_pid_status(5), VmHWM). */
  peakMemoryBytes(): number {
    const text = readFileSync(`/proc/${this.pid ?? "self"}/status`, "utf8");
    return Number(/VmHWM:\s+(\d+) kB/.exec(text)?.[1] ?? "0") * 1024;
  }

  /** A machine as new: without cache, state, lists and packages. The daemon must be stopped. */
  wipe(settings: MachineOptions["settings"] = this.#options.settings): void {
    writeFileSync(
      this.#configPath,
      this.#configuration({ ...this.#options, settings: settings ?? {} }),
    );
    this.#log = "";
    for (const each of [this.#stateDirectory, this.#cacheDirectory]) {
      rmSync(each, { recursive: true, force: true });
    }
    this.forgetLists();
    this.forgetPackages();
  }

  async close(): Promise<void> {
    await this.stop();
    this.root.remove();
    this.#removeDirectory();
  }

  get #local(): string {
    return this.place instanceof LabHost ? "127.0.0.1" : this.place.address;
  }

  get #program(): Program {
    return this.#options.program ?? { node: process.execPath, main };
  }

  get #commandLine(): readonly string[] {
    return [this.#program.node, this.#program.main];
  }

  get #config(): readonly string[] {
    return ["--config", this.#configPath];
  }

  #spawn(words: readonly string[]): ChildProcess {
    const [file, ...args] = this.place.command(words);
    const env = {
      PATH: process.env["PATH"],
      LC_ALL: "C",
      ...allocation,
      ...this.#options.environment,
    };
    return spawn(file, args, { cwd: this.#directory, env, stdio: ["ignore", "pipe", "pipe"] });
  }

  async #answers(): Promise<boolean> {
    try {
      const { listening } = JSON.parse(await this.#ask()) as { listening: readonly string[] };
      return listening.length > 0;
    } catch {
      return false;
    }
  }

  #ask(): Promise<string> {
    const socketPath = join(this.#stateDirectory, "control.sock");
    return new Promise((resolve, reject) => {
      const call = request({ socketPath, path: "/status", agent: false, timeout: 20_000 });
      call.once("response", (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text: string) => (body += text));
        response.once("end", () => resolve(body)).once("error", reject);
      });
      call
        .once("timeout", () => call.destroy(new Error("no answer in 20 s")))
        .once("error", reject);
      call.end();
    });
  }

  #configuration({ settings = {} }: MachineOptions): string {
    return daemonConfiguration(
      {
        cacheDirectory: this.#cacheDirectory,
        stateDirectory: this.#stateDirectory,
        archivesDirectory: this.root.archivesDirectory,
        aptConfigDirectory: this.root.configDirectory,
        aptListsDirectory: this.root.listsDirectory,
      },
      settings,
    );
  }
}

export interface DaemonDirectories {
  readonly cacheDirectory: string;
  readonly stateDirectory: string;
  /** Of apt: packages, etc/apt, lists. */
  readonly archivesDirectory: string;
  readonly aptConfigDirectory: string;
  readonly aptListsDirectory: string;
}

/** The text of a daemon's configuration file; lines of `settings` come after the directories. */
export function daemonConfiguration(
  directories: DaemonDirectories,
  settings: Readonly<Record<string, readonly string[]>>,
): string {
  const sections: Record<string, readonly string[]> = {
    store: [
      `cache_dir = ${directories.cacheDirectory}`,
      `state_dir = ${directories.stateDirectory}`,
      `offer_dirs = ${directories.archivesDirectory}`,
    ],
    archive: [
      `apt_config_dir = ${directories.aptConfigDirectory}`,
      `apt_lists_dir = ${directories.aptListsDirectory}`,
    ],
  };
  for (const [section, lines] of Object.entries(settings)) {
    sections[section] = [...(sections[section] ?? []), ...lines];
  }
  return Object.entries(sections)
    .map(([section, lines]) => `[${section}]\n${lines.join("\n")}\n`)
    .join("\n");
}

/** Debian's own layout: what is under way lies in `partial`. */
function emptied(directory: string): void {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(join(directory, "partial"), { recursive: true });
}

async function digests(directory: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const name of readdirSync(directory).filter((each) => each.endsWith(".deb"))) {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(join(directory, name))) hash.update(chunk as Buffer);
    found.set(name, hash.digest("hex"));
  }
  return found;
}
