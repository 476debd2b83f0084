/**
 * A cold `apt-get update` of an archive of Debian main's size: apt alone, and through each cache
 * that has no state yet. For ours also what it costs to index the 65,000 packages: the daemon's own
 * CPU time, that of its decompressors, and the longest time for which its event loop stood still.
 */
import { AptRoot } from "../../test/kit/apt-root.ts";
import { aptSeconds, emptyLists } from "../kit/apt.ts";
import { mainPackageCount } from "../kit/catalogue.ts";
import { inTurn, type Context } from "../kit/context.ts";
import { allCpus, cpuUse, pin } from "../kit/proc.ts";
import type { CacheServer, OurServer } from "../kit/servers.ts";
import { median } from "../kit/results.ts";
import { runOnce, sleep } from "../kit/workspace.ts";

export async function measureAptUpdate(context: Context): Promise<void> {
  const sources = [context.mainSource];
  const { keyringPath } = context.archive;
  const root = new AptRoot({ sources, keyringPath });
  const ours = await context.daemon("main-update", sources);
  const others = context.servers.filter(({ name }) => name !== "ours");
  for (let run = 0; run < context.runs; run += 1) {
    for (const server of inTurn([undefined, ours, ...others], run)) {
      const name = server?.name ?? "direct";
      context.say(`apt update ${String(run + 1)}/${String(context.runs)} ${name}`);
      runOnce(["sync"]);
      emptyLists(root);
      if (server === ours) await throughUs(context, root, ours);
      else await through(context, root, server);
    }
  }
  await stallSeenFromOutside(context, root, ours);
  await ours.stop();
  await fromLists(context, root);
  root.remove();
}

async function through(context: Context, root: AptRoot, server: CacheServer | undefined) {
  await server?.empty();
  if (server !== undefined) pin(server.pid(), allCpus);
  const proxy =
    server === undefined ? undefined : `http://127.0.0.1:${String(server.endpoint.port)}`;
  const seconds = await aptSeconds(root, ["update"], { proxy });
  context.results.add("apt update of Debian main, cold", "s", server?.name ?? "direct", seconds);
  if (server !== undefined) pin(server.pid(), context.plan.cpus);
}

async function throughUs(context: Context, root: AptRoot, ours: OurServer): Promise<void> {
  const { results } = context;
  await ours.empty();
  pin(ours.pid(), allCpus);
  const before = cpuUse(ours.pid());
  const seconds = await aptSeconds(root, ["update"], { proxy: ours.proxy });
  results.add("apt update of Debian main, cold", "s", "ours", seconds);
  const stall = await ours.settled();
  const { archive } = await ours.status();
  if ((archive?.rows ?? 0) < mainPackageCount) {
    throw new Error(`the daemon knows ${String(archive?.rows)} files after the update`);
  }
  const after = cpuUse(ours.pid());
  const own = after.ownSeconds - before.ownSeconds;
  results.add("index 65,000 packages during update, own CPU", "s", "ours", own);
  const children = after.childSeconds - before.childSeconds;
  results.add("index 65,000 packages during update, decompression CPU", "s", "ours", children);
  results.add("longest event-loop stall, own figure", "ms", "ours", stall);
}

/** One more update while the control socket is asked all the time: the slowest answer tells. */
async function stallSeenFromOutside(context: Context, root: AptRoot, ours: OurServer) {
  context.say("event-loop stall");
  emptyLists(root);
  await ours.empty();
  pin(ours.pid(), allCpus);
  await sleep(300);
  const delays: number[] = [];
  let done = false;
  const probe = async (): Promise<void> => {
    while (!done) {
      const started = performance.now();
      await ours.status();
      delays.push(performance.now() - started);
      await sleep(2);
    }
  };
  const probing = probe();
  await aptSeconds(root, ["update"], { proxy: ours.proxy });
  await sleep(1000);
  done = true;
  await probing;
  const worst = Math.max(...delays) - median(delays);
  context.results.add("longest event-loop stall, seen from outside", "ms", "ours", worst);
}

/** A daemon that starts where apt has updated before: what its lists cost. */
async function fromLists(context: Context, root: AptRoot): Promise<void> {
  emptyLists(root);
  await aptSeconds(root, ["update"]);
  const sources = [context.mainSource];
  const blank = await context.daemon("start-blank", sources);
  const full = await context.daemon("start-lists", sources, root.listsDirectory);
  for (let run = 0; run < context.runs; run += 1) {
    const cost = [];
    for (const daemon of [blank, full]) {
      context.say(`start from lists ${String(run + 1)}/${String(context.runs)}`);
      await daemon.empty();
      pin(daemon.pid(), allCpus);
      await daemon.settled();
      await sleep(500);
      cost.push(cpuUse(daemon.pid()).ownSeconds);
      await daemon.stop();
    }
    const [without = 0, withLists = 0] = cost;
    context.results.add("start, own CPU", "s", "ours", without);
    context.results.add("index apt's lists at start, own CPU", "s", "ours", withLists - without);
  }
}
