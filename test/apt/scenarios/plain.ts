/** Archives as they should be, in every shape that apt knows. */
import type { Compression } from "../../kit/compress.ts";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";

const topic = "plain";
export const twoPackages = [
  { name: "alpha", sizeBytes: 40_000 },
  { name: "beta", architecture: "all", sizeBytes: 400_000 },
] as const;

export const installBoth = "install --download-only alpha beta";

async function updateAndInstall(world: World): Promise<void> {
  await world.apt("update");
  await world.apt(installBoth);
  await world.again();
}

function compressed(compression: Compression): Scenario {
  return {
    name: `index-${compression}`,
    topic,
    quick: compression === "zst",
    play: async (world) => {
      await world.serve(
        await world.archive({ packages: twoPackages, compressions: [compression] }),
      );
      await world.start();
      await updateAndInstall(world);
    },
  };
}

function languages(setting: string): Scenario {
  return {
    name: `languages-${setting}`,
    topic,
    play: async (world) => {
      const translations = ["en", "de", "fr"];
      await world.serve(await world.archive({ packages: twoPackages, translations }));
      await world.start({ configuration: [`Acquire::Languages "${setting}";`] });
      await updateAndInstall(world);
    },
  };
}

const contentsTarget = [
  "Acquire::IndexTargets::deb::Contents-deb {",
  ' MetaKey "$(COMPONENT)/Contents-$(ARCHITECTURE)"; ShortDescription "Contents-$(ARCHITECTURE)";',
  ' Description "$(RELEASE)/$(COMPONENT) $(ARCHITECTURE) Contents (deb)"; KeepCompressed "true"; };',
];

const archives: readonly Scenario[] = [
  {
    name: "update-twice-install",
    topic,
    counters: [
      "engine.document.learned",
      "archive.index.read",
      "engine.download.proven",
      "engine.answered.cache",
    ],
    quick: true,
    play: async (world) => {
      await world.serve(await world.archive({ packages: twoPackages }));
      await world.start();
      await world.apt("update");
      await world.apt("update");
      await world.apt(installBoth);
      await world.again();
    },
  },
  {
    name: "by-hash-refused-by-apt",
    topic,
    quick: true,
    play: async (world) => {
      await world.serve(await world.archive({ packages: twoPackages }));
      await world.start({ configuration: ['Acquire::By-Hash "no";'] });
      await updateAndInstall(world);
    },
  },
  {
    name: "by-hash-not-offered",
    topic,
    play: async (world) => {
      await world.serve(await world.archive({ packages: twoPackages, byHash: false }));
      await world.start();
      await updateAndInstall(world);
    },
  },
  {
    name: "contents",
    topic,
    play: async (world) => {
      await world.serve(await world.archive({ packages: twoPackages, contents: true }));
      await world.start({ configuration: contentsTarget });
      await updateAndInstall(world);
    },
  },
  {
    name: "source-packages",
    topic,
    quick: true,
    play: async (world) => {
      const packages = [{ name: "alpha", source: true }, { name: "beta" }];
      await world.serve(await world.archive({ packages }));
      await world.start({ sources: [world.source(), world.source("deb-src")] });
      await world.apt("update");
      await world.apt("source --download-only alpha");
      await world.again();
    },
  },
  {
    name: "two-suites",
    topic,
    quick: true,
    play: async (world) => {
      await world.serve(await world.archive({ packages: [{ name: "alpha" }] }));
      await world.archive({ suite: "updates", packages: [{ name: "beta" }] });
      await world.start({ sources: [world.source(), world.source("deb", "updates main")] });
      await updateAndInstall(world);
    },
  },
  {
    name: "two-mirrors",
    topic,
    play: async (world) => {
      const first = await world.archive({ packages: [{ name: "alpha" }] }, "one");
      const second = await world.archive({ suite: "other", packages: [{ name: "beta" }] }, "two");
      await world.serve(first);
      const other = await world.serve(second);
      await world.start({ sources: [world.source(), world.source("deb", "other main", other)] });
      await updateAndInstall(world);
    },
  },
  {
    name: "flat-repository",
    topic,
    quick: true,
    play: async (world) => {
      await world.serve(await world.archive({ packages: twoPackages, flat: true }));
      await world.start({ sources: [world.source("deb", "./")] });
      await updateAndInstall(world);
    },
  },
  {
    name: "odd-names",
    topic,
    quick: true,
    play: async (world) => {
      const packages = [
        { name: "libodd++1", version: "2:1.0~rc1+b2-1" },
        { name: "colon", path: "pool/main/c/colon/colon_1:1.0-1_amd64.deb" },
        { name: "space", path: "pool/main/s/space/space 100%_1.0-1_amd64.deb" },
        { name: "letters", path: "pool/main/l/letters/lettres-é_1.0-1_amd64.deb" },
      ];
      await world.serve(await world.archive({ packages }));
      await world.start();
      await world.apt("update");
      await world.apt("install --download-only libodd++1 colon space letters");
      await world.again();
    },
  },
  {
    name: "double-slashes",
    topic,
    play: async (world) => {
      const packages = [
        { name: "alpha", path: "pool//main//a/alpha_1.0-1_amd64.deb" },
        { name: "beta", path: "pool/main/./b/beta_1.0-1_amd64.deb" },
      ];
      await world.serve(await world.archive({ packages }));
      const archive = world.archives[0];
      await world.start({ sources: [`deb ${world.url()}/ ${archive?.suite ?? ""} main`] });
      await updateAndInstall(world);
    },
  },
  {
    name: "signed-by",
    topic,
    play: async (world) => {
      const archive = await world.archive({ packages: twoPackages });
      await world.serve(archive);
      const kind = `deb [signed-by=${archive.keyringPath}]`;
      await world.start({ sources: [world.source(kind)], keyringPath: null });
      await updateAndInstall(world);
    },
  },
  {
    name: "two-hundred-packages",
    topic,
    quick: true,
    play: async (world) => {
      const packages = Array.from({ length: 200 }, (_, index) => ({
        name: `small-${index}`,
        sizeBytes: 6_000 + 100 * index,
      }));
      await world.serve(await world.archive({ packages }));
      await world.start();
      await world.apt("update");
      await world.apt(`install --download-only ${packages.map((each) => each.name).join(" ")}`);
      await world.again();
    },
  },
];

