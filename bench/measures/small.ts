/**
 * 2,000 files of 20 KB: cold each once over 8 connections, then warm for a while over 1, 8 and 64.
 */
import { fetchAll } from "../kit/client.ts";
import { inTurn, warmUp, type Context } from "../kit/context.ts";
import { cpuSeconds } from "../kit/proc.ts";
import type { CacheServer } from "../kit/servers.ts";
import { requestRate } from "../kit/wrk.ts";
import { runOnce } from "../kit/workspace.ts";

const warmSeconds = 3;

export async function measureSmall(context: Context): Promise<void> {
  for (let run = 0; run < context.runs; run += 1) {
    for (const server of inTurn(context.servers, run)) {
      context.say(`small ${String(run + 1)}/${String(context.runs)} ${server.name}`);
      await oneRun(context, server);
    }
  }
}

async function oneRun(context: Context, server: CacheServer): Promise<void> {
  const { archive, results, workspace } = context;
  runOnce(["sync"]);
  await server.empty();
  await warmUp(server.endpoint, archive);
  const before = cpuSeconds(server.pid());
  const cold = await fetchAll(server.endpoint, archive.small, 8);
  const rate = cold.requests / cold.seconds;
  results.add("20 KB cold, 8 connections", "req/s", server.name, rate);
  const cpu = cpuSeconds(server.pid()) - before;
  results.add("20 KB cold, CPU", "s/GB", server.name, cpu / (cold.bytes / 1e9));
  for (const connections of [1, 8, 64]) {
    const options = { connections, seconds: warmSeconds, directory: workspace.directory };
    const start = cpuSeconds(server.pid());
    const warm = await requestRate(server.endpoint, archive.small, options);
    const used = cpuSeconds(server.pid()) - start;
    const plural = connections === 1 ? "" : "s";
    const name = `20 KB warm, ${String(connections)} connection${plural}`;
    results.add(name, "req/s", server.name, warm.requestsPerSecond);
    if (connections === 8) {
      const gigabytes = (warm.bytesPerSecond * warmSeconds) / 1e9;
      results.add("20 KB warm, CPU", "s/GB", server.name, used / gigabytes);
    }
  }
}
