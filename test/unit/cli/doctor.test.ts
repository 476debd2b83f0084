/** What doctor makes of facts, and that it gathers them whatever is missing. */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, it } from "mocha";
import { version } from "../../../src/base/version.ts";
import { parseAptDump } from "../../../src/cli/apt-config.ts";
import { wiringOf } from "../../../src/cli/apt-wiring.ts";
import { diagnoseApt } from "../../../src/cli/diagnose-apt.ts";
import type { AptFacts } from "../../../src/cli/diagnose-apt.ts";
import { diagnoseDaemon, diagnoseNetwork } from "../../../src/cli/diagnose-daemon.ts";
import { amiss, findingsView } from "../../../src/cli/finding.ts";
import type { Finding } from "../../../src/cli/finding.ts";
import type { ProgramResult } from "../../../src/cli/run-program.ts";
import { runCommand } from "../../../src/cli/run.ts";
import { FakeWorld, json, withDaemon } from "./fake-world.ts";

const probe = "/etc/apt-p2p/apt-proxy";
const line = `Acquire::http::Proxy-Auto-Detect "${probe}";\n`;
const uri = "http://ftp.us.debian.org/debian/dists/stable/InRelease";

function said(out: string, more: Partial<Extract<ProgramResult, { kind: "ended" }>> = {}) {
  return { uri, result: { kind: "ended", status: 0, out, err: "", tookMs: 9.6, ...more } } as const;
}

const well: AptFacts = {
  ...{ probe, marker: "/etc/apt-p2p/disabled", probeState: "ready", disabled: false },
  ...{ config: parseAptDump(line), files: [], sources: [], environment: {} },
  asked: said("http://127.0.0.1:9977\n"),
  settings: { port: 9977, directHosts: [] },
  daemonRuns: true,
};

/** One line for each finding: state, text, and advice if there is any. */
function lines(findings: readonly Finding[]): string[] {
  return findings.map(({ state, text, advice = "" }) => `${state}: ${text} | ${advice}`);
}

