import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { AptP2pError } from "../../../src/base/errors.ts";
import type { KeyValueChange } from "../../../src/base/storage.ts";
import { bringUpToDate, migrations, type Migration } from "../../../src/daemon/schema.ts";
import { FaultPlan } from "../../../src/sim/fault-plan.ts";
import { MemoryKeyValue } from "../../../src/sim/memory-key-value.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { silentLog } from "../../integration/dht-swarm.ts";

/** Doubles every number, and moves them to another prefix: made up. */
const doubled: Migration = {
  what: "numbers are doubled",
  async *changes(kv) {
    for await (const [key, value] of kv.range("number!")) {
      yield { key, value: undefined };
      yield { key: key.replace("number!", "twice!"), value: String(2 * Number(value)) };
    }
  },
};

const summed: Migration = {
  what: "their sum is kept",
  async *changes(kv) {
    let sum = 0;
    for await (const [, value] of kv.range("twice!")) sum += Number(value);
    yield { key: "sum", value: String(sum) };
  },
};

const old: [string, string][] = [
  ["dht!id", '"the node"'],
  ["number!1", "1"],
  ["number!2", "20"],
];

function parts(kv: MemoryKeyValue, steps: readonly Migration[], program = "9.9.9") {
  const common = { kv, log: silentLog, program, stateDirectory: "/var/lib/apt-p2p" };
  return { ...common, migrations: steps };
}

async function entries(kv: MemoryKeyValue): Promise<Record<string, string>> {
  const all: Record<string, string> = {};
  for await (const [key, value] of kv.range("")) all[key] = value;
  return all;
}

async function refusal(work: Promise<unknown>): Promise<AptP2pError> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert.ok(thrown instanceof AptP2pError, String(thrown));
  return thrown;
}

describe("the database's schema", () => {
  it("is the newest in a new database, without any migration", async () => {
    const kv = new MemoryKeyValue();
    const never: Migration = {
      what: "never",
      changes: () => {
        throw new Error("there is nothing to migrate");
      },
    };
    assert.equal(await bringUpToDate(parts(kv, [never, never])), 3);
    assert.deepEqual(await entries(kv), { "meta!schema": "3", "meta!program": '"9.9.9"' });
  });

  it("is 1 where records have no version, and migrations run from there in order", async () => {
    const kv = new MemoryKeyValue(new FaultPlan(), old);
    assert.equal(await bringUpToDate(parts(kv, [doubled, summed])), 3);
    const expected = {
      ...{ "dht!id": '"the node"', "twice!1": "2", "twice!2": "40", sum: "42" },
      ...{ "meta!schema": "3", "meta!program": '"9.9.9"' },
    };
    assert.deepEqual(await entries(kv), expected);
    assert.equal(await bringUpToDate(parts(kv, [doubled, summed])), 3);
    assert.deepEqual(await entries(kv), expected);
  });

  it("runs only what is missing", async () => {
    const kv = new MemoryKeyValue(new FaultPlan(), [
      ...old,
      ["twice!9", "18"],
      ["meta!schema", "2"],
    ]);
    await bringUpToDate(parts(kv, [doubled, summed]));
    assert.equal(kv.get("sum"), "18");
    assert.equal(kv.get("number!1"), "1");
  });

  it("is before or after a migration when the machine dies in it, and comes to the same end", async () => {
    for (let seed = 0; seed < 60; seed++) {
      const random = new SeededRandom(seed);
      const faults = new FaultPlan();
      const kv = new MemoryKeyValue(faults, old);
      // What waits for a dead disk waits for ever.
      void bringUpToDate(parts(kv, [doubled, summed])).catch(() => undefined);
      for (let turns = seed % 20; turns > 0; turns--) await Promise.resolve();
      const found = kv.crash(random.chance(0.5) ? "kill" : "power", random);
      const between = await entries(found);
      const [before, after] = ["number!", "twice!"].map(
        (prefix) => Object.keys(between).filter((key) => key.startsWith(prefix)).length,
      );
      assert.ok((before === 2 && after === 0) || (before === 0 && after === 2), `seed ${seed}`);
      await bringUpToDate(parts(found, [doubled, summed]));
      assert.equal(found.get("sum"), "42", `seed ${seed}`);
    }
  });

  it("refuses a newer one, names both versions and what to do, and writes nothing", async () => {
    const kv = new MemoryKeyValue();
    await bringUpToDate(parts(kv, [doubled, summed], "12.0.1"));
    await kv.batch([{ key: "dht!id", value: '"the node"' }]);
    const before = await entries(kv);
    const { code, message } = await refusal(bringUpToDate(parts(kv, [doubled], "0.2.0")));
    assert.equal(code, "NEWER");
    for (const said of ["12.0.1", "0.2.0", "version 3", "up to 2", "/var/lib/apt-p2p"]) {
      assert.ok(message.includes(said), `${said} in: ${message}`);
    }
    assert.deepEqual(await entries(kv), before);
  });

  it("names no program that is none", async () => {
    const hostile: [string, string][] = [
      ["meta!schema", "70"],
      ["meta!program", '"1; rm -rf /\u001b[2J"'],
    ];
    const kv = new MemoryKeyValue(new FaultPlan(), hostile);
    const { message } = await refusal(bringUpToDate(parts(kv, [])));
    assert.match(message, /written by a newer apt-p2p and has version 70/);
    assert.ok(!message.includes("rm"));
  });

  it("is not guessed where it is no number", async () => {
    for (const text of ["", "0", "-1", "1.5", "two", "1e3", '"1"']) {
      const kv = new MemoryKeyValue(new FaultPlan(), [...old, ["meta!schema", text]]);
      const { code } = await refusal(bringUpToDate(parts(kv, [doubled])));
      assert.equal(code, "STORAGE", text);
      assert.equal(kv.get("number!1"), "1");
    }
  });

  it("keeps everything under the program's own migrations", async () => {
    const kv = new MemoryKeyValue(new FaultPlan(), [["dht!id", '"the node"']]);
    const changes: KeyValueChange[] = [{ key: "cache!file!00", value: "{}" }];
    await kv.batch(changes);
    const program = { ...parts(kv, []), migrations };
    assert.equal(await bringUpToDate(program), 1 + migrations.length);
    assert.deepEqual([kv.get("dht!id"), kv.get("cache!file!00")], ['"the node"', "{}"]);
  });
});
