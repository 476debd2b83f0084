/** apt-p2p-lab as a process, with a directory of its own for all that it makes. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import type { Report } from "../../bench/deployment/report.ts";
import { scratchDirectory, undoable } from "../kit/scratch.ts";

const program = fileURLToPath(new URL("../../bench/deployment/main.ts", import.meta.url));
const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;

export interface LabEnd {
  /** null: a signal ended it. */
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

export class LabProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<LabEnd>;
  #err = "";

  constructor(words: readonly string[], environment: NodeJS.ProcessEnv) {
    const env = { ...process.env, ...environment };
    const child = spawn(process.execPath, ["--import", tsx, program, ...words], {
      ...{ env, stdio: ["ignore", "pipe", "pipe"] },
    });
    const killing = undoable(() => child.kill("SIGTERM"));
    this.child = child;
    let out = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.#err += text));
    this.ended = new Promise((resolve) => {
      child.once("close", (status) => {
        killing.forget();
        resolve({ status, out, err: this.#err });
      });
    });
  }

  /** Returns when it has said this; an Error if it ends before. */
  async said(text: string): Promise<void> {
    const ended = this.ended.then(() => {
      if (this.#err.includes(text)) return;
      throw new Error(`it has ended without a word of ${text}:\n${this.#err}`);
    });
    while (!this.#err.includes(text)) {
      await Promise.race([
        ended,
        new Promise((resolve) => this.child.stderr?.once("data", resolve)),
      ]);
    }
    ended.catch(() => undefined);
  }
}

export class LabDesk {
  readonly path: string;
  readonly remove: () => void;
  readonly #temporary: string;

  constructor() {
    const scratch = scratchDirectory("lab-test");
    this.path = scratch.path;
    this.remove = scratch.remove;
    this.#temporary = join(this.path, "tmp");
    mkdirSync(this.#temporary);
  }

  file(name: string, content: string | object): string {
    const path = join(this.path, name);
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
    return path;
  }

  start(words: readonly string[], environment: NodeJS.ProcessEnv = {}): LabProcess {
    const out = ["--out", join(this.path, "out")];
    return new LabProcess([...words, ...out], { TMPDIR: this.#temporary, ...environment });
  }

  /** What the run wrote. */
  report(): Report {
    return JSON.parse(this.written("report.json")) as Report;
  }

  written(name: string): string {
    return readFileSync(join(this.path, "out", name), "utf8");
  }

  /** What it has left in the directory for temporary files; tsx keeps its cache there. */
  leftovers(): readonly string[] {
    return readdirSync(this.#temporary).filter((name) => !name.startsWith("tsx-"));
  }
}

/** Command lines of living processes that contain a text. */
export function processesWith(text: string): readonly string[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ");
      return words.includes(text) ? [words] : [];
    } catch {
      return [];
    }
  });
}
