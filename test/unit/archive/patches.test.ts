/** An archive that publishes patches for three days; the patches are ed scripts written by hand. */
import { strict as assert } from "node:assert";
import { describe, it } from "mocha";
import type { Sha256 } from "../../../src/base/sha256.ts";
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

const ROOT = "ftp.us.debian.org/debian";
const SUITE = `${ROOT}/dists/sid`;
const INDEX = "main/binary-amd64/Packages";

const packages = (...contents: string[]): string =>
  packagesText(contents.map((content) => ({ path: `pool/${content}.deb`, content })));

/** Day n has the packages of all days up to it: a patch appends a stanza. */
const days = [packages("one"), packages("one", "two"), packages("one", "two", "three")] as const;

function append(from: string, to: string): string {
  const lines = from.split("\n").length - 1;
  return `${lines}a\n${to.slice(from.length)}.\n`;
}

interface Patch {
  readonly name: string;
  readonly from: string;
  readonly script: string;
}

const chain: readonly Patch[] = [
  { name: "p1", from: days[0], script: append(days[0], days[1]) },
  { name: "p2", from: days[1], script: append(days[1], days[2]) },
];

const merged: readonly Patch[] = [
  { name: "m1", from: days[0], script: append(days[0], days[2]) },
  { name: "m2", from: days[1], script: append(days[1], days[2]) },
];

function diffIndex(patches: readonly Patch[], current: string, precedence = ""): string {
  const line = (content: string | Buffer, name: string): string =>
    ` ${sha256(content)} ${content.length} ${name}\n`;
  return (
    `SHA256-Current: ${sha256(current)} ${current.length}\n` +
    `SHA256-History:\n${patches.map(({ from, name }) => line(from, name)).join("")}` +
    `SHA256-Patches:\n${patches.map(({ script, name }) => line(script, name)).join("")}` +
    `SHA256-Download:\n${patches.map(({ script, name }) => line(gzip(script), `${name}.gz`)).join("")}` +
    precedence
  );
}

async function publish(world: World, index: string, files = [INDEX]): Promise<void> {
  const listed = files.map((path) => {
    const gz = path.endsWith(".gz");
    return { path, content: gz ? gzip(days[2]) : days[2] };
  });
  const text = releaseText([{ path: `${INDEX}.diff/Index`, content: index }, ...listed]);
  await world.archive.learnDocument(fileName(`${SUITE}/InRelease`), signedInline(text));
}

function storePatches(world: World, patches: readonly Patch[]): void {
  for (const { name, script } of patches) {
    world.store(`${SUITE}/${INDEX}.diff/${name}.gz`, gzip(script));
  }
}

const digests = (world: World, path: string): Sha256[] =>
  world.archive.expectations(fileName(`${ROOT}/${path}`)).map((one) => one.sha256);

