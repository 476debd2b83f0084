/** What the status says of the process itself. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { ProcessFacts } from "../status/snapshot.ts";

export class ProcessReport {
  readonly #stalls = monitorEventLoopDelay({ resolution: 10 });

  facts(): ProcessFacts {
    // It wakes up a hundred times a second: not before somebody looks.
    this.#stalls.enable();
    const maxStallMs = this.#stalls.max / 1e6;
    this.#stalls.reset();
    const { user, system } = process.cpuUsage();
    return {
      pid: process.pid,
      uptimeMs: Math.round(process.uptime() * 1000),
      rssBytes: process.memoryUsage.rss(),
      cpuMs: Math.round((user + system) / 1000),
      maxStallMs: Math.round(maxStallMs),
    };
  }
}
