/** `share` and `get` by two real daemons: into files and pipes, after kills, with wrong beginnings. */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { describe, it } from "mocha";
import { daemonIsBuilt, startDaemon, type TestDaemon } from "../kit/daemon.ts";
import { scratchDirectory } from "../kit/scratch.ts";

const run = promisify(execFile);
const sizeBytes = 3_000_000;
/** Of this process alone: other tests use loopback as well. */
const net = `127.99.${process.pid % 250}`;

describe("get and share", function () {
  this.timeout(60_000);
  const scratch = scratchDirectory("get-share");
  let giver: TestDaemon;
  let taker: TestDaemon;
  const started: TestDaemon[] = [];

  before(async function () {
    if (!daemonIsBuilt()) this.skip();
    mkdirSync(join(scratch.path, "apt"));
    const common = { aptConfigDirectory: join(scratch.path, "apt") };
    giver = await startDaemon({
      ...{ ...common, address: `${net}.1` },
      // So slow that something can happen meanwhile.
      settings: { peers: ["lan_upload_rate = 3MB"] },
    });
    started.push(giver);
    const neighbours = `neighbours = ${net}.1:${giver.port}`;
    taker = await startDaemon({
      ...{ ...common, address: `${net}.2`, settings: { peers: [neighbours] } },
    });
    started.push(taker);
  });
  after(async () => {
    await Promise.all([giver, taker].map((daemon) => daemon.close()));
    scratch.remove();
  });

  /** A file of its own for each test, shared by the giver. */
  const shared = async (name: string, bytes = randomBytes(sizeBytes)) => {
    const path = join(scratch.path, name);
    writeFileSync(path, bytes);
    const { status, out, err } = await giver.command("share", path);
    assert.equal(status, 0, err);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    assert.match(out, new RegExp(`^ {2}apt-p2p get sha256:${sha256} -o ${name}$`, "m"));
    return { bytes, sha256, target: join(taker.directory, name) };
  };
  const holds = (path: string, bytes: Buffer): boolean => readFileSync(path).equals(bytes);

  it("brings a shared file, and both daemons tell of it", async () => {
    const { bytes, sha256, target } = await shared("plain");
    const { status, out, err } = await taker.command("get", `sha256:${sha256}`, "-o", "plain");
    assert.equal(status, 0, err);
    assert.equal(out, `plain, sha256:${sha256}\n`);
    assert.ok(holds(target, bytes));
    const took = (await taker.command("status")).out;
    assert.match(took, /from peers +3\.0 MB +100 %/);
    assert.match(took, new RegExp(` from +${net}\\.1:${giver.port} +3\\.0 MB`));
    assert.match(took, new RegExp(`${sha256} +3\\.0 MB from peers \\(${net}\\.1`));
    const gave = (await giver.command("status")).out;
    assert.match(gave, /to peers +3\.0 MB/);
    assert.match(gave, /Given +3\.0 MB on the own network/);
    // From the store, without asking anybody.
    const uploaded = await giver.counter("peers.bytes.uploaded.near");
    assert.equal((await taker.command("get", `sha256:${sha256}`, "-o", "again")).status, 0);
    assert.equal(await giver.counter("peers.bytes.uploaded.near"), uploaded);
  });

  it("unpacks while it arrives", async () => {
    const directory = join(scratch.path, "tree");
    mkdirSync(directory);
    const content = randomBytes(sizeBytes);
    writeFileSync(join(directory, "big"), content);
    const tar = join(scratch.path, "made.tar");
    await run("tar", ["-cf", tar, "-C", directory, "."]);
    const { sha256 } = await shared("tree.tar", readFileSync(tar));
    const words = taker.commandLine("get", `sha256:${sha256}`, "-o", "-");
    const target = join(scratch.path, "unpacked");
    mkdirSync(target);
    await run("bash", ["-c", 'set -o pipefail; "$@" | tar x -C "$0"', target, ...words]);
    assert.ok(holds(join(target, "big"), content));
  });

  it("goes on after it was killed", async () => {
    const { bytes, sha256, target } = await shared("killed", randomBytes(3 * sizeBytes));
    const [file = "", ...rest] = taker.commandLine("get", `sha256:${sha256}`, "-o", target);
    const child = spawn(file, rest, { stdio: "ignore" });
    const deadline = performance.now() + 20_000;
    while (partSize(target) < 1_000_000 && performance.now() < deadline) await delay(20);
    child.kill("SIGKILL");
    const begun = partSize(target);
    assert.ok(begun >= 1_000_000 && begun < bytes.length, `killed at ${begun}`);
    const { status, err } = await taker.command("get", `sha256:${sha256}`, "-o", target);
    assert.equal(status, 0, err);
    assert.ok(holds(target, bytes));
  });

  for (const [what, leftBytes] of [
    ["shorter", 700_000],
    ["as long", sizeBytes],
    ["longer", sizeBytes + 1],
  ] as const) {
    it(`ends right with a wrong beginning that is ${what}`, async () => {
      const { bytes, sha256, target } = await shared(`wrong-${leftBytes}`);
      writeFileSync(`${target}.part`, randomBytes(leftBytes));
      const { status, err } = await taker.command("get", `sha256:${sha256}`, "-o", target);
      assert.equal(status, 0, err);
      assert.ok(holds(target, bytes));
    });
  }

  it("says what is wrong when nobody has it, or what comes is not it", async () => {
    const unknown = "ab".repeat(32);
    const nobody = await taker.command("get", `sha256:${unknown}`);
    assert.equal(nobody.status, 7);
    assert.match(nobody.err, /^apt-p2p: nobody who can be reached has this file$/m);
    const server = await serving(Buffer.alloc(sizeBytes, 7));
    try {
      const { port } = server.address() as AddressInfo;
      const url = `http://127.0.0.1:${port}/other.img`;
      for (const output of ["other.img", "-"]) {
        const other = await taker.command("get", url, "--sha256", unknown, "-o", output);
        assert.equal(other.status, 7, other.err);
        assert.match(other.err, /has another digest|not the file|not what/);
      }
      assert.throws(() => statSync(join(taker.directory, "other.img")));
      const listed = await taker.command("get", url);
      assert.equal(listed.status, 2);
      assert.match(listed.err, /no index that is known here lists .*--sha256/);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it("takes a URL whose digest is given, and shares it until the time is over", async () => {
    const bytes = randomBytes(sizeBytes);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const server = await serving(bytes);
    try {
      const { port } = server.address() as AddressInfo;
      const url = `http://127.0.0.1:${port}/files/an%20image.img?x=1`;
      const begunMs = performance.now();
      const words = ["--sha256", sha256.toUpperCase(), "--seed-until", "1s"];
      const { status, out, err } = await taker.command("get", url, ...words);
      assert.equal(status, 0, err);
      assert.match(out, /^an image\.img, sha256:.*\n0 B went to others; it is not offered/);
      assert.ok(holds(join(taker.directory, "an image.img"), bytes));
      assert.ok(performance.now() - begunMs > 1000);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it("leaves the swarm when it has given the file once", async () => {
    const bytes = randomBytes(sizeBytes);
    const path = join(scratch.path, "once");
    writeFileSync(path, bytes);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const sharing = giver.command("share", path, "--seed-until", "1x");
    const deadline = performance.now() + 20_000;
    for (;;) {
      const { status, err } = await taker.command("get", `sha256:${sha256}`, "-o", "once");
      if (status === 0) break;
      assert.ok(performance.now() < deadline, err);
    }
    assert.ok(holds(join(taker.directory, "once"), bytes));
    const { status, out } = await sharing;
    assert.equal(status, 0);
    assert.match(out, /^3\.0 MB went to others; it is not offered/m);
    await taker.command("cache", "clean", sha256);
    const gone = await taker.command("get", `sha256:${sha256}`, "-o", "gone");
    assert.equal(gone.status, 7, gone.out);
  });
});

function partSize(path: string): number {
  return statSync(`${path}.part`, { throwIfNoEntry: false })?.size ?? 0;
}

async function serving(bytes: Buffer): Promise<Server> {
  const server = createServer((_request, response) => {
    response.writeHead(200, { "content-length": bytes.length }).end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}
