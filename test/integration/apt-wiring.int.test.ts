/**
 * Real apt-get, led by apt.conf and apt-proxy as the package installs them to a real daemon, which
 * then stops, dies, hangs, is disabled, is removed, or finds its port taken: apt must succeed in any
 * case, and soon. At the end of each story `apt-p2p doctor` has to see what was done.
 */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { lookup } from "node:dns/promises";
import net from "node:net";
import { hostname, networkInterfaces } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, afterEach, before, beforeEach, describe, it } from "mocha";
import { programRunner } from "../../src/cli/run-program.ts";
import { runCommand } from "../../src/cli/run.ts";
import { AptRoot } from "../kit/apt-root.ts";
import type { AptResult } from "../kit/apt-root.ts";
import { buildArchive } from "../kit/archive.ts";
import type { Archive } from "../kit/archive.ts";
import { daemonIsBuilt, startDaemon } from "../kit/daemon.ts";
import type { TestDaemon } from "../kit/daemon.ts";
import { startMirror } from "../kit/mirror.ts";
import type { TestMirror } from "../kit/mirror.ts";
import { scratchDirectory } from "../kit/scratch.ts";
import { FakeWorld } from "../unit/cli/fake-world.ts";

const etc = join(dirname(fileURLToPath(import.meta.url)), "..", "..", "etc");
const install = ["install", "--download-only", "alpha"];

/** What a dead daemon may cost apt for each host and run, and what a busy machine may add. */
const delayMs = 1000;
const slackMs = 4000;

/** apt with further variables in its environment. */
class Shell extends AptRoot {
  variables: Readonly<Record<string, string>> = {};

  override get surroundings(): AptRoot["surroundings"] {
    const { cwd, env } = super.surroundings;
    return { cwd, env: { ...env, ...this.variables } };
  }
}

/** apt-p2p as installed, for one apt root: what lies in /etc/apt-p2p and in apt.conf.d. */
class Installation extends FakeWorld {
  readonly root: Shell;

  constructor(archive: Archive, source: string) {
    super();
    const directory = dirname(this.systemConfigFile);
    mkdirSync(directory);
    copyFileSync(join(etc, "apt-proxy"), this.probe);
    this.root = new Shell({ sources: [source], keyringPath: archive.keyringPath });
    this.snippet = snippetFor(this.probe);
    this.environment = { ...this.root.surroundings.env } as Record<string, string>;
    this.environment["PATH"] = process.env["PATH"] ?? "";
    this.runProgram = (...how) => programRunner(this.environment)(...how);
  }

  get probe(): string {
    return join(dirname(this.systemConfigFile), "apt-proxy");
  }

  /** What apt's configuration says of us. */
  set snippet(text: string) {
    writeFileSync(join(this.root.configDirectory, "apt.conf.d", "30apt-p2p"), text);
  }

  /** The configuration as daemon, probe and doctor read it. */
  configure(daemon: { readonly port: number; readonly stateDirectory: string }, more = ""): void {
    writeFileSync(
      this.systemConfigFile,
      `[proxy]\nport = ${daemon.port}\n[store]\nstate_dir = ${daemon.stateDirectory}\n` +
        `[archive]\napt_config_dir = ${this.root.configDirectory}\n${more}`,
    );
  }

  /** `apt-get update` and an installation; both must succeed. */
  async apt(...options: readonly string[]): Promise<number> {
    let milliseconds = 0;
    for (const words of [["update"], ["clean"], install]) {
      const result: AptResult = await this.root.run([...options, ...words]);
      assert.equal(result.code, 0, result.output);
      assert.doesNotMatch(result.output, /^[WE]:/m);
      milliseconds += result.milliseconds;
    }
    return milliseconds;
  }

  /** What doctor says, with exactly this exit status. */
  async doctor(expected: number): Promise<string> {
    this.written.out = "";
    const status = await runCommand(["doctor"], this);
    const said = this.written.out + this.written.err;
    assert.equal(status, expected, said);
    return said.replace(/\s+/g, " ");
  }

