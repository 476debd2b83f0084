/**
 * A mirror in a laboratory: nginx if this machine has it, else the test kit's own in a process of its
 * own, at port 80 of a host. It counts what it was asked for and what it sent.
 *
 * With a round trip (`roundTripMs`) a relay on the same host stands before it, since this kernel may
 * have no netem: see lab-relay.ts.
 */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";

import { LabHost } from "./netlab.ts";
import type { Place } from "./netlab.ts";
import { scratchDirectory, undoable } from "./scratch.ts";

export interface LabMirrorOptions {
  readonly place: Place;
  /** What it serves. */
  readonly root: string;
  /** Default 80, which on this machine's loopback only root may have. */
  readonly port?: number;
  /** Time from a request to the first byte of its answer beyond the link's own; default 0. */
  readonly roundTripMs?: number;
}

/** One answer of the mirror. */
export interface MirrorAnswer {
  readonly from: string;
  readonly method: string;
  readonly status: number;
  /** Of the body, as handed to the kernel: a client that left early may have got less. */
  readonly bytes: number;
  readonly path: string;
}

export interface MirrorTraffic {
  readonly answers: readonly MirrorAnswer[];
  readonly requests: number;
  readonly bodyBytes: number;
  /** What has left its link, with all headers; 0 on loopback. */
  readonly wireBytes: number;
}

const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
const READY_WITHIN_MS = 10_000;
const helper = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export function nginxPath(): string | undefined {
  const path = (process.env["PATH"] ?? "").split(":").concat("/usr/sbin");
  return path.map((each) => `${each}/nginx`).find((each) => existsSync(each));
}

export async function startLabMirror(options: LabMirrorOptions): Promise<LabMirror> {
  const mirror = new LabMirror(options);
  await mirror.ready();
  return mirror;
}

export class LabMirror {
  /** `nginx` or `test kit`: figures name it. */
  readonly program: string;
  readonly url: string;
  readonly place: Place;
  readonly #logPath: string;
  readonly #children: ChildProcess[] = [];
  readonly #removeDirectory: () => void;
  #sentBefore: number;

  constructor({ place, root, port = 80, roundTripMs = 0 }: LabMirrorOptions) {
    const scratch = scratchDirectory("mirror");
    this.#removeDirectory = scratch.remove;
    this.place = place;
    this.#logPath = join(scratch.path, "access.log");
    writeFileSync(this.#logPath, "");
    this.url = `http://${place.address}${port === 80 ? "" : `:${port}`}`;
    const behind = roundTripMs > 0 ? port + 1 : port;
    const plan = { directory: scratch.path, root, address: place.address, port: behind };
    const nginx = nginxPath();
    this.program = nginx === undefined ? "test kit" : "nginx";
    this.#start(
      nginx === undefined
        ? node("lab-mirror-process.ts", [root, place.address, `${behind}`, this.#logPath])
        : [nginx, "-p", scratch.path, "-c", nginxConfiguration(plan, this.#logPath)],
    );
    if (roundTripMs > 0) {
      const relay = [place.address, `${port}`, `${behind}`, `${roundTripMs}`];
      this.#start(node("lab-relay.ts", relay));
    }
    this.#sentBefore = this.#sentBytes();
  }

  async ready(): Promise<void> {
    const deadline = performance.now() + READY_WITHIN_MS;
    while (!this.#children.every(({ exitCode }) => exitCode === null) || !(await this.#answers())) {
      if (performance.now() > deadline) throw new Error("the laboratory's mirror does not answer");
      await delay(30);
    }
    this.reset();
  }

  /** Of the server itself. */
  get pid(): number | undefined {
    return this.#children[0]?.pid;
  }

  /** Counts from zero again. */
  reset(): void {
    truncateSync(this.#logPath);
    this.#sentBefore = this.#sentBytes();
  }

  traffic(): MirrorTraffic {
    const lines = readFileSync(this.#logPath, "utf8").split("\n");
    const answers = lines.flatMap((line) => {
      const [from, method = "", status, bytes, path = ""] = line.split(" ");
      if (from === undefined || from === "") return [];
      return [{ from, method, status: Number(status), bytes: Number(bytes), path }];
    });
    return {
      answers,
      requests: answers.length,
      bodyBytes: answers.reduce((sum, { bytes }) => sum + bytes, 0),
      wireBytes: this.#sentBytes() - this.#sentBefore,
    };
  }

  close(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    this.#removeDirectory();
  }

  #sentBytes(): number {
    return this.place instanceof LabHost ? this.place.sentBytes() : 0;
  }

  #start(words: readonly string[]): void {
    const [file, ...args] = this.place.command(words);
    const child = spawn(file, args, { stdio: ["ignore", "ignore", "inherit"], detached: true });
    // Its group: nginx has a worker.
    const killing = undoable(() => {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    });
    child.kill = () => {
      killing.undo();
      return true;
    };
    child.once("exit", () => killing.forget());
    this.#children.push(child);
  }

  /** Asked from where it is: from here a laboratory's host cannot be reached. */
  #answers(): Promise<boolean> {
    const { hostname, port } = new URL(this.url);
    if (!(this.place instanceof LabHost)) return accepts(hostname, Number(port || 80));
    const code = `exec 3<>/dev/tcp/${hostname}/${port || 80}`;
    const [file, ...args] = this.place.command(["bash", "-c", code]);
    return Promise.resolve(spawnSync(file, args, { stdio: "ignore" }).status === 0);
  }
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const done = (result: boolean) => (): void => {
      socket.destroy();
      resolve(result);
    };
    socket.once("connect", done(true)).once("error", done(false));
  });
}

/** A program of the test kit, in a Node of its own. */
export function node(name: string, args: readonly string[]): readonly string[] {
  return [process.execPath, "--import", tsx, helper(name), ...args];
}

interface NginxPlan {
  readonly directory: string;
  readonly root: string;
  readonly address: string;
  readonly port: number;
}

/** As a mirror is set up: sendfile, long keep-alive → path of the file. */
function nginxConfiguration(
  { directory, root, address, port }: NginxPlan,
  logPath: string,
): string {
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${directory}/tmp-${name};`)
    .join("\n  ");
  const path = join(directory, "nginx.conf");
  mkdirSync(join(directory, "logs"), { recursive: true });
  writeFileSync(
    path,
    `${process.getuid?.() === 0 ? "user root;" : ""}
daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log warn;
events { worker_connections 4096; }
http {
  log_format counted '$remote_addr $request_method $status $body_bytes_sent $request_uri';
  access_log ${logPath} counted;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 300;
  keepalive_requests 1000000;
  default_type application/octet-stream;
  ${temporary}
  server { listen ${address}:${port} backlog=4096; root ${root}; }
}
`,
  );
  return path;
}
