import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "mocha";
import { loadConfig } from "../../../src/cli/load-config.ts";
import { problemText } from "../../../src/config/problems.ts";
import { FakeWorld } from "./fake-world.ts";

describe("loadConfig()", () => {
  let world: FakeWorld;
  beforeEach(() => (world = new FakeWorld()));
  afterEach(() => world.remove());

  const put = (path: string, text: string | Buffer): void => {
    const file = join(world.directory, path);
    mkdirSync(join(file, ".."), { recursive: true });
    writeFileSync(file, text);
  };
  const load = (configFile?: string, settings: Record<string, string> = {}) =>
    loadConfig({ configFile, settings }, world);
  const port = (configFile?: string): number => {
    const result = load(configFile);
    assert.ok(result.problems === undefined, JSON.stringify(result.problems));
    return result.config.proxy.port;
  };
  const problems = (configFile?: string): string[] =>
    load(configFile).problems?.map(problemText) ?? [];

  it("needs no file", () => {
    assert.equal(port(), 9977);
  });
  it("reads the system's file, then conf.d in byte order, without hidden files and backups", () => {
    put("etc/apt-p2p.conf", "[proxy]\nport = 1\n");
    assert.equal(port(), 1);
    put("etc/conf.d/b.conf", "[proxy]\nport = 3\n");
    put("etc/conf.d/B.conf", "[proxy]\nport = 2\n");
    for (const name of [".hidden.conf", "c.conf~", "z.conf.dpkg-old", "README"]) {
      put(`etc/conf.d/${name}`, "nonsense");
    }
    assert.equal(port(), 3);
  });
  it("reads conf.d also without the main file", () => {
    put("etc/conf.d/a.conf", "[proxy]\nport = 5\n");
    assert.equal(port(), 5);
  });
  it("reads only the file of --config, relative to the working directory", () => {
    put("etc/apt-p2p.conf", "nonsense");
    put("my.conf", "[proxy]\nport = 4\n");
    put("conf.d/a.conf", "nonsense");
    assert.equal(port("my.conf"), 4);
  });
  it("names files that are missing, too large or not UTF-8, beside all other problems", () => {
    assert.match(problems("none.conf")[0]!, /none\.conf cannot be read: ENOENT/);
    put("large.conf", Buffer.alloc(2 ** 20 + 1, "#"));
    assert.match(problems("large.conf")[0]!, /large\.conf cannot be read: it has 1048577 bytes/);
    put("etc/apt-p2p.conf", Buffer.from([0x5b, 0xff, 0x5d]));
    put("etc/conf.d/a.conf", "[proxy]\nport = x\n");
    const both = problems();
    assert.equal(both.length, 2);
    assert.match(both[0]!, /apt-p2p\.conf cannot be read/);
    assert.match(both[1]!, /a\.conf:2: \[proxy\] port/);
  });
  it("takes a directory in the file's place for a problem", () => {
    mkdirSync(world.systemConfigFile, { recursive: true });
    assert.match(problems()[0]!, /EISDIR/);
  });
  it("passes on environment, settings and the user's directories", () => {
    world.isRoot = false;
    world.environment = { APT_P2P_PROXY_PORT: "6", XDG_STATE_HOME: "/xdg" };
    const result = load(undefined, { level: "warn" });
    assert.ok(result.problems === undefined);
    assert.equal(result.config.proxy.port, 6);
    assert.equal(result.config.log.level, "warn");
    assert.equal(result.config.store.stateDir, "/xdg/apt-p2p");
    assert.equal(result.config.store.cacheDir, `${world.homeDirectory}/.cache/apt-p2p`);
  });
});
