/**
 * Reads the configuration from where it lies: the system's file and `conf.d/*.conf` beside it, or
 * the one file of `--config`; then environment and flags. What cannot be read is a problem like
 * any other.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { errorText } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import { parseConfig } from "../config/parse.ts";
import type { ConfigResult } from "../config/parse.ts";
import type { Problem } from "../config/problems.ts";
import type { World } from "./world.ts";

export interface Wanted {
  /** Of `--config`; undefined: the system's. */
  readonly configFile: string | undefined;
  /** By flag name. */
  readonly settings: Readonly<Record<string, string>>;
}

export function loadConfig(wanted: Wanted, world: World): ConfigResult {
  const problems: Problem[] = [];
  const paths =
    wanted.configFile === undefined
      ? systemFiles(world.systemConfigFile, problems)
      : [resolve(world.workingDirectory, wanted.configFile)];
  const files = paths.flatMap((path) => {
    try {
      return [{ path, text: readText(path) }];
    } catch (error) {
      problems.push(unreadable(path, error));
      return [];
    }
  });
  const result = parseConfig({
    files,
    environment: world.environment,
    flags: wanted.settings,
    context: {
      isRoot: world.isRoot,
      homeDirectory: world.homeDirectory,
      xdgCacheHome: world.environment["XDG_CACHE_HOME"],
      xdgStateHome: world.environment["XDG_STATE_HOME"],
    },
  });
  if (problems.length === 0) return result;
  return { problems: [...problems, ...(result.problems ?? [])] };
}

/** conf.d in byte order of the names, as systemd and apt have it; no hidden files, no backups. */
function systemFiles(main: string, problems: Problem[]): string[] {
  const files = exists(main) ? [main] : [];
  const directory = join(dirname(main), "conf.d");
  try {
    const names = readdirSync(directory).filter((name) => /^[^.].*\.conf$/.test(name));
    if (names.length > limits.configFiles) {
      throw new Error(`${names.length} files are too many; ${limits.configFiles} are read`);
    }
    files.push(...names.sort((a, b) => (a < b ? -1 : 1)).map((name) => join(directory, name)));
  } catch (error) {
    if (!isMissing(error)) problems.push(unreadable(directory, error));
  }
  return files;
}

function exists(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch (error) {
    return !isMissing(error);
  }
}

function readText(path: string): string {
  const { size } = statSync(path);
  if (size > limits.configFileBytes) {
    throw new Error(`it has ${size} bytes; at most ${limits.configFileBytes} are read`);
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
}

function unreadable(path: string, error: unknown): Problem {
  const message = `${path} cannot be read: ${errorText(error)}`;
  return { origin: undefined, option: undefined, value: undefined, message };
}

function isMissing(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOENT" || code === "ENOTDIR";
}
