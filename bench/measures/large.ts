/**
 * 100 MB files. Cold: one client; four clients, one file; four clients, four files. Warm: one and
 * four clients. Throughput as the clients see it, and the server's CPU time per GB.
 */
import { fetchAll, type LoadResult, type Wanted } from "../kit/client.ts";
import { inTurn, warmUp, type Context } from "../kit/context.ts";
import { cpuSeconds } from "../kit/proc.ts";
import { runOnce } from "../kit/workspace.ts";
import type { CacheServer } from "../kit/servers.ts";

/** Fetches per warm figure: 1 GB each, so that CPU ticks of 10 ms do not matter. */
const warmFetches = 10;

export async function measureLarge(context: Context): Promise<void> {
  for (let run = 0; run < context.runs; run += 1) {
    for (const server of inTurn(context.servers, run)) {
      context.say(`large ${String(run + 1)}/${String(context.runs)} ${server.name}`);
      await oneRun(context, server);
    }
  }
}

async function oneRun({ archive, results }: Context, server: CacheServer): Promise<void> {
  const [first, second, ...others] = archive.large;
  if (first === undefined || second === undefined) throw new Error("too few large files");
  const measure = async (name: string, files: readonly Wanted[], clients: number) => {
    const before = cpuSeconds(server.pid());
    const load = await fetchAll(server.endpoint, files, clients);
    const cpu = cpuSeconds(server.pid()) - before;
    results.add(`100 MB ${name}`, "MB/s", server.name, megabytesPerSecond(load));
    results.add(`100 MB ${name}, CPU`, "s/GB", server.name, cpu / (load.bytes / 1e9));
  };
  runOnce(["sync"]);
  await server.empty();
  await warmUp(server.endpoint, archive);
  await measure("cold, 1 client", [first], 1);
  await measure("cold, 4 clients, same file", Array<Wanted>(4).fill(second), 4);
  await measure("cold, 4 clients, 4 files", others.slice(0, 4), 4);
  await measure("warm, 1 client", Array<Wanted>(warmFetches).fill(first), 1);
  await measure("warm, 4 clients", Array<Wanted>(warmFetches * 2).fill(first), 4);
}

function megabytesPerSecond({ bytes, seconds }: LoadResult): number {
  return bytes / 1e6 / seconds;
}
