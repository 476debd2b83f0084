/** The Debian package, as far as it can be checked without building it. */
import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { exitCodes } from "../../src/cli/exit-codes.ts";
import { lostSettings, wrongPackageVersion, wrongUnit } from "./checks/package.ts";
import { planted, repository } from "./tree.ts";

/** After these another start ends in the same way. */
const hopeless = [exitCodes.usage.code, exitCodes.configuration.code, exitCodes.newer.code];

describe("the Debian package", () => {
  const files = repository();
  it("has the program's version", () => assert.deepEqual(wrongPackageVersion(files), []));
  it("runs Node as npm start does", () => assert.deepEqual(lostSettings(files), []));
  it("has a unit that fits the program", () => assert.deepEqual(wrongUnit(files, hopeless), []));
});

describe("wrongPackageVersion()", () => {
  const verdict = (changelog: string): number =>
    wrongPackageVersion(
      planted({ "package.json": '{ "version": "1.2.3" }', "debian/changelog": changelog }),
    ).length;
  it("compares the newest entry", () => {
    assert.equal(verdict("apt-p2p (1.2.3) unstable; urgency=medium\n"), 0);
    assert.equal(verdict("apt-p2p (1.2.4) unstable\n\napt-p2p (1.2.3) unstable\n"), 1);
    assert.equal(verdict(""), 1);
  });
});

describe("lostSettings()", () => {
  const start = "node setup.mjs && A=1 B_=2 node --x=3 dist/cli/main.js daemon";
  const verdict = (wrapper: string, script = start): number =>
    lostSettings(
      planted({
        "package.json": JSON.stringify({ scripts: { start: script } }),
        "debian/bin/apt-p2p": wrapper,
      }),
    ).length;
  it("finds variables and flags that are missing, changed or only in a comment", () => {
    assert.equal(verdict("export A=1 B_=2\nexec node --x=3 \\\n  main.js\n"), 0);
    assert.equal(verdict("# A=1\nexport B_=2\nexec node --x=4 main.js\n"), 2);
    assert.equal(verdict(""), 3);
  });
  it("does not pass over a script that it cannot read", () => {
    assert.equal(verdict("", "node main.js"), 1);
  });
});

describe("wrongUnit()", () => {
  const good = [
    "ExecStart=/usr/bin/apt-p2p daemon",
    "Environment=XDG_CACHE_HOME=/var/cache XDG_STATE_HOME=/var/lib",
    "RestartPreventExitStatus=2 3",
    "",
  ].join("\n");
  const verdict = (text: string): number =>
    wrongUnit(planted({ "debian/apt-p2p.service": text }), [2, 3]).length;
  it("finds another program, other directories, other exit codes, and what Node cannot bear", () => {
    assert.equal(verdict(`# MemoryDenyWriteExecute= is not here\n${good}`), 0);
    assert.equal(verdict(good.replace("daemon", "daemon --dht-only")), 1);
    assert.equal(verdict(good.replace("/var/lib", "/srv")), 1);
    assert.equal(verdict(good.replace("2 3", "2")), 1);
    assert.equal(verdict(`${good}MemoryDenyWriteExecute=yes\n`), 1);
  });
});
