/**
 * apt-p2p-lab on hosts behind ssh. `ssh` and `scp` are small programs that run what they are told on
 * this machine, each host with a directory of its own for temporary files; all else is real: scripts,
 * build, apt, daemons. The hosts listen on loopback addresses of this test alone.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "mocha";

import { daemonIsBuilt, freePort } from "../kit/daemon.ts";
import { LabDesk, processesWith } from "./lab.ts";

const net = `127.97.${process.pid % 250}`;

/** Options, `--`, target, command; a host without a directory is one that cannot be reached. */
const ssh = `#!/bin/sh
while [ "$1" != -- ]; do shift; done
root=$LAB_HOSTS/\${2#*@}
[ -d "$root" ] || { echo "ssh: connect to host $2 port 22: No route to host" >&2; exit 255; }
cd "$root" && exec env -i PATH="$PATH" HOME="$root" TMPDIR="$root/tmp" sh -c "$3"
`;

/** Options, `--`, files, target:directory. */
const scp = `#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
for last; do :; done
target=\${last%%:*}
[ -d "$LAB_HOSTS/\${target#*@}" ] || { echo 'scp: Connection closed' >&2; exit 255; }
while [ $# -gt 1 ]; do cp -- "$1" "\${last#*:}" || exit 1; shift; done
`;

