/** A daemon in a control group whose memory is short: peers are refused, apt is served. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "mocha";
import { daemonIsBuilt } from "../kit/daemon.ts";
import { undoable } from "../kit/scratch.ts";
import { daemonWorld, type DaemonWorld } from "./daemon-world.ts";
import { ask } from "./hostile-client.ts";
import { residentMiB } from "./hostile-world.ts";

const MB = 1_000_000;

/** The group of this process in version 1 of the hierarchy; undefined: none can be made in it. */
function ownGroup(): string | undefined {
  const own = readFileSync("/proc/self/cgroup", "utf8");
  const path = /^\d+:(?:[^:]*,)?memory(?:,[^:]*)?:(\/.*)$/m.exec(own)?.[1];
  if (process.getuid?.() !== 0 || path === undefined) return undefined;
  // In a container its own group may be the root of what can be seen.
  const roots = [join("/sys/fs/cgroup/memory", path), "/sys/fs/cgroup/memory"];
  return roots.find((root) => existsSync(join(root, "memory.limit_in_bytes")));
}

describe("a daemon whose memory is short", function () {
  this.timeout(60_000);
  const group = join(ownGroup() ?? "", `apt-p2p-test-${process.pid}`);
  let world: DaemonWorld;
  let able = false;

  before(async function () {
    if (!daemonIsBuilt() || ownGroup() === undefined) this.skip();
    try {
      mkdirSync(group);
    } catch {
      this.skip();
    }
    undoable(() => rmdirSync(group));
    able = true;
    const enter = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', group];
    world = await daemonWorld([{ name: "wanted", sizeBytes: 5 * MB }], { through: enter });
    await world.update();
  });
  after(async () => {
    if (able) await world.close();
  });

  it("says so, refuses peers, and serves apt", async () => {
    const { daemon } = world;
    const content = randomBytes(MB);
    const path = join(daemon.directory, "shared");
    writeFileSync(path, content);
    assert.equal((await daemon.command("share", path)).status, 0);
    const sha256 = createHash("sha256").update(content).digest("hex");
    const upload = async (): Promise<number> =>
      (await ask(daemon.port, `/~/sha256/${sha256}`)).status;
    assert.equal(await upload(), 200);
    assert.doesNotMatch(daemon.log, / memory-/);

    // Just what it took so far; a new limit is read at the start.
    const limitMiB = Math.ceil(residentMiB(daemon) * 1.03);
    await daemon.signal("SIGTERM");
    writeFileSync(join(group, "memory.limit_in_bytes"), `${limitMiB}M`);
    await daemon.start();
    assert.match(daemon.log, / warn memory-limit-low limitBytes=\d+ /);
    assert.equal(await upload(), 503, `at ${residentMiB(daemon)} of ${limitMiB} MiB`);
    assert.ok((await daemon.counter("daemon.memory.refused.uploads")) > 0);
    assert.match(daemon.log, / warn memory-tight rssBytes=\d+ limitBytes=\d+/);
    assert.equal((await ask(daemon.port, world.urlOf("wanted"))).status, 200);
    assert.equal(daemon.ended, undefined);
  });
});