describe("Archive with patches", () => {
  it("knows what the patches below a diff Index must be", async () => {
    const world = await openArchive();
    const index = diffIndex(chain, days[2]);
    await publish(world, index);
    world.store(`${SUITE}/${INDEX}.diff/by-hash/SHA256/${sha256(index)}`, index);
    await world.archive.idle();
    const name = fileName(`${SUITE}/${INDEX}.diff/p1.gz`);
    const [expectation] = world.archive.expectations(name);
    assert.equal(expectation?.sha256, sha256(gzip(chain[0]?.script ?? "")));
    assert.equal(expectation.trust, "verified");
    assert.equal(expectation.listedIn, `${SUITE}/${INDEX}.diff/Index`);
    assert.deepEqual(digests(world, "p1.gz"), []);
  });

  it("makes the new index from a stored one and a chain of patches", async () => {
    const world = await openArchive();
    world.stored.set(sha256(days[0]), Buffer.from(days[0]));
    const index = diffIndex(chain, days[2]);
    await publish(world, index);
    world.store(`${SUITE}/${INDEX}.diff/Index`, index);
    await world.archive.idle();
    assert.deepEqual(digests(world, "pool/three.deb"), []);
    storePatches(world, chain);
    await world.archive.settled(fileName(`${ROOT}/pool/three.deb`));
    assert.deepEqual(digests(world, "pool/three.deb"), [sha256("three")]);
    assert.equal(world.counters.get("archive.patch.applied"), 1);
  });

  it("makes it as well when the diff Index comes last, by hash", async () => {
    const world = await openArchive();
    world.stored.set(sha256(days[0]), Buffer.from(days[0]));
    const index = diffIndex(chain, days[2]);
    await publish(world, index);
    storePatches(world, chain);
    await world.archive.idle();
    assert.deepEqual(digests(world, "pool/three.deb"), []);
    world.store(`${SUITE}/${INDEX}.diff/by-hash/SHA256/${sha256(index)}`, index);
    await world.archive.idle();
    assert.deepEqual(digests(world, "pool/three.deb"), [sha256("three")]);
  });

  it("starts from the newest index that it can open", async () => {
    const world = await openArchive();
    world.stored.set(sha256(days[1]), Buffer.from(days[1]));
    const index = diffIndex(chain, days[2]);
    await publish(world, index);
    world.store(`${SUITE}/${INDEX}.diff/Index`, index);
    storePatches(world, chain.slice(1));
    await world.archive.idle();
    assert.deepEqual(digests(world, "pool/three.deb"), [sha256("three")]);
  });

  it("starts from apt's lists", async () => {
    const world = await openArchive();
    const list = "/lists/ftp.us.debian.org_debian_dists_sid";
    const old = releaseText([{ path: INDEX, content: days[0] }]);
    world.files.plant(`${list}_InRelease`, signedInline(old));
    world.files.plant(`${list}_main_binary-amd64_Packages`, Buffer.from(days[0]));
    await world.archive.refreshLists();
    const index = diffIndex(chain, days[2]);
    await publish(world, index);
    world.store(`${SUITE}/${INDEX}.diff/Index`, index);
    storePatches(world, chain);
    await world.archive.idle();
    assert.deepEqual(digests(world, "pool/three.deb"), [sha256("three")]);
  });

  it("starts from a stored compressed index, and serves a Release that lists only such", async () => {
    const world = await openArchive();
    const first = releaseText([{ path: `${INDEX}.gz`, content: gzip(days[0]) }], { day: 1 });
    await world.archive.learnDocument(fileName(`${SUITE}/InRelease`), signedInline(first));
    world.store(`${SUITE}/${INDEX}.gz`, gzip(days[0]));
    await world.archive.idle();
    const index = diffIndex(merged, days[2], "X-Patch-Precedence: merged\n");
    const text = releaseText(
      [
        { path: `${INDEX}.diff/Index`, content: index },
        { path: `${INDEX}.gz`, content: gzip(days[2]) },
      ],
      { day: 2 },
    );
    await world.archive.learnDocument(fileName(`${SUITE}/InRelease`), signedInline(text));
    world.store(`${SUITE}/${INDEX}.diff/Index`, index);
    storePatches(world, merged.slice(0, 1));
    await world.archive.idle();
    assert.deepEqual(digests(world, "pool/three.deb"), [sha256("three")]);
    assert.equal(world.archive.releases()[0]?.tables, 2);
  });

  it("does nothing while a patch or every base is missing", async () => {
    const world = await openArchive();
    const index = diffIndex(chain, days[2]);
    await publish(world, index);
    world.store(`${SUITE}/${INDEX}.diff/Index`, index);
    storePatches(world, chain);
    await world.archive.idle();
    assert.deepEqual(digests(world, "pool/three.deb"), []);

    const other = await openArchive();
    other.stored.set(sha256(days[0]), Buffer.from(days[0]));
    await publish(other, index);
    other.store(`${SUITE}/${INDEX}.diff/Index`, index);
    storePatches(other, chain.slice(1));
    await other.archive.idle();
    assert.deepEqual(digests(other, "pool/three.deb"), []);
  });

  it("believes no result that is not the current index", async () => {
    const world = await openArchive();
    world.stored.set(sha256(days[0]), Buffer.from(days[0]));
    const wrong = [{ ...chain[0]!, script: append(days[0], packages("one", "evil")) }];
    const index = diffIndex(wrong, days[2]);
    await publish(world, index);
    world.store(`${SUITE}/${INDEX}.diff/Index`, index);
    storePatches(world, wrong);
    await world.archive.idle();
    assert.ok(world.counters.get("archive.patch.mismatch") > 0);
    assert.deepEqual(digests(world, "pool/evil.deb"), []);
  });

  it("does nothing when the Release itself lists another index than the diff Index", async () => {
    const world = await openArchive();
    world.stored.set(sha256(days[0]), Buffer.from(days[0]));
    const index = diffIndex(chain.slice(0, 1), days[1]);
    await publish(world, index);
    world.store(`${SUITE}/${INDEX}.diff/Index`, index);
    storePatches(world, chain);
    await world.archive.idle();
    assert.equal(world.counters.get("archive.index.contradicted"), 0);
    assert.equal(world.counters.get("archive.index.read"), 1);
    assert.deepEqual(digests(world, "pool/two.deb"), []);
  });

  it("refuses a patch whose plain text is not the one listed", async () => {
    const world = await openArchive();
    world.stored.set(sha256(days[1]), Buffer.from(days[1]));
    const [, last] = chain as readonly [Patch, Patch];
    const index = diffIndex([last], days[2]).replace(sha256(last.script), sha256("other"));
    await publish(world, index);
    world.store(`${SUITE}/${INDEX}.diff/Index`, index);
    storePatches(world, [last]);
    await world.archive.idle();
    assert.ok(world.counters.get("archive.patch.refused") > 0);
    assert.deepEqual(digests(world, "pool/three.deb"), []);
  });
});
