/**
 * The world of one scenario told one way: its mirrors, apt's private root, our daemon (unless the
 * way is direct), and the record of every step, which is compared between the ways afterwards.
 */
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { AptRoot } from "../kit/apt-root.ts";
import type { AptResult, Files, RunOptions } from "../kit/apt-root.ts";
import { buildArchive } from "../kit/archive.ts";
import type { Archive, ArchiveOptions } from "../kit/archive.ts";
import { sha256 } from "../kit/bytes.ts";
import { freePort, TestDaemon } from "../kit/daemon.ts";
import type { DaemonOptions } from "../kit/daemon.ts";
import { startMirror } from "../kit/mirror.ts";
import type { MirrorOptions, TestMirror } from "../kit/mirror.ts";
import { scratchDirectory } from "../kit/scratch.ts";
import { normaliseFileName, normaliseOutput } from "./normalise.ts";
import type { Messages, Names } from "./normalise.ts";
import { Skipped } from "./scenario.ts";
import type { Way } from "./scenario.ts";

/** What is compared of one apt-get run or one request. */
export interface Step {
  readonly label: string;
  readonly code: number | null;
  readonly messages: Messages;
  readonly files: Files;
  readonly milliseconds: number;
  /** As apt printed it; not compared. */
  readonly output: string;
}

export interface StartOptions {
  /** Lines of sources.list; default: one for the first archive at the first mirror. */
  readonly sources?: readonly string[];
  /** Default: that of the archives. null: apt has no keyring. */
  readonly keyringPath?: string | null;
  /** Lines for apt.conf. */
  readonly configuration?: readonly string[];
  readonly daemon?: Partial<DaemonOptions>;
  /** The daemon's apt_lists_dir is the root's own; else it is empty. */
  readonly daemonReadsLists?: boolean;
  /** The daemon is started later by `startDaemon`. */
  readonly withoutDaemon?: boolean;
}

export interface Totals {
  readonly requests: number;
  readonly bytes: number;
}

export interface FetchOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A story's longest apt run; those that take longer on purpose say so. */
const APT_TIMEOUT_MS = 90_000;

export class World {
  readonly way: Way;
  readonly directory: string;
  readonly steps: Step[] = [];
  /** What the story itself found wrong. */
  readonly complaints: string[] = [];
  readonly mirrors: TestMirror[] = [];
  readonly archives: Archive[] = [];
  readonly #dateMs: number;
  readonly #daemonPort: number;
  readonly #roots: AptRoot[] = [];
  readonly #closing: (() => void)[] = [];
  readonly #removeDirectory: () => void;
  #daemon: TestDaemon | undefined;
  #start: StartOptions = {};
  #totals: Totals | undefined;

  private constructor(way: Way, dateMs: number, daemonPort: number) {
    const scratch = scratchDirectory(`world-${way}`);
    this.way = way;
    this.directory = scratch.path;
    this.#removeDirectory = scratch.remove;
    this.#dateMs = dateMs;
    this.#daemonPort = daemonPort;
  }

  /** `dateMs` is the same in all ways, so that their archives are. */
  static async create(way: Way, dateMs: number): Promise<World> {
    return new World(way, dateMs, await freePort());
  }

  get throughUs(): boolean {
    return this.way !== "direct";
  }

