/**
 * Readiness and watchdog for systemd (sd_notify(3)). Node has no UNIX datagram sockets, so the
 * program of systemd speaks for us (the unit needs NotifyAccess=all); without NOTIFY_SOCKET nothing is
 * said. systemd-notify waits until its message has been taken, so that systemd still knows whose
 * child it was; messages go one after another, so that none overtakes an earlier one.
 */
import { execFile } from "node:child_process";
import { AptP2pError } from "../base/errors.ts";
import { second } from "../base/units.ts";

/** Runs systemd-notify with these arguments; rejects when it fails. */
export type RunNotify = (words: readonly string[]) => Promise<void>;

export interface NotifySetting {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  readonly run: RunNotify;
}

/** It waits 5 s itself for systemd to take the message. */
const runMs = 10 * second;

export class SystemdNotify {
  readonly #setting: NotifySetting;
  #last: Promise<unknown> = Promise.resolve();

  constructor(setting: Partial<NotifySetting> = {}) {
    this.#setting = { environment: process.env, pid: process.pid, run: runNotify, ...setting };
  }

  /**
   * Tells these states (`NAME=value`: the program's options for them differ with its version) after
   * all told before → whether systemd has them. Never rejects: a start that is never ready shows.
   */
  send(...states: readonly string[]): Promise<boolean> {
    const { environment, run } = this.#setting;
    if (environment["NOTIFY_SOCKET"] === undefined) return Promise.resolve(false);
    const sent = this.#last
      .then(() => run(states))
      .then(
        () => true,
        () => false,
      );
    this.#last = sent;
    return sent;
  }

  /** Within this time systemd wants to hear WATCHDOG=1 (sd_watchdog_enabled(3)); undefined: never. */
  get watchdogMs(): number | undefined {
    const { environment, pid } = this.#setting;
    const forWhom = environment["WATCHDOG_PID"];
    if (environment["NOTIFY_SOCKET"] === undefined) return undefined;
    if (forWhom !== undefined && forWhom !== String(pid)) return undefined;
    const microseconds = Number(environment["WATCHDOG_USEC"] ?? 0);
    return microseconds > 0 && Number.isFinite(microseconds) ? microseconds / 1000 : undefined;
  }
}

function runNotify(words: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile("systemd-notify", [...words], { timeout: runMs }, (error) => {
      if (error === null) resolve();
      else reject(new AptP2pError("CLOSED", "systemd-notify has failed", { cause: error }));
    });
  });
}
