/**
 * Mirrors whose bytes are wrong, late, too few or too many. Where apt alone gives up although the
 * mirror's next answer would have been right, we are allowed to do better, and the story says so.
 */
import type { Fault, FaultLimits } from "../../kit/faults.ts";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { installBoth, twoPackages } from "./plain.ts";

const topic = "bodies";
const alpha = /alpha.*deb$/;
const beta = /beta.*deb$/;
const index = /binary-amd64/;

function faulty(
  name: string,
  path: RegExp,
  fault: Fault,
  more: FaultLimits & Partial<Scenario> & { readonly end?: (world: World) => void } = {},
): Scenario {
  const { times, skip, end, ...rest } = more;
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
      end?.(world);
    },
    ...rest,
  };
}

const betterThanAlone = {
  codes: "apt alone ends with a hash sum mismatch; through us the second copy is right",
  files: "the package arrives",
  messages: "no error",
  reasons: "no error",
  requests: "the second copy",
  bytes: "the second copy",
} as const;

const askedTwice = {
  messages: "the first copy is cut off before its end, so apt tells of a retry",
  requests: "wrong bytes are fetched a second time before they are passed on",
  bytes: "the same",
} as const;

/** A download that breaks off is resumed before apt notices. */
const resumedUnseen = { messages: "apt alone tells of its retry" } as const;

/** Through us every step ends well, with the files that the archive has. */
function endsWell(world: World): void {
  if (!world.throughUs) return;
  for (const step of world.steps)
    world.check(step.code === 0, `${step.label} ended with ${String(step.code)}`);
  const held = Object.values(world.steps.at(-1)?.files ?? {});
  for (const each of world.archives[0]?.packages ?? []) {
    world.check(held.includes(each.sha256), `${each.name} did not arrive whole`);
  }
}

/** Where apt alone keeps nothing of a wrong file, neither may we. */
function nothingWrongKept(world: World): void {
  const right = new Set(world.archives[0]?.packages.map((each) => each.sha256));
  for (const [name, digest] of Object.entries(world.steps.at(-1)?.files ?? {})) {
    if (name.endsWith(".deb"))
      world.check(right.has(digest), `${name} was kept although it is wrong`);
  }
}

const wrong: readonly Scenario[] = [
  faulty(
    "flip-package-once",
    beta,
    { kind: "flip", atByte: 100_000 },
    {
      times: 1,
      quick: true,
      end: endsWell,
      differs: betterThanAlone,
      counters: ["engine.download.refetched"],
    },
  ),
  faulty(
    "flip-first-byte-once",
    beta,
    { kind: "flip", atByte: 0 },
    { times: 1, end: endsWell, differs: betterThanAlone },
  ),
  faulty(
    "flip-last-byte-once",
    beta,
    { kind: "flip", atByte: 399_000 },
    { times: 1, end: endsWell, differs: betterThanAlone },
  ),
  faulty(
    "flip-small-package-once",
    alpha,
    { kind: "flip", atByte: 20_000 },
    { times: 1, end: endsWell, differs: betterThanAlone },
  ),
  faulty(
    "flip-package-always",
    beta,
    { kind: "flip", atByte: 100_000 },
    { quick: true, end: nothingWrongKept, differs: askedTwice },
  ),
  faulty(
    "flip-index-once",
    index,
    { kind: "flip", atByte: 100 },
    { times: 1, end: endsWell, differs: betterThanAlone },
  ),
  faulty("flip-index-always", index, { kind: "flip", atByte: 100 }, { differs: askedTwice }),
  faulty(
    "surplus-bytes",
    beta,
    { kind: "surplus", bytes: 5_000 },
    { quick: true, end: nothingWrongKept, differs: askedTwice },
  ),
  faulty(
    "other-file-of-same-size",
    beta,
    { kind: "content", bytes: Buffer.alloc(399_872, "z") },
    { end: nothingWrongKept, differs: askedTwice },
  ),
  faulty(
    "empty-file",
    beta,
    { kind: "content", bytes: Buffer.alloc(0) },
    { end: nothingWrongKept, differs: askedTwice },
  ),
  faulty(
    "html-instead-of-index",
    index,
    { kind: "content", bytes: Buffer.from("<html>log in</html>") },
    { differs: askedTwice },
  ),
  faulty("html-instead-of-inrelease", /InRelease$/, {
    kind: "content",
    bytes: Buffer.from("<html>log in</html>"),
  }),
  faulty(
    "encoding-lie-gzip",
    beta,
    { kind: "header", name: "content-encoding", value: "gzip" },
    { end: nothingWrongKept },
  ),
  faulty("encoding-lie-on-index", index, {
    kind: "header",
    name: "content-encoding",
    value: "gzip",
  }),
];

