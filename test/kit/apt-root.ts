/**
 * A private root for apt: its own sources, lists, archives, dpkg status and keyring, so that any
 * number of real `apt-get` run side by side, as root or as anybody, without touching the machine's.
 */
import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";

import { sha256 } from "./bytes.ts";
import { scratchDirectory, undoable } from "./scratch.ts";

export interface AptRootOptions {
  /** Lines of sources.list. */
  readonly sources: readonly string[];
  /** Keyring that apt trusts; undefined: none. */
  readonly keyringPath?: string | undefined;
  /** Lines for apt.conf. */
  readonly configuration?: readonly string[];
  /** It is only made here, and used by `user` in this directory of another machine. */
  readonly placed?: { readonly path: string; readonly user: string };
}

export interface RunOptions {
  readonly timeoutMs?: number;
  /** Ends apt-get and its helpers when it fires; exit code null then. */
  readonly abort?: AbortSignal;
  /** How: SIGINT is a user's Ctrl-C, and the default is SIGKILL. */
  readonly abortWith?: NodeJS.Signals;
}

export interface AptResult {
  readonly args: readonly string[];
  /** null: killed. */
  readonly code: number | null;
  /** Standard output and standard error in the order in which they came. */
  readonly output: string;
  readonly milliseconds: number;
  readonly lists: Files;
  readonly archives: Files;
}

/** Name → SHA-256. */
export type Files = Readonly<Record<string, string>>;

export class AptRoot {
  readonly path: string;
  readonly #placed: { readonly path: string; readonly user: string };
  readonly #configPath: string;
  readonly #remove: () => void;

  constructor(options: AptRootOptions) {
    const scratch = scratchDirectory("root");
    this.path = scratch.path;
    this.#placed = options.placed ?? { path: this.path, user: userInfo().username };
    this.#remove = scratch.remove;
    this.#configPath = join(this.path, "apt.conf");
    for (const directory of [
      ...["apt.conf.d", "preferences.d", "sources.list.d", "trusted.gpg.d"].map(
        (each) => `etc/apt/${each}`,
      ),
      "var/lib/apt/lists/partial",
      "var/cache/apt/archives/partial",
      "var/lib/dpkg",
      "var/log/apt",
      "work",
    ]) {
      mkdirSync(join(this.path, directory), { recursive: true });
    }
    writeFileSync(join(this.path, "var/lib/dpkg/status"), "");
    if (options.keyringPath !== undefined) {
      cpSync(options.keyringPath, join(this.path, "etc/apt/trusted.gpg.d/kit.gpg"));
    }
    this.setSources(options.sources);
    this.configure(options.configuration ?? []);
  }

  /** etc/apt of this root: what a daemon's apt_config_dir names. */
  get configDirectory(): string {
    return join(this.path, "etc/apt");
  }

  get listsDirectory(): string {
    return join(this.path, "var/lib/apt/lists");
  }

  get archivesDirectory(): string {
    return join(this.path, "var/cache/apt/archives");
  }

  setSources(lines: readonly string[]): void {
    writeFileSync(join(this.path, "etc/apt/sources.list"), lines.join("\n") + "\n");
  }

  /** Replaces what was configured beyond the paths. */
  configure(lines: readonly string[]): void {
    const { path: root, user } = this.#placed;
    writeFileSync(
      this.#configPath,
      [
        'APT::Architecture "amd64";',
        'APT::Architectures { "amd64"; };',
        `APT::Sandbox::User "${user}";`,
        `Dir "${root}";`,
        `Dir::State "${root}/var/lib/apt";`,
        `Dir::State::status "${root}/var/lib/dpkg/status";`,
        `Dir::Cache "${root}/var/cache/apt";`,
        `Dir::Etc "${root}/etc/apt";`,
        `Dir::Etc::trusted "${root}/etc/apt/trusted.gpg";`,
        `Dir::Etc::trustedparts "${root}/etc/apt/trusted.gpg.d";`,
        `Dir::Log "${root}/var/log/apt";`,
        'Dir::Bin::Methods "/usr/lib/apt/methods";',
        "#clear APT::Update::Post-Invoke;",
        "#clear APT::Update::Post-Invoke-Success;",
        "#clear DPkg::Pre-Install-Pkgs;",
        "#clear DPkg::Post-Invoke;",
        'Acquire::Languages "en";',
        'APT::Color "0";',
        ...lines,
        "",
      ].join("\n"),
    );
  }

  /** Where and how apt-get runs in this root. */
  get surroundings(): { readonly cwd: string; readonly env: NodeJS.ProcessEnv } {
    return {
      cwd: join(this.path, "work"),
      env: {
        PATH: process.env["PATH"],
        LC_ALL: "C",
        APT_CONFIG: this.#configPath,
        TMPDIR: process.env["TMPDIR"],
      },
    };
  }

  /** `apt-get -q -y ARGS` in this root. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<AptResult> {
    const begun = performance.now();
    const child = spawn("apt-get", ["-q", "-y", ...args], {
      ...this.surroundings,
      stdio: ["ignore", "pipe", "pipe"],
      // A process group of its own: a kill reaches apt's methods too.
      detached: true,
    });
    const send = (signal: NodeJS.Signals): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, signal);
      } catch {
        // It has ended by itself.
      }
    };
    const kill = undoable(() => {
      send("SIGKILL");
    });
    const abort = (): void => {
      send(options.abortWith ?? "SIGKILL");
    };
    const timer = setTimeout(kill.undo, options.timeoutMs ?? 120_000);
    options.abort?.addEventListener("abort", abort, { once: true });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        if (output.length < 1 << 20) output += text;
      });
    }
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", resolve);
    });
    clearTimeout(timer);
    options.abort?.removeEventListener("abort", abort);
    kill.forget();
    const milliseconds = performance.now() - begun;
    return { args, code, output, milliseconds, lists: this.lists(), archives: this.archives() };
  }

  lists(): Files {
    return filesIn(this.listsDirectory);
  }

  archives(): Files {
    return filesIn(this.archivesDirectory);
  }

  /** What `apt-get source` left in its working directory. */
  sources(): Files {
    return filesIn(join(this.path, "work"));
  }

  /** Size of an unfinished download, or 0. */
  partialBytes(name: RegExp): number {
    const directory = join(this.archivesDirectory, "partial");
    const found = existsSync(directory)
      ? readdirSync(directory).find((each) => name.test(each))
      : undefined;
    return found === undefined ? 0 : readFileSync(join(directory, found)).length;
  }

  remove(): void {
    this.#remove();
  }
}

function filesIn(directory: string): Files {
  const files: Record<string, string> = {};
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (!entry.isFile() || entry.name === "lock") continue;
    files[entry.name] = sha256(readFileSync(join(directory, entry.name)));
  }
  return files;
}
