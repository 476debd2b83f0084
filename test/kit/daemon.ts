/**
 * Our daemon as a real process, as a user would start it: compiled program, configuration file,
 * ports and directories of its own.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import { scratchDirectory, undoable } from "./scratch.ts";
import type { Undoable } from "./scratch.ts";

export interface DaemonOptions {
  /** Of loopback, where it listens; default: 127.0.0.1. */
  readonly address?: string;
  /** etc/apt of the root that it serves: sources and keyrings. */
  readonly aptConfigDirectory: string;
  /** Default: an empty directory. */
  readonly aptListsDirectory?: string;
  readonly cacheDirectory?: string;
  readonly offerDirectories?: readonly string[];
  /** Hosts on loopback that it may dial although no source names them. */
  readonly allowUpstreams?: readonly string[];
  /** Further lines of the configuration file by section. */
  readonly settings?: Readonly<Record<string, readonly string[]>>;
  readonly environment?: Readonly<Record<string, string>>;
  /** Only the DHT: no proxy, no store. */
  readonly dhtOnly?: boolean;
  /** A program that becomes the daemon, and its arguments in front of the daemon's. */
  readonly through?: readonly string[];
}

export interface CommandResult {
  /** null: a signal ended it. */
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

export interface DaemonStatus {
  readonly counters: Readonly<Record<string, number>>;
}

const projectRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** APT_P2P_MAIN names another build to test, such as an installed one. */
export const daemonProgram =
  process.env["APT_P2P_MAIN"] ?? join(projectRoot, "dist", "cli", "main.js");
const READY_WITHIN_MS = 20_000;

export function daemonIsBuilt(): boolean {
  return existsSync(daemonProgram);
}

export async function startDaemon(options: DaemonOptions): Promise<TestDaemon> {
  const daemon = new TestDaemon(options, await freePort());
  await daemon.start();
  return daemon;
}

export class TestDaemon {
  readonly port: number;
  readonly directory: string;
  readonly stateDirectory: string;
  readonly cacheDirectory: string;
  readonly #options: DaemonOptions;
  readonly #configPath: string;
  readonly #removeDirectory: () => void;
  #child: ChildProcess | undefined;
  #killing: Undoable | undefined;
  #stopped = false;
  #ended: number | NodeJS.Signals | undefined;
  #log = "";

  constructor(options: DaemonOptions, port: number) {
    const scratch = scratchDirectory("daemon");
    this.port = port;
    this.directory = scratch.path;
    this.#removeDirectory = scratch.remove;
    this.#options = options;
    this.stateDirectory = join(this.directory, "state");
    this.cacheDirectory = options.cacheDirectory ?? join(this.directory, "cache");
    this.#configPath = join(this.directory, "apt-p2p.conf");
    mkdirSync(join(this.directory, "no-lists"));
    writeFileSync(this.#configPath, this.#configuration());
  }

  get url(): string {
    return `http://${this.#address}:${this.port}`;
  }

  get #address(): string {
    return this.#options.address ?? "127.0.0.1";
  }

  /** What it has written so far, over all its lives (the last 4 MiB). */
  get log(): string {
    return this.#log;
  }

