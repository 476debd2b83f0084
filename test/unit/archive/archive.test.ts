import { strict as assert } from "node:assert";
import { describe, it } from "mocha";
import { limits } from "../../../src/base/limits.ts";
import type { Sha256 } from "../../../src/base/sha256.ts";
import {
  fileName,
  GOOD_KEY,
  gzip,
  openArchive,
  packagesText,
  releaseText,
  sha256,
  sha512,
  signedInline,
  type Published,
  type World,
} from "./kit.ts";

const ROOT = "ftp.us.debian.org/debian";
const SUITE = `${ROOT}/dists/bookworm`;
const INDEX = "main/binary-amd64/Packages";
const DEB = "pool/main/a/a_1_amd64.deb";

/** An index with one package, plain and gzipped, as a Release lists it. */
function index(content: string, path = DEB): { plain: string; files: Published[] } {
  const plain = packagesText([{ path, content }]);
  return {
    plain,
    files: [
      { path: INDEX, content: plain },
      { path: `${INDEX}.gz`, content: gzip(plain) },
    ],
  };
}

async function learnRelease(
  world: World,
  files: readonly Published[],
  options: { day?: number; signature?: string; directory?: string; sha512?: boolean } = {},
): Promise<void> {
  const { directory = SUITE, signature = "good" } = options;
  const document = signedInline(releaseText(files, options), signature);
  await world.archive.learnDocument(fileName(`${directory}/InRelease`), document);
}

const expect = (world: World, path: string, root = ROOT) =>
  world.archive.expectations(fileName(`${root}/${path}`));

const digests = (world: World, path: string, root = ROOT): Sha256[] =>
  expect(world, path, root).map((expectation) => expectation.sha256);

