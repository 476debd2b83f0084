/**
 * Runs the daemon until a signal ends it. SIGTERM and SIGINT end it in good order, a second one at
 * once; SIGHUP has the configuration read anew.
 */
import { errorText } from "../base/errors.ts";
import type { Config } from "../config/options.ts";
import type { ConfigResult } from "../config/parse.ts";
import { journalLog } from "../io/journal-log.ts";
import { SystemdNotify } from "../io/systemd-notify.ts";
import { Daemon } from "./daemon.ts";
import { LiveConfig } from "./live-config.ts";

export interface DaemonMode {
  /** Serves the DHT alone: no proxy, no store. */
  readonly dhtOnly: boolean;
}

/** Runs until a signal ends it → exit code 0. Rejects with AptP2pError when it cannot start. */
export async function runDaemon(
  config: Config,
  reread: () => ConfigResult,
  { dhtOnly }: DaemonMode,
): Promise<number> {
  const live = new LiveConfig(config);
  const underSystemd = process.env["JOURNAL_STREAM"] !== undefined;
  const log = journalLog(() => live.now.log.level, process.stdout, underSystemd);
  const notify = new SystemdNotify();
  // A fault of ours in one request must not take the others with it.
  process.on("unhandledRejection", (thrown) => {
    log.error("bug.unhandled", { error: thrown instanceof Error ? thrown.stack : String(thrown) });
  });
  process.on("SIGHUP", () => {
    try {
      live.reload(reread(), log);
    } catch (thrown) {
      log.error("reload.failed", { error: errorText(thrown) });
    }
  });
  const end = firstEnd();
  const daemon = new Daemon({ live, log, notify });
  try {
    const started = dhtOnly ? daemon.startDht() : daemon.start();
    const signal = await Promise.race([end, started.then(() => end)]);
    log.info("stopping", { signal });
    void notify.send("STOPPING=1");
  } finally {
    await daemon.stop();
  }
  log.info("stopped");
  return 0;
}

/** The next signal of either kind finds nobody here, and ends the process as it ends any other. */
function firstEnd(): Promise<string> {
  return new Promise((resolve) => {
    const heard = (signal: string): void => {
      process.off("SIGTERM", heard).off("SIGINT", heard);
      resolve(signal);
    };
    process.on("SIGTERM", heard).on("SIGINT", heard);
  });
}
