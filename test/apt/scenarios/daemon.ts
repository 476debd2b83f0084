/** What happens to apt when something happens to the daemon, its disk or its cache. */
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { undoable } from "../../kit/scratch.ts";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { installBoth, twoPackages } from "./plain.ts";

const topic = "daemon";
const bigBytes = 12_000_000;
const big = [{ name: "big", sizeBytes: bigBytes }] as const;
const installBig = "install --download-only big";

/** apt's first pause after a broken connection. */
const FIRST_RETRY_MS = 1_000;

/**
 * Installs a big package while, half-way, something is done to the daemon. apt never again tries an
 * address that has refused it once in a run, so this run must succeed only if the daemon was back
 * before apt's first retry; the next one must in any case.
 */
async function interrupted(world: World, action: () => Promise<void>): Promise<void> {
  const mirror = await world.serve(await world.archive({ packages: big }));
  mirror.fault(/big.*deb$/, { kind: "rate", bytesPerSecond: 2_000_000 });
  await world.start();
  await world.apt("update");
  const running = world.root.run(installBig.split(" "));
  await halfWay(world);
  const begun = performance.now();
  if (world.throughUs) await action();
  const awayMs = performance.now() - begun;
  const { code } = await running;
  world.check(
    code === 0 || awayMs >= FIRST_RETRY_MS,
    `apt ended with ${String(code)} although the daemon was away for ${Math.round(awayMs)} ms only`,
  );
  await world.apt(installBig);
}

/** Waits until apt has half of the package, and at most 20 s. */
async function halfWay(world: World): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (world.root.partialBytes(/^big/) < bigBytes / 2) {
    if (performance.now() > deadline) throw new Error("the download does not get on");
    await delay(20);
  }
}

const afterRestart = {
  requests: "the daemon goes on where it was, with one more request",
  bytes: "what was under way when the process ended is sent again; the story bounds it",
  messages: "apt tells of its retry",
} as const;

function boundedBytes(world: World, share: number): void {
  const sent = world.mirror.requests(/big.*deb$/).reduce((sum, each) => sum + each.bytes, 0);
  world.check(sent <= share * bigBytes, `the mirror sent ${sent} bytes for ${bigBytes}`);
}

const restarts: readonly Scenario[] = [
  {
    name: "restarted-in-mid-download",
    topic,
    counters: ["cache.resumed"],
    quick: true,
    play: async (world) => {
      await interrupted(world, async () => {
        await world.daemon.signal("SIGTERM");
        await world.startDaemon();
      });
      boundedBytes(world, 1.15);
    },
    differs: afterRestart,
  },
  {
    name: "killed-in-mid-download",
    topic,
    counters: ["cache.resumed"],
    quick: true,
    play: async (world) => {
      await interrupted(world, async () => {
        await world.daemon.signal("SIGKILL");
        await world.startDaemon();
      });
      boundedBytes(world, 1.25);
    },
    differs: afterRestart,
  },
  {
    name: "restarted-between-update-and-install",
    topic,
    play: async (world) => {
      await world.serve(await world.archive({ packages: twoPackages }));
      await world.start();
      await world.apt("update");
      if (world.throughUs) {
        await world.daemon.signal("SIGTERM");
        await world.startDaemon();
      }
      await world.apt(installBoth);
      await world.again();
    },
  },
  {
    name: "killed-between-update-and-install",
    topic,
    play: async (world) => {
      await world.serve(await world.archive({ packages: twoPackages }));
      await world.start({ daemonReadsLists: true });
      await world.apt("update");
      if (world.throughUs) {
        await world.daemon.signal("SIGKILL");
        await world.startDaemon();
      }
      await world.apt(installBoth);
      await world.apt("clean");
      await world.apt(installBoth);
      const sent = world.mirror.requests(/deb$/).length;
      world.check(!world.throughUs || sent === 2, `packages were fetched ${sent} times`);
    },
  },
  {
    name: "killed-with-nothing-but-its-database",
    topic,
    play: async (world) => {
      await world.serve(await world.archive({ packages: twoPackages }));
      await world.start();
      await world.apt("update");
      if (world.throughUs) {
        await world.daemon.signal("SIGKILL");
        await world.startDaemon();
      }
      await world.apt(installBoth);
      const other = world.addRoot();
      await world.apt("update", { root: other });
      await world.apt(installBoth, { root: other });
    },
  },
  {
    name: "lists-older-than-the-daemon",
    topic,
    counters: ["archive.lists.read", "engine.download.proven"],
    quick: true,
    play: async (world) => {
      if (world.way === "prefix") world.skipWay("its lists cannot be older than the daemon");
      const mirror = await world.serve(await world.archive({ packages: twoPackages }));
      await world.start({ withoutDaemon: true, sources: [`deb ${mirror.url}/ stable main`] });
      // The lists are of a direct update, made before the daemon ran for the first time.
      const lists = world.root;
      lists.configure([]);
      await world.apt("update");
      if (world.throughUs) await world.startDaemon({ aptListsDirectory: lists.listsDirectory });
      if (world.way === "proxy") lists.configure([world.proxyLine]);
      await world.apt(installBoth);
    },
  },
];

/** A script as a package would ship it: our port if it answers within a second, else DIRECT. */
function autoDetect(world: World): readonly string[] {
  const path = join(world.directory, "auto-detect");
  const port = world.daemonPort;
  const probe =
    `exec 3<>/dev/tcp/127.0.0.1/${port} && printf 'HEAD / HTTP/1.0\\r\\n\\r\\n' >&3 && ` +
    'IFS= read -r -n 4 answer <&3 && [ "$answer" = HTTP ]';
  writeFileSync(
    path,
    `#!/bin/bash\nif timeout 1 bash -c '${probe.replaceAll("'", "'\\''")}' 2>/dev/null\n` +
      `then echo http://127.0.0.1:${port}; else echo DIRECT; fi\n`,
  );
  chmodSync(path, 0o755);
  return [`Acquire::http::Proxy-Auto-Detect "${path}";`];
}

