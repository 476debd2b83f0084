import { strict as assert } from "node:assert";
import { describe, it } from "mocha";
import { MemoryFiles } from "../../../src/sim/memory-files.ts";
import {
  fileName,
  gzip,
  openArchive,
  packagesText,
  releaseText,
  sha256,
  signedInline,
  type World,
} from "./kit.ts";

const PREFIX = "/lists/ftp.us.debian.org_debian_dists_bookworm";
const ROOT = "ftp.us.debian.org/debian";
const DEB = fileName(`${ROOT}/pool/a.deb`);
const INDEX = "main/binary-amd64/Packages";

const plainOf = (content: string): string => packagesText([{ path: "pool/a.deb", content }]);

function plant(world: World, path: string, content: string | Buffer): void {
  // Every file that apt puts there moves the time on, as a real clock does.
  world.clock.advance(1000);
  world.files.plant(path, Buffer.from(content), world.clock.wallMs());
}

/** What apt leaves after an update: InRelease, and the index under `suffix` of its name. */
function plantSuite(world: World, content: string, options: { day?: number; gz?: boolean } = {}) {
  const plain = plainOf(content);
  const listed = [
    { path: INDEX, content: plain },
    { path: `${INDEX}.xz`, content: "xz of it" },
  ];
  plant(world, `${PREFIX}_InRelease`, signedInline(releaseText(listed, options)));
  const index = `${PREFIX}_main_binary-amd64_Packages`;
  if (options.gz === true) plant(world, `${index}.gz`, gzip(plain));
  else plant(world, index, plain);
}

const known = (world: World) =>
  world.archive.expectations(DEB).map((expectation) => [expectation.sha256, expectation.trust]);