describe("diagnoseApt()", () => {
  const about = (facts: Partial<AptFacts>): string[] => lines(diagnoseApt({ ...well, ...facts }));
  const only = (facts: Partial<AptFacts>, ...patterns: readonly RegExp[]): void => {
    const found = about(facts);
    for (const pattern of patterns) {
      assert.ok(
        found.some((each) => pattern.test(each)),
        `${String(pattern)} is not in\n${found.join("\n")}`,
      );
    }
    const others = found.filter((each) => !patterns.some((pattern) => pattern.test(each)));
    assert.deepEqual(
      others.filter((each) => !each.startsWith("well: ")),
      [],
    );
  };

  it("has nothing to mend where all is as installed", () => {
    assert.deepEqual(about({}), [
      `well: apt asks ${probe} for its proxy | `,
      `well: For ${uri} apt is told http://127.0.0.1:9977, in 10 ms | `,
    ]);
  });
  it("tells who else is asked, and where that stands", () => {
    const other = '// "/bin/x"\nAcquire::http::ProxyAutoDetect "/bin/x";\n';
    const files = [
      { path: "/etc/apt/apt.conf.d/a", text: "/* */", open: true },
      { path: "/etc/apt/apt.conf.d/x", text: other, open: true },
    ];
    only(
      { config: parseAptDump(other), files },
      /^wrong: apt asks \/bin\/x for its proxy instead of .* \(in \/etc\/apt\/apt.conf.d\/x\) \|/,
    );
    // In new versions the new name counts.
    only({ config: parseAptDump(other + line) });
    only({ config: parseAptDump("") }, /^wrong: apt does not ask .*\| .*30apt-p2p should say/);
    only({ config: undefined }, /^wrong: apt does not tell its configuration/);
  });
  it("tells when apt cannot run the program, or is led past", () => {
    only(
      { probeState: "missing", asked: undefined },
      /^wrong: .* is missing \| .*--reinstall .*force-confmiss/,
    );
    only({ probeState: "not executable", asked: undefined }, /^wrong: .*chmod 755/);
    only(
      { disabled: true, asked: said("DIRECT\n") },
      /^note: apt is led past this daemon.*\| \/etc\/apt-p2p\/disabled is there/,
      /^note: For .* apt is told DIRECT/,
    );
  });
  it("tells of other proxies, and which of them count", () => {
    const set = (value: string) => parseAptDump(`${line}Acquire::http::Proxy "${value}";\n`);
    const asked = said("http://proxy.example.org:3128\n");
    only(
      { config: set("http://proxy.example.org:3128"), asked },
      /^wrong: .*Acquire::http::Proxy is http:\/\/proxy.*might find none/,
      /^note: For .*The reason is named above/,
    );
    only(
      { config: set("DIRECT"), asked: said("DIRECT\n"), daemonRuns: false },
      /^wrong: .*Acquire::http::Proxy is DIRECT/,
      /^note: For/,
    );
    only({ config: set("http://localhost:9977/") }, /^note: .*It is not needed/);
    only(
      { environment: { http_proxy: "http://proxy.example.org:3128" }, asked },
      /^note: http_proxy is http:\/\/proxy/,
      /^note: For/,
    );
    only({ environment: { http_proxy: "http://127.0.0.1:9977" } });
    only({ environment: { no_proxy: "example.org" } }, /^note: no_proxy is example.org/);
  });
  it("tells of files of apt that the program cannot read", () => {
    const files = [{ path: "/etc/apt/apt.conf.d/95", text: "", open: false }];
    only({ files, asked: said("") }, /^wrong: .*cannot read .*95 \|/, /^note: .*is told nothing/);
  });
  it("tells of hosts that do not go through", () => {
    const config = parseAptDump(`${line}Acquire::http::Proxy::a.example.org "DIRECT";\n`);
    only(
      { config, settings: { port: 9977, directHosts: ["*.example.com", "b.example.org"] } },
      /^note: Led past this daemon by apt.direct_hosts: \*.example.com, b.example.org/,
      /^note: .*host a.example.org is DIRECT/,
    );
    const sources = Array.from("abcdefghijk", (name) => ({
      ...{ scheme: "https" as const, authority: `${name}.example.org` },
    }));
    only(
      { sources },
      /^note: .*by apt itself, .*: a\.ex.*, h\.example\.org and 3 more \| .*https_/,
    );
    const tunnel = parseAptDump(`${line}Acquire::https::Proxy "http://localhost:9977";\n`);
    only({ sources, config: tunnel }, /^note: Sources with https pass through as tunnels/);
  });
  it("judges what the program answers, and how", () => {
    only({ asked: said("DIRECT\n") }, /^wrong: .* DIRECT.*proxy.port, proxy.bind/);
    only({ asked: said("DIRECT\n"), daemonRuns: false }, /^note: .*No daemon answers, so/);
    const ours = "http://127.0.0.1:9977\n";
    only({ asked: said(ours, { status: 1 }) }, /^wrong: .* ends with 1, so that apt fails/);
    only({ asked: said(ours, { err: "x" }) }, /^wrong: .* writes errors that apt shows/);
    only({ asked: said(ours, { tookMs: 800 }) }, /^wrong: .* takes 800 ms/);
    const failed = { kind: "failed", reason: "it does not end" } as const;
    only({ asked: { uri, result: failed } }, /^wrong: .* fails: it does not end/);
  });
});

const snapshot = {
  ...{ version: "9.9", uptimeMs: 7_200_000, listening: ["0.0.0.0:9977", "[::]:9977"] },
  store: { files: 12, bytes: 5e9, quotaBytes: 1e10, freeBytes: 2e10, keepFreeBytes: 5e8 },
  swarm: { state: "on", neighbours: [{}, {}] },
  dht: {
    ...{ state: "on", udpPort: 9977 },
    families: [
      { family: 4, contacts: 30, outside: "192.0.2.1:9977", reachability: "reachable" },
      { family: 6, contacts: 0, reachability: "unknown" },
    ],
  },
};

