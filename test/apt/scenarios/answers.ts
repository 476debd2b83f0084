/** Mirrors that answer with something else than the file: errors, redirects, nothing at all. */
import { rmSync } from "node:fs";
import { join } from "node:path";

import type { Fault, FaultLimits } from "../../kit/faults.ts";
import type { Scenario } from "../scenario.ts";
import { installBoth, twoPackages } from "./plain.ts";

const topic = "answers";
const busy = { kind: "status", status: 503, body: "try later\n" } as const;

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
  faulty("inrelease-busy-once", /InRelease$/, busy, { times: 1, quick: true }),
  faulty("inrelease-busy-always", /InRelease$/, busy),
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
    name: "unknown-host",
    topic,
    quick: true,
    play: async (world) => {
      const mirror = await world.serve(await world.archive({ packages: twoPackages }));
      const nowhere = world.url(mirror).replace(mirror.authority, "nowhere.invalid");
      await world.start({ sources: [world.source(), `deb ${nowhere} stable main`] });
      await world.apt("update");
      await world.apt(installBoth);
    },
    differs: unreachable,
  },
];

export const answers: readonly Scenario[] = [...errors, ...redirects, ...absences];
