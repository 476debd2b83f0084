import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { limits } from "../../../src/base/limits.ts";
import { OpenFiles } from "../../../src/cache/open-files.ts";
import { MemoryFiles } from "../../../src/sim/memory-files.ts";

function world(count = 3) {
  const files = new MemoryFiles();
  for (let index = 0; index < count; index += 1) files.plant(`/f${index}`, Buffer.from(`${index}`));
  return { files, open: new OpenFiles(files) };
}

describe("OpenFiles", () => {
  it("opens a file once for all readers, also one after another", async () => {
    const { files, open } = world();
    const first = await open.open("/f0");
    const second = await open.open("/f0");
    await first?.close();
    await second?.close();
    const third = await open.open("/f0");
    assert.equal(files.openHandles, 1);
    const into = Buffer.alloc(1);
    assert.equal(await third?.read(into, 0), 1);
    assert.equal(into.toString(), "0");
  });

  it("closes a forgotten file with its last reader", async () => {
    const { files, open } = world();
    const reader = await open.open("/f0");
    open.forget("/f0");
    assert.equal(files.openHandles, 1);
    const other = await open.open("/f0");
    assert.equal(files.openHandles, 2, "nobody new gets the forgotten one");
    await reader?.close();
    assert.equal(files.openHandles, 1);
    await other?.close();
    open.close();
    assert.equal(files.openHandles, 0);
  });

  it("does not keep a file that was forgotten while it was being opened", async () => {
    const { files, open } = world();
    const opening = open.open("/f0");
    open.forget("/f0");
    const old = await opening;
    files.plant("/f0", Buffer.from("x"));
    const now = await open.open("/f0");
    const into = Buffer.alloc(1);
    await now?.read(into, 0);
    assert.equal(into.toString(), "x");
    await old?.close();
    await now?.close();
    assert.equal(files.openHandles, open.size);
  });

  it("keeps a bounded number open, the last ones used", async () => {
    const count = limits.keptOpenFiles + 10;
    const { files, open } = world(count);
    const held = await open.open("/f0");
    for (let index = 1; index < count; index += 1) await (await open.open(`/f${index}`))?.close();
    assert.equal(files.openHandles, limits.keptOpenFiles);
    assert.equal(open.size, limits.keptOpenFiles);
    assert.equal(await held?.read(Buffer.alloc(1), 0), 1, "one in use is never closed");
  });

  it("does not invent files, and refuses to close twice", async () => {
    const { open } = world();
    assert.equal(await open.open("/none"), undefined);
    const reader = await open.open("/f0");
    await reader?.close();
    assert.throws(() => reader?.close(), /twice/);
  });
});
