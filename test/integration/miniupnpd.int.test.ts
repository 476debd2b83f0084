/**
 * The daemon and a real router's program, miniupnpd, in network namespaces of their own. Needs root,
 * ip, nft and miniupnpd; without them there is nothing to be seen here.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { after, before, describe, it } from "mocha";
import type { Mapped, RouterRound } from "../../src/io/router-round.ts";
import { bundle } from "../kit/bundle.ts";
import { daemonIsBuilt, daemonProgram } from "../kit/daemon.ts";
import { scratchDirectory, undoable } from "../kit/scratch.ts";
import { eventually } from "./hostile-world.ts";

const inside = "10.77.0.2";
const gateway = "10.77.0.1";
/** miniupnpd refuses to work with an address that is not one of the internet; nothing leaves. */
const outside = "9.0.0.9";

const tables = `table inet filter {
  chain forward { type filter hook forward priority 0; policy accept; jump miniupnpd; }
  chain miniupnpd { }
  chain prerouting { type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }
  chain postrouting { type nat hook postrouting priority 100; policy accept; jump postrouting_miniupnpd; }
  chain prerouting_miniupnpd { }
  chain postrouting_miniupnpd { }
}
`;

function able(): boolean {
  const programs = [
    ["ip", "-V"],
    ["nft", "--version"],
    ["miniupnpd", "--version"],
  ];
  const there = programs.every(([program = "", word = ""]) => {
    const { error } = spawnSync(program, [word], { stdio: "ignore" });
    return error === undefined;
  });
  return process.getuid?.() === 0 && there && daemonIsBuilt();
}

