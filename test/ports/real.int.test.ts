import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Log } from "../../src/base/ports.ts";
import { DiskFiles } from "../../src/io/disk-files.ts";
import { LevelKeyValue } from "../../src/io/level-key-value.ts";
import { filesSuite } from "./files.suite.ts";
import { keyValueSuite } from "./key-value.suite.ts";

function scratch(): { directory: string; remove: () => void } {
  const directory = mkdtempSync(join(tmpdir(), "apt-p2p-ports-"));
  return { directory, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

function recordingLog(): { log: Log; events: string[] } {
  const events: string[] = [];
  const note = (event: string): void => {
    events.push(event);
  };
  return { log: { debug: note, info: note, warn: note, error: note }, events };
}

filesSuite("disk", () => {
  const { directory, remove } = scratch();
  const close = (): Promise<void> => {
    remove();
    return Promise.resolve();
  };
  return Promise.resolve({ files: new DiskFiles(), directory, close });
});

keyValueSuite("LevelDB", async () => {
  const { directory, remove } = scratch();
  const kv = await LevelKeyValue.open(directory, recordingLog().log);
  return { kv, close: () => kv.close().then(remove) };
});

describe("DiskFiles", () => {
  it("says NO_SPACE when the disk is full", async function () {
    const file = await new DiskFiles().create("/dev/full").catch(() => undefined);
    if (file === undefined) return this.skip();
    await assert.rejects(file.write([Buffer.from("x")], 0), { code: "NO_SPACE" });
    await file.close();
  });

  it("neither lists nor links what is no regular file", async () => {
    const { directory, remove } = scratch();
    const files = new DiskFiles();
    writeFileSync(join(directory, "target"), "x");
    symlinkSync("target", join(directory, "symlink"));
    assert.deepEqual(await files.list(directory), [{ name: "target", directory: false }]);
    assert.equal(await files.link(join(directory, "symlink"), join(directory, "copy")), false);
    assert.equal(await files.facts(directory), undefined);
    remove();
  });

  it("names path and reason when a permission stands in the way", async () => {
    const { directory, remove } = scratch();
    writeFileSync(join(directory, "file"), "x");
    const path = join(directory, "file", "below");
    await assert.rejects(new DiskFiles().create(path), (error: Error) =>
      error.message.includes(path),
    );
    remove();
  });
});

describe("LevelKeyValue.open()", () => {
  const entries = Array.from({ length: 20_000 }, (_, index) => ({
    key: `key!${String(index).padStart(6, "0")}`,
    value: `value ${index} ${"x".repeat(100)}`,
  }));

  async function filled(directory: string): Promise<void> {
    const kv = await LevelKeyValue.open(directory, recordingLog().log);
    for (let from = 0; from < entries.length; from += 1000) {
      await kv.batch(entries.slice(from, from + 1000));
    }
    await kv.close();
  }

  async function count(directory: string, log: Log): Promise<number> {
    const kv = await LevelKeyValue.open(directory, log);
    let found = 0;
    try {
      for await (const [key, value] of kv.range("key!")) {
        assert.ok(value.startsWith(`value ${Number(key.slice(4))} `));
        found++;
      }
    } finally {
      await kv.close();
    }
    return found;
  }

  it("keeps everything over a restart, without a repair", async () => {
    const { directory, remove } = scratch();
    await filled(directory);
    const { log, events } = recordingLog();
    assert.equal(await count(directory, log), entries.length);
    assert.deepEqual(events, []);
    remove();
  });

  it("says IN_USE, names the directory and says what to do when another process has it", async () => {
    const { directory, remove } = scratch();
    const kv = await LevelKeyValue.open(directory, recordingLog().log);
    const program = `
      import { LevelKeyValue } from ${JSON.stringify(new URL("../../src/io/level-key-value.ts", import.meta.url).href)};
      const none = () => undefined;
      const log = { debug: none, info: none, warn: none, error: none };
      await LevelKeyValue.open(${JSON.stringify(directory)}, log).then(
        () => console.log("opened"),
        (error) => console.log(error.code, error.message),
      );`;
    const child = spawnSync(
      process.execPath,
      ["--import", "tsx", "--input-type=module", "-e", program],
      {
        encoding: "utf8",
      },
    );
    assert.match(child.stdout, /^IN_USE .*state_dir/, child.stderr);
    assert.ok(child.stdout.includes(directory));
    await kv.batch([{ key: "still", value: "works" }]);
    await kv.close();
    remove();
  });

  it("says IN_USE within one process, too", async () => {
    const { directory, remove } = scratch();
    const { log, events } = recordingLog();
    const kv = await LevelKeyValue.open(directory, log);
    await assert.rejects(LevelKeyValue.open(directory, log), { code: "IN_USE" });
    assert.deepEqual(events, []);
    await kv.close();
    remove();
  });

  it("repairs instead of starting empty when CURRENT is missing", async () => {
    const { directory, remove } = scratch();
    await filled(directory);
    rmSync(join(directory, "CURRENT"));
    const { log, events } = recordingLog();
    assert.equal(await count(directory, log), entries.length);
    assert.deepEqual(events, ["database-repair"]);
    remove();
  });

  it("repairs once and warns when the opening fails", async () => {
    const { directory, remove } = scratch();
    await filled(directory);
    const manifest = readdirSync(directory).find((name) => name.startsWith("MANIFEST"));
    assert.ok(manifest);
    rmSync(join(directory, manifest));
    const { log, events } = recordingLog();
    assert.equal(await count(directory, log), entries.length);
    assert.deepEqual(events, ["database-repair"]);
    remove();
  });

  it("repairs at the next start what it found damaged while running", async () => {
    const { directory, remove } = scratch();
    await filled(directory);
    const table = readdirSync(directory).find((name) => name.endsWith(".ldb"));
    assert.ok(table);
    truncateSync(join(directory, table), 1000);
    const { log, events } = recordingLog();
    const met = await count(directory, log).then(
      () => undefined,
      (error: unknown) => error as { code: string },
    );
    assert.equal(met?.code, "STORAGE");
    const kept = await count(directory, log);
    assert.ok(kept < entries.length);
    assert.ok(events.includes("database-repair"));
    remove();
  });

  it("says STORAGE and what to do when the place cannot be used", async () => {
    const { directory, remove } = scratch();
    writeFileSync(join(directory, "file"), "");
    const opening = LevelKeyValue.open(join(directory, "file"), recordingLog().log);
    await assert.rejects(opening, { code: "STORAGE", message: /remove the directory/ });
    remove();
  });

  it("says CLOSED after close", async () => {
    const { directory, remove } = scratch();
    const kv = await LevelKeyValue.open(directory, recordingLog().log);
    await kv.close();
    assert.throws(() => kv.get("x"), { code: "CLOSED" });
    await assert.rejects(kv.batch([{ key: "x", value: "y" }]), { code: "CLOSED" });
    remove();
  });
});