describe("diagnoseDaemon()", () => {
  const about = (change: object, facts: object = {}): string[] =>
    lines(
      diagnoseDaemon({
        ...{ version: "9.9", port: 9977, ...facts },
        answer: { kind: "snapshot", snapshot: { ...snapshot, ...change } },
      }),
    );

  it("says what is well", () => {
    assert.deepEqual(about({}), [
      "well: The daemon runs, version 9.9, for 2 h | ",
      "well: It listens on 0.0.0.0:9977, [::]:9977 | ",
      "well: The store holds 12 files, 5.0 GB of 10.0 GB; 20.0 GB free on that file system | ",
    ]);
  });
  it("tells a missing daemon from one that may not be asked", () => {
    const of = (kind: "silent" | "closed"): string =>
      lines(
        diagnoseDaemon({ version: "9", port: 1, answer: { kind, reason: "no daemon answers" } }),
      ).join();
    assert.match(of("silent"), /^wrong: No daemon answers \| systemctl status apt-p2p/);
    assert.match(of("closed"), /^note: The daemon may not be asked: no daemon answers/);
  });
  it("finds another version, port or address than apt is told", () => {
    assert.match(
      about({ version: "9.8" })[0] ?? "",
      /^wrong: .*9\.8, installed is 9\.9 \| .*restart/,
    );
    assert.match(about({}, { port: 8000 })[1] ?? "", /^wrong: .*apt-proxy sends apt to port 8000/);
    assert.match(
      about({ listening: ["192.0.2.1:9977"] })[1] ?? "",
      /^wrong: .*127\.0\.0\.1 or ::1/,
    );
    assert.match(about({ listening: [] })[1] ?? "", /^note: .*--dht-only/);
  });
  it("finds a disk that is too full", () => {
    const store = { ...snapshot.store, freeBytes: 1e8 };
    assert.match(about({ store })[2] ?? "", /^wrong: .*100 MB free.*\| .*keep_free \(500 MB\)/);
    assert.match(about({ store: { ...store, quotaBytes: 0 } })[2] ?? "", /^note: .*quota = 0/);
  });
  it("bears a daemon of another kind", () => {
    for (const odd of [{}, null, [], "x", { dht: 3, store: [], listening: {}, router: 1 }]) {
      const facts = { version: "9", port: 1, answer: { kind: "snapshot", snapshot: odd } } as const;
      assert.equal(diagnoseDaemon(facts)[0]?.state, "wrong");
      assert.deepEqual(diagnoseNetwork(facts), []);
    }
  });
});

describe("diagnoseNetwork()", () => {
  const about = (change: object): string[] =>
    lines(
      diagnoseNetwork({
        ...{ version: "9.9", port: 9977 },
        answer: { kind: "snapshot", snapshot: { ...snapshot, ...change } },
      }),
    );
  const family = (facts: object): object => ({
    dht: { ...snapshot.dht, families: [{ family: 4, contacts: 3, ...facts }] },
  });

  it("says what is well", () => {
    assert.deepEqual(about({}), [
      "well: 2 machines of the own network found | ",
      "well: The distributed hash table has 30 contacts (UDP port 9977) | ",
      "well: Other nodes reach this one by IPv4, which see it as 192.0.2.1:9977 | ",
    ]);
  });
  it("names the ports to open where nobody gets in", () => {
    const [, , found = ""] = about(family({ reachability: "unreachable" }));
    assert.match(found, /^note: .*cannot reach.*\| .*UDP port 9977 and TCP port 9977 in through/);
    assert.match(found, /router\.map_port = yes asks/);
    const asked = { ...family({ reachability: "unreachable" }), router: { state: "failed" } };
    assert.doesNotMatch(about(asked)[2] ?? "", /map_port/);
  });
  it("waits for proof, and passes on what the daemon says of it", () => {
    assert.match(about(family({ reachability: "unknown" }))[2] ?? "", /^note: .*not known yet/);
    const publishing = { note: "nobody reaches the TCP port" };
    const [, , found = ""] = about(family({ reachability: "reachable", publishing }));
    assert.match(found, /^note: .*\| nobody reaches the TCP port\./);
  });
  it("tells why there is no distributed hash table, or nobody in it", () => {
    const dht = (state: string, reason?: string): string =>
      about({ dht: { state, reason } })[1] ?? "";
    assert.match(dht("off"), /^note: .* is off \| dht\.enabled = no/);
    assert.match(dht("failed", "port taken"), /^wrong: .*: port taken \| .*dht\.udp_port/);
    assert.match(about(family({ contacts: 0 }))[1] ?? "", /^note: .*no other node.*dht\.bootstrap/);
  });
  it("tells what the router has said, if it was asked", () => {
    const of = (router: object): string => about({ router }).slice(3).join();
    assert.equal(of({ state: "off" }), "");
    assert.match(of({ state: "asking" }), /^note: .*being asked/);
    assert.match(of({ state: "failed", reason: "silence" }), /^wrong: .*: silence \| .*NAT-PMP/);
    const mapped = {
      ...{ state: "mapped", by: "UPnP", externalAddress: "192.0.2.9" },
      mappings: [
        { protocol: "TCP", port: 9977, externalPort: 9977 },
        { protocol: "UDP", port: 9977, externalPort: 40_000 },
      ],
    };
    const ports = "TCP port 9977 and UDP port 40000 for 9977 here at 192.0.2.9 by UPnP";
    assert.equal(of(mapped), `well: The router lets in ${ports} | `);
    const problem = "the address is a private one";
    assert.match(of({ ...mapped, problem }), /^note: .*\| The address is a private one\./);
  });
  it("tells when nothing is shared", () => {
    assert.match(about({ swarm: { state: "off" } })[0] ?? "", /^note: .*dht\.share = none/);
  });
});

