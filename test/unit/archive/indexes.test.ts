import { strict as assert } from "node:assert";
import { describe, it } from "mocha";
import { Catalogue } from "../../../src/archive/catalogue.ts";
import { Indexes } from "../../../src/archive/indexes.ts";
import { Keeper } from "../../../src/archive/keeper.ts";
import { KnownRelease } from "../../../src/archive/known-release.ts";
import { Pace } from "../../../src/archive/pace.ts";
import { Refusals } from "../../../src/archive/refusals.ts";
import { parseRelease } from "../../../src/archive/release.ts";
import { TableBuilder } from "../../../src/archive/table-builder.ts";
import { Counters } from "../../../src/base/counters.ts";
import { limits } from "../../../src/base/limits.ts";
import { MemoryFiles } from "../../../src/sim/memory-files.ts";
import { MemoryKeyValue } from "../../../src/sim/memory-key-value.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { fileName, gunzipper, hashes, packagesText, releaseText, sha256, streamOf } from "./kit.ts";

const emptyTable = () => new TableBuilder(hashes).finish(new Pace(new VirtualClock()));

describe("Indexes.adopt()", () => {
  it("leaves an index out, with a warning that names the limit, when the catalogue is full", async () => {
    const counters = new Counters();
    const warnings: string[] = [];
    const silent = (): void => undefined;
    const log = {
      ...{ debug: silent, info: silent, error: silent },
      warn: (event: string, fields?: object) => void warnings.push(JSON.stringify([event, fields])),
    };
    const clock = new VirtualClock();
    const catalogue = new Catalogue(hashes);
    const shared = { clock, log, counters, hashes, catalogue };
    const files = new MemoryFiles();
    const keeper = new Keeper({ ...shared, kv: new MemoryKeyValue(), files }, "/state");
    const indexes = new Indexes({
      ...shared,
      keeper,
      decompressor: gunzipper,
      refusals: new Refusals(shared),
      stopped: () => false,
    });
    const content = packagesText([{ path: "pool/a.deb", content: "a" }]);
    const text = releaseText([{ path: "main/Packages", content }]);
    const name = fileName("h/dists/x/main/Packages");
    const record = {
      name: fileName("h/dists/x/InRelease"),
      text: sha256(text),
      form: "release",
      base: "h",
      trust: "verified",
      signedBy: [],
      seenAtMs: 0,
    } as const;
    await keeper.addRelease(new KnownRelease(record, parseRelease(text)), text);
    const result = await indexes.parse("packages", streamOf(content));
    const table = Object.assign(await emptyTable(), { rowCount: limits.catalogueRows + 1 });

    assert.equal(await indexes.adopt(name, { ...result, table }, []), false);
    assert.equal(counters.get("archive.catalogue.full"), 1);
    assert.match(warnings.join(), /archive\.catalogue\.full.*limits\.catalogueRows/);
    assert.equal(catalogue.tableCount, 0);

    assert.equal(await indexes.adopt(name, result, []), true);
    assert.equal(catalogue.tableCount, 1);
  });
});
