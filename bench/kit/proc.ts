/**
 * What a process tree has used, from /proc: CPU seconds and memory. Linux only, like apt.
 */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";

export interface CpuUse {
  /** User and system seconds of the process itself (all its threads). */
  readonly ownSeconds: number;
  /** The same of its descendants, living and already reaped. */
  readonly childSeconds: number;
}

export interface MemoryUse {
  /** Sums over the tree, in bytes. PSS counts a shared page once, divided among its users. */
  readonly rssBytes: number;
  readonly pssBytes: number;
}

interface Stat {
  readonly pid: number;
  readonly parent: number;
  readonly ownTicks: number;
  readonly reapedTicks: number;
}

const ticksPerSecond = Number(
  spawnSync("getconf", ["CLK_TCK"], { encoding: "utf8" }).stdout.trim() || "100",
);

/** All CPUs of the machine as taskset takes them. */
export const allCpus = `0-${String(cpus().length - 1)}`;

/** CPU seconds of a process and of everything below it. */
export function cpuUse(pid: number): CpuUse {
  let own = 0;
  let child = 0;
  for (const stat of tree(pid)) {
    if (stat.pid === pid) own += stat.ownTicks;
    else child += stat.ownTicks;
    child += stat.reapedTicks;
  }
  return { ownSeconds: own / ticksPerSecond, childSeconds: child / ticksPerSecond };
}

export function cpuSeconds(pid: number): number {
  const { ownSeconds, childSeconds } = cpuUse(pid);
  return ownSeconds + childSeconds;
}

export function memoryUse(pid: number): MemoryUse {
  let rss = 0;
  let pss = 0;
  for (const { pid: member } of tree(pid)) {
    const text = readProc(`/proc/${String(member)}/smaps_rollup`);
    rss += kilobytes(text, "Rss");
    pss += kilobytes(text, "Pss");
  }
  return { rssBytes: rss * 1024, pssBytes: pss * 1024 };
}

/** Moves all threads of a process tree to a CPU list such as "0" or "0,1". */
export function pin(pid: number, cpus: string): void {
  for (const { pid: member } of tree(pid)) {
    spawnSync("taskset", ["-a", "-p", "-c", cpus, String(member)], { stdio: "ignore" });
  }
}

function kilobytes(text: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? "0");
}

function readProc(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function tree(root: number): readonly Stat[] {
  const all: Stat[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = parseStat(readProc(`/proc/${name}/stat`));
    if (stat !== undefined) all.push(stat);
  }
  const members = new Set([root]);
  for (let grown = true; grown;) {
    grown = false;
    for (const { pid, parent } of all) {
      if (!members.has(pid) && members.has(parent)) {
        members.add(pid);
        grown = true;
      }
    }
  }
  return all.filter(({ pid }) => members.has(pid));
}

/** proc(5): fields after the command's closing bracket are 3 = state, 4 = ppid, 14–17 = times. */
function parseStat(text: string): Stat | undefined {
  const end = text.lastIndexOf(")");
  if (end < 0) return undefined;
  const fields = text.slice(end + 2).split(" ");
  const field = (number: number): number => Number(fields[number - 3] ?? "0");
  return {
    pid: Number.parseInt(text, 10),
    parent: field(4),
    ownTicks: field(14) + field(15),
    reapedTicks: field(16) + field(17),
  };
}
