/**
 * The program that apt asks for its proxy (etc/apt-proxy), run as apt runs it, with all kinds of
 * daemon, of other programs on the port, and of configuration.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { networkInterfaces } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, it } from "mocha";
import { Counters } from "../../src/base/counters.ts";
import { systemClock } from "../../src/io/system-clock.ts";
import { Access } from "../../src/proxy/access.ts";
import { proxyServer } from "../../src/proxy/server.ts";
import { freePort } from "../kit/daemon.ts";
import { scratchDirectory } from "../kit/scratch.ts";

const program = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "etc", "apt-proxy");
const uri = "http://ftp.us.debian.org/debian/dists/stable/InRelease";

/** What the probe allows itself, and what a machine with other things to do may add. */
const patienceMs = 500;
const slackMs = 1500;

interface Said {
  readonly out: string;
  readonly err: string;
  readonly code: number | null;
  readonly milliseconds: number;
}

describe("apt-proxy", function () {
  this.timeout(20_000);
  let directory = "";
  let remove = (): void => undefined;
  let port = 0;
  const servers: net.Server[] = [];
  const counters = new Counters();

  beforeEach(async () => {
    ({ path: directory, remove } = scratchDirectory("probe"));
    copyFileSync(program, join(directory, "apt-proxy"));
    chmodSync(join(directory, "apt-proxy"), 0o755);
    port = await freePort();
    configure(`[proxy]\nport = ${port}\n`);
  });
  afterEach(() => {
    remove();
    for (const server of servers.splice(0)) {
      if (server instanceof http.Server) server.closeAllConnections();
      server.close();
    }
  });

  function configure(text: string, name = "apt-p2p.conf"): void {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }

  /** As apt does: one argument, an environment of which nothing is known, and no configuration of its own. */
  function ask(
    about = uri,
    environment: Readonly<Record<string, string>> = {},
    words: readonly string[] = [],
    uid = process.getuid?.() ?? 0,
  ): Promise<Said> {
    const begun = performance.now();
    const env = { APT_CONFIG: join(directory, "apt.conf"), ...environment };
    const path = join(directory, "apt-proxy");
    // Its parent's command line is apt's: a shell that waits for it stands in for apt.
    const child = spawn("/bin/sh", ["-c", '"$0" "$1"; exit $?', path, about, ...words], {
      env,
      uid,
      cwd: directory,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const said = { out: "", err: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (said.out += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said.err += text));
    return new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) =>
        resolve({ ...said, code, milliseconds: performance.now() - begun }),
      );
    });
  }

  async function tells(answer: string, ...how: Parameters<typeof ask>): Promise<number> {
    const said = await ask(...how);
    assert.deepEqual(
      { out: said.out, err: said.err, code: said.code },
      { out: `${answer}\n`, err: "", code: 0 },
    );
    assert.ok(said.milliseconds < patienceMs + slackMs, `${Math.round(said.milliseconds)} ms`);
    return said.milliseconds;
  }

  async function listen(server: net.Server, address = "127.0.0.1", at = port): Promise<void> {
    servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(at, address, resolve);
    });
  }

  /** The daemon's own server, with an engine that is never asked. */
  function daemon(maxConnections = 10): http.Server {
    return proxyServer(
      {
        engine: { answer: () => Promise.reject(new Error("nobody asks for files here")) },
        access: new Access({ allow: [], hosts: [] }),
        dial: () => Promise.reject(new Error("nobody asks for tunnels here")),
        clock: systemClock,
        counters,
        log: { debug: nothing, info: nothing, warn: nothing, error: nothing },
        page: () => Promise.resolve("<!doctype html>"),
      },
      { maxConnections, logRequests: () => false },
    );
  }

  /** Another program, which sends this text to whoever connects. */
  const other = (text: string): net.Server =>
    net.createServer((socket) => socket.on("error", nothing).end(text));
  const ours = (): string => `http://127.0.0.1:${port}`;

  describe("daemon", () => {
    it("is named when it answers, and counts that", async () => {
      await listen(daemon());
      const before = counters.get("proxy.alive");
      await tells(ours());
      assert.equal(counters.get("proxy.alive"), before + 1);
    });
    it("is found where only IPv6 is bound", async function () {
      try {
        await listen(daemon(), "::1");
      } catch {
        this.skip();
      }
      await tells(`http://[::1]:${port}`);
    });
    it("is passed over when it does not run", async () => {
      await tells("DIRECT");
    });
    it("is passed over when its process hangs", async () => {
      const frozen = net.createServer({ pauseOnConnect: true });
      await listen(frozen);
      assert.ok((await tells("DIRECT")) >= patienceMs - 20);
    });
    it("is passed over when it hangs and its queue of connections is full", async () => {
      const script = `const s = require("net").createServer();
        s.listen({ port: ${port}, host: "127.0.0.1", backlog: 1 }, () => {
          process.stdout.write("x"); process.kill(process.pid, "SIGSTOP"); });`;
      const frozen = spawn(process.execPath, ["-e", script], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const waiting: net.Socket[] = [];
      try {
        await new Promise((resolve) => frozen.stdout.once("data", resolve));
        // More than the backlog: the last of these wait for the system to answer them.
        for (let count = 0; count < 8; count++) {
          waiting.push(net.connect(port, "127.0.0.1").on("error", nothing));
        }
        await new Promise((resolve) => setTimeout(resolve, 100));
        assert.ok(waiting.some((socket) => socket.connecting));
        assert.ok((await tells("DIRECT")) >= patienceMs - 20);
      } finally {
        for (const socket of waiting) socket.destroy();
        frozen.kill("SIGKILL");
      }
    });
    it("is passed over when it answers too late", async () => {
      const slow = http.createServer((_request, response) => {
        setTimeout(() => response.end("apt-p2p is alive\n"), 900).unref();
      });
      await listen(slow);
      await tells("DIRECT");
    });
    it("is passed over when all its connections are taken", async () => {
      await listen(daemon(1));
      const taken = net.connect(port, "127.0.0.1");
      await new Promise((resolve) => taken.once("connect", resolve));
      await tells("DIRECT");
      taken.destroy();
    });
  });

  describe("GET /~/alive", () => {
    /** Status and body. */
    const get = (headers: Readonly<Record<string, string>>, how: http.RequestOptions = {}) =>
      new Promise<string>((resolve, reject) => {
        const call = { port, host: "127.0.0.1", path: "/~/alive", headers, agent: false, ...how };
        http
          .request(call, (response) => {
            let body = "";
            response.setEncoding("utf8").on("data", (text: string) => (body += text));
            response.on("end", () => resolve(`${response.statusCode ?? 0} ${body}`));
          })
          .on("error", reject)
          .end();
      });

    it("is answered to programs of this machine alone, and to no web page", async () => {
      await listen(daemon(), "0.0.0.0");
      assert.equal(await get({}), "200 apt-p2p is alive\n");
      assert.equal(await get({}, { method: "HEAD" }), "200 ");
      assert.match(await get({}, { method: "POST" }), /^404 /);
      assert.match(await get({ host: "rebound.example" }), /^421 /);
      assert.match(await get({ origin: "http://example.org" }), /^403 /);
      assert.match(await get({}, { path: "/~/alive/x" }), /^404 /);
      const outer = Object.values(networkInterfaces())
        .flat()
        .find((each) => each?.family === "IPv4" && !each.internal)?.address;
      if (outer !== undefined) assert.match(await get({}, { host: outer }), /^404 /);
    });
  });

  describe("another program on the port", () => {
    const talk = {
      nothing: "",
      "an SSH banner": "SSH-2.0-other\r\n",
      "a page": "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n",
      "an error": "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
      "almost our words": "HTTP/1.1 200 OK\r\n\r\napt-p2p is alive and well\n",
      "binary data": Buffer.from([0, 255, 10, 0, 27, 91, 50, 74, 10]).toString("latin1"),
      "a line without end": "y".repeat(1_000_000),
    };
    for (const [what, text] of Object.entries(talk)) {
      it(`is not taken for the daemon: ${what}`, async () => {
        await listen(other(text));
        await tells("DIRECT");
      });
    }
    it("does not keep it for longer than a frozen daemon by talking without end", async () => {
      const endless = net.createServer((socket) => {
        const more = (): void => {
          if (socket.writable) socket.write("la\n", more);
        };
        socket.on("error", nothing);
        more();
      });
      await listen(endless);
      await tells("DIRECT");
      assert.equal(endless.listening, true);
    });
  });

  describe("hosts", () => {
    beforeEach(() => listen(daemon()));
    it("of this machine are reached directly: sources that name the daemon", async () => {
      for (const host of [
        ...["localhost", "localhost:9977", "LOCALHOST.", "127.0.0.1:80", "127.1.2.3", "[::1]:9977"],
        ...["user:pass@localhost", "apt.localhost"],
      ]) {
        await tells("DIRECT", `http://${host}/ftp.us.debian.org/debian/dists/stable/InRelease`);
      }
      await tells(ours(), "http://localhost.example.org/");
      await tells(ours(), "http://127.example.org/localhost");
    });
    it("that the administrator excepts are reached directly", async () => {
      configure(
        "[apt]\ndirect_hosts = mirror.example.org, *.example.com, 192.0.2.7 # ours\n",
        "conf.d/a.conf",
      );
      for (const host of ["mirror.example.org", "MIRROR.example.org:8080", "a.b.example.com"]) {
        await tells("DIRECT", `http://${host}/x`);
      }
      await tells("DIRECT", "http://192.0.2.7/x");
      for (const host of ["example.com", "badexample.com", "x.mirror.example.org", "192.0.2.77"]) {
        await tells(ours(), `http://${host}/x`);
      }
    });
    it("may be anything: what apt passes is never obeyed", async () => {
      for (const odd of ["http://$(touch x)/", "http://*/", "", "-n", "http://[/", "%s%n\n"]) {
        const { code, err, out } = await ask(odd);
        assert.deepEqual({ code, err }, { code: 0, err: "" }, odd);
        assert.match(out, /^(?:DIRECT|http:\/\/127\.0\.0\.1:\d+)\n$/, odd);
      }
    });
  });

  describe("settings", () => {
    beforeEach(() => listen(daemon()));
    const found: Readonly<Record<string, (port: number) => string>> = {
      "as it is written": (at) => `[proxy]\nport = ${at}\n`,
      "in any case, with any space": (at) => `  [ Proxy ]\r\n\t PORT=${at}  \r\n`,
      "before a comment": (at) => `[proxy]\nport = ${at} # of apt\n`,
      "after what cannot be read": (at) => `???\n[\n= 3\n[proxy]\nport = ${at}`,
      "behind a byte order mark": (at) => `\uFEFF[proxy]\nport = ${at}\n`,
      "with zeros ahead": (at) => `[proxy]\nport = 000${at}\n`,
    };
    for (const [how, text] of Object.entries(found)) {
      it(`are found ${how}`, async () => {
        configure(text(port));
        await tells(ours());
      });
    }
    it("count in the order of the daemon: conf.d after the file, by name", async () => {
      configure("[proxy]\nport = 1\n");
      configure("[proxy]\nport = 2\n", "conf.d/A.conf");
      configure(`[proxy]\nport = ${port}\n`, "conf.d/b.conf");
      configure("[proxy]\nport = 3\n", "conf.d/.c.conf");
      configure("[proxy]\nport = 4\n", "conf.d/c.conf.dpkg-old");
      await tells(ours());
    });
    it("of other sections and commented ones do not count", async () => {
      configure(`[proxy]\nport = ${port}\n#port = 1\n;port = 2\n[dht]\nport = 3\nudp_port = 4\n`);
      await tells(ours());
    });
    it("that cannot be used give the default", async () => {
      const damaged = ["[proxy]\nport = 99999\n", "[proxy]\nport = x$(id)\n", "\0\0\0", ""];
      for (const text of damaged) {
        configure(text);
        const { code, err, out } = await ask();
        // Whatever has that port on this machine, it is asked there and not here.
        assert.deepEqual({ code, err }, { code: 0, err: "" });
        assert.notEqual(out, `${ours()}\n`);
      }
    });
    it("are not missed where files are no files", async () => {
      mkdirSync(join(directory, "conf.d", "z.conf"), { recursive: true });
      writeFileSync(join(directory, "conf.d", "y.conf"), "[proxy]\nport = 5\n", { mode: 0 });
      const { code, err } = await ask();
      assert.deepEqual({ code, err }, { code: 0, err: "" });
    });
    it("include the marker of apt-p2p disable", async () => {
      writeFileSync(join(directory, "disabled"), "");
      await tells("DIRECT");
    });
  });

  describe("another proxy", () => {
    const theirs = "http://proxy.example.org:3128";
    beforeEach(() => listen(daemon()));
    const inFile = (value: string): void =>
      configure(`Acquire::http::Proxy "${value}";\n`, "apt.conf");

    it("that apt is set to is left in force, alive or not", async () => {
      inFile(theirs);
      await tells(theirs);
      writeFileSync(join(directory, "disabled"), "");
      await tells(theirs);
    });
    it("in apt's command line counts more than in its files", async () => {
      inFile("http://nobody.example.org/");
      for (const words of [
        ["-o", `Acquire::http::Proxy=${theirs}`],
        [`-oacquire::http::proxy=${theirs}`],
        ["--option", `Acquire::HTTP::Proxy=${theirs}`, "update"],
      ]) {
        await tells(theirs, uri, {}, words);
      }
      await tells("DIRECT", uri, {}, ["-o", "Acquire::http::Proxy=DIRECT"]);
    });
    it("in the environment counts if apt has none", async () => {
      await tells(theirs, uri, { http_proxy: theirs });
      inFile("DIRECT");
      await tells("DIRECT", uri, { http_proxy: theirs });
    });
    it("is no other one if it is this daemon", async () => {
      for (const own of ["localhost", "127.0.0.1", "[::1]"]) {
        await tells(ours(), uri, { http_proxy: `http://${own}:${port}/` });
      }
    });
    it("for one host is none for all", async () => {
      configure('Acquire::http::Proxy::example.org "http://x:1";\n', "apt.conf");
      await tells(ours());
    });
    it("may stand in a file of root's, so apt is left alone", async function () {
      if (process.getuid?.() !== 0) this.skip();
      const parts = join(directory, "apt.conf.d");
      configure(`Dir::Etc::parts "${parts}";\n`, "apt.conf");
      configure(`Acquire::http::Proxy "${theirs}";\n`, "apt.conf.d/95proxy");
      chmodSync(join(parts, "95proxy"), 0o600);
      const { code, err, out } = await ask(uri, {}, [], 65_534);
      assert.deepEqual({ code, err, out }, { code: 0, err: "", out: "" });
      chmodSync(join(parts, "95proxy"), 0o644);
      await tells(theirs, uri, {}, [], 65_534);
    });
    it("of a kind that apt takes from its setting alone is left to it", async () => {
      inFile("socks5h://proxy.example.org:1080");
      const { code, err, out } = await ask();
      assert.deepEqual({ code, err, out }, { code: 0, err: "", out: "" });
    });
  });

  it("runs nothing that its caller's environment names", async () => {
    await listen(daemon());
    configure("echo stolen; echo stolen >&2\n", "environment");
    await tells(ours(), uri, {
      ...{ BASH_ENV: join(directory, "environment"), ENV: join(directory, "environment") },
      ...{ PATH: directory, SHELLOPTS: "xtrace:noexec", IFS: "/p", port: "1", direct_hosts: "*" },
    });
  });
});

function nothing(): undefined {
  return undefined;
}
