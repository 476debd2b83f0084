import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
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
});
