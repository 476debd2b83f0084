/** kill -9 of the whole daemon under load, again and again on the same directories. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Sha256 } from "../../src/base/sha256.ts";
import { SeededRandom } from "../../src/sim/seeded-random.ts";
import { TestDaemon, freePort } from "../kit/daemon.ts";
import { scratchDirectory } from "../kit/scratch.ts";
import { Clients } from "./clients.ts";
import { checkStore } from "./open-store.ts";
import { startOrigin } from "./origin.ts";
import type { RoundsOptions } from "./store-rounds.ts";

export interface DaemonRoundsResult {
  readonly rounds: number;
  readonly seed: number;
  readonly requests: number;
  readonly whole: number;
  readonly ranges: number;
  readonly cut: number;
  readonly checkedBytes: number;
  /** Against checkedBytes: what came from the store or was resumed. */
  readonly mirrorBytes: number;
  readonly filesAtEnd: number;
  readonly unfinishedFound: number;
  readonly adopted: number;
}

/** Rejects at the first violation, naming seed and round. */
export async function crashDaemon(options: RoundsOptions): Promise<DaemonRoundsResult> {
  const random = new SeededRandom(options.seed);
  const scratch = scratchDirectory("crash");
  const aptConfigDirectory = join(scratch.path, "etc-apt");
  mkdirSync(aptConfigDirectory);
  const origin = await startOrigin();
  const daemon = new TestDaemon({ aptConfigDirectory }, await freePort());
  const total = { requests: 0, whole: 0, ranges: 0, cut: 0, checkedBytes: 0 };
  const found = { filesAtEnd: 0, unfinishedFound: 0, adopted: 0 };
  const places = {
    cacheDirectory: daemon.cacheDirectory,
    databaseDirectory: join(daemon.stateDirectory, "db"),
  };
  let acknowledged: ReadonlySet<Sha256> = new Set();
  let written: ReadonlyMap<Sha256, number> = new Map();
  let rounds = 0;
  const startedMs = performance.now();
  try {
    while (rounds < options.rounds && performance.now() - startedMs < options.milliseconds) {
      await daemon.start();
      const clients = new Clients(daemon.port, origin.host, random);
      await delay(20 + random.below(600));
      clients.stop();
      await daemon.signal("SIGKILL");
      const result = await clients.end();
      for (const name of Object.keys(total) as (keyof typeof total)[]) total[name] += result[name];
      const removed = new Set<Sha256>();
      const left = await checkStore(places, { acknowledged, written }, async (store) => {
        // Without this soon nothing would be downloaded any more.
        for await (const { sha256 } of store.list()) if (random.chance(0.4)) removed.add(sha256);
        for (const sha of removed) await store.clean({ sha }, () => undefined);
      });
      acknowledged = new Set([...left.files].filter((sha) => !removed.has(sha)));
      written = left.unfinished;
      rounds += 1;
      found.filesAtEnd = left.files.size;
      found.unfinishedFound += left.unfinished.size;
      found.adopted += left.adopted;
    }
  } catch (error) {
    const log = daemon.log.split("\n").slice(-20).join("\n");
    throw new Error(`seed ${options.seed}, round ${rounds}; the daemon's log ends:\n${log}`, {
      cause: error,
    });
  } finally {
    await daemon.close();
    await origin.close();
    scratch.remove();
  }
  if (total.whole < rounds || total.cut === 0 || found.unfinishedFound === 0) {
    const seen = JSON.stringify({ rounds, ...total, ...found });
    throw new Error(`the daemon was hardly at work when it was killed: ${seen}`);
  }
  return { rounds, seed: options.seed, ...total, mirrorBytes: origin.sentBytes(), ...found };
}
