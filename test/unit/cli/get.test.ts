/** `get` and `share` on the command line, with a stand-in for the daemon on a real control socket. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "mocha";
import { runCommand } from "../../../src/cli/run.ts";
import { FakeWorld, json, lines, withDaemon } from "./fake-world.ts";

const bytes = Buffer.from(Array.from({ length: 50_000 }, (_, index) => (index * 7) % 251));
const sha256 = createHash("sha256").update(bytes).digest("hex");
const other = "cd".repeat(32);

interface Story {
  readonly body?: Buffer;
  /** What goes wrong after it. */
  readonly problem?: { readonly code: string; readonly message: string };
  /** The connection is cut there. */
  readonly cut?: true;
}

/** Tells one story after the other; then it has the file. */
function fileDaemon(...stories: readonly Story[]) {
  const left = [...stories];
  return (request: IncomingMessage, response: ServerResponse): void => {
    const { searchParams } = new URL(request.url ?? "", "http://localhost");
    const start = Number(searchParams.get("start"));
    if (start > bytes.length) {
      json({ code: "MISMATCH", message: "fewer than are here" }, 500)(request, response);
      return;
    }
    const { body = bytes.subarray(start), problem, cut } = left.shift() ?? {};
    response.writeHead(200, {
      ...{ "apt-p2p-size": bytes.length, "apt-p2p-sha256": sha256, trailer: "apt-p2p-problem" },
    });
    response.write(body, () => {
      if (cut) response.destroy();
      const text = encodeURIComponent(JSON.stringify(problem ?? {}));
      if (problem !== undefined) response.addTrailers({ "apt-p2p-problem": text });
      response.end();
    });
  };
}

