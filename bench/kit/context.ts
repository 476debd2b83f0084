/** What every measure works with. */
import type { BenchArchive } from "./archives.ts";
import type { CacheServer, OurServer, ServerPlan } from "./servers.ts";
import type { Results } from "./results.ts";
import { fetchAll, type Endpoint } from "./client.ts";
import type { Workspace } from "./workspace.ts";

export interface Context {
  readonly workspace: Workspace;
  readonly results: Results;
  readonly runs: number;
  readonly origin: number;
  readonly archive: BenchArchive;
  /** Source line and keyring of the archive of Debian main's size. */
  readonly mainSource: string;
  /** A fresh daemon of ours that knows the given sources, not yet started. */
  readonly daemon: (
    label: string,
    sources: readonly string[],
    lists?: string,
  ) => Promise<OurServer>;
  /** The servers that are compared, ours first, all started; turn about from run to run. */
  readonly servers: readonly CacheServer[];
  readonly plan: ServerPlan;
  readonly say: (text: string) => void;
}

/** The servers in another order in each run, so that none always goes first. */
export function inTurn<T>(all: readonly T[], run: number): readonly T[] {
  const shift = run % Math.max(1, all.length);
  return [...all.slice(shift), ...all.slice(0, shift)];
}

/** Lets a restarted server get into its stride with files that no measure uses. */
export async function warmUp(endpoint: Endpoint, archive: BenchArchive): Promise<void> {
  await fetchAll(endpoint, archive.warmUp, 8);
  await fetchAll(endpoint, archive.warmUp, 8);
}