describe("Archive.learnDocument()", () => {
  it("makes a verified Release say what its files must be", async () => {
    const world = await openArchive();
    await learnRelease(world, index("v1").files);
    assert.deepEqual(expect(world, `dists/bookworm/${INDEX}`), [
      {
        sha256: sha256(index("v1").plain),
        sizeBytes: index("v1").plain.length,
        trust: "verified",
        listedIn: `${SUITE}/InRelease`,
        release: `${SUITE}/InRelease`,
        signedBy: [GOOD_KEY],
      },
    ]);
    assert.equal(world.counters.get("archive.document.verified"), 1);
    assert.deepEqual(expect(world, `dists/bookworm/${INDEX}.xz`), []);
    assert.deepEqual(expect(world, `dists/sid/${INDEX}`), []);
    assert.deepEqual(expect(world, "dists/bookworm/InRelease"), []);
  });

  it("asks with the keys of the source that names the Release", async () => {
    const world = await openArchive();
    const line = `deb [signed-by=/k.gpg] http://localhost:9977/${ROOT} bookworm main\n`;
    world.files.plant("/etc/apt/sources.list", Buffer.from(line));
    await learnRelease(world, index("v1").files);
    await learnRelease(world, index("v1").files, { directory: `${ROOT}/dists/sid` });
    assert.deepEqual(
      world.signatures.asked.map(({ signedBy }) => signedBy?.keyFiles),
      [["/k.gpg"], undefined],
    );
    assert.deepEqual(world.archive.hostsOfSources(), new Set(["ftp.us.debian.org"]));
  });

  it("refuses what its signature contradicts, and remembers why", async () => {
    const world = await openArchive();
    await learnRelease(world, index("evil").files, { signature: "bad" });
    assert.deepEqual(expect(world, `dists/bookworm/${INDEX}`), []);
    assert.equal(world.counters.get("archive.document.contradicted"), 1);
    assert.equal(world.warnings[0]?.event, "archive.document.contradicted");
    const { refused } = world.archive.explain(fileName(`${SUITE}/InRelease`));
    assert.deepEqual(
      refused.map(({ name, reason }) => [name, reason]),
      [[`${SUITE}/InRelease`, "BADSIG"]],
    );
    await learnRelease(world, index("v1").files);
    assert.deepEqual(world.archive.explain(fileName(`${SUITE}/InRelease`)).refused, []);
  });

  it("takes it, unverified, where the source says trusted=yes", async () => {
    const world = await openArchive();
    const line = `deb [trusted=yes] http://${ROOT} bookworm main\n`;
    world.files.plant("/etc/apt/sources.list", Buffer.from(line));
    await learnRelease(world, index("v1").files, { signature: "bad" });
    assert.equal(expect(world, `dists/bookworm/${INDEX}`)[0]?.trust, "unverified");
  });

  it("never calls verified what the source says is not trusted", async () => {
    const world = await openArchive();
    const line = `deb [trusted=no] http://${ROOT} bookworm main\n`;
    world.files.plant("/etc/apt/sources.list", Buffer.from(line));
    await learnRelease(world, index("v1").files);
    assert.equal(expect(world, `dists/bookworm/${INDEX}`)[0]?.trust, "unverified");
  });

  it("takes what cannot be verified, flagged", async () => {
    const world = await openArchive();
    await learnRelease(world, index("v1").files, { signature: "other" });
    const [expectation] = expect(world, `dists/bookworm/${INDEX}`);
    assert.equal(expectation?.trust, "unverified");
    assert.deepEqual(expectation.signedBy, []);
    assert.equal(world.archive.releases()[0]?.note, "NO_PUBKEY");
  });

  it("refuses what is no signed document without an exception", async () => {
    const world = await openArchive();
    for (const bytes of ["", "<html>", signedInline("Suite: x\n").toString()]) {
      await world.archive.learnDocument(fileName(`${SUITE}/InRelease`), Buffer.from(bytes));
    }
    assert.equal(world.counters.get("archive.document.malformed"), 3);
    assert.deepEqual(world.archive.releases(), []);
  });

  describe("with a detached signature", () => {
    const text = releaseText(index("v1").files);
    const release = fileName(`${SUITE}/Release`);
    const signature = fileName(`${SUITE}/Release.gpg`);
    const good = Buffer.from(`good ${sha256(text)}`);

    it("verifies when both halves have come, in any order", async () => {
      const world = await openArchive();
      await world.archive.learnDocument(release, Buffer.from(text));
      assert.equal(expect(world, `dists/bookworm/${INDEX}`)[0]?.trust, "unverified");
      await world.archive.learnDocument(signature, good);
      assert.equal(expect(world, `dists/bookworm/${INDEX}`)[0]?.trust, "verified");

      const other = await openArchive();
      await other.archive.learnDocument(signature, good);
      await other.archive.learnDocument(release, Buffer.from(text));
      assert.equal(expect(other, `dists/bookworm/${INDEX}`)[0]?.trust, "verified");
    });

    it("forgets the text when its signature contradicts it", async () => {
      const world = await openArchive();
      await world.archive.learnDocument(release, Buffer.from(text));
      await world.archive.learnDocument(signature, Buffer.from("bad"));
      assert.deepEqual(expect(world, `dists/bookworm/${INDEX}`), []);
      assert.equal(world.counters.get("archive.document.contradicted"), 1);
    });

    it("does not blame a new text for the signature of the old one", async () => {
      const world = await openArchive();
      await world.archive.learnDocument(release, Buffer.from(text));
      await world.archive.learnDocument(signature, good);
      const newer = releaseText(index("v2").files, { day: 2 });
      await world.archive.learnDocument(release, Buffer.from(newer));
      assert.equal(world.counters.get("archive.document.contradicted"), 0);
      await world.archive.learnDocument(signature, Buffer.from(`good ${sha256(newer)}`));
      assert.deepEqual(digests(world, `dists/bookworm/${INDEX}`), [
        sha256(index("v2").plain),
        sha256(index("v1").plain),
      ]);
    });

    it("does not lower a text that InRelease had verified", async () => {
      const world = await openArchive();
      await world.archive.learnDocument(fileName(`${SUITE}/InRelease`), signedInline(text));
      await world.archive.learnDocument(release, Buffer.from(text));
      assert.equal(expect(world, `dists/bookworm/${INDEX}`)[0]?.trust, "verified");
      assert.equal(world.archive.releases().length, 1);
    });
  });

  it("has nothing to say about the Release files of components", async () => {
    const world = await openArchive();
    const below = { path: "main/binary-amd64/Release", content: "Archive: stable\n" };
    await learnRelease(world, [below]);
    const name = fileName(`${SUITE}/${below.path}`);
    await world.archive.learnDocument(name, Buffer.from(below.content));
    assert.equal(world.counters.get("archive.document.malformed"), 0);
  });
});