  override remove(): void {
    this.root.remove();
    super.remove();
  }
}

describe("apt, led to apt-p2p", function () {
  this.timeout(90_000);
  let mirror: TestMirror;
  let archive: Archive;
  let host: string;
  let removeArchive = (): void => undefined;
  let closeMirror = (): Promise<void> => Promise.resolve();
  let daemon: TestDaemon;
  let here: Installation;
  let directMs = 0;

  before(async function () {
    const found = await ownHost();
    if (!daemonIsBuilt() || found === undefined) this.skip();
    host = found.name;
    const scratch = scratchDirectory("wiring");
    removeArchive = scratch.remove;
    archive = await buildArchive(scratch.path, { packages: [{ name: "alpha" }] });
    mirror = await startMirror({ root: scratch.path, host: found.address });
    closeMirror = () => mirror.close();
    const alone = new Installation(archive, source());
    alone.snippet = "";
    directMs = await alone.apt();
    alone.remove();
  });
  after(async () => {
    await closeMirror();
    removeArchive();
  });
  beforeEach(async () => {
    here = new Installation(archive, source());
    daemon = await startDaemon({
      aptConfigDirectory: here.root.configDirectory,
      allowUpstreams: [host],
    });
    here.configure(daemon);
  });
  afterEach(async () => {
    await daemon.close();
    here.remove();
  });

  const source = (): string => `deb http://${host}:${mirror.port}/ stable main`;
  const served = (): Promise<number> => daemon.counter("proxy.requests");

  /** apt gets all directly, and loses little time. */
  async function goesDirect(): Promise<void> {
    const milliseconds = await here.apt();
    assert.ok(
      milliseconds < directMs + 2 * delayMs + slackMs,
      `${Math.round(milliseconds)} ms, without apt-p2p ${Math.round(directMs)} ms`,
    );
  }

  it("goes through it while it is alive, and asks once for each run", async () => {
    const before = await served();
    await here.apt();
    assert.ok((await served()) >= before + 3);
    assert.equal(await daemon.counter("proxy.alive"), 2);
    const said = await here.doctor(0);
    assert.match(said, new RegExp(`apt is told http://127\\.0\\.0\\.1:${daemon.port}, in \\d+ ms`));
    assert.match(said, /ok The daemon runs, version \d/);
  });

  it("goes directly after it was stopped", async () => {
    await daemon.signal("SIGTERM");
    await goesDirect();
    assert.match(await here.doctor(1), /No daemon answers at .*; is the daemon running/);
  });

  it("goes directly after it was killed, and through it again after its start", async () => {
    await here.apt();
    await daemon.signal("SIGKILL");
    await goesDirect();
    await daemon.start();
    const before = await served();
    await here.apt();
    assert.ok((await served()) > before);
  });

  it("goes directly while it hangs", async () => {
    await daemon.signal("SIGSTOP");
    try {
      await goesDirect();
    } finally {
      await daemon.signal("SIGCONT");
    }
  });

  it("goes directly between disable and enable", async () => {
    assert.equal(await runCommand(["disable"], here), 0);
    const before = await served();
    await goesDirect();
    assert.equal(await served(), before);
    assert.match(await here.doctor(0), /note apt is led past this daemon/);
    assert.equal(await runCommand(["enable"], here), 0);
    await here.apt();
    assert.ok((await served()) > before);
  });

  it("goes directly when the package is removed, but not its configuration", async () => {
    // All that is left are the snippet and what lies in /etc/apt-p2p.
    await daemon.close();
    await goesDirect();
  });

  it("goes directly when another program has the port", async () => {
    await daemon.signal("SIGTERM");
    const other = net.createServer((socket) => {
      socket
        .on("error", () => undefined)
        .resume()
        .end("hello\n");
    });
    await new Promise<void>((resolve) => other.listen(daemon.port, "127.0.0.1", resolve));
    try {
      await goesDirect();
    } finally {
      await new Promise((resolve) => other.close(resolve));
    }
  });

  it("goes directly to hosts that are excepted here, in apt's configuration or in no_proxy", async () => {
    const before = await served();
    await here.apt("-o", `Acquire::http::Proxy::${host}=DIRECT`);
    here.root.variables = { no_proxy: `example.org,${host}` };
    await goesDirect();
    here.root.variables = {};
    here.configure(daemon, `[apt]\ndirect_hosts = ${host}\n`);
    await goesDirect();
    assert.equal(await served(), before);
    assert.match(await here.doctor(0), new RegExp(`past this daemon by apt.direct_hosts: ${host}`));
  });

  it("is used by sources that name it, which are not led through it twice", async () => {
    here.root.setSources([
      `deb http://localhost:${daemon.port}/${host}:${mirror.port}/ stable main`,
    ]);
    await here.apt();
    assert.ok((await served()) >= 3);
    assert.equal(await daemon.counter("proxy.alive"), 0);
  });

  it("leaves another proxy in force, wherever it is set", async () => {
    const asked: string[] = [];
    // A proxy that only listens; apt is told that it does not have anything.
    const other = net.createServer((socket) => {
      socket
        .on("error", () => undefined)
        .on("data", (text) => {
          asked.push(text.toString().split("\r\n")[0] ?? "");
          socket.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        });
    });
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as net.AddressInfo;
    const proxy = `Acquire::http::Proxy "http://127.0.0.1:${port}";`;
    try {
      const before = await served();
      await here.root.run(["-o", `Acquire::http::Proxy=http://127.0.0.1:${port}`, "update"]);
      const some = asked.length;
      assert.ok(some > 0);
      writeFileSync(join(here.root.configDirectory, "apt.conf.d", "10other"), `${proxy}\n`);
      await here.root.run(["update"]);
      assert.ok(asked.length > some);
      writeFileSync(join(here.root.configDirectory, "apt.conf.d", "10other"), "");
      const more = asked.length;
      here.root.variables = { http_proxy: `http://127.0.0.1:${port}` };
      await here.root.run(["update"]);
      assert.ok(asked.length > more);
      here.root.variables = {};
      writeFileSync(join(here.root.configDirectory, "apt.conf.d", "10other"), `${proxy}\n`);
      assert.ok(asked.every((line) => line.startsWith(`GET http://${host}:`)));
      assert.equal(await served(), before);
      assert.match(await here.doctor(1), /Acquire::http::Proxy is http:\/\/127.* \(in .*10other\)/);
    } finally {
      await new Promise((resolve) => other.close(resolve));
    }
  });

  it("is told by doctor when somebody else answers apt, or the program is missing", async () => {
    const file = join(here.root.configDirectory, "apt.conf.d", "zz-other");
    writeFileSync(file, 'Acquire::http::Proxy-Auto-Detect "/bin/false";\n');
    assert.match(await here.doctor(1), /apt asks \/bin\/false .* instead of .*zz-other/);
    writeFileSync(file, "");
    here.snippet = snippetFor("/nowhere/apt-proxy");
    assert.match(await here.doctor(1), /apt asks \/nowhere\/apt-proxy .* instead/);
  });
});

/** etc/apt.conf for a probe that lies elsewhere. */
function snippetFor(probe: string): string {
  const text = readFileSync(join(etc, "apt.conf"), "utf8");
  assert.match(text, /^Acquire::http::Proxy-Auto-Detect "\/etc\/apt-p2p\/apt-proxy";$/m);
  return text.replace("/etc/apt-p2p/apt-proxy", probe);
}

/** A name or address of this machine that does not say so: loopback ones never go through us. */
async function ownHost(): Promise<{ name: string; address: string } | undefined> {
  const outer = Object.values(networkInterfaces())
    .flat()
    .find((each) => each?.family === "IPv4" && !each.internal)?.address;
  try {
    const { address } = await lookup(hostname(), { family: 4 });
    const ours = address.startsWith("127.") || address === outer;
    if (ours && !hostname().startsWith("localhost")) return { name: hostname(), address };
  } catch {
    // It has no address, which is no fault of ours.
  }
  return outer === undefined ? undefined : { name: outer, address: outer };
}
