/** Mirrors that answer with something else than the file: errors, redirects, nothing at all. */
import { rmSync } from "node:fs";
import { join } from "node:path";

import type { Fault, FaultLimits } from "../../kit/faults.ts";
import type { Scenario } from "../scenario.ts";
import { installBoth, twoPackages } from "./plain.ts";

const topic = "answers";
const busy = { kind: "status", status: 503, body: "try later\n" } as const;

/**
 * With the prefix, apt is sent to the mirror itself to hear a transient answer to InRelease: all
 * mirrors share one queue of apt's there, which a waiting InRelease can hold up for ever.
 */
const sentOn = {
  messages: "the second request goes out at once and not after apt's pause",
  requests: "the mirror is asked by us and then by apt",
  bytes: "the same",
} as const;

/** Update and install at a mirror with one fault from the start. */
function faulty(
  name: string,
  path: RegExp,
  fault: Fault,
  more: FaultLimits & Partial<Scenario> = {},
): Scenario {
  const { times, skip, ...rest } = more;
  const limits = {
    ...(times === undefined ? {} : { times }),
    ...(skip === undefined ? {} : { skip }),
  };
  return {
    name,
    topic,
    play: async (world) => {
      const mirror = await world.serve(await world.archive({ packages: twoPackages }));
      mirror.fault(path, fault, limits);
      await world.start();
      await world.apt("update");
      await world.apt(installBoth);
    },
    ...rest,
  };
}

const errors: readonly Scenario[] = [
  faulty("inrelease-403", /InRelease|Release/, { kind: "status", status: 403, body: "no\n" }),
  faulty("inrelease-busy-once", /InRelease$/, busy, { times: 1, quick: true, differs: sentOn }),
  faulty("inrelease-busy-always", /InRelease$/, busy, { differs: sentOn }),
  faulty(
    "inrelease-busy-without-body",
    /InRelease$/,
    { kind: "status", status: 503 },
    { quick: true },
  ),
  faulty("index-busy-once", /binary-amd64/, busy, { times: 1 }),
  faulty("index-busy-always", /binary-amd64/, busy),
  faulty("index-missing", /binary-amd64/, { kind: "status", status: 404, body: "gone\n" }),
  faulty(
    "translation-missing",
    /i18n/,
    { kind: "status", status: 404, body: "gone\n" },
    { quick: true },
  ),
  faulty("package-busy-twice", /alpha.*deb$/, busy, { times: 2, quick: true }),
  faulty(
    "package-busy-without-body",
    /alpha.*deb$/,
    { kind: "status", status: 503 },
    { quick: true },
  ),
  faulty(
    "package-too-many-requests",
    /deb$/,
    { kind: "status", status: 429, body: "slow\n" },
    { times: 1 },
  ),
  faulty("package-403", /alpha.*deb$/, { kind: "status", status: 403, body: "no\n" }),
  faulty("package-404", /alpha.*deb$/, { kind: "status", status: 404 }),
  faulty("package-410", /alpha.*deb$/, { kind: "status", status: 410, body: "gone\n" }),
  faulty("package-451", /alpha.*deb$/, { kind: "status", status: 451, body: "law\n" }),
  faulty(
    "package-500-once",
    /alpha.*deb$/,
    { kind: "status", status: 500, body: "oops\n" },
    { times: 1 },
  ),
  faulty("package-hang-up-once", /alpha.*deb$/, { kind: "hangUp" }, { times: 1 }),
  faulty("inrelease-hang-up-once", /InRelease$/, { kind: "hangUp" }, { times: 1 }),
  {
    name: "package-withdrawn",
    topic,
    play: async (world) => {
      const archive = await world.archive({ packages: twoPackages });
      await world.serve(archive);
      await world.start();
      await world.apt("update");
      rmSync(join(archive.root, archive.package("alpha").path));
      await world.apt(installBoth);
    },
  },
];

/** Through us the redirect is followed out of apt's sight. */
const followed = {
  messages: "apt alone names the place that it was sent to",
} as const;

const redirects: readonly Scenario[] = [
  {
    name: "redirect-to-another-port",
    topic,
    differs: followed,
    quick: true,
    play: async (world) => {
      const archive = await world.archive({ packages: twoPackages });
      const front = await world.serve(archive);
      const back = await world.serve(archive);
      const target = archive.package("beta").path;
      front.fault(/beta.*deb$/, { kind: "redirect", location: `${back.url}/${target}` });
      await world.start();
      await world.apt("update");
      await world.apt(installBoth);
      await world.again();
    },
  },
  {
    name: "redirect-to-another-path",
    topic,
    differs: followed,
    play: async (world) => {
      const archive = await world.archive({ packages: twoPackages });
      const mirror = await world.serve(archive);
      const location = `/${archive.package("beta").path}?from=redirect`;
      mirror.fault(/beta[^?]*deb$/, { kind: "redirect", location, status: 301 });
      await world.start();
      await world.apt("update");
      await world.apt(installBoth);
      await world.again();
    },
  },
  {
    name: "redirect-of-inrelease",
    topic,
    differs: followed,
    play: async (world) => {
      const archive = await world.archive({ packages: twoPackages });
      const front = await world.serve(archive);
      const back = await world.serve(archive);
      const location = `${back.url}/dists/stable/InRelease`;
      front.fault(/InRelease$/, { kind: "redirect", location, status: 307 });
      await world.start();
      await world.apt("update");
      await world.apt("update");
      await world.apt(installBoth);
    },
  },
  {
    name: "redirect-for-ever",
    topic,
    play: async (world) => {
      const archive = await world.archive({ packages: twoPackages });
      const mirror = await world.serve(archive);
      mirror.fault(/alpha.*deb/, {
        kind: "redirect",
        location: `/${archive.package("alpha").path}`,
      });
      await world.start();
      await world.apt("update");
      await world.apt(installBoth);
    },
    differs: {
      reasons: "apt names the loop that it has seen itself",
      messages: "apt alone does not try a loop again",
      requests: "how long a loop is followed is the follower's choice",
      bytes: "the same",
    },
  },
];