describe("Archive generations", () => {
  it("answers with the newest Release first and keeps limits.releaseGenerations", async () => {
    const world = await openArchive();
    const days = [3, 1, 4, 2, 5];
    for (const day of days) await learnRelease(world, index(`v${day}`).files, { day });
    assert.equal(limits.releaseGenerations, 3);
    assert.deepEqual(
      digests(world, `dists/bookworm/${INDEX}`),
      [5, 4, 3].map((day) => sha256(index(`v${day}`).plain)),
    );
    assert.equal(world.files.paths.filter((path) => path.endsWith(".release")).length, 3);
  });

  it("does not let a replayed Release become the newest", async () => {
    const world = await openArchive();
    await learnRelease(world, index("new").files, { day: 9 });
    await learnRelease(world, index("old").files, { day: 2 });
    const path = `dists/bookworm/${INDEX}`;
    assert.deepEqual(digests(world, path), [
      sha256(index("new").plain),
      sha256(index("old").plain),
    ]);
    for (const day of [8, 7]) await learnRelease(world, index(`v${day}`).files, { day });
    await learnRelease(world, index("old").files, { day: 2 });
    assert.equal(digests(world, path).includes(sha256(index("old").plain)), false);
    assert.equal(world.counters.get("archive.release.outdated"), 1);
  });

  it("hears nothing unverified where something verified speaks, and lets it push nothing out", async () => {
    const world = await openArchive();
    await learnRelease(world, index("good").files, { day: 1 });
    for (const day of [5, 6, 7, 8]) {
      await learnRelease(world, index(`evil${day}`).files, { day, signature: "other" });
    }
    assert.deepEqual(digests(world, `dists/bookworm/${INDEX}`), [sha256(index("good").plain)]);
    assert.equal(world.archive.releases().length, 1 + limits.releaseGenerations);
  });

  it("is bounded in Releases, and gives up unverified ones first", async () => {
    const world = await openArchive();
    await learnRelease(world, index("good").files);
    for (let suite = 0; suite < limits.catalogueReleases + 5; suite++) {
      const directory = `h${suite}.example/dists/x`;
      await learnRelease(world, index("x").files, { directory, signature: "other" });
    }
    assert.equal(world.archive.releases().length, limits.catalogueReleases);
    assert.equal(digests(world, `dists/bookworm/${INDEX}`).length, 1);
  });
});

