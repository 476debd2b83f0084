/** The daemon's end: what becomes of running downloads, and how long it takes. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { after, before, describe, it } from "mocha";
import { sha256 } from "../kit/bytes.ts";
import { daemonIsBuilt } from "../kit/daemon.ts";
import { undoable } from "../kit/scratch.ts";
import { daemonWorld, type DaemonWorld } from "./daemon-world.ts";
import { eventually } from "./hostile-world.ts";
import { ask, HostileClient, parseReply } from "./hostile-client.ts";

const MB = 1_000_000;
/** What the whole end may take. */
const stopMs = 4000;

/** Whether anybody takes connections there. */
function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true));
    socket.once("error", () => resolve(false));
    socket.once("close", () => socket.destroy());
    setTimeout(() => socket.destroy(), 1000).unref();
  });
}

function get(world: DaemonWorld, name: string, headers = ""): HostileClient {
  const client = new HostileClient(world.daemon.port);
  return client.send(`GET ${world.urlOf(name)} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`);
}

describe("the end of the daemon", function () {
  this.timeout(60_000);
  let world: DaemonWorld;
  const many = Array.from({ length: 5 }, (_, index) => `slow${index}`);

  before(async function () {
    if (!daemonIsBuilt()) this.skip();
    world = await daemonWorld(
      ["large", "quick", "other", ...many].map((name) => ({ name, sizeBytes: 12 * MB })),
    );
    await world.update();
  });
  after(async () => {
    if (daemonIsBuilt()) await world.close();
  });

  it("lets short answers end, cuts long ones so that apt resumes, and resumes itself", async () => {
    const { daemon, mirror, archive } = world;
    mirror.fault(/large|slow/, { kind: "rate", bytesPerSecond: MB / 2 });
    mirror.fault(/quick/, { kind: "rate", bytesPerSecond: 20 * MB });
    const large = get(world, "large");
    const others = many.map((name) => get(world, name));
    await large.until(({ receivedBytes }) => receivedBytes > MB);
    const quick = get(world, "quick");
    await quick.until(({ receivedBytes }) => receivedBytes > MB);
    const idle = new HostileClient(daemon.port);
    idle.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await idle.until(({ receivedBytes }) => receivedBytes > 0);

    const begun = performance.now();
    const ended = daemon.signal("SIGTERM");
    await eventually(
      () => daemon.log.includes(" stopping "),
      () => "nothing tells that it stops",
    );
    assert.equal(await listens(daemon.port), false, "it listens after its end has begun");
    await ended;
    const tookMs = performance.now() - begun;
    assert.equal(daemon.ended, 0);
    assert.ok(tookMs < stopMs, `it took ${tookMs} ms`);

    const whole = parseReply((await quick.until(() => false)).received);
    assert.equal(sha256(whole.body), archive.package("quick").sha256);
    const begin = parseReply((await large.until(() => false)).received);
    assert.equal(begin.whole, false, "the long one has come whole");
    assert.ok(begin.body.length > MB, `only ${begin.body.length} bytes have come`);
    await Promise.all([idle, ...others].map((client) => client.until(() => false)));

    mirror.heal();
    const before = mirror.requests(/large/).reduce((sum, { bytes }) => sum + bytes, 0);
    await daemon.start();
    const rest = await ask(daemon.port, world.urlOf("large"), {
      headers: {
        range: `bytes=${begin.body.length}-`,
        "if-range": begin.headers["last-modified"] ?? "",
      },
    });
    assert.equal(rest.status, 206);
    const all = Buffer.concat([begin.body, rest.body]);
    assert.equal(sha256(all), archive.package("large").sha256);
    const again = mirror.requests(/large/).reduce((sum, { bytes }) => sum + bytes, 0) - before;
    assert.ok(
      again <= 12 * MB - begin.body.length + 2 * MB,
      `${again} bytes were fetched for the second part, of which ${begin.body.length} were here`,
    );
    assert.equal(await daemon.counter("engine.download.resumed"), 1);
  });

  it("is sudden at the second signal", async () => {
    const { daemon, mirror } = world;
    mirror.fault(/other/, { kind: "rate", bytesPerSecond: MB });
    const client = get(world, "other");
    await client.until(({ receivedBytes }) => receivedBytes > MB / 2);
    const ended = daemon.signal("SIGTERM");
    await delay(300);
    assert.equal(daemon.ended, undefined, "it has ended without the second signal");
    const begun = performance.now();
    process.kill(daemon.pid ?? 0, "SIGTERM");
    await ended;
    assert.ok(performance.now() - begun < 500, `it took ${performance.now() - begun} ms`);
    assert.equal(daemon.ended, "SIGTERM");
    client.close();
    mirror.heal();
    await daemon.start();
    const whole = await ask(daemon.port, world.urlOf("other"));
    assert.equal(sha256(whole.body), world.archive.package("other").sha256);
  });

  it("is soon when nobody is served", async () => {
    const { daemon } = world;
    const begun = performance.now();
    await daemon.signal("SIGTERM");
    assert.equal(daemon.ended, 0);
    assert.ok(performance.now() - begun < 1500, `it took ${performance.now() - begun} ms`);
    await daemon.start();
  });

  it("comes in the middle of a start as well", async () => {
    const { daemon } = world;
    await daemon.signal("SIGTERM");
    const [program = "", ...words] = daemon.commandLine("daemon");
    let inTime = 0;
    // On a busy machine the program takes longer to load.
    for (const afterMs of [250, 350, 450, 600, 800, 1200, 2000]) {
      const child = spawn(program, words, { stdio: ["ignore", "pipe", "inherit"] });
      const killing = undoable(() => child.kill("SIGKILL"));
      let log = "";
      child.stdout.setEncoding("utf8").on("data", (text: string) => (log += text));
      const exit = new Promise((resolve) =>
        child.once("close", (status, signal) => resolve(signal ?? status)),
      );
      await delay(afterMs);
      const begun = performance.now();
      child.kill("SIGTERM");
      const how = await exit;
      killing.forget();
      // Before the program is loaded, the signal ends it as it would any other.
      assert.ok(how === 0 || how === "SIGTERM", `${String(how)} after ${afterMs} ms:\n${log}`);
      assert.ok(performance.now() - begun < stopMs, `it took ${performance.now() - begun} ms`);
      assert.doesNotMatch(log, / error /);
      if (how === 0) inTime++;
    }
    assert.ok(inTime > 0, "every signal came before the program was loaded");
    await daemon.start();
    assert.equal((await ask(daemon.port, world.urlOf("large"))).status, 200);
  });
});