const unreachable = {
  reasons: "the direct run names the failed connection, the other the answer that reports it",
};

const absences: readonly Scenario[] = [
  {
    name: "mirror-gone-before-first-update",
    topic,
    quick: true,
    play: async (world) => {
      const mirror = await world.serve(await world.archive({ packages: twoPackages }));
      await world.start();
      await mirror.vanish();
      await world.apt("update");
    },
    differs: unreachable,
  },
  {
    name: "mirror-gone-at-second-update",
    topic,
    quick: true,
    play: async (world) => {
      const mirror = await world.serve(await world.archive({ packages: twoPackages }));
      await world.start();
      await world.apt("update");
      await mirror.vanish();
      await world.apt("update");
    },
    differs: unreachable,
  },
  {
    name: "mirror-gone-between-update-and-install",
    topic,
    quick: true,
    play: async (world) => {
      const mirror = await world.serve(await world.archive({ packages: twoPackages }));
      await world.start();
      await world.apt("update");
      await mirror.vanish();
      await world.apt(installBoth);
      await mirror.comeBack();
      await world.apt(installBoth);
    },
    differs: unreachable,
  },
  {
    // In prefix form both mirrors are one host to apt, and a host whose item waits for its retry
    // must not hold up the other's.
    name: "one-mirror-of-two-gone",
    topic,
    quick: true,
    play: async (world) => {
      const packages = [{ name: "alpha" }];
      const good = await world.serve(await world.archive({ packages }, "good"));
      const other = await world.archive({ packages: [{ name: "beta" }], suite: "other" }, "gone");
      // An address of its own: apt alone would blame the healthy one at the same address too.
      const gone = await world.serve(other, { host: "127.0.0.2" });
      await world.start({
        daemon: { allowUpstreams: ["127.0.0.1", "127.0.0.2"] },
        sources: [
          world.source("deb", "other main", gone),
          world.source("deb", "stable main", good),
        ],
      });
      await gone.vanish();
      await world.apt("update", { timeoutMs: 30_000 });
      await world.apt("install --download-only alpha");
    },
    differs: unreachable,
  },
  {
    name: "unknown-host",
    topic,
    quick: true,
    play: async (world) => {
      const mirror = await world.serve(await world.archive({ packages: twoPackages }));
      const nowhere = world.url(mirror).replace(mirror.authority, "nowhere.invalid");
      await world.start({ sources: [world.source(), `deb ${nowhere} stable main`] });
      await world.apt("update", { timeoutMs: 30_000 });
      await world.apt(installBoth);
    },
    differs: unreachable,
  },
];

const options: readonly Scenario[] = [
  {
    name: "stale-indexes-when-asked-for",
    topic,
    counters: ["engine.answered.document.stale"],
    play: async (world) => {
      const mirror = await world.serve(await world.archive({ packages: twoPackages }));
      await world.start({ daemon: { settings: { mirror: ["serve_stale = yes"] } } });
      await world.apt("update");
      await mirror.vanish();
      const { code, messages } = await world.apt("update");
      if (!world.throughUs) return;
      const warned = messages.classes.some((each) => /^[WE]:/.test(each));
      world.check(code === 0 && !warned, "the index that we have was not served");
    },
    differs: { messages: "the option is there to differ", reasons: "the same" },
  },
  {
    name: "loopback-upstream-that-nobody-named",
    topic,
    counters: ["engine.forbidden"],
    play: async (world) => {
      const archive = await world.archive({ packages: twoPackages });
      await world.serve(archive);
      const secret = await world.serve(archive, { host: "127.0.0.2" });
      await world.start({ daemon: { allowUpstreams: [] } });
      await world.apt("update");
      const { code } = await world.fetch("/dists/stable/Release", {}, secret);
      if (world.throughUs) world.check(code !== 200, "an unnamed loopback service was reached");
      world.check(!world.throughUs || secret.log.length === 0, "an unnamed service was dialled");
    },
    differs: {
      codes: "the daemon must not carry requests to this machine's own services",
      files: "the same",
      messages: "the same",
    },
  },
];

export const answers: readonly Scenario[] = [...errors, ...redirects, ...absences, ...options];