describe("Archive.expectations() by hash", () => {
  const byHash = (hash: string, hex: string): string =>
    `dists/bookworm/main/binary-amd64/by-hash/${hash}/${hex}`;

  it("believes the digest of a SHA256 name, and no other hash", async () => {
    const world = await openArchive();
    const digest = sha256("anything");
    const path = byHash("SHA256", digest);
    assert.deepEqual(expect(world, path), [
      {
        sha256: digest,
        sizeBytes: undefined,
        trust: "self-naming",
        listedIn: `${ROOT}/${path}`,
        release: undefined,
        signedBy: [],
      },
    ]);
    assert.deepEqual(expect(world, byHash("SHA512", sha512("anything"))), []);
    assert.deepEqual(expect(world, byHash("MD5Sum", digest.slice(0, 32))), []);
  });

  it("adds size and trust of a Release, and translates SHA512 by it", async () => {
    const world = await openArchive();
    const { plain, files } = index("v1");
    await learnRelease(world, files, { sha512: true });
    for (const path of [byHash("SHA256", sha256(plain)), byHash("SHA512", sha512(plain))]) {
      const [expectation, ...others] = expect(world, path);
      assert.equal(expectation?.sha256, sha256(plain));
      assert.equal(expectation.sizeBytes, plain.length);
      assert.equal(expectation.trust, "verified");
      assert.deepEqual(others, []);
    }
  });

  it("translates SHA512 only below the Release that lists it", async () => {
    const world = await openArchive();
    const { plain, files } = index("v1");
    await learnRelease(world, files, { sha512: true });
    assert.deepEqual(expect(world, `dists/sid/main/by-hash/SHA512/${sha512(plain)}`), []);
  });

  it("takes the size from an unverified Release, but not its lower trust", async () => {
    const world = await openArchive();
    const { plain, files } = index("v1");
    await learnRelease(world, files, { signature: "other" });
    const [expectation] = expect(world, byHash("SHA256", sha256(plain)));
    assert.equal(expectation?.trust, "self-naming");
    assert.equal(expectation.sizeBytes, plain.length);
  });
});