describe("apt-p2p get and share", () => {
  let world: FakeWorld;
  let status: number;
  beforeEach(() => (world = new FakeWorld()));
  afterEach(() => world.remove());

  const run = async (...words: string[]): Promise<void> => {
    status = await runCommand([...words, "--state-dir", world.directory], world);
  };
  const daemon = (answer: Parameters<typeof withDaemon>[1], ...words: string[]) =>
    withDaemon(world.directory, answer, () => run(...words));
  const path = (name: string): string => join(world.directory, name);

  it("finds what is wrong with the words before anybody is asked", async () => {
    for (const [words, message] of [
      [["get"], /something is missing; use: apt-p2p get/],
      [["get", "a", "b"], /"b" is too much/],
      [["get", "sha256:12"], /no SHA-256: 12; it has 64/],
      [["get", "http://h/f", "--sha256", "zz"], /no SHA-256: zz/],
      [["get", `sha256:${sha256}`, "--sha256", other], /two different files/],
      [["get", "http://ftp.us.debian.org/"], /names no file; say with --output/],
      [["get", "http://ftp.us.debian.org"], /names no file/],
      [["get", "http://ftp.us.debian.org/a/.."], /names no file/],
      [["get", "http://ftp.us.debian.org/a%2f..%2f"], /names no file/],
      [["get", "http://h/f", "--seed-until", "later"], /no condition: later; use idle/],
      [["get", "http://h/f", "--json"], /has no option --json/],
      [["share"], /something is missing/],
      [["share", "f", "--seed-until", "0x"], /no condition: 0x/],
      [["share", "f", "--output", "g"], /has no option --output/],
    ] as const) {
      world.written.err = "";
      const asked = await daemon(fileDaemon(), ...words);
      assert.deepEqual([status, asked], [2, []], words.join(" "));
      assert.match(world.written.err, message, words.join(" "));
    }
  });

  it("asks for the digest or the URL, and names the file after it", async () => {
    const url = "http://ftp.us.debian.org/pool/libc%2b%2b_1.deb?x#y";
    const asked = await daemon(fileDaemon(), "get", url, "--sha256", sha256.toUpperCase());
    const parameters = new URLSearchParams({ start: "0", url, sha256 });
    assert.deepEqual(asked, [`GET /get?${parameters.toString()}`]);
    assert.ok(readFileSync(path("libc++_1.deb")).equals(bytes));
    assert.equal(world.written.out, `libc++_1.deb, sha256:${sha256}\n`);
    await daemon(fileDaemon(), "get", `sha256:${sha256}`);
    assert.ok(readFileSync(path(sha256)).equals(bytes));
    assert.equal(status, 0);
  });

  it("goes on from what an earlier run has left", async () => {
    writeFileSync(path("f.part"), bytes.subarray(0, 20_000));
    const asked = await daemon(fileDaemon(), "get", `sha256:${sha256}`, "-o", "f");
    assert.deepEqual(asked, [`GET /get?start=20000&sha256=${sha256}`]);
    assert.ok(readFileSync(path("f")).equals(bytes));
    assert.ok(!existsSync(path("f.part")));
  });

  it("begins anew where the beginning was wrong or too long", async () => {
    for (const wrong of [Buffer.alloc(20_000), Buffer.alloc(60_000)]) {
      writeFileSync(path("f.part"), wrong);
      const asked = await daemon(fileDaemon(), "get", `sha256:${sha256}`, "-o", "f");
      assert.equal(asked.length, 2);
      assert.match(asked[1] ?? "", /start=0&/);
      assert.ok(readFileSync(path("f")).equals(bytes));
      assert.equal(status, 0);
    }
  });

  it("comes again after a lie, but not for ever, and keeps nothing of it", async () => {
    const lie = {
      body: Buffer.alloc(9000),
      problem: { code: "MISMATCH", message: "what comes has another digest" },
    };
    const saved = await daemon(fileDaemon(lie), "get", `sha256:${sha256}`, "-o", "f");
    assert.deepEqual([status, saved.length], [0, 2]);
    assert.ok(readFileSync(path("f")).equals(bytes));
    const asked = await daemon(fileDaemon(lie, lie, lie, lie), "get", `sha256:${sha256}`);
    assert.deepEqual([status, asked.length], [7, 3]);
    assert.match(world.written.err, /^apt-p2p: what comes has another digest$/m);
    assert.equal(readFileSync(path(`${sha256}.part`)).length, 0);
    assert.ok(!existsSync(path(sha256)));
  });

  it("keeps the beginning when the daemon fails or goes, and says what to do", async () => {
    for (const [story, message] of [
      [{ problem: { code: "UPSTREAM", message: "the mirror is gone" } }, /the mirror is gone/],
      [{ cut: true }, /the daemon ended before the file did; ask for it again/],
    ] as const) {
      world.written.err = "";
      const body = bytes.subarray(0, 5000);
      const asked = await daemon(
        fileDaemon({ body, ...story }),
        ...["get", `sha256:${sha256}`, "-o", "g"],
      );
      assert.deepEqual([status, asked.length], [7, 1]);
      assert.match(world.written.err, message);
      assert.ok(readFileSync(path("g.part")).equals(body));
      writeFileSync(path("g.part"), "");
    }
  });

  it("writes into a pipe, and never says that what it wrote is right when it is not", async () => {
    const asked = await daemon(fileDaemon(), "get", `sha256:${sha256}`, "-o", "-");
    assert.deepEqual([status, asked.length], [0, 1]);
    assert.ok(Buffer.from(world.written.out, "latin1").equals(bytes));
    for (const story of [
      { body: Buffer.alloc(bytes.length) },
      { body: Buffer.alloc(0) },
      { problem: { code: "MISMATCH", message: "no" } },
    ]) {
      const again = await daemon(fileDaemon(story), "get", `sha256:${sha256}`, "-o", "-");
      assert.deepEqual([status, again.length], [7, 1]);
    }
  });

  it("tells what the disk or the daemon refuses", async () => {
    mkdirSync(path("d"));
    await daemon(fileDaemon(), "get", `sha256:${sha256}`, "-o", "d");
    assert.equal(status, 6);
    assert.match(world.written.err, /cannot write d: /);
    await daemon(fileDaemon(), "get", `sha256:${sha256}`, "-o", "no/where");
    assert.equal(status, 6);
    await daemon(json({ code: "CONFIG", message: "dht.share = none" }, 500), "get", "http://h/f");
    assert.equal(status, 3);
    await run("get", `sha256:${sha256}`);
    assert.equal(status, 4);
  });

  it("shares files where they are, and stays until all of them are given", async () => {
    const answers: Readonly<Record<string, unknown>> = {
      "/share": { sha256, sizeBytes: 50_000 },
      "/seed": { sha256, uploadedBytes: 100_000 },
    };
    const answer = (request: IncomingMessage, response: ServerResponse): void => {
      const { pathname } = new URL(request.url ?? "", "http://localhost");
      lines([{ progress: {} }, { result: answers[pathname] }])(request, response);
    };
    const asked = await daemon(answer, "share", "a", "/b/c d", "--seed-until", "2x");
    const shared = ["a", "/b/c d"].map((file) => join(file.startsWith("/") ? "" : path(""), file));
    assert.deepEqual(asked, [
      ...shared.map((file) => `POST /share?${new URLSearchParams({ path: file }).toString()}`),
      ...shared.map(() => `POST /seed?sha256=${sha256}&until=2x`),
    ]);
    assert.equal(status, 0);
    assert.match(world.written.out, /^a, 50\.0 kB, is shared\. Others get it by$/m);
    assert.match(world.written.out, new RegExp(`^ {2}apt-p2p get sha256:${sha256} -o c d$`, "m"));
    assert.match(world.written.out, /100 kB went to others/);
  });
});
