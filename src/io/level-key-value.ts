/**
 * The KeyValue port on LevelDB (package `level`).
 *
 * LevelDB survives kill -9 by itself. What it does not survive is repaired here before or at the
 * opening: a missing CURRENT file (it would start an empty database and delete the old tables), and
 * damage that makes the opening fail or that was met while running (noted in a file beside it).
 */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ClassicLevel } from "classic-level";
import { AptP2pError, errorText } from "../base/errors.ts";
import type { Log } from "../base/ports.ts";
import type { KeyValue, KeyValueChange } from "../base/storage.ts";
import { MiB } from "../base/units.ts";

/** There is little data, and the kernel caches the files anyway: memory at rest counts more. */
const options = {
  cacheSize: 1 * MiB,
  writeBufferSize: 1 * MiB,
  maxOpenFiles: 64,
} as const;

const damageNote = "DAMAGED";

export class LevelKeyValue implements KeyValue {
  readonly #level: ClassicLevel;
  readonly #directory: string;

  private constructor(level: ClassicLevel, directory: string) {
    this.#level = level;
    this.#directory = directory;
  }

  /**
   * Opens the database in `directory`, creating it if need be. Rejects with AptP2pError IN_USE when
   * another process has it open, STORAGE when it can be neither opened nor repaired.
   */
  static async open(directory: string, log: Log): Promise<LevelKeyValue> {
    try {
      mkdirSync(directory, { recursive: true, mode: 0o755 });
      if (needsRepair(directory)) await repair(directory, log, "it was damaged");
    } catch (error) {
      throw openError(directory, error);
    }
    const level = new ClassicLevel(directory, options);
    try {
      await level.open();
    } catch (error) {
      await level.close();
      if (isLocked(error)) throw openError(directory, error);
      try {
        await repair(directory, log, errorText(error));
        await level.open();
      } catch (second) {
        throw openError(directory, second);
      }
    }
    return new LevelKeyValue(level, directory);
  }

  get(key: string): string | undefined {
    try {
      return this.#level.getSync(key);
    } catch (error) {
      throw this.#error("read", error);
    }
  }

  async *range(prefix: string): AsyncIterable<readonly [key: string, value: string]> {
    try {
      for await (const entry of this.#level.iterator({ gte: prefix })) {
        if (!entry[0].startsWith(prefix)) return;
        yield entry;
      }
    } catch (error) {
      throw this.#error("read", error);
    }
  }

  async batch(
    changes: readonly KeyValueChange[],
    { sync = false }: { readonly sync?: boolean } = {},
  ): Promise<void> {
    const operations = changes.map(({ key, value }) =>
      value === undefined
        ? ({ type: "del", key } as const)
        : ({ type: "put", key, value } as const),
    );
    try {
      await this.#level.batch(operations, { sync });
    } catch (error) {
      throw this.#error("write", error);
    }
  }

  async close(): Promise<void> {
    await this.#level.close();
  }

  /** A table that is too short or gone shows as an input error, not as corruption. */
  #error(what: string, error: unknown): AptP2pError {
    const text = allText(error);
    if (text.includes("LEVEL_DATABASE_NOT_OPEN")) {
      return new AptP2pError("CLOSED", `the database ${this.#directory} is closed`, {
        cause: error,
      });
    }
    if (/No space left|Disk quota/i.test(text)) {
      const message = `cannot ${what} the database ${this.#directory}: the disk is full`;
      return new AptP2pError("NO_SPACE", message, { cause: error });
    }
    let advice = "";
    if (/Corruption|\.(ldb|sst): (Invalid argument|No such file)/.test(text)) {
      noteDamage(this.#directory);
      advice = "; restart the daemon: it repairs the database first";
    }
    const message = `cannot ${what} the database ${this.#directory}: ${errorText(error)}${advice}`;
    return new AptP2pError("STORAGE", message, { cause: error });
  }
}

/** CURRENT names the list of tables. LevelDB takes its absence for a new, empty database. */
function needsRepair(directory: string): boolean {
  const names = readdirSync(directory);
  if (names.includes(damageNote)) return true;
  return !names.includes("CURRENT") && names.some((name) => /\.(ldb|sst|log)$/.test(name));
}

async function repair(directory: string, log: Log, reason: string): Promise<void> {
  log.warn("database-repair", { directory, reason });
  await ClassicLevel.repair(directory);
  rmSync(join(directory, damageNote), { force: true });
}

function noteDamage(directory: string): void {
  try {
    if (!existsSync(join(directory, damageNote))) writeFileSync(join(directory, damageNote), "");
  } catch {
    // The note only saves the next start a failure; the error itself is reported.
  }
}

function isLocked(error: unknown): boolean {
  return /LEVEL_LOCKED|already held by process/.test(allText(error));
}

function openError(directory: string, error: unknown): AptP2pError {
  if (isLocked(error)) {
    const message =
      `${directory} is in use by another apt-p2p daemon: stop that one, ` +
      `or give this one a state directory (state_dir) of its own`;
    return new AptP2pError("IN_USE", message, { cause: error });
  }
  const message =
    `cannot open the database ${directory}: ${allText(error)}; check its owner and the disk, ` +
    `or remove the directory to start anew (cached files are kept and taken in again)`;
  return new AptP2pError("STORAGE", message, { cause: error });
}

/** Codes and messages of an error and all its causes: LevelDB's own stand at the end. */
function allText(error: unknown): string {
  const texts: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) {
    const code = (at as { code?: unknown }).code;
    texts.push(typeof code === "string" ? `${code} ${at.message}` : at.message);
  }
  return texts.join(": ");
}