describe("Archive.learnFile()", () => {
  it("reads an index, plain or compressed, by name or by hash", async () => {
    const { plain, files } = index("deb v1");
    const places: [string, string | Buffer][] = [
      [INDEX, plain],
      [`${INDEX}.gz`, gzip(plain)],
      [`main/binary-amd64/by-hash/SHA256/${sha256(gzip(plain))}`, gzip(plain)],
      [`main/binary-amd64/by-hash/SHA512/${sha512(plain)}`, plain],
    ];
    for (const [path, content] of places) {
      const world = await openArchive();
      await learnRelease(world, files, { sha512: true });
      world.store(`${SUITE}/${path}`, content);
      await world.archive.settled(fileName(`${ROOT}/${DEB}`));
      assert.deepEqual(
        expect(world, DEB),
        [
          {
            sha256: sha256("deb v1"),
            sizeBytes: 6,
            trust: "verified",
            listedIn: `${SUITE}/${INDEX}`,
            release: `${SUITE}/InRelease`,
            signedBy: [GOOD_KEY],
          },
        ],
        path,
      );
      assert.equal(world.counters.get("archive.index.adopted"), 1);
      assert.equal(world.counters.get("archive.index.rows"), 1);
      const [summary] = world.archive.releases();
      assert.deepEqual([summary?.tables, summary?.rows], [1, 1]);
    }
  });

  it("waits for a Release that is being learned at the same time", async () => {
    const world = await openArchive();
    const { plain, files } = index("deb v1");
    const learned = learnRelease(world, files);
    world.store(`${SUITE}/main/binary-amd64/by-hash/SHA256/${sha256(plain)}`, plain);
    await world.archive.idle();
    await learned;
    assert.deepEqual(digests(world, DEB), [sha256("deb v1")]);
  });

  it("speaks only below the base of the Release", async () => {
    const world = await openArchive();
    const { plain, files } = index("x");
    await learnRelease(world, files);
    world.store(`${SUITE}/${INDEX}`, plain);
    await world.archive.idle();
    assert.equal(expect(world, DEB).length, 1);
    assert.deepEqual(expect(world, DEB, "ftp.us.debian.org/ubuntu"), []);
    assert.deepEqual(expect(world, DEB, "ftp.us.debian.org"), []);
    assert.deepEqual(expect(world, DEB, "other.example/debian"), []);
  });

  it("gives the digests of several generations, and of several suites", async () => {
    const world = await openArchive();
    for (const day of [1, 2]) {
      const { plain, files } = index(`v${day}`, "pool/latest.deb");
      await learnRelease(world, files, { day });
      world.store(`${SUITE}/${INDEX}`, plain);
      await world.archive.idle();
    }
    assert.deepEqual(digests(world, "pool/latest.deb"), [sha256("v2"), sha256("v1")]);
  });

  it("uses a table again when a newer Release lists the same index", async () => {
    const world = await openArchive();
    const { plain, files } = index("v1");
    await learnRelease(world, files);
    world.store(`${SUITE}/${INDEX}.gz`, gzip(plain));
    await world.archive.idle();
    const onlyCompressed = files.filter(({ path }) => path.endsWith(".gz"));
    await learnRelease(world, onlyCompressed, { day: 2 });
    assert.deepEqual(
      world.archive.releases().map(({ tables }) => tables),
      [1, 1],
    );
    world.store(`${SUITE}/${INDEX}.gz`, gzip(plain));
    await world.archive.idle();
    assert.equal(world.counters.get("archive.index.known"), 1);
    assert.equal(world.counters.get("archive.index.read"), 1);
  });

  it("reads Sources", async () => {
    const world = await openArchive();
    const plain = `Package: a\nDirectory: pool/a\nChecksums-Sha256:\n ${sha256("dsc")} 3 a.dsc\n`;
    await learnRelease(world, [{ path: "main/source/Sources.gz", content: gzip(plain) }]);
    world.store(`${SUITE}/main/source/Sources.gz`, gzip(plain));
    await world.archive.idle();
    assert.deepEqual(digests(world, "pool/a/a.dsc"), [sha256("dsc")]);
  });

  it("refuses an index that a verified Release contradicts, whatever an unverified one lists", async () => {
    const world = await openArchive();
    await learnRelease(world, index("good").files);
    await learnRelease(world, index("evil").files, { day: 2, signature: "other" });
    world.store(`${SUITE}/${INDEX}`, index("evil").plain);
    const gz = gzip(index("evil").plain);
    world.store(`${SUITE}/main/binary-amd64/by-hash/SHA256/${sha256(gz)}`, gz);
    await world.archive.idle();
    assert.deepEqual(expect(world, DEB), []);
    assert.equal(world.counters.get("archive.index.contradicted"), 2);
    assert.equal(world.archive.explain(fileName(`${ROOT}/${DEB}`)).refused.length, 2);
  });

  it("drops an index that nobody lists", async () => {
    const world = await openArchive();
    world.store(`${SUITE}/${INDEX}`, index("x").plain);
    await world.archive.idle();
    assert.equal(world.counters.get("archive.index.unlisted"), 1);
    assert.equal(world.archive.size().tables, 0);
  });

  it("survives a damaged index and one that is gone", async () => {
    const world = await openArchive();
    const damaged = Buffer.from("1f8b0800aaaaaaaa", "hex");
    await learnRelease(world, [{ path: `${INDEX}.gz`, content: damaged }, ...index("v1").files]);
    world.store(`${SUITE}/${INDEX}.gz`, damaged);
    world.archive.learnFile(fileName(`${SUITE}/${INDEX}`), sha256(index("v1").plain), () =>
      Promise.resolve(undefined),
    );
    await world.archive.idle();
    assert.equal(world.counters.get("archive.work.failed"), 1);
    assert.equal(world.counters.get("archive.index.gone"), 1);
    assert.deepEqual(expect(world, DEB), []);
  });

  it("reads nothing of other files", async () => {
    const world = await openArchive();
    world.archive.learnFile(fileName(`${ROOT}/${DEB}`), sha256("x"), () =>
      assert.fail("must not be opened"),
    );
    await world.archive.idle();
  });

  it("places flat repositories by apt's sources, else at their Release", async () => {
    const world = await openArchive();
    const plain = packagesText([{ path: "./debs/a.deb", content: "a" }]);
    const files = [{ path: "Packages", content: plain }];
    await learnRelease(world, files, { directory: "h/repo/flat" });
    world.store("h/repo/flat/Packages", plain);
    await world.archive.idle();
    assert.deepEqual(digests(world, "debs/a.deb", "h/repo/flat"), [sha256("a")]);

    const known = await openArchive();
    known.files.plant("/etc/apt/sources.list", Buffer.from("deb http://h/repo flat/\n"));
    await learnRelease(known, files, { directory: "h/repo/flat" });
    known.store("h/repo/flat/Packages", plain);
    await known.archive.idle();
    assert.deepEqual(digests(known, "debs/a.deb", "h/repo"), [sha256("a")]);
    assert.deepEqual(digests(known, "debs/a.deb", "h/repo/flat"), []);
  });
});

