/**
 * apt-p2p-lab on network namespaces: real apt, real daemons, and a report whose numbers are what has
 * happened. The mirror is slow, so that a busy machine changes nothing about who gives what.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { describe, it } from "mocha";

import { daemonIsBuilt } from "../kit/daemon.ts";
import { netlabProblem } from "../kit/netlab.ts";
import { LabDesk } from "./lab.ts";

const packages = [1, 2, 3].map((index) => ({ name: `pack${index}`, size: "1MB" }));
const packageBytes = 3e6;
const install = { do: "install", packages: ["all"] };

const story = {
  name: "story",
  archive: { packages },
  mirror: { up: "8Mbit", down: "8Mbit" },
  groups: [
    { name: "seed", hosts: 1, link: { up: "100Mbit", down: "100Mbit" } },
    { name: "crowd", hosts: 2 },
  ],
  phases: [
    {
      name: "seeding",
      measured: false,
      events: [{ do: "update", hosts: ["all"], arrivals: { kind: "one by one" } }, seedInstall()],
      pause: "3s",
    },
    { name: "sharing", events: [{ ...install, hosts: ["crowd"] }] },
    {
      name: "trouble",
      events: [
        { do: "partition", hosts: ["crowd-1"] },
        { do: "forget", hosts: ["crowd-1"] },
        { do: "update", hosts: ["crowd-1"] },
        { do: "heal", hosts: ["crowd-1"], at: "1500ms" },
        { do: "kill", hosts: ["crowd-2"] },
        { do: "update", hosts: ["crowd-2"] },
        { do: "get", hosts: ["crowd-2"], file: "pack1", mayFail: true },
        { do: "freeze", hosts: ["seed"] },
        { do: "thaw", hosts: ["seed"], at: "500ms" },
      ],
    },
    {
      name: "peace",
      events: [
        { do: "start", hosts: ["crowd-2"] },
        { do: "update", hosts: ["crowd-2"], at: "1s" },
      ],
    },
  ],
};

function seedInstall() {
  return { ...install, hosts: ["seed"] };
}

describe("the test deployment tool in namespaces", function () {
  this.timeout(150_000);
  const problem = netlabProblem();
  const why = problem === undefined ? "" : ` (skipped: ${problem})`;
  let desk: LabDesk;

  before(function () {
    if (problem !== undefined || !daemonIsBuilt()) this.skip();
  });
  beforeEach(() => (desk = new LabDesk()));
  afterEach(() => desk.remove());

  it(`tells who got what from whom, and who failed${why}`, async () => {
    const lab = desk.start([desk.file("story.json", story), "--namespaces", "3"]);
    const { status, out, err } = await lab.ended;
    assert.equal(status, 1, err);
    assert.match(out, /report\.md\n$/);
    assert.deepEqual(desk.leftovers(), []);
    assert.deepEqual(namespacesOf(lab.child.pid), []);

    const { hosts, phases, actions, failures, times, version } = desk.report();
    assert.deepEqual(
      hosts.map(({ name }) => name),
      ["seed-1", "crowd-1", "crowd-2"],
    );
    assert.ok(hosts.every(({ readyMs }) => readyMs !== undefined && readyMs > 0));
    assert.match(version, /^\d/);

    const [seeding, sharing, trouble, peace] = phases;
    assert.ok(seeding?.mirror !== undefined && sharing?.mirror !== undefined);
    const sent = seeding.mirror.bodyBytes;
    assert.ok(sent > packageBytes - 3 * 512 && sent < packageBytes + 200_000, `sent ${sent}`);
    // 3 MB at 8 Mbit/s are 3 s, with a bucket's first burst a little less.
    assert.ok(seeding.milliseconds > 2700, `${seeding.milliseconds} ms`);
    assert.ok(seeding.bytes.fromMirror > packageBytes - 3 * 512);
    const got = sharing.bytes.fromPeers + sharing.bytes.fromMirror;
    assert.ok(got >= 2 * (packageBytes - 3 * 512), `got ${got}`);
    assert.ok(sharing.bytes.fromPeers > 0.5 * got, `${sharing.bytes.fromPeers} of ${got}`);
    assert.ok(sharing.bytes.uploaded >= 0.95 * sharing.bytes.fromPeers);
    // Its log may tell of more: what it gave to the kernel and nobody wanted any more.
    assert.ok(sharing.mirror.bodyBytes >= sharing.bytes.fromMirror, JSON.stringify(sharing));
    assert.ok(seeding.mirror.wireBytes > sent, "headers count");
    assert.equal(trouble?.name, "trouble");

    // The counters of the killed daemon's first life are not lost.
    const killed = hosts[2];
    assert.ok((killed?.bytes.fromPeers ?? 0) + (killed?.bytes.fromMirror ?? 0) > 2.9e6);
    assert.equal(failures.length, 1, failures.join("\n"));
    assert.match(failures[0] ?? "", /^crowd-2: update: exit \d+: W: Failed to fetch /);
    const updates = (host: string) =>
      actions.flatMap((each) =>
        each.host === host && each.do === "update" ? [[each.phase, each.ok, each.allowed]] : [],
      );
    assert.deepEqual(updates("crowd-1"), [
      ["seeding", true, false],
      ["trouble", true, false],
    ]);
    assert.deepEqual(updates("crowd-2"), [
      ["seeding", true, false],
      ["trouble", false, false],
      ["peace", true, false],
    ]);
    const get = actions.find((each) => each.do === "get");
    assert.deepEqual([get?.host, get?.ok, get?.allowed], ["crowd-2", false, true]);
    const partitioned = actions.find(
      (each) => each.host === "crowd-1" && each.do === "update" && each.phase === "trouble",
    );
    assert.ok((partitioned?.milliseconds ?? 0) >= 1400, `${partitioned?.milliseconds} ms`);
    assert.ok(peace !== undefined && peace.milliseconds >= 1000);
    const row = times.find((each) => each.phase === "sharing");
    assert.deepEqual([row?.do, row?.count, row?.failed], ["install", 2, 0]);
    assert.ok((row?.last ?? 0) >= (row?.median ?? NaN));

    for (const name of ["completion.svg", "sources.svg", "uploads.svg"]) {
      assert.match(desk.written(name), /^<svg [^]*<polyline/);
      assert.ok(desk.written("report.md").includes(`](${name})`));
    }
    assert.match(desk.written("report.md"), /crowd-2: update: exit /);
    assert.match(desk.written("logs/seed-1.log"), /9977/);
  });

  it("has liars, churn and shared files", async () => {
    const lab = desk.start([
      desk.file("mixed.json", {
        name: "mixed",
        archive: { packages: packages.slice(0, 1) },
        groups: [
          { name: "good", hosts: 2, settings: { peers: { neighbours: "{group:bad}" } } },
          { name: "bad", hosts: 1, liar: "wrong bytes" },
        ],
        phases: [
          {
            name: "sharing",
            events: [{ do: "share", hosts: ["good-1"], file: "image", size: "2MB" }],
          },
          {
            name: "getting",
            events: [
              { do: "get", hosts: ["good-2"], file: "image" },
              { do: "get", hosts: ["good-2"], file: "pack1" },
              {
                ...{ do: "churn", hosts: ["good-1"], at: "3s" },
                ...{ up: "500ms", down: "500ms", lasts: "2s" },
              },
            ],
          },
        ],
      }),
    ]);
    const { status, err } = await lab.ended;
    assert.equal(status, 0, err);
    const { hosts, actions } = desk.report();
    assert.equal(hosts[2]?.group, "bad");
    const got = actions.filter((each) => each.do === "get");
    assert.deepEqual(
      got.map(({ what, ok }) => [what, ok]),
      [
        ["image", true],
        ["pack1", true],
      ],
    );
    // It exists nowhere but at the other host.
    assert.equal((hosts[1]?.bytes.fromPeers ?? 0) >= 2e6, true, JSON.stringify(hosts[1]?.bytes));
    const churned = actions.filter((each) => each.do === "kill" || each.do === "start");
    assert.ok(churned.length >= 2 && churned.every(({ ok }) => ok), JSON.stringify(churned));
  });

  it("leaves nothing when it is told to end", async () => {
    const words = [desk.file("story.json", story), "--namespaces", "3"];
    const lab = desk.start(words);
    await lab.said("hosts are ready");
    assert.ok(namespacesOf(lab.child.pid).length >= 3);
    lab.child.kill("SIGTERM");
    assert.equal((await lab.ended).status, 143);
    assert.deepEqual(namespacesOf(lab.child.pid), []);
    assert.deepEqual(desk.leftovers(), []);
  });
});

function namespacesOf(pid: number | undefined): readonly string[] {
  return readdirSync("/run/netns").filter((name) => name.startsWith(`p2plab-${pid}-`));
}
