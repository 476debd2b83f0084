/**
 * How much memory this process may have: the least limit of its control group and of those around
 * it, in version 2 (memory.max, memory.high) or version 1 (memory.limit_in_bytes) of the hierarchy;
 * see cgroups(7).
 */
import { readFileSync } from "node:fs";
import { posix } from "node:path";

const root = "/sys/fs/cgroup";
/** Version 1 says with a number near 2^63 that there is none. */
const leastBoundless = 2 ** 60;

/** Bytes; undefined: there is no limit, or it cannot be told. `read` throws for what is not there. */
export function memoryLimitBytes(
  read: (path: string) => string = (path) => readFileSync(path, "utf8"),
): number | undefined {
  const limits = groups(attempt(read, "/proc/self/cgroup") ?? "").flatMap(({ base, path, files }) =>
    upward(path).flatMap((group) =>
      files.map((file) => parse(attempt(read, posix.join(base, group, file)))),
    ),
  );
  const known = limits.filter((limit) => limit !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}

interface Group {
  readonly base: string;
  readonly path: string;
  readonly files: readonly string[];
}

/** Lines are `ID:CONTROLLERS:PATH`; version 2 has no controllers. */
function groups(text: string): Group[] {
  return text.split("\n").flatMap((line): Group[] => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined) return [];
    if (controllers === "") return [{ base: root, path, files: ["memory.max", "memory.high"] }];
    const memory = controllers?.split(",").includes("memory") === true;
    return memory ? [{ base: `${root}/memory`, path, files: ["memory.limit_in_bytes"] }] : [];
  });
}

/** The path and all above it; a container sees its own group as the root. */
function upward(path: string): string[] {
  const all = [path];
  for (let at = path; at !== "/";) {
    at = posix.dirname(at);
    all.push(at);
  }
  return all;
}

function attempt(read: (path: string) => string, path: string): string | undefined {
  try {
    return read(path);
  } catch {
    return undefined;
  }
}

function parse(text: string | undefined): number | undefined {
  const bytes = /^\d+\s*$/.test(text ?? "") ? Number(text) : undefined;
  return bytes !== undefined && bytes < leastBoundless ? bytes : undefined;
}
