/** The real daemon against clients that mean no good, and clients that merely leave. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, describe, it } from "mocha";
import { limits } from "../../src/base/limits.ts";
import { sha256 } from "../kit/bytes.ts";
import { daemonIsBuilt } from "../kit/daemon.ts";
import { ask, HostileClient, parseReply } from "./hostile-client.ts";
import { answer, chunked } from "./hostile-mirror.ts";
import {
  descriptors,
  descriptorsReturn,
  eventually,
  honestGet,
  hostileWorld,
  residentMiB,
  storedDigests,
  update,
  type HostileWorld,
} from "./hostile-world.ts";

describe("the daemon against hostile clients", function () {
  this.timeout(20_000);
  let world: HostileWorld;
  let port: number;

  const url = (name: string): string =>
    `http://${world.honest.mirror.authority}/${world.honest.archive.package(name).path}`;
  const hostileUrl = (path: string): string => `http://${world.hostile.mirror.authority}${path}`;
  const content = (name: string): Buffer =>
    readFileSync(join(world.honest.archive.root, world.honest.archive.package(name).path));
  const get = (target: string, headers = ""): string =>
    `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`;
  const connected = (client: HostileClient): Promise<unknown> =>
    new Promise((resolve, reject) => {
      client.socket.once("connect", resolve).once("error", reject);
    });

  before(async function () {
    assert.ok(daemonIsBuilt(), "run npm run build first");
    world = await hostileWorld();
    port = world.daemon.port;
    await update(world, "honest");
    await update(world, "hostile");
    await honestGet(world);
  });

  afterEach(async () => {
    await honestGet(world);
    assert.doesNotMatch(world.daemon.log, /bug\.unhandled/);
  });

  after(async () => {
    await world.close();
  });

  it("answers odd request targets with 400, and never looks elsewhere", async () => {
    const refused = await world.daemon.counter("proxy.refused.400");
    const { authority } = world.honest.mirror;
    const odd = [
      ...["*", "//", "///", "/?", "/?x", "/%00/x", "/%E0%A4%A/x", "/HTTPS///", "ftp://x/y"],
      ...["http:///x", "http://a:99999/x", "http://a:0/x", "http://a:/x", "http://..../x"],
      ...[`http://user:pw@${authority}/x`, `/user@${authority}/x`, "http://127.0.0.1%00.com/x"],
      ...["http://%6c%6fcalhost/x", `http://${authority}/x#y`, "/HTTPS///x:443:443/"],
    ];
    const asked = world.honest.mirror.log.length;
    for (const target of odd) {
      assert.equal((await ask(port, target)).status, 400, target);
    }
    assert.equal(await world.daemon.counter("proxy.refused.400"), refused + odd.length);
    assert.equal(world.honest.mirror.log.length, asked);
  });

  it("knows this machine and link by all their names", async () => {
    const forbidden = await world.daemon.counter("engine.forbidden");
    const here = [
      ...["127.0.0.2", "127.2", "0x7f000002", "2130706434", "017700000002", "0", "[::1]", "[::]"],
      ...["[::ffff:127.0.0.2]", "[::ffff:7f00:2]", "localhost", "LOCALHOST", "169.254.169.254"],
      ...["[fe80::1]", "255.255.255.255", "224.0.0.1"],
    ];
    for (const host of here) {
      for (const target of [`http://${host}/x`, `/${host}/x`, `/HTTPS///${host}/x`]) {
        const reply = await ask(port, target);
        assert.equal(reply.status, 403, target);
        assert.match(reply.body.toString(), /on this machine or link/);
      }
    }
    assert.equal(await world.daemon.counter("engine.forbidden"), forbidden + 3 * here.length);
  });

  it("opens no tunnel to this machine, this link or another port than 443", async () => {
    const refused = await world.daemon.counter("proxy.tunnel.refused");
    const failed = await world.daemon.counter("proxy.tunnel.failed");
    const here = [
      ...["127.0.0.2", "127.2", "0x7f000002", "2130706434", "0", "[::1]", "[::]", "localhost"],
      ...["[::ffff:127.0.0.2]", "169.254.169.254", "[fe80::1]"],
    ];
    for (const host of here) {
      assert.equal((await ask(port, `${host}:443`, { method: "CONNECT" })).status, 403, host);
    }
    const malformed = ["x", ":443", "a:b:443", "u@localhost:443", "localhost:22", "127.0.0.1:80"];
    for (const target of [...malformed, `127.0.0.1:${port}`, "http://localhost:443/"]) {
      assert.equal((await ask(port, target, { method: "CONNECT" })).status, 403, target);
    }
    assert.equal(await world.daemon.counter("proxy.tunnel.failed"), failed + here.length);
    assert.equal(await world.daemon.counter("proxy.tunnel.refused"), refused + 8);
    assert.equal(await world.daemon.counter("proxy.tunnel.opened"), 0);
  });

  it("ends a loop through itself", async () => {
    const own = `127.0.0.1:${port}`;
    const other = world.honest.mirror.authority;
    world.hostile.mirror.script("/loop", (_asked, socket) => {
      socket.write(answer("302 Found", { location: `http://${own}/${other}/loop` }));
    });
    const loops = [
      ...[`/${own}/${other}/x`, `http://${own}/${own}/${other}/x`, `/127.1:${port}/${other}/x`],
      ...[
        `/${own}/${own}/${own}/${other}/x`,
        `/0x7f000001:${port}/${other}/x`,
        hostileUrl("/loop"),
      ],
    ];
    for (const target of loops) assert.equal((await ask(port, target)).status, 508, target);
    assert.equal(await world.daemon.counter("engine.loop"), loops.length);
  });

  it("refuses heads and bodies that are too large, and methods that it does not know", async () => {
    const long = "a".repeat(limits.requestUrlBytes);
    assert.equal((await ask(port, `/${world.honest.mirror.authority}/${long}`)).status, 414);
    const headers = { "x-long": "a".repeat(limits.requestHeaderBytes) };
    assert.equal((await ask(port, url("small"), { headers })).status, 431);
    assert.equal((await ask(port, url("small"), { method: "DELETE" })).status, 405);
    const body = { "content-length": "1000000000000" };
    assert.equal((await ask(port, url("small"), { headers: body })).status, 413);
    const endless = new HostileClient(port);
    endless.send(get(url("small"), "Transfer-Encoding: chunked\r\n"));
    const upload = chunked(Buffer.alloc(64 * 1024)).toString("latin1");
    for (let sent = 0; sent < 200 && !endless.ended; sent += 1) endless.send(upload);
    await endless.until(({ received }) => received.includes("413"));
    endless.close();
  });

  it("serves others while hundreds of clients do not finish their heads", async () => {
    const before = descriptors(world.daemon);
    const slow = Array.from({ length: 300 }, () => new HostileClient(port));
    await Promise.all(slow.map((client) => connected(client)));
    for (const [index, client] of slow.entries()) {
      client.send(get(url("large")).slice(0, 5 + (index % 50)));
    }
    await eventually(
      () => descriptors(world.daemon) > before + 270,
      () => "the slow clients are not connected",
    );
    for (let round = 0; round < 5; round += 1) {
      for (const client of slow) client.send("x");
      await honestGet(world);
    }
    for (const client of slow) client.close();
    await descriptorsReturn(world.daemon, before);
  });

  it("takes no more connections than it was told to, and is there again when they go", async () => {
    const before = descriptors(world.daemon);
    const many = Array.from({ length: 700 }, () => new HostileClient(port));
    await eventually(
      () => many.filter((client) => client.ended).length >= 700 - 512,
      () => `only ${many.filter((client) => client.ended).length} were turned away`,
    );
    assert.ok(descriptors(world.daemon) <= before + 512);
    for (const client of many) client.close();
    await descriptorsReturn(world.daemon, before);
  });

  it("bounds what one connection may pipeline", async () => {
    const before = descriptors(world.daemon);
    const resident = residentMiB(world.daemon);
    const floods = Array.from({ length: 4 }, () => new HostileClient(port));
    const flood = get(url("small")).repeat(5000);
    for (const client of floods) client.send(flood);
    for (const client of floods) await client.until(() => false);
    for (const client of floods) client.close();
    assert.ok(residentMiB(world.daemon) < resident + 60);
    await descriptorsReturn(world.daemon, before);
  });

  it("answers as many pipelined requests as may wait, in order", async () => {
    const count = limits.pipelinedAtOnce + limits.pipelinedWaiting;
    const small = content("small");
    const client = new HostileClient(port);
    client.send(get(url("small")).repeat(count));
    await client.until(({ receivedBytes }) => receivedBytes > count * small.length);
    await eventually(
      () => client.received.toString("latin1").split("HTTP/1.1 200 OK").length === count + 1,
      () => "not all answers came",
    );
    client.close();
  });

  it("keeps neither much memory nor descriptors for clients that stop reading", async () => {
    await ask(port, url("large"));
    const before = descriptors(world.daemon);
    const resident = residentMiB(world.daemon);
    const stopped = Array.from({ length: 60 }, () => new HostileClient(port));
    for (const client of stopped) client.socket.pause();
    for (const client of stopped) client.send(get(url("large")));
    await eventually(
      () => descriptors(world.daemon) > before + 40,
      () => "the clients are not connected",
    );
    await honestGet(world, "medium");
    // Two chunks of 256 KiB each, and what the system's buffers do not take.
    assert.ok(
      residentMiB(world.daemon) < resident + 90,
      `${resident} → ${residentMiB(world.daemon)}`,
    );
    for (const client of stopped) client.close();
    await descriptorsReturn(world.daemon, before);
    let left = 0;
    await eventually(
      async () => (left = await world.daemon.counter("proxy.clientLeft")) >= 50,
      () => `only ${left} of 60 were counted`,
    );
  });

  it("outlives clients that leave at every stage of a download", async () => {
    const { path } = world.hostile.archive.package("large");
    const bytes = readFileSync(join(world.hostile.archive.root, path));
    world.hostile.mirror.script(`/${path}`, (_asked, socket) => {
      socket.write(
        answer("200 OK", { "content-length": `${bytes.length}` }, bytes.subarray(0, 100)),
      );
      const rest = setTimeout(() => socket.write(bytes.subarray(100)), 200);
      socket.once("close", () => clearTimeout(rest));
    });
    const before = descriptors(world.daemon);
    const whole = get(hostileUrl(`/${path}`));
    const stages = [
      ...[0, 1, 4, 30, whole.length - 1].map((length) => whole.slice(0, length)),
      ...[whole, whole, whole],
    ];
    for (const [index, text] of stages.entries()) {
      const client = new HostileClient(port);
      await connected(client);
      client.send(text);
      if (index >= 6) await client.until(({ receivedBytes }) => receivedBytes > 0);
      if (index >= 7) await client.until(({ receivedBytes }) => receivedBytes > 1_000_000);
      client.close();
    }
    const reply = await ask(port, hostileUrl(`/${path}`));
    assert.equal(sha256(reply.body), sha256(bytes));
    assert.equal(world.hostile.mirror.timesAsked(`/${path}`), 1);
    await eventually(
      async () => (await storedDigests(world.daemon)).has(sha256(bytes)),
      () => "the file was not stored",
    );
    await descriptorsReturn(world.daemon, before + 2);
  });

  it("takes ranges of a stored file as they are meant, and ignores the rest", async () => {
    const bytes = content("medium");
    await honestGet(world, "medium");
    const size = bytes.length;
    const cases: readonly (readonly [string, number, Buffer | undefined])[] = [
      ["bytes=0-0", 206, bytes.subarray(0, 1)],
      ["bytes=-1", 206, bytes.subarray(-1)],
      [`bytes=-${size + 1}`, 206, bytes],
      [`bytes=${size - 1}-`, 206, bytes.subarray(-1)],
      [`bytes=1-${"9".repeat(15)}`, 206, bytes.subarray(1)],
      [`bytes=${size}-`, 416, undefined],
      ["bytes=-0", 416, undefined],
      [`bytes=${"9".repeat(15)}-`, 416, undefined],
      [`bytes=${"9".repeat(400)}-`, 200, bytes],
      ["bytes=5-4", 200, bytes],
      ["bytes=-5-10", 200, bytes],
      ["bytes=--5", 200, bytes],
      ["bytes=0x1-2", 200, bytes],
      ["bytes=1e1-", 200, bytes],
      ["bytes=", 200, bytes],
      ["items=0-1", 200, bytes],
      [`bytes=${"0-0,".repeat(2000)}0-0`, 200, bytes],
    ];
    for (const [range, status, expected] of cases) {
      const reply = await ask(port, url("medium"), { headers: { range } });
      assert.equal(reply.status, status, range.slice(0, 40));
      assert.ok(reply.whole, range.slice(0, 40));
      if (expected !== undefined) assert.ok(reply.body.equals(expected), range.slice(0, 40));
    }
  });

  it("takes ranges of a file on its way as they are meant", async () => {
    const { path } = world.hostile.archive.package("victim0");
    const bytes = readFileSync(join(world.hostile.archive.root, path));
    world.hostile.mirror.script(`/${path}`, (_asked, socket) => {
      socket.write(answer("200 OK", { "content-length": `${bytes.length}` }, bytes.subarray(0, 9)));
      setTimeout(() => socket.write(bytes.subarray(9)), 250);
    });
    const ranges = [
      "bytes=0-0",
      "bytes=5-9",
      "bytes=-7",
      "bytes=199000-",
      "bytes=9-4",
      "bytes=0-,-1",
    ];
    const replies = await Promise.all(
      [undefined, ...ranges].map((range) =>
        ask(port, hostileUrl(`/${path}`), { headers: range === undefined ? {} : { range } }),
      ),
    );
    const expected = [
      ...[bytes, bytes.subarray(0, 1), bytes.subarray(5, 10), bytes.subarray(-7)],
      ...[bytes.subarray(199_000), bytes, bytes],
    ];
    for (const [index, reply] of replies.entries()) {
      assert.ok(reply.whole && reply.body.equals(expected[index]!), ranges[index - 1] ?? "whole");
    }
    assert.equal(world.hostile.mirror.timesAsked(`/${path}`), 1);
  });

  it("joins no rest to a beginning that may be of other content", async () => {
    const bytes = content("medium");
    const known = await honestGet(world, "medium");
    const { etag = "", "last-modified": date = "" } = known.headers;
    const range = "bytes=100-";
    const others = [`W/${etag}`, etag.replaceAll('"', ""), '"other"', "*", `${etag}, ${etag}`, ""];
    const dates = ["Thu, 01 Jan 1970 00:00:00 GMT", new Date().toUTCString(), "never"];
    for (const condition of [...others, ...dates]) {
      const headers = { range, "if-range": condition };
      const reply = await ask(port, url("medium"), { headers });
      assert.equal(reply.status, 200, condition);
      assert.ok(reply.body.equals(bytes), condition);
    }
    for (const condition of [etag, date]) {
      const reply = await ask(port, url("medium"), { headers: { range, "if-range": condition } });
      assert.equal(reply.status, 206, condition);
      assert.ok(reply.body.equals(bytes.subarray(100)));
    }
  });

  it("answers conditions of all kinds without a body that does not belong to them", async () => {
    const { headers } = await honestGet(world, "medium");
    const { etag = "", "last-modified": date = "" } = headers;
    const cases: readonly (readonly [Record<string, string>, number])[] = [
      [{ "if-none-match": etag }, 304],
      [{ "if-none-match": `"x", W/${etag}` }, 304],
      [{ "if-none-match": '"x"', "if-modified-since": date }, 200],
      [{ "if-modified-since": date }, 304],
      [{ "if-modified-since": "Thu, 01 Jan 1970 00:00:00 GMT" }, 200],
      [{ "if-modified-since": "nonsense" }, 200],
      [{ "if-none-match": ",".repeat(5000) }, 200],
      [{ "if-none-match": etag, range: "bytes=5-" }, 304],
    ];
    for (const [conditions, status] of cases) {
      for (const method of ["GET", "HEAD"]) {
        const reply = await ask(port, url("medium"), { method, headers: conditions });
        assert.equal(reply.status, status, JSON.stringify(conditions).slice(0, 80));
        if (status === 304 || method === "HEAD") assert.equal(reply.body.length, 0);
      }
    }
  });

  it("answers HEAD everywhere without a body, pipelined as well", async () => {
    const dists = `http://${world.honest.mirror.authority}/dists/stable`;
    const targets = [
      ...[url("small"), url("victim1"), `${dists}/InRelease`, `${dists}/none`, "/", "*"],
      ...["http://127.0.0.2/", `${dists}/main/binary-amd64/Packages.xz`, url("medium")],
    ];
    const client = new HostileClient(port);
    const heads = targets.map((target) => `HEAD ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    client.send(heads.join(""));
    await eventually(
      () => client.received.toString("latin1").split("\r\n\r\n").length === targets.length + 1,
      () => client.received.toString("latin1"),
    );
    const replies = client.received.toString("latin1").split("\r\n\r\n").slice(0, -1);
    const statuses = replies.map((text) => parseReply(Buffer.from(`${text}\r\n\r\n`)).status);
    assert.deepEqual(statuses, [200, 200, 200, 404, 200, 400, 403, 200, 200]);
    assert.ok(client.received.toString("latin1").endsWith("\r\n\r\n"));
    client.close();
  });

  it("has stored nothing wrong after all that", async () => {
    const digests = await storedDigests(world.daemon);
    assert.ok(digests.has(world.honest.archive.package("medium").sha256));
  });
});
