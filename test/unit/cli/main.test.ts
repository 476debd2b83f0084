import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "mocha";

/** The program itself, through a shell. */
function shell(script: string) {
  const main = `"${process.execPath}" --import tsx src/cli/main.ts`;
  return spawnSync("bash", ["-c", `set -o pipefail; ${script.replaceAll("APT_P2P", main)}`], {
    encoding: "utf8",
  });
}

describe("main", function () {
  this.timeout(20_000);
  it("gives output, and its exit status", () => {
    const { status, stdout } = shell("APT_P2P --version; APT_P2P --nonsense 2>/dev/null");
    assert.match(stdout, /^apt-p2p \d/);
    assert.equal(status, 2);
  });
  it("is silent when nobody reads on", () => {
    const { status, stderr } = shell("APT_P2P --help | true");
    assert.equal(stderr, "");
    assert.equal(status, 0);
  });
  it("runs a daemon that outlives the reader of its log, and ends with 0 on SIGTERM", async () => {
    const directory = mkdtempSync(join(tmpdir(), "apt-p2p-main-"));
    mkdirSync(join(directory, "lists"));
    const settings = [
      ...["--port", "0", "--bind", "127.0.0.1", "--offer-dirs", "", "--quota", "0"],
      ...["--state-dir", join(directory, "state"), "--cache-dir", join(directory, "cache")],
      ...["--apt-lists-dir", join(directory, "lists"), "--apt-config-dir", directory],
    ];
    const words = ["--import", "tsx", "src/cli/main.ts", "daemon", ...settings];
    const daemon = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(daemon, "exit");
    try {
      let log = "";
      for await (const chunk of daemon.stdout.setEncoding("utf8")) {
        log += chunk as string;
        if (log.includes("ready")) break;
      }
      // Leaving the loop has closed the pipe; SIGHUP makes the daemon write into it.
      daemon.kill("SIGHUP");
      const state = join(directory, "state");
      const { status, stdout } = shell(`APT_P2P status --json --state-dir "${state}"`);
      assert.equal(status, 0);
      assert.equal((JSON.parse(stdout) as { pid: number }).pid, daemon.pid);
      daemon.kill("SIGTERM");
      assert.deepEqual(await ended, [0, null]);
    } finally {
      daemon.kill("SIGKILL");
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
