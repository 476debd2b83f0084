/**
 * `apt-get --download-only install` of 1,000 packages of 20 KB: apt alone, and through each cache,
 * cold and warm. apt and the caches share all CPUs, as on a user's machine.
 */
import { AptRoot } from "../../test/kit/apt-root.ts";
import { aptSeconds, downloadedPackages, emptyArchives } from "../kit/apt.ts";
import { inTurn, warmUp, type Context } from "../kit/context.ts";
import { allCpus, pin } from "../kit/proc.ts";
import type { CacheServer } from "../kit/servers.ts";
import { runOnce } from "../kit/workspace.ts";

const wanted = 1000;

export async function measureAptInstall(context: Context): Promise<void> {
  const { archive, results } = context;
  const sources = [archive.source];
  const root = new AptRoot({ sources, keyringPath: archive.keyringPath });
  await aptSeconds(root, ["update"]);
  // Unmeasured: apt builds its own caches.
  await install(context, root);
  for (let run = 0; run < context.runs; run += 1) {
    for (const server of inTurn([undefined, ...context.servers], run)) {
      const name = server?.name ?? "direct";
      context.say(`apt install ${String(run + 1)}/${String(context.runs)} ${name}`);
      runOnce(["sync"]);
      if (server === undefined) {
        results.add(
          `apt install of 1,000 × 20 KB, direct`,
          "s",
          name,
          await install(context, root),
        );
        continue;
      }
      await server.empty();
      await warmUp(server.endpoint, archive);
      pin(server.pid(), allCpus);
      for (const state of ["cold", "warm"] as const) {
        const seconds = await install(context, root, server);
        results.add(`apt install of 1,000 × 20 KB, ${state}`, "s", name, seconds);
      }
      pin(server.pid(), context.plan.cpus);
    }
  }
  root.remove();
}

async function install(context: Context, root: AptRoot, server?: CacheServer): Promise<number> {
  const names = context.archive.small.slice(0, wanted).map(({ name }) => name);
  emptyArchives(root);
  const proxy =
    server === undefined ? undefined : `http://127.0.0.1:${String(server.endpoint.port)}`;
  const command = ["--download-only", "install", ...names];
  const seconds = await aptSeconds(root, command, { proxy });
  const got = downloadedPackages(root);
  if (got !== wanted) throw new Error(`apt downloaded ${String(got)} packages, not 1,000`);
  return seconds;
}