describe("findingsView()", () => {
  it("shows one line for each finding, then what to do, and how much there is to mend", () => {
    const topics = {
      apt: [
        { state: "well", text: "fine" },
        {
          state: "wrong",
          text: "bad \u001b[2J",
          advice: "Do this. Or that: it is shorter than it looks.",
        },
      ],
      Daemon: [],
    } as const;
    assert.equal(amiss(topics), 1);
    assert.equal(
      findingsView(topics, 50),
      "apt\n  ok     fine\n  WRONG  bad \uFFFD[2J\n           Do this. Or that: it is shorter than it\n" +
        "           looks.\n\n1 thing to mend.\n",
    );
    assert.equal(findingsView({}, 80), "Nothing to mend.\n");
  });
});

describe("apt-p2p doctor", () => {
  let world: FakeWorld;
  beforeEach(() => (world = new FakeWorld()));
  afterEach(() => world.remove());

  function install(): void {
    mkdirSync(dirname(world.systemConfigFile));
    const { probe: own } = wiringOf(world);
    writeFileSync(own, "", { mode: 0o755 });
    const apt = join(world.directory, "apt");
    mkdirSync(join(apt, "sources.list.d"), { recursive: true });
    writeFileSync(join(apt, "sources.list"), "deb http://a.example.org/ x y\n");
    writeFileSync(
      world.systemConfigFile,
      `[store]\nstate_dir = ${world.directory}\n[archive]\napt_config_dir = ${apt}\n` +
        "[apt]\ndirect_hosts = a.example.org\n",
    );
    const ended = { kind: "ended", status: 0, err: "", tookMs: 5 } as const;
    world.programs = {
      "apt-config": { ...ended, out: `Acquire::http::Proxy-Auto-Detect "${own}";\n` },
      "apt-proxy": { ...ended, out: "http://127.0.0.1:9977\n" },
    };
  }

  it("ends with 0 and few words where all is well", async () => {
    install();
    await withDaemon(world.directory, json({ ...snapshot, version }), async () => {
      assert.equal(await runCommand(["doctor"], world), 0, world.written.out);
    });
    assert.match(
      world.written.out,
      /^Configuration\n {2}ok {5}The configuration can be read\n\napt\n/,
    );
    // A host that is led past would prove nothing.
    assert.match(world.written.out, /For http:\/\/ftp\.us\.debian\.org\/debian/);
    assert.match(world.written.out, /\n\nNothing to mend\.\n$/);
    assert.equal(world.written.err, "");
  });
  it("prints the same for programs", async () => {
    install();
    await withDaemon(world.directory, json({ ...snapshot, version: "0.0.1" }), async () => {
      assert.equal(await runCommand(["doctor", "--json"], world), 1);
    });
    const told = JSON.parse(world.written.out) as Record<string, readonly Finding[]>;
    assert.deepEqual(Object.keys(told), ["Configuration", "apt", "Daemon", "Network"]);
    assert.equal(told["Daemon"]?.[0]?.state, "wrong");
  });
  it("goes on with a wrong configuration, without apt and without a daemon", async () => {
    mkdirSync(dirname(world.systemConfigFile));
    writeFileSync(world.systemConfigFile, "[proxy]\nport = many\n");
    assert.equal(await runCommand(["doctor"], world), 1);
    assert.match(world.written.out, /WRONG .*apt-p2p\.conf:2.*port/);
    assert.match(world.written.out, /WRONG {2}apt does not tell its configuration/);
    assert.match(world.written.out, /WRONG {2}No daemon answers/);
    assert.match(world.written.out, /\n4 things to mend\.\n$/);
  });
});
