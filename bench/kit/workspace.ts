/**
 * One temporary directory and every process of a bench or real-input run. Whatever happens (end,
 * failure, SIGINT, SIGTERM), the processes are ended and the directory is removed.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync } from "node:fs";
import { createServer, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface StartOptions {
  /** CPU list as taskset takes it, e.g. "0"; undefined leaves the scheduler free. */
  readonly cpus?: string | undefined;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

/** A program that was started by us, with its output in a file. */
export interface Program {
  readonly name: string;
  readonly pid: number;
  readonly logPath: string;
  /** True until the process has ended. */
  running(): boolean;
  /** How it ended, for messages. */
  ending(): string;
  /** SIGTERM, 10 s of patience, SIGKILL to what is left of its process group. */
  stop(): Promise<void>;
}

export class Workspace {
  readonly directory: string;
  readonly #children = new Set<ChildProcess>();
  #programs = 0;
  #closed = false;

  constructor(prefix: string, parent: string = tmpdir()) {
    this.directory = mkdtempSync(join(parent, prefix));
    const now = (): void => this.#closeNow();
    process.once("exit", now);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.once(signal, () => {
        now();
        process.exit(130);
      });
    }
  }

  path(...parts: readonly string[]): string {
    return join(this.directory, ...parts);
  }

  /** Starts a program in a process group of its own. */
  start(name: string, command: readonly string[], options: StartOptions = {}): Program {
    const pinned = options.cpus !== undefined && hasProgram("taskset");
    const [file = "", ...args] = pinned
      ? ["taskset", "-c", options.cpus ?? "", ...command]
      : command;
    this.#programs += 1;
    const logPath = this.path(`${name}-${String(this.#programs)}.log`);
    const log = openSync(logPath, "a");
    const child = spawn(file, args, {
      stdio: ["ignore", log, log],
      detached: true,
      env: options.env ?? process.env,
      cwd: options.cwd ?? this.directory,
    });
    closeSync(log);
    const ended = new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
      child.once("error", () => resolve());
    });
    if (child.pid === undefined) throw new Error(`${name}: cannot start ${file}; is it installed?`);
    const pid = child.pid;
    this.#children.add(child);
    const running = (): boolean => child.exitCode === null && child.signalCode === null;
    const stop = async (): Promise<void> => {
      if (running()) child.kill("SIGTERM");
      if (!(await within(10_000, ended))) child.kill("SIGKILL");
      killGroup(pid);
      await within(2_000, ended);
      this.#children.delete(child);
    };
    const ending = (): string =>
      running() ? "still running" : `ended with ${String(child.exitCode ?? child.signalCode)}`;
    return { name, pid, logPath, running, ending, stop };
  }

  /** Ends all processes and removes the directory. */
  close(): void {
    this.#closeNow();
  }

  #closeNow(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const child of this.#children) if (child.pid !== undefined) killGroup(child.pid);
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // The whole group has ended already.
  }
}

/** True if the promise settled in time. */
async function within(milliseconds: number, promise: Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), milliseconds);
  });
  const settled = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return settled;
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** A TCP port of loopback that was free a moment ago; below 32768, for programs that need that. */
export async function freeLowPort(): Promise<number> {
  for (let port = 10_000 + (process.pid % 20_000); port < 32_768; port += 1) {
    const free = await freePort(port).catch(() => undefined);
    if (free !== undefined) return free;
  }
  throw new Error("no free TCP port from 10000 to 32767");
}

/** A TCP port of loopback that was free a moment ago: the wanted one, or any. */
export async function freePort(wanted = 0): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(wanted, "127.0.0.1", resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no TCP port");
  return address.port;
}

/** Waits until the program accepts connections; fails with the end of its log. */
export async function listening(program: Program, port: number, patienceMs = 20_000) {
  const end = Date.now() + patienceMs;
  for (;;) {
    if (await accepts(port)) return;
    if (!program.running() || Date.now() > end) {
      const tail = readFileSync(program.logPath, "utf8").slice(-2000);
      throw new Error(
        `${program.name} does not listen on port ${String(port)} (${program.ending()}). Its log:\n${tail}`,
      );
    }
    await sleep(20);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    const done = (result: boolean): void => {
      socket.destroy();
      resolve(result);
    };
    socket.once("connect", () => done(true));
    socket.once("error", () => done(false));
  });
}

/** True if a program of this name is in the search path. */
export function hasProgram(name: string): boolean {
  const path = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
  const env = { ...process.env, PATH: path };
  return spawnSync("sh", ["-c", 'command -v -- "$1"', "sh", name], { env }).status === 0;
}

/** Runs a program to its end; throws with its messages if it fails. */
export function runOnce(
  command: readonly string[],
  options: { input?: string; cwd?: string } = {},
) {
  const [file = "", ...args] = command;
  const result = spawnSync(file, args, {
    encoding: "utf8",
    maxBuffer: 256 * 1024 * 1024,
    ...(options.input === undefined ? {} : { input: options.input }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  if (result.error !== undefined) throw result.error;
  if (result.status !== 0) {
    throw new Error(`${command.join(" ").slice(0, 200)} failed:\n${result.stderr.slice(-2000)}`);
  }
  return result.stdout;
}