const incomplete: readonly Scenario[] = [
  faulty(
    "cut-package-once",
    beta,
    { kind: "cut", atByte: 200_000 },
    {
      times: 1,
      quick: true,
      end: endsWell,
      differs: resumedUnseen,
      counters: ["engine.download.proven"],
    },
  ),
  faulty(
    "cut-package-at-start-once",
    beta,
    { kind: "cut", atByte: 1 },
    { times: 1, end: endsWell, differs: resumedUnseen },
  ),
  faulty(
    "cut-package-always",
    beta,
    { kind: "cut", atByte: 200_000 },
    {
      end: nothingWrongKept,
      differs: {
        messages: "apt alone tells of the bytes that each try gained",
        requests: "we ask again for the rest before apt does",
        reasons: "apt sees our cut instead",
      },
    },
  ),
  faulty(
    "cut-index-once",
    index,
    { kind: "cut", atByte: 100 },
    { times: 1, end: endsWell, differs: resumedUnseen },
  ),
  faulty(
    "cut-inrelease-once",
    /InRelease$/,
    { kind: "cut", atByte: 100 },
    { times: 1, end: endsWell, differs: resumedUnseen },
  ),
  faulty(
    "length-too-long-once",
    beta,
    { kind: "length", offBy: 1000 },
    {
      times: 1,
      end: nothingWrongKept,
      differs: { bytes: "apt alone leaves as soon as the header names a wrong size" },
    },
  ),
  faulty(
    "length-too-short",
    beta,
    { kind: "length", offBy: -1000 },
    { end: nothingWrongKept, differs: askedTwice },
  ),
  {
    name: "cut-and-range-ignored",
    topic,
    differs: resumedUnseen,
    play: async (world) => {
      const mirror = await world.serve(await world.archive({ packages: twoPackages }));
      mirror.fault(beta, { kind: "cut", atByte: 200_000 }, { times: 1 });
      mirror.fault(beta, { kind: "ignoreRange" });
      await world.start();
      await world.apt("update");
      await world.apt(installBoth);
      endsWell(world);
    },
  },
  {
    name: "dates-missing",
    topic,
    differs: resumedUnseen,
    quick: true,
    play: async (world) => {
      const mirror = await world.serve(await world.archive({ packages: twoPackages }));
      mirror.fault(/./, { kind: "header", name: "last-modified", value: undefined });
      mirror.fault(/./, { kind: "ignoreDates" });
      mirror.fault(beta, { kind: "cut", atByte: 200_000 }, { times: 1 });
      await world.start();
      await world.apt("update");
      await world.apt("update");
      await world.apt(installBoth);
      endsWell(world);
    },
  },
];

const late: readonly Scenario[] = [
  faulty("headers-late", beta, { kind: "delay", forMs: 4_000 }, { times: 1, end: endsWell }),
  faulty(
    "stall-short",
    beta,
    { kind: "stall", atByte: 100_000, forMs: 5_000 },
    { times: 1, quick: true, end: endsWell },
  ),
  faulty(
    "stall-40-s-in-the-middle",
    beta,
    { kind: "stall", atByte: 100_000, forMs: 40_000 },
    { times: 1, slow: true, end: endsWell, differs: resumedUnseen },
  ),
  faulty(
    "stall-40-s-at-the-start",
    beta,
    { kind: "stall", atByte: 0, forMs: 40_000 },
    {
      times: 1,
      slow: true,
      end: endsWell,
      differs: resumedUnseen,
    },
  ),
  faulty(
    "headers-40-s-late",
    beta,
    { kind: "delay", forMs: 40_000 },
    { times: 1, slow: true, end: endsWell, differs: resumedUnseen },
  ),
  faulty(
    "index-40-s-late",
    index,
    { kind: "delay", forMs: 40_000 },
    { times: 1, slow: true, end: endsWell, differs: resumedUnseen },
  ),
  faulty(
    "inrelease-40-s-late",
    /InRelease$/,
    { kind: "delay", forMs: 40_000 },
    { times: 1, slow: true, end: endsWell, differs: resumedUnseen },
  ),
  {
    name: "100-MB-at-10-Mbit",
    topic,
    slow: true,
    play: async (world) => {
      const archive = await world.archive({ packages: [{ name: "huge", sizeBytes: 100_000_000 }] });
      const mirror = await world.serve(archive);
      mirror.fault(/huge.*deb$/, { kind: "rate", bytesPerSecond: 1_250_000 });
      await world.start();
      await world.apt("update");
      await world.apt("install --download-only huge", { timeoutMs: 180_000 });
      endsWell(world);
      mirror.heal();
      await world.again();
    },
  },
];

export const bodies: readonly Scenario[] = [...wrong, ...incomplete, ...late];