function withAutoDetect(name: string, trouble: (world: World) => Promise<void>): Scenario {
  return {
    name,
    topic,
    quick: name.includes("frozen"),
    play: async (world) => {
      await world.serve(await world.archive({ packages: twoPackages }));
      await world.start();
      if (world.way === "prefix") world.skipWay("a URL prefix has no other way to go");
      if (world.throughUs) world.root.configure(autoDetect(world));
      await world.apt("update");
      if (world.throughUs) {
        world.check((await world.daemon.counter("proxy.requests")) > 0, "the daemon was not used");
        await trouble(world);
      }
      await world.apt("update");
      await world.apt(installBoth);
    },
  };
}

const absences: readonly Scenario[] = [
  withAutoDetect("frozen-with-auto-detect", (world) => world.daemon.signal("SIGSTOP")),
  withAutoDetect("stopped-with-auto-detect", (world) => world.daemon.signal("SIGTERM")),
  {
    name: "cached-packages-without-a-mirror",
    topic,
    quick: true,
    play: async (world) => {
      const mirror = await world.serve(await world.archive({ packages: twoPackages }));
      await world.start();
      await world.apt("update");
      await world.apt(installBoth);
      if (!world.throughUs) return;
      await world.apt("clean");
      await mirror.vanish();
      const last = await world.apt(installBoth);
      world.check(last.code === 0, "packages that we hold were not to be had without the mirror");
    },
    differs: { codes: "apt alone does not even try this" },
  },
];

const disks: readonly Scenario[] = [
  {
    name: "disk-full-in-mid-download",
    topic,
    counters: ["cache.unstored"],
    quick: true,
    play: async (world) => {
      const cacheDirectory = smallDisk(world, 24);
      const mirror = await world.serve(
        await world.archive({ packages: [...big, { name: "alpha" }] }),
      );
      mirror.fault(/big.*deb$/, { kind: "rate", bytesPerSecond: 4_000_000 });
      const store = ["quota = 1GB", "keep_free = 0B"];
      await world.start({ daemon: { cacheDirectory, settings: { store } } });
      await world.apt("update");
      const running = world.apt(`${installBig} alpha`);
      await halfWay(world);
      // What is left is less than the rest of the package needs.
      writeFileSync(join(cacheDirectory, "somebody-elses-file"), Buffer.alloc(15 << 20));
      await running;
      await world.apt("clean");
      await world.apt(`${installBig} alpha`);
    },
  },
  {
    name: "disk-too-small",
    topic,
    counters: ["engine.download.unstored"],
    play: async (world) => {
      const cacheDirectory = smallDisk(world, 6);
      const packages = [...big, { name: "alpha" }];
      await world.serve(await world.archive({ packages }));
      await world.start({ daemon: { cacheDirectory } });
      await world.apt("update");
      await world.apt(`${installBig} alpha`);
      await world.apt("clean");
      await world.apt(`${installBig} alpha`);
    },
  },
  {
    name: "quota-smaller-than-a-package",
    topic,
    counters: ["engine.download.unstored"],
    play: async (world) => {
      await world.serve(await world.archive({ packages: [...big, { name: "alpha" }] }));
      await world.start({ daemon: { settings: { store: ["quota = 5MB"] } } });
      await world.apt("update");
      await world.apt(`${installBig} alpha`);
      await world.apt("clean");
      await world.apt(`${installBig} alpha`);
    },
  },
  {
    name: "cache-directory-read-only",
    topic,
    play: async (world) => {
      if (process.getuid?.() !== 0) world.skip("a read-only mount needs root");
      const cacheDirectory = smallDisk(world, 6);
      await world.serve(await world.archive({ packages: twoPackages }));
      await world.start({ daemon: { cacheDirectory } });
      await world.apt("update");
      if (world.throughUs) execFileSync("mount", ["-o", "remount,ro", cacheDirectory]);
      await world.apt(installBoth);
    },
  },
];

/** A file system of its own with so many MiB, where this machine lets us mount one. */
function smallDisk(world: World, mebibytes: number): string {
  const path = join(world.directory, "small-disk");
  mkdirSync(path);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", path], {
      stdio: "pipe",
    });
  } catch {
    world.skip("a tmpfs cannot be mounted here");
  }
  world.onClose(undoable(() => execFileSync("umount", ["-l", path], { stdio: "ignore" })).undo);
  return path;
}

const stores: readonly Scenario[] = [
  {
    name: "offered-directory",
    topic,
    counters: ["cache.offered", "engine.answered.cache"],
    play: async (world) => {
      const archive = await world.archive({ packages: twoPackages });
      const mirror = await world.serve(archive);
      const offered = join(world.directory, "offered");
      mkdirSync(offered);
      for (const each of archive.packages) {
        copyFileSync(join(archive.root, each.path), join(offered, basename(each.path)));
      }
      await world.start({ daemon: { offerDirectories: [offered] } });
      await world.apt("update");
      await world.apt(installBoth);
      if (!world.throughUs) return;
      const sent = mirror.requests(/deb$/).length;
      world.check(sent === 0, `${sent} packages were fetched although we hold them`);
    },
  },
];

export const daemon: readonly Scenario[] = [...restarts, ...absences, ...disks, ...stores];
