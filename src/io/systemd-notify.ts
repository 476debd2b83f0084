/**
 * Readiness and watchdog for systemd (sd_notify(3)). Node has no UNIX datagram sockets, so the
 * program of systemd speaks for us; without NOTIFY_SOCKET nothing is done.
 */
import { execFile } from "node:child_process";

export function notifySystemd(...states: readonly string[]): void {
  if (process.env["NOTIFY_SOCKET"] === undefined) return;
  // A failure shows itself: systemd reports a start that never became ready.
  execFile("systemd-notify", [...states], () => undefined);
}

/** Half of the interval in which systemd wants to hear of us; undefined: it does not. */
export function watchdogIntervalMs(): number | undefined {
  const text = process.env["WATCHDOG_USEC"];
  return text === undefined ? undefined : Number(text) / 1000 / 2;
}
