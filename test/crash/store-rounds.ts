/** kill -9 of a process that works on a store, again and again on the same directory. */
import { spawn, type ChildProcess } from "node:child_process";
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Sha256 } from "../../src/base/sha256.ts";
import { SeededRandom } from "../../src/sim/seeded-random.ts";
import { checkStore, type Expected, type Places } from "./open-store.ts";

const program = fileURLToPath(new URL("./store-child.ts", import.meta.url));

export interface RoundsOptions {
  readonly rounds: number;
  readonly seed: number;
  /** No new round is begun after this time. */
  readonly milliseconds: number;
}

export interface RoundsResult {
  readonly rounds: number;
  readonly seed: number;
  readonly stored: number;
  readonly filesAtEnd: number;
  readonly unfinishedFound: number;
  readonly adopted: number;
}

/** Rejects at the first violation, naming seed and round. */
export async function crashStore(options: RoundsOptions): Promise<RoundsResult> {
  const random = new SeededRandom(options.seed);
  const directory = mkdtempSync(join(tmpdir(), "apt-p2p-crash-"));
  const places: Places = {
    cacheDirectory: join(directory, "cache"),
    databaseDirectory: join(directory, "db"),
  };
  const acknowledged = new Set<Sha256>();
  const total = { rounds: 0, stored: 0, filesAtEnd: 0, unfinishedFound: 0, adopted: 0 };
  const startedMs = performance.now();
  // The next child loads its program while this one works and dies.
  let next = new Child(places, options.seed);
  try {
    while (total.rounds < options.rounds) {
      if (performance.now() - startedMs > options.milliseconds) break;
      const child = next;
      next = new Child(places, options.seed + total.rounds + 1);
      const written = await child.runAndKill(workMs(random), acknowledged);
      const expected: Expected = { acknowledged, written };
      const found = await checkStore(places, expected).catch((error: unknown) => {
        throw new Error(`seed ${options.seed}, round ${total.rounds}`, { cause: error });
      });
      total.rounds += 1;
      total.stored += child.stored;
      total.filesAtEnd = found.files.size;
      total.unfinishedFound += found.unfinished.size;
      total.adopted += found.adopted;
    }
  } finally {
    await next.kill();
    rmSync(directory, { recursive: true, force: true });
  }
  return { seed: options.seed, ...total };
}

/** Mostly long enough for commits to be under way, sometimes just begun. */
function workMs(random: SeededRandom): number {
  return 5 + random.below(random.chance(0.3) ? 60 : 450);
}

class Child {
  stored = 0;
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;
  #output = "";
  #errors = "";
  #onOutput: () => void = () => undefined;

  constructor({ cacheDirectory, databaseDirectory }: Places, seed: number) {
    const options = ["--import", "tsx", program, cacheDirectory, databaseDirectory, String(seed)];
    this.#process = spawn(process.execPath, options, { stdio: ["pipe", "pipe", "pipe"] });
    this.#process.stdout?.setEncoding("latin1").on("data", (text: string) => {
      this.#output += text;
      this.#onOutput();
    });
    this.#process.stderr?.setEncoding("latin1").on("data", (text: string) => {
      this.#errors += text;
    });
    this.#process.stdin?.on("error", () => undefined);
    this.#ended = new Promise((resolve) => this.#process.once("close", () => resolve()));
  }

  /** Kills it some time after it began to work → the bytes it had written of unfinished files. */
  async runAndKill(
    milliseconds: number,
    acknowledged: Set<Sha256>,
  ): Promise<ReadonlyMap<Sha256, number>> {
    await this.#said("loaded");
    this.#process.stdin?.write("\n");
    await this.#said("ready");
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    await this.kill();
    const crash = this.#errors.split("\n").filter((line) => /Error|at .*\.ts/.test(line));
    assert.deepEqual(crash, [], "the child fell over by itself");
    const written = new Map<Sha256, number>();
    for (const line of this.#output.split("\n").slice(0, -1)) {
      const [fact, sha, bytes] = line.split(" ") as [string, Sha256, string?];
      if (fact === "wrong") throw new Error(`wrong bytes were served of ${sha}`);
      if (fact === "stored") {
        this.stored += 1;
        acknowledged.add(sha);
        written.delete(sha);
      } else if (fact === "removing") {
        acknowledged.delete(sha);
        written.delete(sha);
      } else if (fact === "written") written.set(sha, Number(bytes ?? 0));
    }
    return written;
  }

  async kill(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#ended;
  }

  async #said(word: string): Promise<void> {
    const said = (): boolean => this.#output.split("\n").includes(word);
    if (said()) return;
    await Promise.race([
      new Promise<void>((resolve) => {
        this.#onOutput = () => {
          if (said()) resolve();
        };
      }),
      this.#ended.then(() => {
        throw new Error(`the child ended before it was ${word}: ${this.#errors}`);
      }),
    ]);
  }
}