describe("Archive and SHA256SUMS", () => {
  const text = `${sha256("iso")} *netinst.iso\n`;
  const name = fileName("cd.example/images/SHA256SUMS");
  const iso = (world: World) =>
    world.archive.expectations(fileName("cd.example/images/netinst.iso"));

  it("is verified by its own signature", async () => {
    const world = await openArchive();
    await world.archive.learnDocument(name, Buffer.from(text));
    assert.equal(iso(world)[0]?.trust, "unverified");
    const signature = Buffer.from(`good ${sha256(text)}`);
    await world.archive.learnDocument(fileName(`${name}.sign`), signature);
    const [expectation] = iso(world);
    assert.deepEqual(
      [expectation?.sha256, expectation?.sizeBytes, expectation?.trust],
      [sha256("iso"), undefined, "verified"],
    );
  });

  it("is verified, or refused, by a Release that lists it", async () => {
    const path = "main/installer-amd64/current/images/SHA256SUMS";
    const world = await openArchive();
    await learnRelease(world, [{ path, content: text }]);
    const other = Buffer.from(text.replace("iso", "exe"));
    await world.archive.learnDocument(fileName(`${SUITE}/${path}`), other);
    assert.equal(world.counters.get("archive.document.contradicted"), 1);
    world.store(`${SUITE}/${path}`, text);
    await world.archive.idle();
    const [expectation] = expect(
      world,
      `dists/bookworm/${path.replace("SHA256SUMS", "netinst.iso")}`,
    );
    assert.equal(expectation?.trust, "verified");
    assert.equal(expectation.release, `${SUITE}/InRelease`);
    assert.deepEqual(expectation.signedBy, [GOOD_KEY]);
  });
});

describe("Archive and sizes", () => {
  it("takes no size from something unverified for a digest that is verified", async () => {
    const world = await openArchive();
    const sums = `${sha256("iso")}  netinst.iso\n`;
    const name = fileName("cd.example/images/SHA256SUMS");
    await world.archive.learnDocument(name, Buffer.from(sums));
    const signature = Buffer.from(`good ${sha256(sums)}`);
    await world.archive.learnDocument(fileName(`${name}.sign`), signature);
    await learnRelease(world, [{ path: "netinst.iso", content: "iso" }], {
      directory: "cd.example/images",
      signature: "other",
    });
    const [expectation] = world.archive.expectations(fileName("cd.example/images/netinst.iso"));
    assert.equal(expectation?.trust, "verified");
    assert.equal(expectation.sizeBytes, undefined);
  });
});

describe("Archive.listed()", () => {
  it("gives the digests that a Release or an index lists", async () => {
    const world = await openArchive();
    const { plain, files } = index("deb");
    await learnRelease(world, files);
    world.store(`${SUITE}/${INDEX}`, plain);
    await world.archive.idle();
    const asked = new Set([sha256("deb"), sha256(plain), sha256("gone")]);
    assert.deepEqual(world.archive.listed(asked), new Set([sha256("deb"), sha256(plain)]));
  });
});

