/** Clients that leave, come back, come together, or are not apt. */
import { setTimeout as delay } from "node:timers/promises";

import type { AptRoot } from "../../kit/apt-root.ts";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { installBoth, twoPackages } from "./plain.ts";

const topic = "clients";
const bigBytes = 12_000_000;
const bigRate = 4_000_000;
const big = [{ name: "big", sizeBytes: bigBytes }] as const;
const installBig = "install --download-only big";

/** Waits until apt has so much of the package, and at most 20 s. */
async function arrived(root: AptRoot, bytes: number): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (root.partialBytes(/^big/) < bytes) {
    if (performance.now() > deadline) throw new Error("the download does not get on");
    await delay(20);
  }
}

interface Killing {
  readonly share: number;
  readonly abortWith?: NodeJS.Signals;
}

/** Starts an installation and ends it, methods and all, when so much has arrived. */
async function killedAt(world: World, killing: Killing): Promise<void> {
  const { share, abortWith = "SIGKILL" } = killing;
  const root = world.root;
  const killer = new AbortController();
  const running = root.run(installBig.split(" "), { abort: killer.signal, abortWith });
  await arrived(root, share * bigBytes);
  killer.abort();
  await running;
}

function killedAndResumed(name: string, abortWith: NodeJS.Signals): Scenario {
  return {
    name,
    topic,
    quick: abortWith === "SIGINT",
    play: async (world) => {
      const mirror = await world.serve(await world.archive({ packages: big }));
      mirror.fault(/big.*deb$/, { kind: "rate", bytesPerSecond: bigRate });
      await world.start();
      await world.apt("update");
      await killedAt(world, { share: 0.8, abortWith });
      const received = world.root.partialBytes(/^big/);
      world.check(received >= 0.8 * bigBytes, "nothing was left to resume");
      const resumed = await world.apt(installBig);
      if (abortWith === "SIGINT") {
        const again = fetchedBytes(resumed.output);
        world.check(again <= 0.21 * bigBytes, `apt received ${again} bytes again`);
      }
      // After a kill -9 apt alone starts over: it could not note the file's date.
      if (abortWith === "SIGKILL" && !world.throughUs) return;
      const sent = mirror.requests(/big.*deb$/).reduce((sum, each) => sum + each.bytes, 0);
      const limit = world.throughUs ? 1.01 : 1.21;
      world.check(sent <= limit * bigBytes, `the mirror sent ${sent} bytes for ${bigBytes}`);
    },
    differs: {
      bytes: "what had been sent when the client died is a matter of timing; the story bounds it",
      requests: "the download outlives its client, so the resumed one may ask nothing",
      messages: "Get names the size of the rest",
    },
  };
}

/** What apt says that it received, in bytes. */
function fetchedBytes(output: string): number {
  const [, amount = "0", unit = "B"] = /^Fetched ([\d,.]+) ([kMG]?B) in/m.exec(output) ?? [];
  const factor = { B: 1, kB: 1e3, MB: 1e6, GB: 1e9 }[unit] ?? Number.NaN;
  return Number(amount.replaceAll(",", "")) * factor;
}

const leaving: readonly Scenario[] = [
  killedAndResumed("killed-at-80-percent-and-resumed", "SIGINT"),
  killedAndResumed("killed-9-at-80-percent-and-resumed", "SIGKILL"),
  {
    name: "two-clients-first-one-killed",
    topic,
    quick: true,
    play: async (world) => {
      const mirror = await world.serve(await world.archive({ packages: big }));
      mirror.fault(/big.*deb$/, { kind: "rate", bytesPerSecond: bigRate });
      await world.start();
      await world.apt("update");
      const second = world.addRoot();
      await second.run(["update"]);
      const first = killedAt(world, { share: 0.5 });
      await arrived(world.root, 0.1 * bigBytes);
      const finished = await second.run(installBig.split(" "));
      await first;
      world.record(finished, second);
      if (!world.throughUs) return;
      const sent = mirror.requests(/big.*deb$/).reduce((sum, each) => sum + each.bytes, 0);
      world.check(sent <= 1.01 * bigBytes, `the mirror sent ${sent} bytes for ${bigBytes}`);
    },
  },
  {
    name: "killed-during-update",
    topic,
    play: async (world) => {
      const mirror = await world.serve(await world.archive({ packages: twoPackages }));
      mirror.fault(/binary-amd64/, { kind: "stall", atByte: 50, forMs: 1_500 }, { times: 1 });
      await world.start();
      const killer = new AbortController();
      const running = world.root.run(["update"], { abort: killer.signal });
      await delay(700);
      killer.abort();
      await running;
      await world.apt("update");
      await world.apt(installBoth);
    },
    differs: {
      requests: "which requests were under way is a matter of timing",
      bytes: "the same",
      messages: "apt may find an index of the killed run",
    },
  },
];

