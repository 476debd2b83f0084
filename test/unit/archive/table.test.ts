import { strict as assert } from "node:assert";
import fc from "fast-check";
import { describe, it } from "mocha";
import { DigestQuery } from "../../../src/archive/digest-query.ts";
import { Pace } from "../../../src/archive/pace.ts";
import { TableBuilder } from "../../../src/archive/table-builder.ts";
import { loadTable, saveTable } from "../../../src/archive/table-file.ts";
import { ROW_BYTES, SEGMENT_ROWS, tableKey } from "../../../src/archive/table-row.ts";
import { Table } from "../../../src/archive/table.ts";
import { AptP2pError } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";
import type { Sha256 } from "../../../src/base/sha256.ts";
import { MemoryFiles } from "../../../src/sim/memory-files.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { hashes, sha256 } from "./kit.ts";

const pace = (): Pace => new Pace(new VirtualClock());

async function tableOf(rows: number): Promise<Table> {
  const builder = new TableBuilder(hashes);
  for (let row = 0; row < rows; row++) {
    builder.add(`pool/${row}`, row * 1_000_000, hashes.of(`content ${row}`));
  }
  return builder.finish(pace());
}

const find = (table: Table, name: string) => table.find(tableKey(hashes, name));

describe("Table", () => {
  it("finds every row, over several segments, and nothing else", async () => {
    const rows = 2 * SEGMENT_ROWS + 5;
    const table = await tableOf(rows);
    assert.equal(table.rowCount, rows);
    for (const row of [0, 1, SEGMENT_ROWS - 1, SEGMENT_ROWS, 2 * SEGMENT_ROWS, rows - 1]) {
      const expected = { sha256: sha256(`content ${row}`), sizeBytes: row * 1_000_000 };
      assert.deepEqual(find(table, `pool/${row}`), [expected]);
    }
    assert.deepEqual(find(table, `pool/${rows}`), []);
  });

  it("costs less than 6 MB for 65,000 rows", async () => {
    assert.ok((await tableOf(65_000)).byteLength < 6e6);
  });

  it("keeps both digests of a name that is listed twice, and one of a repeated row", async () => {
    const builder = new TableBuilder(hashes);
    builder.add("x", 1, hashes.of("one"));
    builder.add("x", 2, hashes.of("two"));
    builder.add("x", 1, hashes.of("one"));
    builder.add("y", undefined, hashes.of("three"));
    const table = await builder.finish(pace());
    assert.deepEqual(find(table, "x"), [
      { sha256: sha256("one"), sizeBytes: 1 },
      { sha256: sha256("two"), sizeBytes: 2 },
    ]);
    assert.deepEqual(find(table, "y"), [{ sha256: sha256("three"), sizeBytes: undefined }]);
  });

  it("is nothing when it is empty", async () => {
    assert.deepEqual(find(await tableOf(0), "x"), []);
  });

  it("agrees with a map on any rows", async () => {
    const entry = fc.tuple(fc.string({ maxLength: 3 }), fc.nat(), fc.string());
    await fc.assert(
      fc.asyncProperty(fc.array(entry), async (entries) => {
        const builder = new TableBuilder(hashes);
        for (const [name, size, content] of entries) builder.add(name, size, hashes.of(content));
        const table = await builder.finish(pace());
        for (const [name] of entries) {
          const expected = entries.filter((other) => other[0] === name);
          const digests = new Set(expected.map(([, , content]) => sha256(content)));
          assert.deepEqual(new Set(find(table, name).map((row) => row.sha256)), digests);
        }
      }),
    );
  });

  it("collects the digests that it has", async () => {
    const table = await tableOf(SEGMENT_ROWS + 10);
    const has = [sha256("content 3"), sha256(`content ${SEGMENT_ROWS + 9}`)];
    const found = new Set<Sha256>();
    table.collect(new DigestQuery(new Set([...has, sha256("other"), sha256("more")])), found);
    assert.deepEqual(found, new Set(has));
  });

  it("refuses keys that all fall into one place", async () => {
    const rows = limits.tableProbes + 10;
    const segment = Buffer.alloc(rows * ROW_BYTES);
    for (let row = 0; row < rows; row++) segment.writeUInt32BE(row, row * ROW_BYTES + 8);
    await assert.rejects(
      Table.over([segment], pace()),
      (thrown) => thrown instanceof AptP2pError && thrown.code === "FORMAT",
    );
  });
});

describe("TableBuilder", () => {
  it("takes limits.catalogueRows rows and no more", () => {
    const cheap = { start: hashes.start.bind(hashes), of: () => Buffer.alloc(32) };
    const builder = new TableBuilder(cheap);
    const digest = Buffer.alloc(32);
    for (let row = 0; row < limits.catalogueRows; row++) builder.add("x", 1, digest);
    assert.throws(
      () => builder.add("x", 1, digest),
      (thrown) => thrown instanceof AptP2pError && thrown.message.includes("catalogueRows"),
    );
  });
});

describe("loadTable()", () => {
  const path = "/t/x.table";
  async function saved(rows: number): Promise<MemoryFiles> {
    const files = new MemoryFiles();
    await saveTable({ files, hashes }, path, await tableOf(rows), pace());
    return files;
  }
  const load = (files: MemoryFiles) => loadTable({ files, hashes }, path, pace());

  it("gives back what saveTable() wrote, and leaves nothing else", async () => {
    for (const rows of [0, 1, SEGMENT_ROWS, SEGMENT_ROWS + 1]) {
      const files = await saved(rows);
      const table = await load(files);
      assert.equal(table?.rowCount, rows);
      if (rows > 0) assert.equal(find(table, `pool/${rows - 1}`).length, 1);
      assert.deepEqual(files.paths, [path]);
      assert.equal(files.openHandles, 0);
    }
  });

  it("gives nothing for a file that is missing, cut, longer or changed anywhere", async () => {
    assert.equal(await load(new MemoryFiles()), undefined);
    const whole = Buffer.from((await saved(20)).peek(path) ?? []);
    const damages: Buffer[] = [whole.subarray(0, 5), Buffer.concat([whole, Buffer.alloc(1)])];
    for (let at = 0; at < whole.length; at += 13) {
      damages.push(whole.subarray(0, at));
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      damages.push(flipped);
    }
    for (const damaged of damages) {
      const files = new MemoryFiles();
      files.plant(path, damaged);
      assert.equal(await load(files), undefined);
      assert.equal(files.openHandles, 0);
    }
  });
});