describe("the test deployment tool on hosts behind ssh", function () {
  this.timeout(150_000);
  let desk: LabDesk;
  let roots: string;
  let environment: NodeJS.ProcessEnv;

  before(function () {
    if (!daemonIsBuilt()) this.skip();
  });
  beforeEach(() => {
    desk = new LabDesk();
    roots = join(desk.path, "hosts");
    const programs = join(desk.path, "bin");
    mkdirSync(programs);
    for (const [name, text] of Object.entries({ ssh, scp })) {
      writeFileSync(join(programs, name), text, { mode: 0o755 });
    }
    environment = { PATH: `${programs}:${process.env["PATH"]}`, LAB_HOSTS: roots };
  });
  afterEach(() => {
    desk.remove();
  });

  /** Hosts that can be reached, and the file that names them. */
  const hosts = (names: readonly string[], more = ""): string => {
    for (const name of names) mkdirSync(join(roots, name, "tmp"), { recursive: true });
    const lines = names.map((name, index) => `tester@${name} address=${net}.${index + 2}`);
    return desk.file("hosts.txt", `# of this test\n${lines.join("\n")}\n${more}`);
  };
  const leftovers = (): readonly string[] =>
    readdirSync(roots).flatMap((name) => readdirSync(join(roots, name, "tmp")));
  const story = async (phases: readonly object[]) =>
    desk.file("story.json", {
      name: "story",
      archive: { packages: [{ name: "large", size: "2MB" }] },
      // Loopback has no multicast, and all hosts are this machine.
      settings: {
        proxy: { bind: "{address}", port: `${await freePort()}` },
        dht: { enabled: "no" },
        peers: { neighbours: "{group:seed}, {group:crowd}" },
      },
      groups: [
        { name: "seed", hosts: 1 },
        { name: "crowd", hosts: 2, link: { up: "1Mbit" } },
      ],
      phases,
    });
  const sharing = [
    {
      name: "seeding",
      events: [
        { do: "update", hosts: ["seed"] },
        { do: "install", hosts: ["seed"], packages: ["large"] },
        { do: "share", hosts: ["seed"], file: "image", size: "700kB" },
      ],
      pause: "3s",
    },
    {
      name: "sharing",
      events: [
        { do: "update", hosts: ["crowd"] },
        { do: "get", hosts: ["crowd"], file: "image" },
        { do: "install", hosts: ["crowd"], packages: ["large"] },
      ],
    },
    {
      name: "restarting",
      events: [
        { do: "restart", hosts: ["crowd"] },
        { do: "freeze", hosts: ["seed"] },
      ],
    },
  ];

  it("collects what each has done, names who cannot be reached, and leaves nothing", async () => {
    const file = hosts(["one.example", "two.example"], `nobody@away.example name=away\n`);
    const words = [await story(sharing), "--hosts", file, "--mirror", `${net}.1`];
    const { status, err } = await desk.start(words, environment).ended;
    assert.equal(status, 1, err);
    assert.deepEqual(leftovers(), []);
    assert.deepEqual(desk.leftovers(), []);
    assert.deepEqual(processesWith(roots), []);

    const { kind, hosts: found, phases, failures, actions, notes } = desk.report();
    assert.equal(kind, "hosts");
    assert.match(notes.join(" "), /rates of the scenario do not count/);
    assert.deepEqual(
      found.map(({ name, group }) => [name, group]),
      [
        ["one.example", "seed"],
        ["two.example", "crowd"],
        ["away", "crowd"],
      ],
    );
    assert.equal(failures.length, 1, failures.join("\n"));
    assert.match(failures[0] ?? "", /^away: .*No route to host/);
    assert.equal(found[2]?.readyMs, undefined);
    assert.ok(actions.every(({ ok }) => ok));
    const [seeding, shared] = phases;
    assert.ok((seeding?.mirror?.bodyBytes ?? 0) > 1.9e6, `${seeding?.mirror?.bodyBytes}`);
    assert.ok((seeding?.bytes.fromMirror ?? 0) > 1.9e6);
    const { fromPeers = 0, fromMirror = 0, uploaded = 0 } = shared?.bytes ?? {};
    assert.ok(fromPeers + fromMirror > 2.6e6, JSON.stringify(shared?.bytes));
    // The image is nowhere but at the seed.
    assert.ok(fromPeers >= 700_000 && uploaded >= 700_000, JSON.stringify(shared?.bytes));
    // It was left frozen, and runs again when it is asked.
    assert.ok((found[0]?.bytes.uploaded ?? 0) >= 700_000);
    // Its daemon was restarted since: what the first life has counted is there.
    const second = found[1]?.bytes;
    assert.ok((second?.fromPeers ?? 0) + (second?.fromMirror ?? 0) > 2.6e6);
    const times = actions.filter((each) => each.do === "install" || each.do === "get");
    assert.ok(times.length === 3 && times.every(({ milliseconds }) => milliseconds > 0));
    assert.match(desk.written("logs/one.example.log"), /large_1\.0-1_amd64\.deb/);
  });

  it("runs the program of a package that is unpacked there", async () => {
    const deb = packageOf(desk);
    const file = hosts(["one.example", "two.example"]);
    const words = [await story(sharing.slice(0, 1)), "--hosts", file, "--mirror", `${net}.1`];
    const { status, err } = await desk.start([...words, "--deb", deb], environment).ended;
    assert.equal(status, 0, err);
    assert.match(desk.written("logs/one.example.log"), /this is the packaged one/);
    assert.deepEqual(leftovers(), []);
  });

  it("leaves nothing when it is told to end in the middle of a run", async () => {
    const file = hosts(["one.example", "two.example"]);
    const endless = [
      {
        name: "seeding",
        events: [
          { do: "freeze", hosts: ["seed"] },
          { do: "update", hosts: ["seed"], at: "200ms" },
          { do: "update", hosts: ["crowd"] },
        ],
      },
    ];
    const words = [await story(endless), "--hosts", file, "--mirror", `${net}.1`];
    const lab = desk.start(words, environment);
    await lab.said("hosts are ready");
    // apt waits for the frozen daemon.
    const deadline = performance.now() + 30_000;
    while (!processesWith(roots).some((each) => each.includes("apt-get"))) {
      assert.ok(performance.now() < deadline, "no apt-get in 30 s");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    lab.child.kill("SIGINT");
    assert.equal((await lab.ended).status, 130);
    assert.deepEqual(leftovers(), []);
    assert.deepEqual(desk.leftovers(), []);
    assert.deepEqual(processesWith(roots), []);
  });
});

/** A package as ours, with the checkout's build, that tells of itself when it starts. */
function packageOf(desk: LabDesk): string {
  const arch = execFileSync("dpkg", ["--print-architecture"], { encoding: "utf8" }).trim();
  const root = join(desk.path, "package");
  mkdirSync(join(root, "DEBIAN"), { recursive: true });
  mkdirSync(join(root, "usr/lib/apt-p2p/cli"), { recursive: true });
  const control = ["Package: apt-p2p", "Version: 0", `Architecture: ${arch}`];
  const rest = ["Maintainer: Test Kit <kit@example.invalid>", "Description: test", ""];
  writeFileSync(join(root, "DEBIAN/control"), [...control, ...rest].join("\n"));
  const main = process.env["APT_P2P_MAIN"] ?? join(process.cwd(), "dist/cli/main.js");
  const text = `console.error("this is the packaged one"); await import(${JSON.stringify(main)});\n`;
  writeFileSync(join(root, "usr/lib/apt-p2p/cli/main.js"), text);
  const path = join(desk.path, `apt-p2p_0_${arch}.deb`);
  execFileSync("dpkg-deb", ["-Znone", "--root-owner-group", "-b", root, path]);
  assert.ok(readFileSync(path).length > 0);
  return path;
}
