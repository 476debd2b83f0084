/** Our daemon on a machine, as systemd sees it and as it tells about itself. */
import { setTimeout as delay } from "node:timers/promises";

import type { Machine } from "./machine.ts";

export interface Unit {
  readonly pid: number;
  /** active, failed, inactive, activating … */
  readonly state: string;
  /** By systemd on its own account since the last start by hand. */
  readonly restarts: number;
  readonly result: string;
  readonly exitStatus: number;
  /** From the start of the process to its word that it is ready. */
  readonly readySeconds: number;
}

export interface DaemonStatus {
  readonly version: string;
  readonly bytes: {
    readonly toClients: number;
    readonly fromPeers: number;
    readonly fromMirror: number;
    readonly fromCache: number;
  };
  readonly counters: Readonly<Record<string, number>>;
  readonly dht: { readonly id?: string };
}

/** What an upgrade must keep. */
export interface Belongings {
  readonly id: string;
  /** SHA-256 of all stored files, sorted. */
  readonly stored: readonly string[];
}

const properties = {
  pid: "MainPID",
  state: "ActiveState",
  restarts: "NRestarts",
  result: "Result",
  exitStatus: "ExecMainStatus",
  started: "ExecMainStartTimestampMonotonic",
  ready: "ActiveEnterTimestampMonotonic",
} as const;

export async function unit(machine: Machine): Promise<Unit> {
  const names = Object.values(properties).join(",");
  const text = await machine.ok(`systemctl show -p ${names} apt-p2p.service`);
  const value = (name: keyof typeof properties): string =>
    new RegExp(`^${properties[name]}=(.*)$`, "m").exec(text)?.[1] ?? "";
  return {
    pid: Number(value("pid")),
    state: value("state"),
    restarts: Number(value("restarts")),
    result: value("result"),
    exitStatus: Number(value("exitStatus")),
    // systemd counts in microseconds.
    readySeconds: (Number(value("ready")) - Number(value("started"))) / 1e6,
  };
}

/** Until the unit is as wanted, or the time is over → how it is then. */
export async function unitOnce(
  machine: Machine,
  wanted: (facts: Unit) => boolean,
  withinMs = 30_000,
): Promise<Unit> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const facts = await unit(machine);
    if (wanted(facts) || performance.now() > deadline) return facts;
    await delay(100);
  }
}

export function isRunning({ state }: Unit): boolean {
  return state === "active";
}

/** undefined: no daemon answers. */
export async function daemonStatus(machine: Machine): Promise<DaemonStatus | undefined> {
  const { code, stdout } = await machine.run("timeout 10 apt-p2p status --json");
  return code === 0 ? (JSON.parse(stdout) as DaemonStatus) : undefined;
}

export async function belongings(machine: Machine): Promise<Belongings> {
  const status = JSON.parse(await machine.ok("apt-p2p dht status --json")) as { id?: string };
  const lines = (await machine.ok("apt-p2p cache list --json")).split("\n");
  const stored = lines
    .filter((line) => line !== "")
    .map((line) => (JSON.parse(line) as { sha256: string }).sha256)
    .sort();
  return { id: status.id ?? "", stored };
}

/** installed, config-files (removed, not purged), not-installed. */
export async function packageState(machine: Machine): Promise<string> {
  const { code, stdout } = await machine.run("dpkg-query -W -f '${db:Status-Status}' apt-p2p");
  return code === 0 ? stdout.trim() : "not-installed";
}

export async function packageVersion(machine: Machine): Promise<string> {
  const { stdout } = await machine.run("dpkg-query -W -f '${Version}' apt-p2p");
  return stdout.trim();
}

/** The end of the unit's journal, for who has to find out. */
export async function lastWords(machine: Machine): Promise<string> {
  return (await machine.run("journalctl -b -u apt-p2p -o cat --no-pager -n 25")).output;
}
