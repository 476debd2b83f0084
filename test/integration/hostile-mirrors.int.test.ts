/** The real daemon against mirrors that lie, break off, flood and never end. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { after, afterEach, before, describe, it } from "mocha";
import { MiB } from "../../src/base/units.ts";
import { sha256 } from "../kit/bytes.ts";
import { daemonIsBuilt } from "../kit/daemon.ts";
import { testKeys } from "../kit/keys.ts";
import { ask, type Reply } from "./hostile-client.ts";
import { answer, chunked, pour, type Script } from "./hostile-mirror.ts";
import {
  descriptors,
  descriptorsReturn,
  eventually,
  honestGet,
  hostileWorld,
  residentMiB,
  storedDigests,
  update,
  why,
  type HostileWorld,
} from "./hostile-world.ts";

describe("the daemon against hostile mirrors", function () {
  this.timeout(20_000);
  let world: HostileWorld;
  let port: number;
  let victims = 0;

  const urlOf = (path: string): string => `http://${world.hostile.mirror.authority}${path}`;
  /** The prefix form, since `why` takes a loopback address for the daemon's own. */
  const asked = (path: string): string =>
    `http://localhost:9977/${world.hostile.mirror.authority}${path}`;
  const script = (path: string, run: Script): void => world.hostile.mirror.script(path, run);
  const say = (path: string, ...texts: readonly (Buffer | string)[]): void => {
    script(path, ({ times }, socket) => socket.write(texts[Math.min(times, texts.length - 1)]!));
  };
  const fetch = (path: string, headers: Record<string, string> = {}): Promise<Reply> =>
    ask(port, urlOf(path), { headers });
  /** A package of known digest that nobody has asked for yet. */
  const victim = (): { path: string; bytes: Buffer; digest: string } => {
    const { path, sha256: digest } = world.hostile.archive.package(`victim${victims++}`);
    return {
      path: `/${path}`,
      bytes: readFileSync(join(world.hostile.archive.root, path)),
      digest,
    };
  };
  const stored = async (digest: string): Promise<boolean> =>
    (await storedDigests(world.daemon)).has(digest);
  const becomesStored = (digest: string): Promise<void> =>
    eventually(
      () => stored(digest),
      () => "the right file was not stored",
    );
  const mended = async ({ path, digest }: ReturnType<typeof victim>): Promise<void> => {
    await eventually(
      async () => sha256((await fetch(path)).body) === digest,
      () => "the right file did not come once the mirror was right",
    );
    await becomesStored(digest);
  };
  const flipped = (bytes: Buffer, at = 10): Buffer => {
    const copy = Buffer.from(bytes);
    copy[at] = (copy[at] ?? 0) ^ 1;
    return copy;
  };
  const ok = (bytes: Buffer | string, headers: Record<string, string> = {}): Buffer =>
    answer("200 OK", headers, bytes);

  before(async () => {
    assert.ok(daemonIsBuilt(), "run npm run build first");
    world = await hostileWorld({ store: ["quota = 60MB", "keep_free = 1MB"] });
    port = world.daemon.port;
    await update(world, "honest");
    await update(world, "hostile");
    await honestGet(world);
    await honestGet(world, "large");
  });

  afterEach(async () => {
    await honestGet(world);
    assert.doesNotMatch(world.daemon.log, /bug\.unhandled/);
    await storedDigests(world.daemon);
  });

  after(async () => {
    await world.close();
  });

  it("turns every answer that is no HTTP into an error of one connection", async () => {
    const before = descriptors(world.daemon);
    const answers: readonly (readonly [string, number])[] = [
      ["SSH-2.0-x\r\n", 502],
      ["\0\xff".repeat(2000), 502],
      ["HTTP/1.1 1xx x\r\n\r\n", 502],
      ["HTTP/1.1 099 x\r\nContent-Length: 0\r\n\r\n", 502],
      ["HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", 502],
      ["HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello", 502],
      ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 502],
      [`HTTP/1.1 200 OK\r\nContent-Length: ${"9".repeat(30)}\r\n\r\nhello`, 502],
      ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello", 502],
      ["HTTP/1.1 200 OK\r\nETag: a\x01b\r\nContent-Length: 5\r\n\r\nhello", 502],
      [`HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(20_000)}\r\n`, 502],
      [`HTTP/1.1 200 OK\r\nX: ${"y".repeat(100_000)}\r\n\r\n`, 502],
      ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n", 502],
      [
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;${"x".repeat(20_000)}\r\nhello\r\n0\r\n\r\n`,
        502,
      ],
      [`${"HTTP/1.1 100 Continue\r\n\r\n".repeat(5000)}HTTP/1.1 204 No Content\r\n\r\n`, 204],
      ["HTTP/1.1 304 Not Modified\r\n\r\n", 304],
      ["HTTP/1.1 302 Found\r\nLocation: //[\r\nContent-Length: 0\r\n\r\n", 403],
      ["HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", 403],
    ];
    for (const [index, [text, status]] of answers.entries()) {
      say(`/nonsense${index}`, Buffer.from(text, "latin1"));
      const reply = await fetch(`/nonsense${index}`);
      assert.equal(reply.status, status, text.slice(0, 60));
    }
    await descriptorsReturn(world.daemon, before);
  });

  it("follows no redirect to this machine or link, nor for ever", async () => {
    const forbidden = await world.daemon.counter("engine.forbidden");
    const locations = [
      ...["http://127.0.0.2/", "http://127.2/", "http://0x7f000002/", "http://[::1]/", "http://0/"],
      ...["http://localhost:9/", "http://[::ffff:127.0.0.2]/", "http://169.254.169.254/latest/"],
      ...["//127.0.0.2/x", "https://[fe80::1]/", "ftp://127.0.0.1/"],
    ];
    for (const [index, location] of locations.entries()) {
      say(`/moved${index}`, answer("302 Found", { location }));
      assert.equal((await fetch(`/moved${index}`)).status, 403, location);
    }
    say("/round", answer("301 Moved", { location: "/round" }));
    assert.equal((await fetch("/round")).status, 403);
    assert.equal(world.hostile.mirror.timesAsked("/round"), 11);
    const now = await world.daemon.counter("engine.forbidden");
    assert.equal(now, forbidden + locations.length + 1);
  });

  it("gives no credentials to where it is sent", async () => {
    say("/secret", answer("302 Found", { location: `http://${world.honest.mirror.authority}/x` }));
    let heard: string | undefined = "nothing";
    script("/here", ({ headers }, socket) => {
      heard = headers["authorization"];
      socket.write(ok("ok"));
    });
    say("/back", answer("302 Found", { location: "/here" }));
    const authorization = "Basic c2VjcmV0";
    await fetch("/secret", { authorization });
    await fetch("/back", { authorization });
    assert.equal(heard, authorization);
    assert.ok(world.honest.mirror.requests(/^\/x$/).length === 1);
  });

  it("fetches a small wrong file again before anybody has seen it", async () => {
    const { path, sha256: digest } = world.hostile.archive.package("small");
    const bytes = readFileSync(join(world.hostile.archive.root, path));
    say(`/${path}`, ok(flipped(bytes)), ok(bytes));
    const before = await world.daemon.counter("engine.mismatch.refetch");
    const reply = await fetch(`/${path}`);
    assert.equal(sha256(reply.body), digest);
    assert.equal(await world.daemon.counter("engine.mismatch.refetch"), before + 1);
    await becomesStored(digest);
  });

  it("cuts a wrong file short, and has the right one for the next who asks", async () => {
    const file = victim();
    const { path, bytes, digest } = file;
    const dated = { "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT" };
    say(path, ok(flipped(bytes), dated), ok(bytes, dated));
    const first = await fetch(path);
    assert.equal(first.status, 200);
    assert.equal(first.whole, false);
    assert.ok(first.body.length <= bytes.length - 16 * 1024);
    const headers = {
      range: `bytes=${first.body.length}-`,
      "if-range": first.headers["last-modified"] ?? "",
    };
    const second = await fetch(path, headers);
    assert.equal(second.status, 200);
    assert.equal(sha256(second.body), digest);
    await becomesStored(digest);
  });

  it("never stores the bytes of a mirror that insists", async () => {
    const { path, bytes, digest } = victim();
    const wrong = flipped(bytes, bytes.length - 1);
    say(path, ok(wrong));
    const passed = await world.daemon.counter("engine.mismatch.pass");
    await eventually(
      async () => (await fetch(path)).body.equals(wrong),
      () => "apt never saw what its mirror has",
    );
    assert.ok((await world.daemon.counter("engine.mismatch.pass")) > passed);
    assert.equal(await stored(digest), false);
    assert.equal(await stored(sha256(wrong)), false);
  });

  it("stores nothing of an answer that is another than was asked for", async () => {
    const { path, bytes, digest } = victim();
    const range = `bytes 0-${bytes.length - 1}/${bytes.length}`;
    const lies: readonly (readonly [Buffer | string, number])[] = [
      [answer("206 Partial Content", { "content-range": range }, bytes), 206],
      [answer("203 Other", {}, bytes), 203],
      [ok(gzipSync(bytes), { "content-encoding": "gzip" }), 200],
      [ok(bytes, { "content-encoding": "gzip" }), 200],
      [ok(Buffer.concat([bytes, bytes])), 200],
      [ok(bytes.subarray(0, 1000)), 200],
      [ok(""), 200],
      ["HTTP/1.1 304 Not Modified\r\n\r\n", 304],
      ["HTTP/1.1 204 No Content\r\n\r\n", 204],
      [answer("416 Range Not Satisfiable", {}, "no"), 416],
      [answer("404 Not Found", {}, bytes), 404],
    ];
    for (const [lie, status] of lies) {
      say(path, lie);
      const reply = await fetch(path);
      assert.equal(reply.status, status, lie.toString("latin1").slice(0, 60));
      assert.ok(!reply.body.equals(bytes) || reply.headers["etag"] === undefined);
      assert.equal(await stored(digest), false, lie.toString("latin1").slice(0, 60));
    }
    say(path, ok(bytes));
    await mended({ path, bytes, digest });
  });

  it("mends bodies that end too early, in whatever way the mirror goes on", async () => {
    const beginning = 60_000;
    const ways: readonly ((bytes: Buffer, from: number) => Buffer)[] = [
      (bytes, from) =>
        answer(
          "206 Partial Content",
          { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` },
          bytes.subarray(from),
        ),
      (bytes) => ok(bytes),
      // Wrong Content-Range, each followed by what it says, then by the whole.
      (bytes, from) =>
        answer(
          "206 Partial Content",
          { "content-range": `bytes ${from + 1}-${bytes.length - 1}/${bytes.length}` },
          bytes.subarray(from + 1),
        ),
      (bytes) => answer("206 Partial Content", { "content-range": "nonsense" }, bytes),
      (bytes) => answer("206 Partial Content", {}, bytes),
      (bytes) =>
        answer(
          "206 Partial Content",
          { "content-range": `bytes ${beginning}-${bytes.length}/${bytes.length + 1}` },
          bytes,
        ),
      () => answer("416 Range Not Satisfiable", { "content-range": "bytes */5" }),
    ];
    const attempt = async (go: (typeof ways)[number]): Promise<void> => {
      const file = victim();
      const { path, bytes } = file;
      script(path, ({ times, headers }, socket) => {
        const from = Number(/^bytes=(\d+)-$/.exec(headers["range"] ?? "")?.[1] ?? 0);
        if (times === 0) {
          socket.write(ok(bytes).subarray(0, -(bytes.length - beginning)));
          socket.end();
        } else socket.write(from > 0 && times === 1 ? go(bytes, from) : ok(bytes));
      });
      const reply = await fetch(path);
      assert.equal(reply.status, 200);
      if (reply.whole) assert.equal(sha256(reply.body), file.digest);
      await mended(file);
    };
    await Promise.all(ways.map((go) => attempt(go)));
  });

  it("joins no other file's rest to the beginning of a known one", async () => {
    const { path, sha256: digest } = world.hostile.archive.package("medium");
    const bytes = readFileSync(join(world.hostile.archive.root, path));
    const other = Buffer.alloc(bytes.length, "other");
    script(`/${path}`, ({ times, headers }, socket) => {
      const from = Number(/^bytes=(\d+)-$/.exec(headers["range"] ?? "")?.[1] ?? 0);
      const range = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
      if (times === 0) socket.end(ok(bytes).subarray(0, 150_000));
      else if (from === 0) socket.write(ok(bytes));
      else {
        socket.write(
          answer("206 Partial Content", { "content-range": range }, other.subarray(from)),
        );
      }
    });
    const first = await ask(port, urlOf(`/${path}`));
    assert.equal(first.whole, false);
    await mended({ path: `/${path}`, bytes, digest });
  });

  it("passes on bodies of unknown length that are larger than the store", async () => {
    const before = descriptors(world.daemon);
    const resident = residentMiB(world.daemon);
    for (const framing of ["", "Transfer-Encoding: chunked\r\n"]) {
      const path = `/large${framing.length}`;
      script(path, (_asked, socket) => {
        socket.write(`HTTP/1.1 200 OK\r\n${framing}\r\n`);
        const bytes = Buffer.alloc(64 * 1024);
        pour(socket, framing === "" ? bytes : chunked(bytes), 90 * MiB);
      });
      const reply = await fetch(path);
      assert.equal(reply.status, 200);
      // Without the last chunk a chunked body has not come to its end.
      assert.equal(reply.whole, framing === "");
      assert.ok(reply.body.length > 80 * MiB);
    }
    const now = residentMiB(world.daemon);
    assert.ok(now < resident + 150, `${resident} MiB → ${now} MiB`);
    await descriptorsReturn(world.daemon, before);
  });

  it("gives up a file that outgrows its listed size, and takes the right one", async () => {
    const file = victim();
    const { path, bytes } = file;
    const longer = Buffer.concat([bytes, Buffer.alloc(50_000)]);
    const head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    say(path, Buffer.concat([Buffer.from(head), chunked(longer)]), ok(bytes));
    const reply = await fetch(path);
    assert.equal(reply.whole, false);
    await mended(file);
    assert.ok((await world.daemon.counter("engine.download.refetched")) > 0);
  });

  it("waits for no mirror longer than it was told to", async () => {
    const { path } = victim();
    script(path, () => undefined);
    script("/silent", () => undefined);
    script("/stalls", (_asked, socket) => {
      socket.write(answer("200 OK", { "content-length": "100000" }, "some"));
    });
    script("/information", (_asked, socket) => {
      const more = setInterval(() => socket.write("HTTP/1.1 102 Processing\r\n\r\n"), 50);
      socket.once("close", () => clearInterval(more));
    });
    const paths = [path, "/silent", "/stalls", "/information"];
    const replies = await Promise.all(paths.map((each) => fetch(each)));
    for (const [index, reply] of replies.entries()) {
      assert.ok(reply.status === 502 || !reply.whole, paths[index]);
      assert.ok(reply.milliseconds < 6000, `${paths[index]}: ${reply.milliseconds} ms`);
    }
  });

  it("stores what lies under by-hash only if it has that hash", async () => {
    const wrong = Buffer.alloc(20_000, "not what the name says");
    const digest = "ab".repeat(32);
    const directory = "/dists/stable/main/binary-amd64/by-hash";
    say(`${directory}/SHA256/${digest}`, ok(wrong));
    say(`${directory}/SHA512/${"cd".repeat(64)}`, ok(wrong));
    say(`${directory}/MD5Sum/${"ef".repeat(16)}`, ok(wrong));
    for (const name of [
      `SHA256/${digest}`,
      `SHA512/${"cd".repeat(64)}`,
      `MD5Sum/${"ef".repeat(16)}`,
    ]) {
      for (let round = 0; round < 3; round += 1) await fetch(`${directory}/${name}`);
    }
    assert.equal(await stored(digest), false);
    assert.equal(await stored(sha256(wrong)), false);
  });

  describe("as an archive", () => {
    const date = (ms: number): string => new Date(ms).toUTCString().replace("GMT", "UTC");

    async function publish(
      suite: string,
      index: { readonly bytes: Buffer; readonly suffix: string },
      dateMs = Date.now(),
    ): Promise<string> {
      const path = `main/binary-amd64/Packages${index.suffix}`;
      const { length } = index.bytes;
      const text = [
        ...[`Suite: ${suite}`, `Codename: ${suite}`, `Date: ${date(dateMs)}`],
        ...["Architectures: amd64", "Components: main", "SHA256:"],
        ` ${sha256(index.bytes)} ${length} ${path}`,
        "",
      ].join("\n");
      const signed = await (await testKeys()).clearsign(text, "trusted");
      say(`/dists/${suite}/InRelease`, ok(signed));
      say(`/dists/${suite}/${path}`, ok(index.bytes));
      await fetch(`/dists/${suite}/InRelease`);
      return `/dists/${suite}/${path}`;
    }

    const row = (name: string, digest: string, size = "1"): string =>
      `Package: x\nFilename: ${name}\nSize: ${size}\nSHA256: ${digest}\n\n`;

    describe("whose indexes explode", function () {
      /** For each: 1 GiB goes through in 16,000 turns, which take 8 s where others want the cores. */
      const withinMs = 30_000;
      let bombs: readonly (readonly [suite: string, bytes: Buffer, reason: RegExp])[];
      // Beside what is waited for below there are four downloads, each with a time-out of its own.
      this.timeout(4 * withinMs + 12_000);

      before(() => {
        const packed = (text: string, bytes: number): Buffer =>
          gzipSync(Buffer.from(text.repeat(Math.floor(bytes / text.length))), { level: 1 });
        const times = (bytes: Buffer, count: number): Buffer =>
          Buffer.concat(Array.from({ length: count }, () => bytes));
        const same = row("pool/x.deb", "a".repeat(64));
        // Ten million short lines, which cost most; the rest in long ones, so as to reach 1 GiB soon.
        const short = times(packed("Tag: value\n", 50 * MiB), 2);
        const long = times(packed(`Tag: ${"value".repeat(2000)}\n`, 50 * MiB), 40);
        bombs = [
          ["two-gigabytes", Buffer.concat([short, long]), /expands to more than/],
          ["one-line", times(packed("x", 50 * MiB), 42), /a line is longer/],
          ["five-million", times(packed(same, 50 * MiB), 12), /lists more than/],
          // A hundred times what collides at all: each further row would only be parsed.
          ["duplicates", packed(same.repeat(100), 100_000 * same.length), /collide/],
        ];
      });

      it("bounds them, while it answers", async () => {
        const resident = residentMiB(world.daemon);
        let peak = 0;
        const failed = await world.daemon.counter("archive.work.failed");
        for (const [index, [suite, bytes, reason]] of bombs.entries()) {
          const reply = await fetch(await publish(suite, { bytes, suffix: ".gz" }));
          assert.equal(reply.status, 200);
          await eventually(
            async () => {
              peak = Math.max(peak, residentMiB(world.daemon));
              await honestGet(world);
              return (await world.daemon.counter("archive.work.failed")) > failed + index;
            },
            () => `${suite} was not refused`,
            withinMs,
          );
          assert.match(world.daemon.log, reason);
        }
        assert.ok(peak < resident + 150, `${resident} MiB → ${peak} MiB`);
      });
    });

    it("hears nothing about files outside of the archive, and no nonsense", async () => {
      const digest = "a".repeat(64);
      const text = [
        row("../../other/x.deb", digest),
        row("/etc/passwd", digest),
        row("pool/../../x.deb", digest),
        row("pool/\u0007.deb", digest),
        row("pool/negative.deb", digest, "-1"),
        row("pool/huge.deb", digest, "9".repeat(40)),
        row("pool/short.deb", "a".repeat(63)),
        row("pool/md5.deb", "a".repeat(32)),
        row(`pool/${"long".repeat(2000)}.deb`, digest),
        row("pool/right.deb", digest),
      ].join("");
      const before = await world.daemon.counter("archive.index.refusedRows");
      const path = await publish("odd", { bytes: Buffer.from(text), suffix: "" });
      assert.equal((await fetch(path)).status, 200);
      const known = async (name: string): Promise<number> =>
        (await why(world.daemon, asked(name))).expectations.length;
      await eventually(
        async () => (await known("/pool/right.deb")) === 1,
        () => "the index was not read",
      );
      const unknown = ["/x.deb", "/other/x.deb", "/etc/passwd", "/dists/etc/passwd"];
      for (const name of [
        ...unknown,
        ...["negative", "huge", "short", "md5"].map((each) => `/pool/${each}.deb`),
      ]) {
        assert.equal(await known(name), 0, name);
      }
      assert.equal(await world.daemon.counter("archive.index.refusedRows"), before + 9);
    });

    it("takes either digest of a name listed twice, and no third", async () => {
      const one = Buffer.alloc(5000, "one");
      const two = Buffer.alloc(6000, "two");
      const text = [one, two].map((each) => row("pool/twice.deb", sha256(each), `${each.length}`));
      const path = await publish("twice", { bytes: Buffer.from(text.join("")), suffix: "" });
      await fetch(path);
      say("/pool/twice.deb", ok(Buffer.alloc(7000, "three")));
      await fetch("/pool/twice.deb");
      assert.equal(await stored(sha256(Buffer.alloc(7000, "three"))), false);
      say("/pool/twice.deb", ok(two));
      const reply = await fetch("/pool/twice.deb");
      assert.ok(reply.body.equals(two));
      await becomesStored(sha256(two));
    });

    it("refuses signed documents with anything outside of the signature", async () => {
      const keys = await testKeys();
      const entry = ` ${"b".repeat(64)} 5 main/binary-amd64/Packages`;
      const text = `Suite: s\nDate: ${date(Date.now())}\nSHA256:\n${entry}\n`;
      const good = await keys.clearsign(text, "trusted");
      const evil = text.replaceAll("b".repeat(64), "e".repeat(64));
      const forgeries: readonly string[] = [
        evil + good,
        good + evil,
        good + good,
        good.replace("b".repeat(64), "e".repeat(64)),
        good.replace("Hash: ", `SHA256: \nHash: `),
        good.replace("\n\nSuite", `\n${evil}\n\nSuite`),
        evil,
        "",
      ];
      for (const [index, forgery] of forgeries.entries()) {
        say(`/dists/forged${index}/InRelease`, ok(forgery));
        const reply = await fetch(`/dists/forged${index}/InRelease`);
        assert.equal(reply.body.toString("latin1"), Buffer.from(forgery).toString("latin1"));
        const name = `/dists/forged${index}/main/binary-amd64/Packages`;
        const { expectations, refused } = await why(world.daemon, asked(name));
        assert.equal(expectations.length, 0, `forgery ${index}`);
        assert.ok(
          refused.some((each) => each.name.includes(`forged${index}/`)),
          `${index}`,
        );
      }
      const counters = (await world.daemon.status()).counters;
      assert.ok((counters["archive.document.contradicted"] ?? 0) >= 1);
      assert.ok((counters["archive.document.malformed"] ?? 0) >= 5);
    });

    it("prefers what was signed last when an old Release comes again", async () => {
      const old = Buffer.from(row("pool/replayed.deb", "1".repeat(64)));
      const current = Buffer.from(row("pool/replayed.deb", "2".repeat(64)));
      const now = Date.now();
      const suffix = "";
      await fetch(await publish("replayed", { bytes: old, suffix }, now - 7_200_000));
      await fetch(await publish("replayed", { bytes: current, suffix }, now - 3_600_000));
      await fetch(await publish("replayed", { bytes: old, suffix }, now - 7_200_000));
      const url = asked("/pool/replayed.deb");
      await eventually(
        async () => (await why(world.daemon, url)).expectations[0]?.sha256 === "2".repeat(64),
        () => "the old Release won",
      );
      assert.ok(
        (await why(world.daemon, url)).expectations.every(({ trust }) => trust === "verified"),
      );
    });
  });
});
