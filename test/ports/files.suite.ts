/** What every Files must do, whatever lies below. */
import { describe, it, beforeEach, afterEach } from "mocha";
import assert from "node:assert/strict";
import type { Files, OpenFile } from "../../src/base/storage.ts";

export interface FilesUnderTest {
  readonly files: Files;
  /** An existing, empty directory (absolute). */
  readonly directory: string;
  readonly close: () => Promise<void>;
}

async function textOf(file: OpenFile): Promise<string> {
  const into = Buffer.alloc(1000);
  const count = await file.read(into, 0);
  return into.toString("utf8", 0, count);
}

async function write(files: Files, path: string, ...texts: string[]): Promise<void> {
  const file = await files.create(path);
  await file.write(
    texts.map((text) => Buffer.from(text)),
    0,
  );
  await file.sync();
  await file.close();
}

async function read(files: Files, path: string): Promise<string | undefined> {
  const file = await files.open(path);
  if (file === undefined) return undefined;
  const text = await textOf(file);
  await file.close();
  return text;
}

export function filesSuite(name: string, open: () => Promise<FilesUnderTest>): void {
  describe(`Files port: ${name}`, () => {
    let under: FilesUnderTest;
    let at: (name: string) => string;
    beforeEach(async () => {
      under = await open();
      at = (file) => `${under.directory}/${file}`;
    });
    afterEach(() => under.close());

    it("reads back what was written, with any number of chunks", async () => {
      const { files } = under;
      await write(files, at("plain"), "one ", "", "two ", "three");
      assert.equal(await read(files, at("plain")), "one two three");
      await write(files, at("empty"));
      assert.equal(await read(files, at("empty")), "");
      const many = await files.create(at("many"));
      await many.write(
        Array.from({ length: 3000 }, (_, index) => Buffer.from([index & 0xff, index >> 8])),
        0,
      );
      assert.equal((await many.facts()).sizeBytes, 6000);
      const into = Buffer.alloc(2);
      await many.read(into, 2 * 2999);
      assert.equal(into.readUInt16LE(), 2999);
      await many.close();
    });

    it("reads from a position up to the end, and nothing behind it", async () => {
      const { files } = under;
      await write(files, at("file"), "0123456789");
      const file = await files.open(at("file"));
      assert.ok(file);
      const into = Buffer.alloc(4);
      assert.equal(await file.read(into, 3), 4);
      assert.equal(into.toString(), "3456");
      assert.equal(await file.read(into, 8), 2);
      assert.equal(into.toString("latin1", 0, 2), "89");
      assert.equal(await file.read(into, 10), 0);
      assert.equal(await file.read(into, 99), 0);
      await file.close();
    });

    it("opens an existing file for writing without emptying it", async () => {
      const { files } = under;
      await write(files, at("file"), "0123456789");
      const file = await files.create(at("file"));
      await file.write([Buffer.from("ab"), Buffer.from("c")], 8);
      await file.close();
      assert.equal(await read(files, at("file")), "01234567abc");
    });

    it("cuts and grows files by truncate", async () => {
      const { files } = under;
      await write(files, at("file"), "0123456789");
      const file = await files.create(at("file"));
      await file.truncate(4);
      await file.truncate(6);
      assert.equal(await textOf(file), "0123\0\0");
      assert.equal((await file.facts()).sizeBytes, 6);
      await file.close();
    });

    it("knows no file where there is none", async () => {
      const { files } = under;
      assert.equal(await files.open(at("absent")), undefined);
      assert.equal(await files.open(at("absent/below")), undefined);
      assert.equal(await files.facts(at("absent")), undefined);
      assert.deepEqual(await files.list(at("absent")), []);
      await files.remove(at("absent"));
    });

    it("creates directories on the way of create and rename", async () => {
      const { files } = under;
      await write(files, at("a/b/c"), "deep");
      await files.rename(at("a/b/c"), at("x/y/z"));
      assert.equal(await read(files, at("x/y/z")), "deep");
      assert.equal(await files.facts(at("a/b/c")), undefined);
    });

    it("replaces the target of a rename, whose open readers keep what they had", async () => {
      const { files } = under;
      await write(files, at("old"), "old");
      await write(files, at("new"), "new");
      const reader = await files.open(at("old"));
      assert.ok(reader);
      await files.rename(at("new"), at("old"));
      assert.equal(await read(files, at("old")), "new");
      assert.equal(await textOf(reader), "old");
      await files.remove(at("old"));
      assert.equal(await textOf(reader), "old");
      await reader.close();
      assert.equal(await read(files, at("old")), undefined);
    });

    it("rejects with STORAGE when there is nothing to rename", async () => {
      await assert.rejects(under.files.rename(at("absent"), at("x")), { code: "STORAGE" });
    });

    it("renames many files into one directory at once", async () => {
      const { files } = under;
      const names = Array.from({ length: 40 }, (_, index) => `n${index}`);
      await Promise.all(names.map((file) => write(files, at(`from/${file}`), file)));
      await Promise.all(names.map((file) => files.rename(at(`from/${file}`), at(`to/${file}`))));
      const listed = (await files.list(at("to"))).map((entry) => entry.name);
      assert.deepEqual(listed.sort(), names.sort());
      assert.deepEqual(await files.list(at("from")), []);
    });

    it("lists files and directories by name", async () => {
      const { files } = under;
      await write(files, at("l/file"), "x");
      await write(files, at("l/directory/below"), "y");
      const entries = [...(await files.list(at("l")))].sort((a, b) => (a.name < b.name ? -1 : 1));
      assert.deepEqual(entries, [
        { name: "directory", directory: true },
        { name: "file", directory: false },
      ]);
    });

    it("tells size and modification time, the same by path and by handle", async () => {
      const { files } = under;
      await write(files, at("file"), "12345");
      const facts = await files.facts(at("file"));
      const file = await files.open(at("file"));
      assert.ok(facts && file);
      assert.equal(facts.sizeBytes, 5);
      assert.ok(Number.isInteger(facts.mtimeMs));
      assert.deepEqual(await file.facts(), facts);
      await file.close();
    });

    it("links without disturbing the source", async () => {
      const { files } = under;
      await write(files, at("source"), "content");
      assert.equal(await files.link(at("source"), at("links/copy")), true);
      assert.equal(await read(files, at("links/copy")), "content");
      await files.remove(at("links/copy"));
      assert.equal(await read(files, at("source")), "content");
    });

    it("tells the space of the file system, also of a directory that is not there yet", async () => {
      const { freeBytes, totalBytes } = await under.files.space(at("not/yet"));
      assert.ok(freeBytes > 0 && freeBytes <= totalBytes, `${freeBytes} of ${totalBytes}`);
    });

    it("has a boot id that stays", () => {
      assert.ok(under.files.bootId().length > 0);
      assert.equal(under.files.bootId(), under.files.bootId());
    });

    it("refuses to use a closed file", async () => {
      const { files } = under;
      const file = await files.create(at("file"));
      await file.close();
      await assert.rejects(file.read(Buffer.alloc(1), 0), /clos/);
    });
  });
}
