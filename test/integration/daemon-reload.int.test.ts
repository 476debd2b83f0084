/** SIGHUP: the running daemon obeys the new values, group by group. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "mocha";
import { daemonIsBuilt } from "../kit/daemon.ts";
import { daemonWorld, type DaemonWorld } from "./daemon-world.ts";
import { ask, HostileClient } from "./hostile-client.ts";
import { eventually } from "./hostile-world.ts";

const MB = 1_000_000;

interface StoreFacts {
  readonly store: { readonly bytes: number };
}

describe("SIGHUP", function () {
  this.timeout(60_000);
  let world: DaemonWorld;
  const names = ["first", "second", "third", "slow"];

  before(async function () {
    if (!daemonIsBuilt()) this.skip();
    world = await daemonWorld(names.map((name) => ({ name, sizeBytes: 3 * MB })));
    await world.update();
  });
  after(async () => {
    if (daemonIsBuilt()) await world.close();
  });

  /** Returns what the daemon has said since then. */
  async function reload(settings: Readonly<Record<string, readonly string[]>>): Promise<string> {
    const { daemon } = world;
    daemon.configure(settings);
    const before = daemon.log.length;
    process.kill(daemon.pid ?? 0, "SIGHUP");
    const said = (): string => daemon.log.slice(before);
    // The line about restarts is written in the same turn as the one that is waited for.
    await eventually(() => / reload(ed|\.refused).*\n/.test(said()), said);
    return said();
  }

  async function storedBytes(): Promise<number> {
    const status = (await world.daemon.status()) as unknown as StoreFacts;
    return status.store.bytes;
  }

  it("changes nothing when nothing has changed", async () => {
    assert.match(await reload({}), / reloaded changed=nothing\n/);
  });

  it("is refused with all problems of the file, and the old values stay", async () => {
    const { daemon } = world;
    const said = await reload({
      peers: ["lan_upload_rate = fast"],
      log: ["level = error", "levle = debug"],
    });
    assert.match(said, /error reload\.problem problem=".*lan_upload_rate.*\\"fast\\".*expected/);
    assert.match(said, /error reload\.problem problem=".*levle.*did you mean \\"level\\"/);
    assert.match(said, /error reload\.refused problems=2/);
    assert.match(await reload({}), / reloaded changed=nothing\n/, "the level was taken over");
    assert.equal(daemon.ended, undefined);
  });

  it("names what needs a restart, and keeps it until then", async () => {
    const { daemon } = world;
    const said = await reload({
      proxy: ["port = 1"],
      mirror: ["connections_per_host = 3"],
      log: ["requests = no"],
    });
    assert.match(said, /info reloaded changed="\[log\] requests"\n/);
    assert.match(
      said,
      /warn reload\.needs-restart options="\[proxy\] port, \[mirror\] connections_per_host"\n/,
    );
    const before = daemon.log.length;
    assert.equal((await ask(daemon.port, "/")).status, 200);
    assert.doesNotMatch(daemon.log.slice(before), / request /);
    await reload({});
  });

  it("changes who is served under which name", async () => {
    const { daemon } = world;
    const named = { headers: { host: "proxy.example.org" } };
    const status = async (): Promise<number> => (await ask(daemon.port, "/", named)).status;
    assert.equal(await status(), 421);
    await reload({ proxy: ["hosts = proxy.example.org"] });
    assert.equal(await status(), 200);
    await reload({});
    assert.equal(await status(), 421);
  });

  it("changes which mirrors may be asked, and for how long", async () => {
    const { daemon, mirror } = world;
    const url = `http://127.0.0.2:${mirror.port}/unknown`;
    const allowed = "allow_upstreams = 127.0.0.1, localhost, 127.0.0.2";
    assert.equal((await ask(daemon.port, url)).status, 403);
    await reload({ mirror: [allowed, "connect_timeout = 3s"] });
    // Nobody listens there, which is another answer.
    assert.equal((await ask(daemon.port, url)).status, 502);
    mirror.fault(/silent/, { kind: "delay", forMs: 20_000 });
    await reload({ mirror: ["response_timeout = 1s"] });
    assert.equal((await ask(daemon.port, url)).status, 403);
    const { status, milliseconds } = await ask(daemon.port, `${mirror.url}/silent`);
    assert.equal(status, 502);
    assert.ok(milliseconds < 8000, `it took ${milliseconds} ms`);
    mirror.heal();
    await reload({});
  });

  it("changes what is stored, and makes room at once", async () => {
    const { daemon } = world;
    for (const name of ["first", "second"]) {
      assert.equal((await ask(daemon.port, world.urlOf(name))).status, 200);
    }
    await eventually(
      async () => (await storedBytes()) >= 6 * MB,
      () => "they are not stored",
    );
    await reload({ store: ["quota = 4MB"] });
    await eventually(
      async () => (await storedBytes()) <= 4 * MB,
      () => "none of them went",
    );
    await reload({ store: ["keep_free = 900TB"] });
    assert.ok((await storedBytes()) >= 3 * MB, "more went than had to");
    assert.equal((await ask(daemon.port, world.urlOf("third"))).status, 200);
    assert.ok((await daemon.counter("engine.download.unstored")) > 0);
    await reload({ store: ["quota = 0"] });
    await eventually(
      async () => (await storedBytes()) === 0,
      () => "some of them stayed",
    );
    await reload({});
    assert.equal((await ask(daemon.port, world.urlOf("third"))).status, 200);
    await eventually(
      async () => (await storedBytes()) >= 3 * MB,
      () => "nothing is stored any more",
    );
  });

  it("changes the rates of what is under way, and whether anything is given at all", async () => {
    const { daemon } = world;
    const content = randomBytes(3 * MB);
    const path = join(daemon.directory, "shared");
    writeFileSync(path, content);
    assert.equal((await daemon.command("share", path)).status, 0);
    const sha256 = createHash("sha256").update(content).digest("hex");
    const request = `GET /~/sha256/${sha256} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    const whole = ({ receivedBytes }: HostileClient): boolean => receivedBytes >= content.length;
    await reload({ peers: ["lan_upload_rate = 100kB"] });
    const slow = new HostileClient(daemon.port).send(request);
    const begun = performance.now();
    await slow.until(({ receivedBytes }) => receivedBytes > 100_000);
    await reload({ peers: ["lan_upload_rate = unlimited"] });
    await slow.until(whole);
    assert.ok(performance.now() - begun < 15_000, "the old rate would have taken 30 s");
    slow.close();

    await reload({ peers: ["lan_upload_rate = 100kB"] });
    const cut = new HostileClient(daemon.port).send(request);
    await cut.until(({ receivedBytes }) => receivedBytes > 100_000);
    await reload({ peers: ["lan_upload_rate = 0"] });
    await cut.until(() => false);
    assert.ok(cut.receivedBytes < content.length);
    assert.equal((await ask(daemon.port, `/~/sha256/${sha256}`)).status, 503);
    await reload({});
    assert.equal((await ask(daemon.port, `/~/sha256/${sha256}`)).status, 200);
  });

  it("changes whom to ask", async () => {
    const { daemon } = world;
    const neighbours = async (): Promise<readonly string[]> => {
      const status = (await daemon.status()) as unknown as {
        readonly swarm: { readonly neighbours: readonly { readonly address: string }[] };
      };
      return status.swarm.neighbours.map(({ address }) => address);
    };
    await reload({ peers: ["neighbours = 127.0.0.3:9, 127.0.0.4:9"] });
    await eventually(
      async () => (await neighbours()).length === 2,
      () => "they are not known",
    );
    await reload({ peers: ["neighbours = 127.0.0.4:9"] });
    await eventually(
      async () => (await neighbours()).join() === "127.0.0.4:9",
      () => "one was to be forgotten",
    );
    await reload({});
    await eventually(
      async () => (await neighbours()).length === 0,
      () => "both were to be forgotten",
    );
  });
});
