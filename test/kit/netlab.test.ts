/** The laboratory itself: who reaches whom, how fast, and what is left of it. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "mocha";

import { node, startLabMirror } from "./lab-mirror.ts";
import { LabHost, natProblem, NetLab, netlabProblem } from "./netlab.ts";
import { seededBytes, sha256 } from "./bytes.ts";
import { scratchDirectory } from "./scratch.ts";
import { writeFileSync } from "node:fs";

interface Got {
  readonly digest: string;
  readonly seconds: number;
  /** curl's; 0: fine. */
  readonly status: number | null;
}

/** Fetches from within a host. */
function get(host: LabHost, url: string): Got {
  const begunMs = performance.now();
  const [file, ...args] = host.command(["curl", "-sS", "--max-time", "2", url]);
  const { stdout, status } = spawnSync(file, args, { maxBuffer: 1 << 26 });
  return { digest: sha256(stdout), seconds: (performance.now() - begunMs) / 1000, status };
}

const namespaces = (pid: number | undefined): readonly string[] =>
  readdirSync("/run/netns").filter((name) => name.startsWith(`p2plab-${pid}-`));

describe("the laboratory of network namespaces", function () {
  this.timeout(30_000);
  const problem = netlabProblem();

  before(function () {
    if (problem !== undefined) this.skip();
  });

  it(`holds rates, counts bytes and leaves nothing${problem === undefined ? "" : ` (skipped: ${problem})`}`, async () => {
    const scratch = scratchDirectory("netlab");
    const bytes = seededBytes("netlab", 1_000_000);
    writeFileSync(join(scratch.path, "file"), bytes);
    const lab = new NetLab();
    const second = new NetLab();
    try {
      const place = lab.addHost({ upMbit: 20, downMbit: 20 });
      const host = lab.addHost({ upMbit: 100, downMbit: 100 });
      const mirror = await startLabMirror({ place, root: scratch.path });
      const got = get(host, `${mirror.url}/file`);
      assert.equal(got.digest, sha256(bytes));
      // 0.4 s at 20 Mbit/s; the bucket's first burst and curl's start change little.
      assert.ok(got.seconds > 0.35 && got.seconds < 1.5, `${got.seconds} s`);
      const traffic = mirror.traffic();
      assert.deepEqual(traffic.answers, [
        { from: host.address, method: "GET", status: 200, bytes: 1_000_000, path: "/file" },
      ]);
      assert.ok(
        traffic.wireBytes > 1_000_000 && traffic.wireBytes < 1_100_000,
        `${traffic.wireBytes}`,
      );
      const stranger = second.addHost();
      assert.notEqual(get(stranger, `${mirror.url}/file`).status, 0, "laboratories do not meet");
      mirror.close();
    } finally {
      lab.close();
      second.close();
      scratch.remove();
    }
    assert.deepEqual(namespaces(process.pid), []);
  });

  it("cuts a part of it off and heals", async () => {
    const scratch = scratchDirectory("netlab");
    writeFileSync(join(scratch.path, "file"), "seen");
    for (const network of ["near", "far"] as const) {
      const lab = new NetLab(network);
      try {
        const [inside, outside] = lab.addHosts(2);
        assert.ok(inside !== undefined && outside !== undefined);
        const mirror = await startLabMirror({ place: lab.addHost(), root: scratch.path });
        const reaches = (host: LabHost) => get(host, `${mirror.url}/file`).status === 0;
        lab.partition([mirror.place, inside]);
        assert.deepEqual([reaches(inside), reaches(outside)], [true, false], network);
        lab.heal([mirror.place, inside]);
        assert.deepEqual([reaches(inside), reaches(outside)], [true, true], network);
        mirror.close();
      } finally {
        lab.close();
      }
    }
    scratch.remove();
  });

  it("hides hosts behind routers", async function () {
    if (natProblem() !== undefined) this.skip();
    const scratch = scratchDirectory("netlab");
    writeFileSync(join(scratch.path, "file"), "seen");
    const lab = new NetLab("far");
    try {
      const router = lab.addRouter();
      const inside = router.addHost();
      const outside = await startLabMirror({ place: lab.addHost(), root: scratch.path });
      assert.equal(get(inside, `${outside.url}/file`).digest, sha256("seen"));
      assert.equal(outside.traffic().answers[0]?.from, router.outside.address);
      const hidden = await startLabMirror({ place: inside, root: scratch.path });
      const other = lab.addHost();
      assert.notEqual(get(other, `${hidden.url}/file`).status, 0);
      const knocked = get(other, `http://${router.outside.address}/file`);
      assert.equal(knocked.status, 28, "the router answers nothing: curl's time-out");
    } finally {
      lab.close();
      scratch.remove();
    }
  });

  it("is removed when its process is told to end, with all that runs in it", async () => {
    const child = spawn(...split(node("lab-probe.ts", [])), {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    assert.ok(namespaces(child.pid).length >= 2);
    child.kill("SIGTERM");
    await once(child, "exit");
    assert.deepEqual(namespaces(child.pid), []);
  });

  it("removes what a killed process left", async () => {
    const child = spawn(...split(node("lab-probe.ts", [])), {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "exit");
    assert.ok(namespaces(child.pid).length >= 2);
    new NetLab().close();
    assert.deepEqual(namespaces(child.pid), []);
  });
});

function split([file = "", ...args]: readonly string[]): [string, readonly string[]] {
  return [file, args];
}