const together: readonly Scenario[] = [
  {
    name: "twenty-clients-at-once",
    topic,
    quick: true,
    play: async (world) => {
      const packages = Array.from({ length: 20 }, (_, index) => ({
        name: `each-${index}`,
        sizeBytes: 30_000,
      }));
      const mirror = await world.serve(await world.archive({ packages }));
      await world.start();
      const others = Array.from({ length: 19 }, () => world.addRoot());
      const install = `install --download-only ${packages.map((each) => each.name).join(" ")}`;
      await world.apt("update");
      const roots = [world.root, ...others];
      const results = await Promise.all(
        roots.map(async (root) => {
          await root.run(["update"]);
          return await root.run(install.split(" "));
        }),
      );
      for (const [index, result] of results.entries()) world.record(result, roots[index]);
      if (!world.throughUs) return;
      for (const { path } of packages.map((each) => world.archives[0]!.package(each.name))) {
        const whole = mirror.log.filter((each) => each.path === `/${path}`);
        world.check(whole.length === 1, `${path} was fetched ${whole.length} times`);
      }
    },
  },
  {
    name: "second-mirror-same-content",
    topic,
    play: async (world) => {
      const archive = await world.archive({ packages: twoPackages });
      const first = await world.serve(archive);
      const second = await world.serve(archive);
      await world.start({ sources: [world.source("deb", undefined, first)] });
      await world.apt("update");
      await world.apt(installBoth);
      world.root.setSources([world.source("deb", undefined, second)]);
      await world.apt("update");
      await world.apt("clean");
      await world.apt(installBoth);
      if (!world.throughUs) return;
      const again = second.log.filter((each) => each.path.endsWith(".deb") && each.bytes > 0);
      world.check(again.length === 0, "known content was fetched again from another mirror");
    },
  },
];

const requests: readonly Scenario[] = [
  {
    name: "head-range-and-conditions",
    topic,
    quick: true,
    play: async (world) => {
      const archive = await world.archive({ packages: twoPackages });
      await world.serve(archive);
      await world.start();
      const path = `/${archive.package("beta").path}`;
      await world.apt("update");
      const head = await world.fetch(path, { method: "HEAD" });
      const modified = head.messages.classes.at(-1)?.replace("last-modified: ", "") ?? "";
      await world.fetch(path, { headers: { range: "bytes=100000-" } });
      await world.fetch(path, { headers: { range: "bytes=100-199" } });
      await world.fetch(path, { headers: { range: "bytes=-500" } });
      await world.fetch(path, { headers: { range: "bytes=9999999-" } });
      await world.fetch(path, { headers: { "if-modified-since": modified } });
      await world.fetch(path, { headers: { range: "bytes=5-", "if-range": modified } });
      await world.fetch(path);
      await world.fetch("/dists/stable/InRelease", { headers: { "if-modified-since": modified } });
      await world.fetch("/no/such/file");
      await world.fetch("/no/such/file", { method: "HEAD" });
      await world.fetch("/dists/stable/Release");
    },
    differs: { messages: "length of a 404 and 416 body", files: "body of a 404 and 416" },
  },
];

export const clients: readonly Scenario[] = [...leaving, ...together, ...requests];
