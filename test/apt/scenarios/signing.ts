/** Releases with other signatures than Debian's, with wrong ones, and of another age than their indexes. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import type { Scenario } from "../scenario.ts";
import { installBoth, twoPackages } from "./plain.ts";

const topic = "signing";

export const signing: readonly Scenario[] = [
  {
    name: "release-without-inrelease",
    topic,
    quick: true,
    play: async (world) => {
      await world.serve(await world.archive({ packages: twoPackages, signed: "detached" }));
      await world.start();
      await world.apt("update");
      await world.apt("update");
      await world.apt(installBoth);
      await world.again();
    },
  },
  {
    name: "unsigned-but-trusted",
    topic,
    quick: true,
    play: async (world) => {
      await world.serve(await world.archive({ packages: twoPackages, signed: "none" }));
      await world.start({ sources: [world.source("deb [trusted=yes]")], keyringPath: null });
      await world.apt("update");
      await world.apt(installBoth);
    },
  },
  {
    name: "unsigned",
    topic,
    play: async (world) => {
      await world.serve(await world.archive({ packages: twoPackages, signed: "none" }));
      await world.start();
      await world.apt("update");
      await world.apt(installBoth);
    },
  },
  {
    name: "signed-by-a-stranger",
    topic,
    quick: true,
    play: async (world) => {
      await world.serve(await world.archive({ packages: twoPackages, signed: "stranger" }));
      await world.start();
      await world.apt("update");
      await world.apt(installBoth);
    },
  },
  {
    name: "signed-by-a-stranger-later",
    topic,
    play: async (world) => {
      const archive = await world.archive({ packages: twoPackages });
      await world.serve(archive);
      await world.start();
      await world.apt("update");
      // Anybody can put a newer, strangely signed archive in the old one's place.
      await world.archive({
        packages: [...twoPackages, { name: "gamma" }],
        signed: "stranger",
        dateMs: Date.now() - 60_000,
      });
      await world.apt("update");
      await world.apt(installBoth);
    },
    differs: { files: "the date of the second publication is the clock's" },
  },
  {
    name: "inrelease-tampered",
    topic,
    play: async (world) => {
      const mirror = await world.serve(await world.archive({ packages: twoPackages }));
      mirror.fault(/InRelease$/, { kind: "flip", atByte: 200 });
      await world.start();
      await world.apt("update");
    },
  },
  {
    name: "expired",
    topic,
    quick: true,
    play: async (world) => {
      await world.serve(await world.archive({ packages: twoPackages, validForMs: 60_000 }));
      await world.start();
      await world.apt("update");
    },
  },
  {
    name: "only-md5",
    topic,
    play: async (world) => {
      await world.serve(await world.archive({ packages: twoPackages, checksums: ["MD5Sum"] }));
      await world.start();
      await world.apt("update");
      await world.apt(installBoth);
    },
  },
  {
    name: "packages-newer-than-release",
    topic,
    differs: { bytes: "apt alone leaves as soon as the size is wrong" },
    quick: true,
    play: async (world) => {
      const archive = await world.archive({ packages: twoPackages, byHash: false });
      await world.serve(archive);
      const old = join(archive.root, "dists/stable/InRelease");
      const bytes = readFileSync(old);
      await archive.publish({ packages: [{ name: "gamma" }] });
      writeFileSync(old, bytes);
      await world.start();
      await world.apt("update");
    },
  },
  {
    name: "release-newer-than-packages",
    topic,
    differs: { bytes: "apt alone leaves as soon as the size is wrong" },
    play: async (world) => {
      const archive = await world.archive({ packages: twoPackages, byHash: false });
      await world.serve(archive);
      await world.start();
      await world.apt("update");
      const paths = ["", ".gz", ".xz"].map((each) =>
        join(archive.root, `dists/stable/main/binary-amd64/Packages${each}`),
      );
      const before = paths.slice(1).map((path) => readFileSync(path));
      await archive.publish({ packages: [{ name: "gamma" }] });
      for (const [index, path] of paths.slice(1).entries())
        writeFileSync(path, before[index] ?? "");
      await world.apt("update");
      await world.apt(installBoth);
    },
  },
  {
    name: "by-hash-missing",
    topic,
    quick: true,
    play: async (world) => {
      const archive = await world.archive({ packages: twoPackages });
      await world.serve(archive);
      rmSync(join(archive.root, "dists/stable/main/binary-amd64/by-hash"), { recursive: true });
      await world.start();
      await world.apt("update");
      await world.apt(installBoth);
    },
  },
];
