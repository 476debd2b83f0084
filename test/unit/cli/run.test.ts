/**
 * Commands from the command line to what they print, with a stand-in for the daemon on a real
 * control socket.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "mocha";
import { runCommand } from "../../../src/cli/run.ts";
import { FakeWorld, json, lines, withDaemon } from "./fake-world.ts";

describe("runCommand()", () => {
  let world: FakeWorld;
  let status: number;
  beforeEach(() => (world = new FakeWorld()));
  afterEach(() => world.remove());

  const run = async (...words: string[]): Promise<void> => {
    status = await runCommand([...words, "--state-dir", world.directory], world);
  };
  const daemon = (answer: Parameters<typeof withDaemon>[1], ...words: string[]) =>
    withDaemon(world.directory, answer, () => run(...words));

  it("prints help, version and usage, each with its exit status", async () => {
    assert.equal(await runCommand(["--help"], world), 0);
    assert.match(world.written.out, /Usage: apt-p2p COMMAND/);
    assert.equal(await runCommand(["status", "--help"], world), 0);
    assert.match(world.written.out, /Usage: apt-p2p status \[--json\]/);
    assert.equal(await runCommand(["--version"], world), 0);
    assert.match(world.written.out, /apt-p2p \d+\.\d+\.\d+\n$/);
    assert.equal(world.written.err, "");
    assert.equal(await runCommand(["nonsense"], world), 2);
    assert.match(world.written.err, /^apt-p2p: there is no command nonsense/);
  });
  it("prints all problems of the configuration and exits with 3, whatever the command", async () => {
    for (const words of [["daemon"], ["status"], ["config", "check"]]) {
      world.written.err = "";
      await run(...words, "--port", "x", "--quota", "1");
      assert.equal(status, 3);
      assert.equal(world.written.err.split("\n").length, 3);
    }
    assert.equal(world.written.out, "");
  });

  describe("config", () => {
    it("check says that all is right, and what is odd", async () => {
      writeFileSync(join(world.directory, "f.conf"), "[log]\nlevel = warn\n");
      await run(
        ...["config", "check", "--config", "f.conf", "--allow", "10.0.0.0/8"],
        "--bind=127.0.0.1",
      );
      assert.equal(status, 0);
      assert.match(
        world.written.out,
        /right; 4 of \d+ settings are not the default in .*f\.conf\.$/m,
      );
      assert.match(world.written.err, /^apt-p2p: warning: command line --allow: \[proxy\] allow/);
    });
    it("show prints every setting", async () => {
      await run("config", "show");
      assert.equal(status, 0);
      assert.match(world.written.out, /^port = 9977 +# default$/m);
    });
  });

  describe("without a daemon", () => {
    it("says so and exits with 4, without codes and system calls", async () => {
      await run("status");
      assert.equal(status, 4);
      assert.match(
        world.written.err,
        /^apt-p2p: no daemon answers at .*control\.sock; is the daemon running/,
      );
      assert.doesNotMatch(world.written.err, /NO_DAEMON|ENOENT/);
    });
    it("takes a socket that nobody listens on any more for no daemon", async () => {
      writeFileSync(join(world.directory, "control.sock"), "");
      await run("status");
      assert.equal(status, 4);
    });
    it("tells a missing permission from a missing daemon", async () => {
      const directory = join(world.directory, "closed");
      mkdirSync(directory);
      chmodSync(world.directory, 0o755);
      await withDaemon(directory, json({}), async () => {
        chmodSync(directory, 0);
        // Root may do everything, so for a moment the test is nobody.
        const isRoot = process.geteuid?.() === 0;
        if (isRoot) process.seteuid?.(65534);
        try {
          status = await runCommand(["status", "--state-dir", directory], world);
        } finally {
          if (isRoot) process.seteuid?.(0);
          chmodSync(directory, 0o700);
        }
      });
      assert.equal(status, 6);
      assert.match(world.written.err, /may not be used by this user/);
    });
    it("asks the system's daemon for a user who has none and names none", async () => {
      world.isRoot = false;
      mkdirSync(world.systemStateDirectory);
      const asked = await withDaemon(
        world.systemStateDirectory,
        json({ version: "9" }),
        async () => {
          assert.equal(await runCommand(["status"], world), 0);
          assert.match(world.written.out, /apt-p2p 9/);
          await run("status");
          assert.equal(status, 4);
        },
      );
      assert.deepEqual(asked, ["GET /status"]);
    });
  });

  describe("answers", () => {
    it("passes on the daemon's own error with its exit status", async () => {
      await daemon(json({ code: "STORAGE", message: "the disk is gone" }, 500), "cache", "stats");
      assert.equal(status, 6);
      assert.equal(world.written.err, "apt-p2p: the disk is gone\n");
      await daemon(json("?", 500), "status");
      assert.equal(status, 7);
    });
    it("reports answers that are no JSON, cut or without a reason", async () => {
      await daemon((_, response) => response.end("<html>"), "status");
      assert.equal(status, 7);
      assert.match(world.written.err, /not JSON/);
      await daemon((_, response) => response.writeHead(404).end("nothing"), "status");
      assert.match(world.written.err, /answered 404 without a reason/);
      await daemon((_, response) => {
        response.writeHead(200, { "content-length": "100" }).write("{");
        setImmediate(() => response.destroy());
      }, "status");
      assert.equal(status, 4);
      assert.match(world.written.err, /ended before its answer did/);
    });
    it("does not read an endless answer", async function () {
      this.timeout(20_000);
      await daemon((_, response) => {
        const chunk = Buffer.alloc(2 ** 20, "[");
        const more = (): void => {
          while (!response.destroyed && response.write(chunk));
        };
        response.on("drain", more);
        more();
      }, "status");
      assert.equal(status, 7);
      assert.match(world.written.err, /longer than 16777216 bytes/);
    });
  });

  describe("status", () => {
    it("prints what there is, and JSON on demand", async () => {
      const snapshot = { version: "1.2.3", uptimeMs: 61_000, counters: { "cache.hit": 3 } };
      await daemon(json(snapshot), "status");
      assert.match(world.written.out, /^apt-p2p 1\.2\.3, running for 1 min 1 s$/m);
      world.written.out = "";
      await daemon(json(snapshot), "status", "--json");
      assert.deepEqual(JSON.parse(world.written.out), snapshot);
    });
  });

  describe("why", () => {
    const url = "http://ftp.us.debian.org/debian/pool/main/g/g++-12/g++-12_12.2.0_amd64.deb?a&b";
    it("asks for the URL as it is", async () => {
      const asked = await daemon(json({ url, expectations: [{ sha256: "ab" }] }), "why", url);
      assert.equal(new URL(asked[0]!.slice(4), "http://x").searchParams.get("url"), url);
      assert.equal(status, 0);
    });
    it("exits with 1 when no digest is known", async () => {
      await daemon(json({ url, expectations: [] }), "why", url, "--json");
      assert.equal(status, 1);
      assert.deepEqual(JSON.parse(world.written.out), { url, expectations: [] });
    });
  });

  describe("cache", () => {
    const file = {
      sha256: "ab".repeat(32),
      sizeBytes: 5_000_000,
      names: ["h/pool/a.deb"],
      lastUsedMs: 0,
    };
    it("list prints a line per file, or the daemon's lines", async () => {
      const asked = await daemon(lines([file, file]), "cache", "list");
      assert.deepEqual(asked, ["GET /cache/list"]);
      assert.match(world.written.out, /^ +5\.0 MB {2}\S.* ago +(ab){32} {2}a\.deb\n/);
      world.written.out = "";
      await daemon(lines([file, { ...file, sizeBytes: 1 }]), "cache", "list", "--json");
      const printed = world.written.out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown);
      assert.deepEqual(printed, [file, { ...file, sizeBytes: 1 }]);
    });
    it("list reports an error in mid-list", async () => {
      await daemon(
        lines([file, { error: { code: "STORAGE", message: "unreadable" } }]),
        "cache",
        "list",
      );
      assert.equal(status, 6);
      assert.match(world.written.err, /unreadable/);
    });
    it("stats asks for them", async () => {
      await daemon(json({ files: 2, bytes: 1e9, quotaBytes: 1e10 }), "cache", "stats");
      assert.match(world.written.out, /of 10\.0 GB \(10 %\)/);
    });
    it("verify exits with 1 on damage only", async () => {
      await daemon(lines([{ result: { files: 3, damaged: [] } }]), "cache", "verify");
      assert.equal(status, 0);
      const asked = await daemon(
        lines([{ result: { files: 3, damaged: ["ab"] } }]),
        "cache",
        "verify",
      );
      assert.equal(status, 1);
      assert.deepEqual(asked, ["POST /cache/verify"]);
    });
    it("clean names what is to go", async () => {
      const answer = lines([{ result: {} }]);
      assert.deepEqual(await daemon(answer, "cache", "clean"), ["POST /cache/clean?what=unlisted"]);
      assert.deepEqual(await daemon(answer, "cache", "clean", "--all"), [
        "POST /cache/clean?what=all",
      ]);
      assert.deepEqual(await daemon(answer, "cache", "clean", "a*&b"), [
        "POST /cache/clean?name=a*%26b",
      ]);
    });
    it("import makes paths absolute, asks in parts and adds up the results", async () => {
      const paths = Array.from(
        { length: 300 },
        (_, index) => `some-rather-long-name_${index}_amd64.deb`,
      );
      const result = { files: 1, bytes: 10, failed: [{ path: "x", reason: "y" }], aborted: false };
      const asked = await daemon(lines([{ result }]), "cache", "import", "--json", ...paths);
      assert.ok(asked.length > 1);
      assert.equal(status, 1);
      assert.ok(asked.every((target) => target.length < 9000));
      const got = asked.flatMap((target) =>
        new URL(target.slice(5), "http://x").searchParams.getAll("path"),
      );
      assert.deepEqual(
        got,
        paths.map((path) => join(world.directory, path)),
      );
      const sum = JSON.parse(world.written.out) as {
        files: number;
        bytes: number;
        failed: unknown[];
      };
      assert.equal(sum.files, asked.length);
      assert.equal(sum.bytes, 10 * asked.length);
      assert.equal(sum.failed.length, asked.length);
    });
    it("shows progress on a terminal only, and clears it before the result", async () => {
      const progress = { done: 1, total: 2, bytes: 5e6, totalBytes: 1e7, note: "a.deb" };
      const answer = lines([{ progress }, { result: { files: 2 } }]);
      await daemon(answer, "cache", "verify");
      assert.equal(world.written.err, "");
      world.isTerminal = true;
      await daemon(answer, "cache", "verify");
      assert.match(
        world.written.err,
        /^\rVerifying: 50 %, 1 of 2 files, 5\.0 MB of 10\.0 MB, a\.deb\r +\r$/,
      );
    });
    it("says so when the daemon ends in the middle of the work, or reports an error", async () => {
      await daemon(lines([{ progress: {} }]), "cache", "verify");
      assert.equal(status, 4);
      await daemon(
        lines([{ error: { code: "NO_SPACE", message: "full" } }]),
        "cache",
        "import",
        "x",
      );
      assert.equal(status, 6);
      assert.match(world.written.err, /full\n$/);
    });
  });
});