  get root(): AptRoot {
    return present(this.#roots[0], "a root: call start() first");
  }

  get daemon(): TestDaemon {
    return present(this.#daemon, "a daemon in this way");
  }

  get daemonPort(): number {
    return this.#daemonPort;
  }

  get proxyLine(): string {
    return `Acquire::http::Proxy "http://127.0.0.1:${this.#daemonPort}";`;
  }

  get daemonLog(): string {
    return this.#daemon?.log ?? "";
  }

  /** What the mirrors saw of the story itself, without its repetition by `again`. */
  get totals(): Totals {
    return (
      this.#totals ?? {
        requests: this.mirrors.reduce((sum, mirror) => sum + mirror.log.length, 0),
        bytes: this.mirrors.reduce((sum, mirror) => sum + mirror.bodyBytes, 0),
      }
    );
  }

  get mirror(): TestMirror {
    return present(this.mirrors[0], "a mirror: call serve() first");
  }

  /** Builds an archive below the world's directory. */
  async archive(options: ArchiveOptions, directory = "mirror"): Promise<Archive> {
    const root = join(this.directory, directory);
    const archive = await buildArchive(root, { dateMs: this.#dateMs, ...options });
    this.archives.push(archive);
    return archive;
  }

  async serve(archive: Archive, options: Partial<MirrorOptions> = {}): Promise<TestMirror> {
    const mirror = await startMirror({ root: archive.root, ...options });
    this.mirrors.push(mirror);
    return mirror;
  }

  /** The mirror's base URL as this way's sources.list writes it, ending in a slash. */
  url(mirror = this.mirror): string {
    if (this.way !== "prefix") return `${mirror.url}/`;
    const daemon = `http://127.0.0.1:${this.#daemonPort}`;
    return mirror.url.startsWith("https:")
      ? `${daemon}/HTTPS///${mirror.authority}/`
      : `${daemon}/${mirror.authority}/`;
  }

  /** A line of sources.list: `kind` may carry options, as in `deb [trusted=yes]`. */
  source(kind = "deb", rest?: string, mirror = this.mirror): string {
    const archive = present(this.archives[0], "an archive");
    return `${kind} ${this.url(mirror)} ${rest ?? `${archive.suite} main`}`;
  }

  /** Makes apt's root and starts the daemon. */
  async start(options: StartOptions = {}): Promise<void> {
    this.#start = options;
    this.addRoot();
    if (this.throughUs && options.withoutDaemon !== true) await this.startDaemon();
  }

  /** Starts it, or starts it again with the same port and directories. */
  async startDaemon(options: Partial<DaemonOptions> = {}): Promise<void> {
    this.#daemon ??= new TestDaemon(
      {
        aptConfigDirectory: this.root.configDirectory,
        ...(this.#start.daemonReadsLists === true
          ? { aptListsDirectory: this.root.listsDirectory }
          : {}),
        ...this.#start.daemon,
        ...options,
      },
      this.#daemonPort,
    );
    await this.#daemon.start();
  }

  /** One more root like the first: another client of the same daemon. */
  addRoot(): AptRoot {
    const { sources = [this.source()], configuration = [], keyringPath } = this.#start;
    const proxy = this.way === "proxy" ? [this.proxyLine] : [];
    const root = new AptRoot({
      sources,
      keyringPath:
        keyringPath === null ? undefined : (keyringPath ?? this.archives[0]?.keyringPath),
      configuration: [...proxy, ...configuration],
    });
    this.#roots.push(root);
    return root;
  }

  /** `apt-get ARGS` as a step. */
  async apt(args: string, options: RunOptions & { readonly root?: AptRoot } = {}): Promise<Step> {
    const root = options.root ?? this.root;
    const result = await root.run(args.split(" "), { timeoutMs: APT_TIMEOUT_MS, ...options });
    return this.record(result, root);
  }

  /** Takes a run into the record. */
  record(result: AptResult, root = this.root): Step {
    const names = this.#names(root);
    const all = { ...result.lists, ...result.archives, ...root.sources() };
    const step: Step = {
      label: `apt-get ${result.args.join(" ")}`,
      code: result.code,
      messages: normaliseOutput(result.output, names),
      files: renamed(all, names),
      milliseconds: result.milliseconds,
      output: result.output,
    };
    this.steps.push(step);
    return step;
  }

  /** A request for a path at the mirror, as a step: status, headers that matter, digest of the body. */
  async fetch(path: string, options: FetchOptions = {}, mirror = this.mirror): Promise<Step> {
    const begun = performance.now();
    const daemon = { host: "127.0.0.1", port: this.#daemonPort };
    const where = {
      direct: { host: mirror.host, port: mirror.port, path },
      prefix: { ...daemon, path: `/${mirror.authority}${path}` },
      proxy: { ...daemon, path: mirror.url + path },
    }[this.way];
    const host = this.way === "proxy" ? mirror.authority : `${where.host}:${where.port}`;
    const answer = await exchange({ ...where, ...options, headers: { host, ...options.headers } });
    const kept = ["content-length", "content-range", "last-modified"].map(
      (name) => `${name}: ${String(answer.headers[name])}`,
    );
    const step: Step = {
      label: `${options.method ?? "GET"} ${path}`,
      code: answer.status,
      messages: { classes: kept, reasons: [] },
      files: { body: sha256(answer.body) },
      milliseconds: performance.now() - begun,
      output: "",
    };
    this.steps.push(step);
    return step;
  }

  /**
   * Runs the same commands as another, new client after everything has been fetched once. Through us
   * the mirror then sends no byte of a package, nor of an index that is asked for by hash.
   */
  async again(): Promise<void> {
    if (!this.throughUs) return;
    this.#totals = this.totals;
    const before = this.mirrors.map((mirror) => mirror.log.length);
    const root = this.addRoot();
    const steps = [...this.steps];
    for (const step of steps) {
      if (!step.label.startsWith("apt-get ")) continue;
      const repeated = await root.run(step.label.split(" ").slice(1));
      this.check(
        repeated.code === step.code,
        `again: ${step.label} ended with ${String(repeated.code)}`,
      );
    }
    const last = steps.at(-1);
    const files = renamed(
      { ...root.lists(), ...root.archives(), ...root.sources() },
      this.#names(root),
    );
    this.check(
      JSON.stringify(files) === JSON.stringify(last?.files),
      "again: other files than before",
    );
    const sent = this.mirrors.flatMap((mirror, index) => mirror.log.slice(before[index]));
    for (const each of sent) {
      const immutable = /\/by-hash\/|\.(deb|dsc|tar\.gz)$/.test(each.path);
      this.check(!immutable || each.bytes === 0, `again: fetched ${each.path} a second time`);
    }
  }

  /** Complains of each of these counters that has not moved since the daemon's last start → all. */
  async checkCounters(names: readonly string[]): Promise<Readonly<Record<string, number>>> {
    if (this.#daemon?.answering !== true) {
      this.check(names.length === 0, "the daemon is not there to tell its counters");
      return {};
    }
    let { counters } = await this.#daemon.status();
    // What is done behind apt's back may still be under way.
    for (const deadline = performance.now() + 10_000; performance.now() < deadline;) {
      if (names.every((name) => (counters[name] ?? 0) > 0)) break;
      await delay(50);
      ({ counters } = await this.#daemon.status());
    }
    for (const name of names) this.check((counters[name] ?? 0) > 0, `${name} has not moved`);
    return counters;
  }

  check(fine: boolean, complaint: string): void {
    if (!fine) this.complaints.push(complaint);
  }

  skip(reason: string): never {
    throw new Skipped(reason);
  }

  /** This way of telling makes no sense here; the others are compared. */
  skipWay(reason: string): never {
    throw new Skipped(reason, true);
  }

  /** Undone after the daemon and before the directory is removed. */
  onClose(action: () => void): void {
    this.#closing.push(action);
  }

  async close(): Promise<void> {
    await Promise.allSettled([
      this.#daemon?.close(),
      ...this.mirrors.map((mirror) => mirror.close()),
    ]);
    for (const action of this.#closing) action();
    for (const root of this.#roots) root.remove();
    this.#removeDirectory();
  }

  #names(root: AptRoot): Names {
    return {
      mirrors: this.mirrors.map((mirror) => mirror.authority),
      daemon: `127.0.0.1:${this.#daemonPort}`,
      root: root.path,
    };
  }
}

function renamed(files: Files, names: Names): Files {
  const entries = Object.entries(files).map(
    ([name, digest]) => [normaliseFileName(name, names), digest] as const,
  );
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`the story needs ${what}`);
  return value;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

function exchange(options: {
  readonly host: string;
  readonly port: number | string;
  readonly path: string;
  readonly method?: string;
  readonly headers: Readonly<Record<string, string>>;
}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = request({ ...options, agent: false, timeout: 30_000 }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
        }),
      );
    });
    call.on("timeout", () => call.destroy(new Error("no answer in 30 s")));
    call.on("error", reject);
    call.end();
  });
}