const publications: readonly Scenario[] = [
  {
    name: "pdiff-one-day-old",
    topic,
    counters: ["archive.patch.applied"],
    quick: true,
    play: async (world) => {
      const archive = await manyPackages(world);
      await world.serve(archive);
      await world.start();
      await world.apt("update");
      await archive.publish({ packages: [{ name: "p3", version: "2.0-1" }], pdiff: true });
      await world.apt("update");
      world.check(
        world.mirror.requests(/Packages\.diff\/20/).length === 1,
        "the patch was not fetched exactly once",
      );
      await world.apt("install --download-only p3 p4");
    },
  },
  {
    name: "pdiff-three-days-old",
    topic,
    play: async (world) => {
      const archive = await manyPackages(world);
      await world.serve(archive);
      await world.start();
      await world.apt("update");
      for (const version of ["2.0-1", "3.0-1", "4.0-1"]) {
        await archive.publish({ packages: [{ name: "p3", version }], pdiff: true });
      }
      await world.apt("update");
      await world.apt("install --download-only p3");
    },
  },
  {
    name: "pdiff-patch-missing",
    topic,
    play: async (world) => {
      const archive = await manyPackages(world);
      const mirror = await world.serve(archive);
      await world.start();
      await world.apt("update");
      await archive.publish({ packages: [{ name: "p3", version: "2.0-1" }], pdiff: true });
      mirror.fault(/Packages\.diff\/20/, { kind: "status", status: 404, body: "gone\n" });
      await world.apt("update");
      await world.apt("install --download-only p3");
    },
  },
  {
    name: "new-publication",
    topic,
    quick: true,
    play: async (world) => {
      const archive = await world.archive({ packages: twoPackages });
      await world.serve(archive);
      await world.start();
      await world.apt("update");
      await world.apt(installBoth);
      await archive.publish({
        packages: [{ name: "beta", version: "2.0-1", architecture: "all" }],
      });
      await world.apt("update");
      await world.apt(installBoth);
    },
  },
  {
    name: "same-name-other-content",
    topic,
    play: async (world) => {
      const archive = await world.archive({ packages: twoPackages });
      await world.serve(archive);
      await world.start();
      await world.apt("update");
      await world.apt(installBoth);
      await archive.publish({ packages: [{ name: "alpha", sizeBytes: 40_000, seed: "rebuilt" }] });
      await world.apt("update");
      await world.apt("clean");
      await world.apt(installBoth);
    },
  },
];

async function manyPackages(world: World): ReturnType<World["archive"]> {
  const packages = Array.from({ length: 300 }, (_, index) => ({
    name: `p${index}`,
    sizeBytes: 4_000,
  }));
  return await world.archive({ packages });
}

export const plain: readonly Scenario[] = [
  ...archives,
  ...(["none", "gz", "xz", "zst", "bz2", "lz4"] as const).map(compressed),
  ...["none", "en", "de"].map(languages),
  ...publications,
];