describe("a router with miniupnpd", function () {
  this.timeout(60_000);
  const scratch = scratchDirectory("miniupnpd");
  const [router, client] = ["r", "c"].map((what) => `aptp2p-${what}${process.pid}`) as [
    string,
    string,
  ];
  const undo: (() => void)[] = [];
  const ip = (...words: readonly string[]): string =>
    execFileSync("ip", words, { encoding: "utf8", stdio: ["pipe", "pipe", "pipe"] });
  /** What the router sends to the client: `tcp 9977`. */
  const passed = (): readonly string[] => {
    const rules = ip("netns", "exec", router, "nft", "-j", "list", "ruleset");
    return [...rules.matchAll(/"addr": ?"10\.77\.0\.2", ?"port": ?(\d+)/g)].map(
      ([, port = ""]) => port,
    );
  };

  before(async function () {
    if (!able()) this.skip();
    for (const name of [router, client]) {
      ip("netns", "add", name);
      undo.push(undoable(() => ip("netns", "del", name)).undo);
      ip("-n", name, "link", "set", "lo", "up");
    }
    ip("link", "add", "lan0", "netns", router, "type", "veth", "peer", "lan0", "netns", client);
    ip("-n", router, "link", "add", "wan0", "type", "veth", "peer", "wan1");
    for (const [name, link, address] of [
      [router, "lan0", `${gateway}/24`],
      [client, "lan0", `${inside}/24`],
      [router, "wan0", `${outside}/32`],
    ] as const) {
      ip("-n", name, "addr", "add", address, "dev", link);
      ip("-n", name, "link", "set", link, "up");
    }
    ip("-n", client, "route", "add", "default", "via", gateway);
    execFileSync("ip", ["netns", "exec", router, "nft", "-f", "-"], { input: tables });
    const config = join(scratch.path, "miniupnpd.conf");
    const lines = [
      ...["ext_ifname=wan0", "listening_ip=lan0", "http_port=5000", "enable_upnp=yes"],
      ...["enable_natpmp=yes", "secure_mode=yes", "uuid=00000000-0000-4000-8000-000000000001"],
      ...["allow 1024-65535 10.77.0.0/24 1024-65535", "deny 0-65535 0.0.0.0/0 0-65535"],
    ];
    writeFileSync(config, `${lines.join("\n")}\n`);
    const words = ["netns", "exec", router, "miniupnpd", "-d", "-f", config];
    words.push("-P", join(scratch.path, "miniupnpd.pid"));
    const daemon = spawn("ip", words, { stdio: "ignore" });
    undo.push(undoable(() => daemon.kill("SIGKILL")).undo);
    await delay(500);
    assert.equal(daemon.exitCode, null, "miniupnpd has ended");
  });
  after(() => {
    for (const each of undo.reverse()) each();
    scratch.remove();
  });

  it("passes the daemon's ports on as long as the daemon runs", async () => {
    const at = (name: string): string => join(scratch.path, name);
    mkdirSync(at("apt"));
    const config = at("apt-p2p.conf");
    writeFileSync(
      config,
      [
        ...["[proxy]", "port = 9977", "bind = 0.0.0.0", "[router]", "map_port = yes"],
        ...["[store]", `cache_dir = ${at("cache")}`, `state_dir = ${at("state")}`, "offer_dirs ="],
        ...["[archive]", `apt_config_dir = ${at("apt")}`, `apt_lists_dir = ${at("apt")}`],
        ...["[dht]", "udp_port = 9978", "udp_bind = 0.0.0.0", "network = lan", ""],
      ].join("\n"),
    );
    const daemon = (...words: readonly string[]): string[] => [
      "netns",
      "exec",
      client,
      process.execPath,
      daemonProgram,
      ...words,
      "--config",
      config,
    ];
    const env = { PATH: process.env["PATH"], LC_ALL: "C" };
    const child = spawn("ip", daemon("daemon"), { env, stdio: ["ignore", "pipe", "inherit"] });
    let log = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (log += text));
    const killing = undoable(() => child.kill("SIGKILL"));
    const ended = new Promise((resolve) => child.once("exit", resolve));
    await eventually(
      () => log.includes("info router by="),
      () => log,
      20_000,
    );
    assert.match(log, /info router by=NAT-PMP outside=9\.0\.0\.9\n/);
    assert.deepEqual([...passed()].sort(), ["9977", "9978"]);
    const status = JSON.parse(
      execFileSync("ip", daemon("status", "--json"), { env, encoding: "utf8" }),
    ) as { readonly router: { readonly state: string; readonly problem?: string } };
    assert.deepEqual([status.router.state, status.router.problem], ["mapped", undefined]);
    child.kill("SIGTERM");
    assert.equal(await ended, 0, log);
    killing.forget();
    assert.match(log, /info router\.released by=NAT-PMP\n/);
    assert.deepEqual(passed(), []);
  });

  it("does the same by UPnP where there is no NAT-PMP", async () => {
    const made = await bundle("src/io/port-mapping.ts");
    const ask = (round: RouterRound): Mapped => {
      const program = `import(${JSON.stringify(made.path)})
        .then(({ askRouter }) => askRouter(${JSON.stringify(round)}, AbortSignal.timeout(20000)))
        .then((mapped) => console.log(JSON.stringify(mapped)))`;
      const words = ["netns", "exec", client, process.execPath, "-e", program];
      return JSON.parse(ip(...words)) as Mapped;
    };
    const wishes = [
      { protocol: "TCP", port: 9977 },
      { protocol: "UDP", port: 9977 },
    ] as const;
    const common = { lifetimeSeconds: 7200, description: "apt-p2p", gateway: undefined };
    const mapped = ask({ kind: "map", wishes, ...common });
    assert.equal(mapped.how.by, "UPnP");
    assert.deepEqual(
      mapped.mappings,
      wishes.map((wish) => ({ ...wish, externalPort: wish.port })),
    );
    assert.equal(mapped.externalAddress, outside);
    assert.deepEqual(passed(), ["9977", "9977"]);
    ask({ kind: "unmap", wishes, how: mapped.how });
    assert.deepEqual(passed(), []);
    made.remove();
  });
});
