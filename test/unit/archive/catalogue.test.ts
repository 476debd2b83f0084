import { strict as assert } from "node:assert";
import { describe, it } from "mocha";
import { Catalogue } from "../../../src/archive/catalogue.ts";
import { KnownRelease } from "../../../src/archive/known-release.ts";
import { Pace } from "../../../src/archive/pace.ts";
import { parseRelease } from "../../../src/archive/release.ts";
import type { Table } from "../../../src/archive/table.ts";
import { TableBuilder } from "../../../src/archive/table-builder.ts";
import { limits } from "../../../src/base/limits.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { fileName, hashes, releaseText, sha256 } from "./kit.ts";

function release(content: string, options: { day?: number; verified?: boolean } = {}) {
  const text = releaseText([{ path: "main/Packages", content }], options);
  return new KnownRelease(
    {
      name: fileName("h/dists/x/InRelease"),
      text: sha256(text),
      form: "release",
      base: "h",
      trust: options.verified === false ? "unverified" : "verified",
      signedBy: [],
      seenAtMs: 0,
    },
    parseRelease(text),
  );
}

/** A table that says it has as many rows as `rowCount`, with one row in fact. */
async function tableOf(rowCount: number): Promise<Table> {
  const builder = new TableBuilder(hashes);
  builder.add("x", 1, hashes.of("x"));
  const table = await builder.finish(new Pace(new VirtualClock()));
  return Object.defineProperty(table, "rowCount", { value: rowCount });
}

describe("Catalogue.roomFor()", () => {
  const full = limits.catalogueRows;

  it("gives up nothing while there is room", async () => {
    const catalogue = new Catalogue(hashes);
    const one = release("one");
    catalogue.addRelease(one);
    catalogue.addTable(sha256("one"), await tableOf(full - 10));
    assert.deepEqual(catalogue.roomFor(10, [one]), []);
    assert.equal(catalogue.roomFor(11, [one]), undefined);
  });

  it("gives up what only older or unverified Releases need", async () => {
    const catalogue = new Catalogue(hashes);
    const [older, newer] = [release("older", { day: 1 }), release("newer", { day: 2 })];
    const loose = release("loose", { day: 3, verified: false });
    for (const one of [older, newer, loose]) catalogue.addRelease(one);
    catalogue.addTable(sha256("older"), await tableOf(full / 2));
    catalogue.addTable(sha256("loose"), await tableOf(full / 2));
    assert.deepEqual(catalogue.roomFor(10, [newer]), [sha256("loose")]);
    assert.deepEqual(catalogue.roomFor(full, [newer]), [sha256("loose"), sha256("older")]);
    assert.equal(catalogue.roomFor(full + 1, [newer]), undefined);
    assert.equal(catalogue.roomFor(10, [loose]), undefined);
  });

  it("keeps a table that the newest Release shares with an older one", async () => {
    const catalogue = new Catalogue(hashes);
    const [older, newer] = [release("same", { day: 1 }), release("same", { day: 2 })];
    catalogue.addRelease(older);
    catalogue.addRelease(newer);
    catalogue.addTable(sha256("same"), await tableOf(full));
    assert.equal(catalogue.roomFor(1, [newer]), undefined);
  });
});
