/** What every KeyValue must do, whatever lies below. */
import { describe, it, beforeEach, afterEach } from "mocha";
import assert from "node:assert/strict";
import type { KeyValue } from "../../src/base/storage.ts";

export interface KeyValueUnderTest {
  readonly kv: KeyValue;
  readonly close: () => Promise<void>;
}

async function all(kv: KeyValue, prefix: string): Promise<(readonly [string, string])[]> {
  const entries: (readonly [string, string])[] = [];
  for await (const entry of kv.range(prefix)) entries.push(entry);
  return entries;
}

export function keyValueSuite(name: string, open: () => Promise<KeyValueUnderTest>): void {
  describe(`KeyValue port: ${name}`, () => {
    let under: KeyValueUnderTest;
    beforeEach(async () => {
      under = await open();
    });
    afterEach(() => under.close());

    it("gives what a batch put, and undefined for what it deleted or never had", async () => {
      const { kv } = under;
      await kv.batch([
        { key: "a!1", value: "one" },
        { key: "a!2", value: "" },
      ]);
      assert.equal(kv.get("a!1"), "one");
      assert.equal(kv.get("a!2"), "");
      assert.equal(kv.get("a!3"), undefined);
      await kv.batch([{ key: "a!1", value: undefined }], { sync: true });
      assert.equal(kv.get("a!1"), undefined);
    });

    it("applies the changes of a batch in order", async () => {
      const { kv } = under;
      await kv.batch([
        { key: "k", value: "first" },
        { key: "k", value: undefined },
        { key: "k", value: "last" },
      ]);
      assert.equal(kv.get("k"), "last");
    });

    it("ranges over exactly the keys with the prefix, in the order of their UTF-8 forms", async () => {
      const { kv } = under;
      const keys = [
        "b!\u{1f600}",
        "b!\uffee",
        "b!z",
        "b!10",
        "b!9",
        "b!",
        "a!x",
        "c!x",
        "b",
        "b\u00e4",
      ];
      await kv.batch(keys.map((key) => ({ key, value: `of ${key}` })));
      const expected = ["b!", "b!10", "b!9", "b!z", "b!\uffee", "b!\u{1f600}"];
      assert.deepEqual(
        await all(kv, "b!"),
        expected.map((key) => [key, `of ${key}`]),
      );
      assert.equal((await all(kv, "")).length, keys.length);
      assert.deepEqual(await all(kv, "d"), []);
    });

    it("ranges over the entries as of the call while others change", async () => {
      const { kv } = under;
      const keys = Array.from({ length: 50 }, (_, index) => `r!${String(index).padStart(3, "0")}`);
      await kv.batch(keys.map((key) => ({ key, value: "old" })));
      const seen: string[] = [];
      for await (const [, value] of kv.range("r!")) {
        if (seen.length === 0) {
          await kv.batch(keys.slice(10).map((key) => ({ key, value: undefined })));
          await kv.batch([{ key: "r!zzz", value: "new" }]);
        }
        seen.push(value);
      }
      assert.deepEqual(new Set(seen), new Set(["old"]));
      assert.equal(seen.length, 50);
    });

    it("lets a range be left early", async () => {
      const { kv } = under;
      await kv.batch([
        { key: "e!1", value: "1" },
        { key: "e!2", value: "2" },
      ]);
      for await (const [key] of kv.range("e!")) {
        assert.equal(key, "e!1");
        break;
      }
      assert.equal((await all(kv, "e!")).length, 2);
    });

    it("keeps text of every kind", async () => {
      const { kv } = under;
      const texts = ["\u0000", "ä\n\u{1f600}", '{"json":[1,2]}', "x".repeat(100_000)];
      await kv.batch(texts.map((value, index) => ({ key: `t!${index}`, value })));
      assert.deepEqual(
        texts.map((_, index) => kv.get(`t!${index}`)),
        texts,
      );
    });

    it("takes batches side by side", async () => {
      const { kv } = under;
      await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          kv.batch([{ key: `s!${index}`, value: "x" }], { sync: index % 2 === 0 }),
        ),
      );
      assert.equal((await all(kv, "s!")).length, 20);
    });
  });
}
