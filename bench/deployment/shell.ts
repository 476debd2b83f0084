/**
 * Commands on another machine by the system's ssh and scp. What it takes to get there (port, key,
 * jump host) is in ssh_config; nothing is ever asked for, since nobody is there to answer.
 */
import { spawn, spawnSync } from "node:child_process";

import { undoable } from "../../test/kit/scratch.ts";

export interface Ended {
  /** null: killed. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

const options = [
  ...["-o", "BatchMode=yes", "-o", "ConnectTimeout=20"],
  ...["-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4"],
];
/** More of one command's output is nobody's to read. */
const mostOutput = 4 << 20;
const defaultTimeoutMs = 300_000;

/** Words as one text that a POSIX shell takes apart into the same words. */
export function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
}

export class Shell {
  readonly target: string;

  constructor(target: string) {
    this.target = target;
  }

  /** Runs a script of sh; an Error if ssh itself fails, or the script with what it said. */
  async must(script: string, timeoutMs?: number): Promise<string> {
    const { code, out, err } = await this.run(script, timeoutMs);
    if (code === 0) return out;
    const said = (err.trim() === "" ? out : err).trim().slice(-2000);
    throw new Error(`exit ${code ?? "by a signal"}: ${said === "" ? "it said nothing" : said}`);
  }

  run(script: string, timeoutMs = defaultTimeoutMs): Promise<Ended> {
    return ended(sshWords(this.target, script), timeoutMs);
  }

  /** Copies files of this machine into a directory of that one. */
  async put(paths: readonly string[], directory: string): Promise<void> {
    const { code, err } = await ended(
      ["scp", "-q", ...options, "--", ...paths, `${scpTarget(this.target)}:${directory}/`],
      defaultTimeoutMs,
    );
    if (code !== 0)
      throw new Error(`scp: exit ${code ?? "by a signal"}: ${err.trim().slice(-1000)}`);
  }
}

/** The same at once on many machines, while this process ends: it waits for them, 30 s at most. */
export function runAllNow(scripts: readonly (readonly [target: string, script: string])[]): void {
  const commands = scripts.map(([target, script]) => quoted(sshWords(target, script)));
  const all = commands.map((command) => `${command} </dev/null >/dev/null 2>&1 &`).join("\n");
  spawnSync("sh", ["-c", `${all}\nwait`], { stdio: "ignore", timeout: 30_000 });
}

function sshWords(target: string, script: string): string[] {
  return ["ssh", ...options, "--", target, quoted(["sh", "-c", script])];
}

/** An IPv6 address needs brackets before the colon that follows. */
function scpTarget(target: string): string {
  const [, user = "", host = ""] = /^(.*@)?(.*)$/.exec(target) ?? [];
  return host.includes(":") ? `${user}[${host}]` : target;
}

async function ended([file = "", ...args]: readonly string[], timeoutMs: number): Promise<Ended> {
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
  const killing = undoable(() => child.kill("SIGKILL"));
  const timer = setTimeout(killing.undo, timeoutMs);
  const said = { out: "", err: "" };
  for (const [name, stream] of [
    ["out", child.stdout],
    ["err", child.stderr],
  ] as const) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      said[name] = (said[name] + text).slice(-mostOutput);
    });
  }
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once("error", reject).once("close", resolve);
    });
    return { code, ...said };
  } finally {
    clearTimeout(timer);
    killing.forget();
  }
}