describe("Archive.refreshLists()", () => {
  it("learns what apt learned before the daemon came", async () => {
    const world = await openArchive();
    plantSuite(world, "v1");
    plant(world, "/lists/lock", "");
    plant(world, "/lists/partial/ftp.us.debian.org_debian_dists_sid_InRelease", "half");
    await world.archive.refreshLists();
    assert.deepEqual(known(world), [[sha256("v1"), "verified"]]);
    assert.equal(world.counters.get("archive.lists.read"), 1);
    assert.equal(world.archive.releases().length, 1);
  });

  it("reads compressed lists by their plain text", async () => {
    const world = await openArchive();
    plantSuite(world, "v1", { gz: true });
    await world.archive.refreshLists();
    assert.deepEqual(known(world), [[sha256("v1"), "verified"]]);
  });

  it("lets requests wait for it", async () => {
    const world = await openArchive();
    plantSuite(world, "v1");
    const refreshed = world.archive.refreshLists();
    await world.archive.settled(DEB);
    assert.deepEqual(known(world), [[sha256("v1"), "verified"]]);
    await refreshed;
  });

  it("names what came through our own prefix after the host behind", async () => {
    const world = await openArchive();
    const plain = plainOf("v1");
    const own = "/lists/localhost:9977_HTTPS___h.example_debian_dists_sid";
    const release = releaseText([{ path: INDEX, content: plain }]);
    plant(world, `${own}_InRelease`, signedInline(release));
    plant(world, `${own}_main_binary-amd64_Packages`, plain);
    await world.archive.refreshLists();
    const name = fileName("h.example/debian/pool/a.deb");
    assert.equal(world.archive.expectations(name).length, 1);
  });

  it("takes Release with Release.gpg", async () => {
    const world = await openArchive();
    const plain = plainOf("v1");
    const release = releaseText([{ path: INDEX, content: plain }]);
    plant(world, `${PREFIX}_Release`, release);
    plant(world, `${PREFIX}_Release.gpg`, `good ${sha256(release)}`);
    plant(world, `${PREFIX}_main_binary-amd64_Packages`, plain);
    await world.archive.refreshLists();
    assert.deepEqual(known(world), [[sha256("v1"), "verified"]]);
  });

  it("takes an index whose compressed forms alone are listed for the content of those", async () => {
    const world = await openArchive();
    const forms = [{ path: `${INDEX}.xz`, content: "xz of it" }];
    plant(world, `${PREFIX}_InRelease`, signedInline(releaseText(forms)));
    plant(world, `${PREFIX}_main_binary-amd64_Packages`, plainOf("v1"));
    await world.archive.refreshLists();
    assert.deepEqual(known(world), [[sha256("v1"), "verified"]]);
  });

  it("refuses an index that its Release contradicts", async () => {
    const world = await openArchive();
    plantSuite(world, "v1");
    plant(world, `${PREFIX}_main_binary-amd64_Packages`, plainOf("old"));
    await world.archive.refreshLists();
    assert.deepEqual(known(world), []);
    assert.equal(world.counters.get("archive.index.contradicted"), 1);
  });

  it("takes an index without any Release, unverified", async () => {
    const world = await openArchive();
    plant(
      world,
      "/lists/h.example_flat_._Packages",
      packagesText([{ path: "a.deb", content: "a" }]),
    );
    await world.archive.refreshLists();
    const flat = world.archive.expectations(fileName("h.example/flat/a.deb"));
    assert.deepEqual([flat[0]?.sha256, flat[0]?.trust], [sha256("a"), "unverified"]);
    const itself = world.archive.expectations(fileName("h.example/flat/Packages"));
    const text = packagesText([{ path: "a.deb", content: "a" }]);
    assert.deepEqual([itself[0]?.sha256, itself[0]?.sizeBytes], [sha256(text), text.length]);
  });

  it("takes no such index where a Release is known that lists another", async () => {
    const world = await openArchive();
    const release = releaseText([{ path: INDEX, content: plainOf("v2") }]);
    const name = fileName(`${ROOT}/dists/bookworm/InRelease`);
    await world.archive.learnDocument(name, signedInline(release));
    plant(world, `${PREFIX}_main_binary-amd64_Packages`, plainOf("v1"));
    await world.archive.refreshLists();
    assert.deepEqual(known(world), []);
    assert.equal(world.archive.releases().length, 1);
  });

  it("drops what was replaced while it was being read", async () => {
    const path = `${PREFIX}_main_binary-amd64_Packages`;
    class Replacing extends MemoryFiles {
      override async open(opened: string) {
        const file = await super.open(opened);
        if (opened === path) this.plant(path, Buffer.from(plainOf("newer")), 1);
        return file;
      }
    }
    const world = await openArchive({ files: new Replacing() });
    plantSuite(world, "v1");
    await world.archive.refreshLists();
    assert.deepEqual(known(world), []);
    assert.equal(world.counters.get("archive.lists.overtaken"), 1);
  });

  it("reads unchanged files once, also over a restart", async () => {
    const world = await openArchive();
    plantSuite(world, "v1");
    await world.archive.refreshLists();
    await world.archive.refreshLists();
    await world.archive.close();
    const again = await openArchive(world);
    await again.archive.refreshLists();
    assert.deepEqual(known(again), [[sha256("v1"), "verified"]]);
    assert.equal(world.counters.get("archive.lists.read"), 1);
    assert.equal(again.counters.get("archive.lists.read"), 0);
    assert.equal(again.counters.get("archive.lists.unchanged"), 1);
    assert.equal(again.signatures.asked.length, 0);
  });

  it("reads an index again whose table was lost", async () => {
    const world = await openArchive();
    plantSuite(world, "v1");
    await world.archive.refreshLists();
    await world.archive.close();
    const table = world.files.paths.find((path) => path.endsWith(".table")) ?? "";
    world.files.plant(table, Buffer.from("damage"));
    const again = await openArchive(world);
    assert.deepEqual(known(again), []);
    await again.archive.refreshLists();
    assert.deepEqual(known(again), [[sha256("v1"), "verified"]]);
  });

  it("keeps both generations after an update, newest first", async () => {
    const world = await openArchive();
    plantSuite(world, "v1");
    await world.archive.refreshLists();
    plantSuite(world, "v2", { day: 2 });
    await world.archive.refreshLists();
    assert.deepEqual(known(world), [
      [sha256("v2"), "verified"],
      [sha256("v1"), "verified"],
    ]);
  });

  it("passes over files that cannot be read", async () => {
    const world = await openArchive();
    plantSuite(world, "v1");
    const damaged = Buffer.from("1f8b0800aaaaaaaa", "hex");
    plant(world, "/lists/h.example_flat_Packages", damaged);
    await world.archive.refreshLists();
    assert.equal(world.counters.get("archive.lists.failed"), 1);
    assert.deepEqual(known(world), [[sha256("v1"), "verified"]]);
  });

  it("forgets records of files that are gone", async () => {
    const world = await openArchive();
    plantSuite(world, "v1");
    await world.archive.refreshLists();
    const records = async (): Promise<number> => {
      let count = 0;
      for await (const entry of world.kv.range("archive!list!")) count += entry.length / 2;
      return count;
    };
    assert.equal(await records(), 2);
    for (const path of world.files.paths.filter((one) => one.startsWith("/lists/"))) {
      await world.files.remove(path);
    }
    await world.archive.refreshLists();
    assert.equal(await records(), 0);
    assert.deepEqual(known(world), [[sha256("v1"), "verified"]]);
  });
});

describe("Archive.listsChanged()", () => {
  it("is true before the first scan and after apt has put something there", async () => {
    const world = await openArchive();
    assert.equal(await world.archive.listsChanged(), true);
    plantSuite(world, "v1");
    await world.archive.refreshLists();
    assert.equal(await world.archive.listsChanged(), false);
    plantSuite(world, "v2", { day: 2 });
    assert.equal(await world.archive.listsChanged(), true);
  });
});
