/** A real database across versions of the program: kept by the newer, refused by the older. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "mocha";
import { LevelKeyValue } from "../../src/io/level-key-value.ts";
import { daemonIsBuilt, freePort, TestDaemon } from "../kit/daemon.ts";
import { scratchDirectory } from "../kit/scratch.ts";
import { silentLog } from "./dht-swarm.ts";
import { eventually } from "./hostile-world.ts";

describe("the database of a daemon", function () {
  this.timeout(60_000);
  const scratch = scratchDirectory("database");
  let daemon: TestDaemon;

  before(async function () {
    if (!daemonIsBuilt()) this.skip();
    const settings = {
      dht: ["enabled = yes", "udp_bind = 127.0.0.1", "udp_port = 0", "lan_discovery = no"],
    };
    daemon = new TestDaemon({ aptConfigDirectory: scratch.path, settings }, await freePort());
  });
  after(async () => {
    if (daemonIsBuilt()) await daemon.close();
    scratch.remove();
  });

  async function database<T>(work: (kv: LevelKeyValue) => Promise<T>): Promise<T> {
    const kv = await LevelKeyValue.open(join(daemon.stateDirectory, "db"), silentLog);
    try {
      return await work(kv);
    } finally {
      await kv.close();
    }
  }

  async function nodeId(): Promise<string> {
    let id: unknown;
    await eventually(
      async () => {
        const { out } = await daemon.command("dht", "status", "--json");
        id = (JSON.parse(out) as { readonly id?: unknown }).id;
        return typeof id === "string";
      },
      () => "the node has no id",
    );
    return String(id);
  }

  /** All records, and which files there are beside them. */
  async function everything(): Promise<{ records: string[]; files: string[] }> {
    const records = await database(async (kv) => {
      const all: string[] = [];
      for await (const entry of kv.range("")) all.push(entry.join("="));
      return all;
    });
    const files = [daemon.stateDirectory, daemon.cacheDirectory].flatMap((directory) =>
      (readdirSync(directory, { recursive: true }) as string[])
        .filter((name) => !/^db\b/.test(name) && statSync(join(directory, name)).isFile())
        .map((name) => `${name} ${readFileSync(join(directory, name)).length}`),
    );
    return { records, files: files.sort() };
  }

  it("has a version from the first start on", async () => {
    await daemon.start();
    await daemon.signal("SIGTERM");
    const [version, program] = await database((kv) =>
      Promise.resolve([kv.get("meta!schema"), kv.get("meta!program")]),
    );
    assert.equal(version, "1");
    assert.match(program ?? "", /^"\d+\.\d+\.\d+"$/);
  });

  it("of apt-p2p 0.1.0, which had none, is kept with identity, store and records", async () => {
    await daemon.start();
    const id = await nodeId();
    const path = join(daemon.directory, "imported");
    writeFileSync(path, randomBytes(100_000));
    assert.equal((await daemon.command("cache", "import", path)).status, 0);
    await daemon.signal("SIGTERM");
    const old = ["meta!schema", "meta!program"].map((key) => ({ key, value: undefined }));
    await database((kv) => kv.batch(old, { sync: true }));
    await daemon.start();
    assert.equal(await nodeId(), id);
    const { out } = await daemon.command("cache", "list", "--json");
    assert.match(out, /"sizeBytes":100000/);
    await daemon.signal("SIGTERM");
    assert.equal(await database((kv) => Promise.resolve(kv.get("meta!schema"))), "1");
  });

  it("of a newer version is refused, with an exit status of its own, and left as it is", async () => {
    const newer = [
      { key: "meta!schema", value: "99" },
      { key: "meta!program", value: '"7.0.0"' },
    ];
    await database((kv) => kv.batch(newer, { sync: true }));
    const before = await everything();
    const { status, err, out } = await daemon.command("daemon");
    assert.equal(status, 8, out);
    assert.match(err, /was written by apt-p2p 7\.0\.0 and has version 99/);
    assert.match(err, /this is apt-p2p \d+\.\d+\.\d+, which knows versions up to 1/);
    assert.ok(err.includes(`remove ${daemon.stateDirectory} to start anew`), err);
    assert.equal(err.trimEnd().split("\n").length, 1, err);
    assert.deepEqual(await everything(), before);
    // The newer one finds everything as it was; here it is this one again.
    await database((kv) => kv.batch([{ key: "meta!schema", value: "1" }], { sync: true }));
    await daemon.start();
  });
});
