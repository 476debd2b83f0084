import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, it } from "mocha";
import { probeState, wiringOf } from "../../../src/cli/apt-wiring.ts";
import { runCommand } from "../../../src/cli/run.ts";
import { FakeWorld } from "./fake-world.ts";

describe("enable and disable", () => {
  let world: FakeWorld;
  let marker: string;
  beforeEach(() => {
    world = new FakeWorld();
    mkdirSync(dirname(world.systemConfigFile));
    const wiring = wiringOf(world);
    marker = wiring.marker;
    writeFileSync(wiring.probe, "", { mode: 0o755 });
  });
  afterEach(() => world.remove());

  it("make and remove the marker, twice without harm, and say what comes of it", async () => {
    assert.equal(await runCommand(["disable"], world), 0);
    assert.ok(existsSync(marker));
    assert.match(world.written.out, /^From its next run on apt goes to the mirrors by itself/);
    assert.equal(await runCommand(["disable"], world), 0);
    assert.match(world.written.out, /past apt-p2p already\.\n$/);
    assert.equal(await runCommand(["enable"], world), 0);
    assert.ok(!existsSync(marker));
    assert.match(world.written.out, /uses apt-p2p while its daemon is alive\.\n$/);
    assert.equal(await runCommand(["enable"], world), 0);
    assert.match(world.written.out, /if it is not used, apt-p2p doctor tells why\.\n$/);
    assert.equal(world.written.err, "");
  });
  it("are for root", async () => {
    world.isRoot = false;
    for (const word of ["enable", "disable"]) {
      world.written.err = "";
      assert.equal(await runCommand([word], world), 6);
      assert.match(world.written.err, /^apt-p2p: only root may change .*etc; run this with sudo$/m);
    }
    assert.ok(!existsSync(marker));
  });
  it("work with a wrong configuration as well", async () => {
    writeFileSync(world.systemConfigFile, "[proxy]\nport = many\n");
    assert.equal(await runCommand(["status"], world), 3);
    assert.equal(await runCommand(["disable"], world), 0);
    assert.ok(existsSync(marker));
  });
  it("tell when nothing is there that could be disabled", async () => {
    const other = new FakeWorld();
    try {
      assert.equal(await runCommand(["disable"], other), 6);
      assert.match(other.written.err, /etc cannot be changed: ENOENT/);
      assert.equal(await runCommand(["enable"], other), 1);
      assert.match(other.written.err, /apt-proxy is missing; see apt-p2p doctor/);
    } finally {
      other.remove();
    }
  });
});

describe("probeState()", () => {
  it("tells whether apt can run the program", () => {
    const world = new FakeWorld();
    try {
      const probe = join(world.directory, "probe");
      assert.equal(probeState({ probe, marker: "" }), "missing");
      writeFileSync(probe, "", { mode: 0o644 });
      assert.equal(probeState({ probe, marker: "" }), "not executable");
    } finally {
      world.remove();
    }
  });
});
