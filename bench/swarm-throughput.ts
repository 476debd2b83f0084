/**
 * How fast one peer gets a file from another on loopback, with every piece and the whole verified,
 * stored, and handed on to a client; beside nginx → `curl | sha256sum` in the same run, and the CPU
 * seconds that a GB costs each.
 *
 * Usage: `npm run bench:swarm -- [--runs 5] [--megabytes 512] [--out FILE]`. Prints JSON.
 */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { setTimeout as delay } from "node:timers/promises";

import { nginxPath } from "../test/kit/lab-mirror.ts";
import { openBed, sourcesOf } from "../test/swarm/bed.ts";
import { rows } from "../test/swarm/figures.ts";
import type { Figure } from "../test/swarm/figures.ts";
import { cpuSeconds } from "./kit/proc.ts";

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "5" },
    megabytes: { type: "string", default: "512" },
    out: { type: "string" },
  },
});
const say = (text: string): void => void process.stderr.write(`${text}\n`);
const sizeBytes = Number(values.megabytes) * 1e6;
if (nginxPath() === undefined) say("nginx is missing: the test kit's mirror stands in for it");

const bed = await openBed({
  packages: [{ name: "large", sizeBytes }],
  machines: 2,
  network: "loopback",
});
const figures: Figure[] = [];
try {
  const [seed, taker] = bed.machines;
  if (seed === undefined || taker === undefined) throw new Error("two machines are needed");
  const { path, sha256 } = bed.archive.package("large");
  for (const machine of bed.machines) await machine.aptOk(["update"]);
  await fetched(`${bed.mirror.url}/${path}`, ["-x", seed.proxy], sha256);
  say("the seed has it");
  await delay(5000);
  const direct: number[] = [];
  for (let run = 0; run < Number(values.runs); run++) {
    const nginx = await measured(`${bed.mirror.url}/${path}`, [], [bed.mirror.pid]);
    say(`nginx → curl: ${nginx.megabytesPerSecond.toFixed(0)} MB/s`);
    direct.push(nginx.megabytesPerSecond);
    figures.push(
      {
        variant: "nginx → curl | sha256sum",
        measure: "speed",
        unit: "MB/s",
        value: nginx.megabytesPerSecond,
      },
      {
        variant: "nginx → curl | sha256sum",
        measure: "CPU",
        unit: "s/GB",
        value: nginx.cpuPerGigabyte,
      },
    );
  }
  // From now on there is nobody but the peer.
  bed.mirror.close();
  for (let run = 0; run < Number(values.runs); run++) {
    const before = await sourcesOf(taker);
    const url = `${bed.mirror.url}/${path}`;
    const { megabytesPerSecond, cpuPerGigabyte } = await measured(
      url,
      ["-x", taker.proxy],
      [seed.pid, taker.pid],
    );
    say(`peer → peer → curl: ${megabytesPerSecond.toFixed(0)} MB/s`);
    const fromPeers = (await sourcesOf(taker)).fromPeers - before.fromPeers;
    if (fromPeers < sizeBytes * 0.99) throw new Error(`only ${fromPeers} bytes came from the peer`);
    figures.push(
      {
        variant: "peer → peer → curl | sha256sum",
        measure: "speed",
        unit: "MB/s",
        value: megabytesPerSecond,
        bound: direct[run] ?? NaN,
        atLeast: 0.5,
      },
      {
        variant: "peer → peer → curl | sha256sum",
        measure: "CPU",
        unit: "s/GB",
        value: cpuPerGigabyte,
      },
    );
    await delay(2000);
    await taker.command("cache", "clean", "--all");
  }
} finally {
  await bed.close();
}

const report = {
  date: new Date().toISOString(),
  machine: { cpus: cpus().length, kernel: release(), node: process.version },
  server: nginxPath() === undefined ? "test kit" : "nginx",
  sizeBytes,
  rows: rows(figures),
};
const text = `${JSON.stringify(report, undefined, 2)}\n`;
if (values.out !== undefined) writeFileSync(resolve(values.out), text);
process.stdout.write(text);
process.exit(report.rows.every(({ met }) => met !== false) ? 0 : 1);

interface Measured {
  readonly megabytesPerSecond: number;
  /** Of the servers named, and of curl and sha256sum. */
  readonly cpuPerGigabyte: number;
}

async function measured(
  url: string,
  options: readonly string[],
  servers: readonly (number | undefined)[],
): Promise<Measured> {
  const pids = servers.filter((pid) => pid !== undefined);
  const used = (): number => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = used();
  const begunMs = performance.now();
  const clients = await fetched(url, options, bed.archive.package("large").sha256);
  const seconds = (performance.now() - begunMs) / 1000;
  const cpu = used() - before + clients;
  return { megabytesPerSecond: sizeBytes / 1e6 / seconds, cpuPerGigabyte: cpu / (sizeBytes / 1e9) };
}

/** `curl | sha256sum` → CPU seconds of both. Rejects unless the digest is right. */
async function fetched(url: string, options: readonly string[], sha256: string): Promise<number> {
  const script = 'curl --max-time 120 --fail --silent --show-error "$@" | sha256sum; times';
  const child = spawn("bash", ["-c", script, "bash", ...options, url], {
    env: { PATH: process.env["PATH"], LC_ALL: "C" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  await new Promise((resolve) => child.once("close", resolve));
  if (!out.startsWith(sha256)) throw new Error(`${url}: wrong bytes: ${out}`);
  const children = out.trim().split("\n").at(-1) ?? "";
  return [...children.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, seconds]) => sum + 60 * Number(minutes) + Number(seconds),
    0,
  );
}
