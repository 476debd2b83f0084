/** Real daemons that join by one of them, and what the commands say of their network. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { after, before, describe, it } from "mocha";
import { version } from "../../src/base/version.ts";
import { nodeHashes } from "../../src/io/node-hashes.ts";
import { daemonIsBuilt, TestDaemon, freePort } from "../kit/daemon.ts";
import type { DaemonOptions } from "../kit/daemon.ts";
import { scratchDirectory } from "../kit/scratch.ts";

/** One of 127/8 for each, and all at one port: as machines have it. */
async function freeUdpPort(): Promise<number> {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  return port;
}

interface Report {
  readonly state: string;
  readonly id: string;
  readonly udpPort: number;
  readonly families: readonly {
    readonly state: string;
    readonly contacts: number;
    readonly held: { readonly values: number };
    readonly publishing: { readonly placed: number; readonly note?: string };
  }[];
}

interface Walked {
  readonly families: readonly {
    readonly found: number;
    readonly answered: number;
    readonly versions: Readonly<Record<string, number>>;
    readonly complete: boolean;
  }[];
}

interface Found {
  readonly peers: readonly { readonly address: string; readonly state: string }[];
  readonly count: number;
  readonly hops: readonly unknown[];
}

describe("daemons in a DHT", function () {
  this.timeout(60_000);
  const scratch = scratchDirectory("dht");
  const daemons: TestDaemon[] = [];
  let port = 0;
  const content = Buffer.alloc(100_000, "apt-p2p ");
  const digest = Buffer.from(nodeHashes.of(content)).toString("hex");

  const options = (host: string, lines: readonly string[]): DaemonOptions => ({
    aptConfigDirectory: scratch.path,
    settings: {
      dht: [
        ...["enabled = yes", "lan_discovery = no", "share = all"],
        ...[`udp_bind = ${host}`, `udp_port = ${port}`, ...lines],
      ],
    },
  });

  async function start(given: DaemonOptions): Promise<TestDaemon> {
    const daemon = new TestDaemon(given, await freePort());
    daemons.push(daemon);
    await daemon.start();
    return daemon;
  }

  async function report(daemon: TestDaemon): Promise<Report> {
    const { status, out, err } = await daemon.command("dht", "status", "--json");
    assert.equal(status, 0, err);
    return JSON.parse(out) as Report;
  }

  async function until(daemon: TestDaemon, holds: (report: Report) => boolean): Promise<Report> {
    const endMs = performance.now() + 20_000;
    for (;;) {
      await delay(100);
      const last = await report(daemon);
      if (holds(last)) return last;
      if (performance.now() > endMs) assert.fail(JSON.stringify(last));
    }
  }

  before(async function () {
    if (!daemonIsBuilt()) this.skip();
    port = await freeUdpPort();
    mkdirSync(join(scratch.path, "files"));
    writeFileSync(join(scratch.path, "files", "a_1_all.deb"), content);
    await start({ ...options("127.79.0.1", []), dhtOnly: true });
    for (const host of ["127.79.0.2", "127.79.0.3"]) {
      await start(options(host, [`bootstrap = 127.79.0.1:${port}`]));
    }
  });

  after(async () => {
    await Promise.all(daemons.map((daemon) => daemon.close()));
    scratch.remove();
  });

  const [bootstrap, publisher, asker] = [0, 1, 2].map((index) => () => daemons[index]!) as [
    () => TestDaemon,
    () => TestDaemon,
    () => TestDaemon,
  ];

  it("join by the one that serves the DHT alone", async () => {
    for (const daemon of daemons) {
      const { state, families } = await until(
        daemon,
        ({ families: [first] }) => first?.state === "joined" && first.contacts === 2,
      );
      assert.equal(state, "on");
      assert.equal(families.length, 1);
    }
    const { out } = await asker().command("dht", "status");
    assert.match(out, /IPv4\n +State +joined\n +Table +2 contacts, in [12] buckets?/);
    assert.match((await asker().command("status")).out, /IPv4 +joined, 2 contacts/);
    const alone = await bootstrap().command("cache", "list");
    assert.equal(alone.status, 2);
    assert.match(alone.err, /serves the DHT alone/);
  });

  it("find a file that one of them has been given", async () => {
    const none = await asker().command("lookup", digest);
    assert.equal(none.status, 1, none.err);
    assert.match(none.out, /^Nobody has it/);
    const imported = await publisher().command("share", join(scratch.path, "files", "a_1_all.deb"));
    assert.equal(imported.status, 0, imported.err);
    const { families } = await until(
      publisher(),
      ({ families: [first] }) => first?.publishing.placed === 1,
    );
    assert.match(families[0]?.publishing.note ?? "", /proxy\.bind has no other than loopback/);

    const { status, out, err } = await asker().command("lookup", "--hops", digest);
    assert.equal(status, 0, err);
    assert.match(out, new RegExp(`s {2}127\\.79\\.0\\.2:${publisher().port} {2}complete`));
    assert.match(out, /\n1 peer, 0\.\d+ s, the first after 0\.\d+ s, \d+ messages\n$/);
    const asJson = await asker().command("lookup", digest, "--json");
    const found = JSON.parse(asJson.out) as Found;
    assert.deepEqual([found.count, found.peers[0]?.state], [1, "complete"]);
    const held = await report(asker());
    assert.ok((held.families[0]?.held.values ?? 0) > 0, "neighbours hold it for each other");

    await publisher().command("cache", "clean", digest);
    await until(publisher(), ({ families: [first] }) => first?.publishing.placed === 0);
    assert.equal((await asker().command("lookup", digest)).status, 1, "it is withdrawn");
  });

  it("are counted by a walk", async () => {
    const { status, out, err } = await asker().command("dht", "walk", "--json");
    assert.equal(status, 0, err);
    const [walk] = (JSON.parse(out) as Walked).families;
    assert.deepEqual(
      [walk?.found, walk?.answered, walk?.complete, walk?.versions],
      [2, 2, true, { [`AP${version}`]: 2 }],
    );
    const shown = await asker().command("dht", "walk");
    assert.match(shown.out, /^IPv4\n +Found +2 nodes\n +Answered +2 \(100 %\)\n/);
  });

  it("say what is wrong with a question", async () => {
    const wrong = await asker().command("lookup", "nonsense");
    assert.equal(wrong.status, 2);
    assert.match(wrong.err, /neither a SHA-256 nor a URL/);
    const unlisted = await asker().command("lookup", "http://ftp.us.debian.org/debian/pool/a.deb");
    assert.match(unlisted.err, /nothing that this daemon has read lists this file/);
    const unknown = await bootstrap().command("lookup", "http://ftp.us.debian.org/debian/a.deb");
    assert.match(unknown.err, /give the SHA-256/);
  });

  it("serve apt although the UDP port is taken, but not if there is nothing else to do", async () => {
    const given = options("127.79.0.2", []);
    const other = await start(given);
    const failed = await until(other, ({ state }) => state === "failed");
    assert.equal(failed.state, "failed");
    const refused = await other.command("lookup", digest);
    assert.equal(refused.status, 7);
    assert.match(refused.err, /could not be started: .*is taken/);
    assert.match((await other.command("status")).out, /State +failed: /);
    const alone = new TestDaemon({ ...given, dhtOnly: true }, await freePort());
    await assert.rejects(alone.start(), /ended with 5/);
    await alone.close();
    const off = await start({ ...given, settings: {} });
    assert.equal((await report(off)).state, "off");
    assert.match((await off.command("lookup", digest)).err, /dht\.enabled is no/);
  });

  it("keep their ids over a restart and end at once", async () => {
    const { id } = await report(asker());
    const before = performance.now();
    await asker().signal("SIGTERM");
    const tookMs = performance.now() - before;
    assert.ok(tookMs < 2000, `${tookMs} ms`);
    await asker().start();
    const again = await until(asker(), ({ families: [first] }) => first?.state === "joined");
    assert.equal(again.id, id);
  });
});