describe("Archive.explain()", () => {
  it("tells kind, expectations and the Releases around a name first", async () => {
    const world = await openArchive();
    await learnRelease(world, index("a").files, { directory: `${ROOT}/dists/sid`, day: 5 });
    await learnRelease(world, index("b").files, { day: 1 });
    const told = world.archive.explain(fileName(`${SUITE}/${INDEX}`));
    assert.deepEqual(told.kind, { kind: "index", of: "packages" });
    assert.equal(told.expectations.length, 1);
    assert.deepEqual(
      told.releases.map(({ name, suite, trust }) => [name, suite, trust]),
      [
        [`${SUITE}/InRelease`, "stable", "verified"],
        [`${ROOT}/dists/sid/InRelease`, "stable", "verified"],
      ],
    );
    assert.deepEqual(JSON.parse(JSON.stringify(told.expectations)), told.expectations);
  });
});

describe("Archive.load()", () => {
  async function learned(): Promise<World> {
    const world = await openArchive();
    const { plain, files } = index("deb");
    await learnRelease(world, files);
    world.store(`${SUITE}/${INDEX}.gz`, gzip(plain));
    await world.archive.idle();
    await world.archive.close();
    return world;
  }

  it("knows after a restart what it knew before", async () => {
    const before = await learned();
    const world = await openArchive(before);
    assert.deepEqual(expect(world, DEB), expect(before, DEB));
    assert.deepEqual(world.archive.releases(), before.archive.releases());
    assert.equal(world.counters.get("archive.load.releases"), 1);
    assert.equal(world.counters.get("archive.load.tables"), 1);
    assert.equal(world.signatures.asked.length, 0);
  });

  it("forgets a damaged table, removes it, and takes the index anew", async () => {
    const before = await learned();
    const path = before.files.paths.find((one) => one.endsWith(".table")) ?? "";
    before.files.plant(path, Buffer.from("damage"));
    const world = await openArchive(before);
    assert.deepEqual(expect(world, DEB), []);
    assert.equal(world.counters.get("archive.load.refused"), 1);
    assert.equal(world.files.peek(path), undefined);
    world.store(`${SUITE}/${INDEX}.gz`, gzip(index("deb").plain));
    await world.archive.idle();
    assert.equal(expect(world, DEB).length, 1);
  });

  it("forgets a Release whose text or record is damaged, and its tables", async () => {
    const before = await learned();
    const path = before.files.paths.find((one) => one.endsWith(".release")) ?? "";
    before.files.plant(path, Buffer.from("damage"));
    await before.kv.batch([{ key: "archive!release!x", value: "{" }]);
    const world = await openArchive(before);
    assert.deepEqual(world.archive.releases(), []);
    assert.deepEqual(world.files.paths, []);
    assert.equal(world.kv.size, 0);
  });

  it("removes files that no record names, and leaves those of others", async () => {
    const before = await learned();
    const stray = `/state/archive/${sha256("stray")}.table.new`;
    before.files.plant(stray, Buffer.from("x"));
    before.files.plant("/state/archive/notes.txt", Buffer.from("x"));
    const world = await openArchive(before);
    assert.equal(world.files.peek(stray), undefined);
    assert.notEqual(world.files.peek("/state/archive/notes.txt"), undefined);
    assert.equal(expect(world, DEB).length, 1);
  });

  it("keeps a text that another suite has as well", async () => {
    const world = await openArchive();
    const stable = `${ROOT}/dists/stable`;
    await learnRelease(world, index("v0").files);
    await learnRelease(world, index("v0").files, { directory: stable });
    for (const day of [2, 3, 4]) await learnRelease(world, index(`v${day}`).files, { day });
    await world.archive.close();
    const again = await openArchive(world);
    assert.equal(digests(again, `dists/stable/${INDEX}`)[0], sha256(index("v0").plain));
    assert.equal(again.archive.releases().length, 4);
  });

  it("removes tables from the disk when no Release lists them any more", async () => {
    const world = await learned();
    assert.equal(world.files.paths.filter((path) => path.endsWith(".table")).length, 1);
    const again = await openArchive(world);
    for (const day of [2, 3, 4]) await learnRelease(again, index(`v${day}`).files, { day });
    await again.archive.idle();
    assert.equal(again.archive.size().tables, 0);
    assert.equal(again.files.paths.filter((path) => path.endsWith(".table")).length, 0);
  });
});