  /** It runs, and is not stopped by SIGSTOP. */
  get answering(): boolean {
    return this.#child !== undefined && !this.#stopped;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Exit status of its latest life, or the signal that ended it; undefined: it runs. */
  get ended(): number | NodeJS.Signals | undefined {
    return this.#ended;
  }

  /** Writes the configuration anew, with these lines by section beside its own; see SIGHUP. */
  configure(settings: Readonly<Record<string, readonly string[]>>): void {
    writeFileSync(this.#configPath, this.#configuration(settings));
  }

  /**
   * Starts the process and returns when it answers. Its port was free when it was chosen, but may be
   * some connection's own for a moment: then it is tried again.
   */
  async start(): Promise<void> {
    for (let tries = 1; ; tries++) {
      const before = this.#log.length;
      try {
        await this.#startOnce();
        return;
      } catch (error) {
        if (tries === 5 || !this.#log.slice(before).includes("EADDRINUSE")) throw error;
        await delay(500);
      }
    }
  }

  async #startOnce(): Promise<void> {
    const before = [...(this.#options.through ?? []), process.execPath];
    const child = spawn(
      before[0] ?? "",
      [
        ...[...before.slice(1), "--max-semi-space-size=4"],
        ...[daemonProgram, "daemon", "--config", this.#configPath],
        ...(this.#options.dhtOnly === true ? ["--dht-only"] : []),
      ],
      {
        cwd: this.directory,
        env: { PATH: process.env["PATH"], LC_ALL: "C", ...this.#options.environment },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    this.#child = child;
    this.#ended = undefined;
    child.once("exit", (status, signal) => (this.#ended = signal ?? status ?? undefined));
    this.#killing = undoable(() => child.kill("SIGKILL"));
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.#log = (this.#log + text).slice(-(4 << 20));
      });
    }
    const deadline = performance.now() + READY_WITHIN_MS;
    while (!(await this.#answers())) {
      const ended = child.exitCode ?? child.signalCode;
      if (ended !== null)
        throw new Error(`the daemon ended with ${ended}:\n${this.#log.slice(-2000)}`);
      if (performance.now() > deadline) {
        child.kill("SIGKILL");
        throw new Error(`the daemon was not ready in 20 s:\n${this.#log.slice(-2000)}`);
      }
      await delay(25);
    }
  }

  /** Program and arguments of a command with this daemon's configuration. */
  commandLine(...words: readonly string[]): string[] {
    return [process.execPath, daemonProgram, ...words, "--config", this.#configPath];
  }

  /** Runs a command of the program with this daemon's configuration. */
  async command(...words: readonly string[]): Promise<CommandResult> {
    const [file = "", ...rest] = this.commandLine(...words);
    const child = spawn(file, rest, {
      cwd: this.directory,
      env: { PATH: process.env["PATH"], LC_ALL: "C", ...this.#options.environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const killing = undoable(() => child.kill("SIGKILL"));
    const written = { out: "", err: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (written.out += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (written.err += text));
    const status = await new Promise<number | null>((resolve) => child.once("close", resolve));
    killing.forget();
    return { status, ...written };
  }

  /** Sends the signal and, unless it only stops or continues the process, waits for its end. */
  async signal(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    child.kill(signal);
    this.#stopped = signal === "SIGSTOP";
    if (signal === "SIGSTOP" || signal === "SIGCONT") return;
    const deadline = setTimeout(() => child.kill("SIGKILL"), 10_000);
    if (child.exitCode === null && child.signalCode === null) {
      await new Promise((resolve) => child.once("exit", resolve));
    }
    clearTimeout(deadline);
    this.#killing?.forget();
    this.#child = undefined;
  }

  /** `GET /status` over the control socket. */
  async status(): Promise<DaemonStatus> {
    const answer = await httpGet({
      socketPath: join(this.stateDirectory, "control.sock"),
      path: "/status",
    });
    return JSON.parse(answer.body) as DaemonStatus;
  }

  async counter(name: string): Promise<number> {
    return (await this.status()).counters[name] ?? 0;
  }

  /** Ends the process (SIGTERM; SIGKILL after 10 s) and removes what it left. */
  async close(): Promise<void> {
    this.#child?.kill("SIGCONT");
    await this.signal("SIGTERM");
    this.#removeDirectory();
  }

  /** On its port and on its control socket. */
  async #answers(): Promise<boolean> {
    try {
      if (this.#options.dhtOnly !== true) {
        await httpGet({ host: this.#address, port: this.port, path: "/" });
      }
      await this.status();
      return true;
    } catch {
      return false;
    }
  }

  #configuration(further: Readonly<Record<string, readonly string[]>> = {}): string {
    const options = this.#options;
    const sections: Record<string, readonly string[]> = {
      proxy: [`port = ${this.port}`, `bind = ${this.#address}`],
      store: [
        `cache_dir = ${this.cacheDirectory}`,
        `state_dir = ${this.stateDirectory}`,
        `offer_dirs = ${(options.offerDirectories ?? []).join(", ")}`,
      ],
      archive: [
        `apt_config_dir = ${options.aptConfigDirectory}`,
        `apt_lists_dir = ${options.aptListsDirectory ?? join(this.directory, "no-lists")}`,
      ],
      mirror: [
        `allow_upstreams = ${(options.allowUpstreams ?? ["127.0.0.1", "localhost"]).join(", ")}`,
      ],
      // Tests of other things open no UDP port and meet nobody.
      dht: ["enabled = no"],
      log: ["level = info"],
    };
    const settings = [options.settings ?? {}, further].flatMap((each) => Object.entries(each));
    for (const [section, lines] of settings) {
      const keys = lines.map((line) => line.split("=")[0]?.trim());
      const kept = (sections[section] ?? []).filter(
        (line) => !keys.includes(line.split("=")[0]?.trim()),
      );
      sections[section] = [...kept, ...lines];
    }
    return Object.entries(sections)
      .map(([section, lines]) => `[${section}]\n${lines.join("\n")}\n`)
      .join("\n");
  }
}

function httpGet(
  target: { socketPath: string; path: string } | { host: string; port: number; path: string },
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ ...target, agent: false, timeout: 5000 }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => (body += text));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      response.on("error", reject);
    });
    call.on("timeout", () => call.destroy(new Error("no answer in 5 s")));
    call.on("error", reject);
    call.end();
  });
}

/** A port of loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
