/**
 * Resident memory with Debian main's catalogue loaded: after the update that loaded it, after a
 * restart, and while 20 clients are served for some seconds. The other caches have no catalogue;
 * their figures stand beside for scale.
 */
import { Connection, type Endpoint, type Wanted } from "../kit/client.ts";
import type { Context } from "../kit/context.ts";
import { memoryUse } from "../kit/proc.ts";
import type { CacheServer } from "../kit/servers.ts";
import { sleep } from "../kit/workspace.ts";

const restSeconds = 10;
const loadSeconds = 10;
const sampleMs = 100;

export async function measureMemory(context: Context): Promise<void> {
  const { archive, mainSource } = context;
  const ours = await context.daemon("memory", [archive.source, mainSource]);
  context.say("memory after apt update");
  await ours.learn(async () => {
    await sleep(restSeconds * 1000);
    addMemory(context, "at rest after apt update", ours);
  });
  for (let run = 0; run < context.runs; run += 1) {
    context.say(`memory ${String(run + 1)}/${String(context.runs)}`);
    await underLoad(context, ours);
  }
  await ours.stop();
  for (const server of context.servers) {
    if (server.name === "ours") continue;
    context.say(`memory ${server.name}`);
    await underLoad(context, server);
  }
}

async function underLoad(context: Context, server: CacheServer): Promise<void> {
  const { archive, results } = context;
  await server.empty();
  await sleep(restSeconds * 1000);
  addMemory(context, "at rest after a restart", server);
  const end = performance.now() + loadSeconds * 1000;
  const clients = (count: number, files: readonly Wanted[]): readonly Promise<void>[] =>
    Array.from({ length: count }, (_, index) =>
      client(server.endpoint, files, { end, offset: Math.floor((index * files.length) / count) }),
    );
  const load = Promise.all([
    ...clients(10, archive.small),
    ...clients(5, archive.latencyMedium),
    ...clients(5, archive.large),
  ]);
  let rss = 0;
  let pss = 0;
  while (performance.now() < end) {
    const { rssBytes, pssBytes } = memoryUse(server.pid());
    rss = Math.max(rss, rssBytes);
    pss = Math.max(pss, pssBytes);
    await sleep(sampleMs);
  }
  await load;
  results.add("memory serving 20 clients, RSS", "MB", server.name, rss / 1e6);
  results.add("memory serving 20 clients, PSS", "MB", server.name, pss / 1e6);
}

function addMemory({ results }: Context, when: string, server: CacheServer): void {
  const { rssBytes, pssBytes } = memoryUse(server.pid());
  results.add(`memory ${when}, RSS`, "MB", server.name, rssBytes / 1e6);
  results.add(`memory ${when}, PSS`, "MB", server.name, pssBytes / 1e6);
}

/** Fetches the files in turn, from an offset on, until the time is up. */
async function client(
  endpoint: Endpoint,
  files: readonly Wanted[],
  { end, offset }: { readonly end: number; readonly offset: number },
): Promise<void> {
  const connection = new Connection(endpoint);
  for (let turn = offset; performance.now() < end; turn += 1) {
    const file = files[turn % files.length];
    if (file === undefined) break;
    const { status } = await connection.fetch(file.path);
    if (status !== 200) throw new Error(`${file.path}: ${String(status)}`);
  }
  connection.close();
}
