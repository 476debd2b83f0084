import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { optionRows, options, sectionTitles, shownDefault } from "../../../src/config/options.ts";
import { parseConfig } from "../../../src/config/parse.ts";
import type { DefaultsContext } from "../../../src/config/options.ts";

function defaults(context: DefaultsContext) {
  const result = parseConfig({ files: [], environment: {}, flags: {}, context });
  assert.ok(result.problems === undefined, JSON.stringify(result.problems));
  return result.config;
}

describe("options", () => {
  it("have names that are unique across sections, since flags have no section", () => {
    const names = optionRows.map((row) => row.name);
    assert.equal(new Set(names).size, names.length);
  });
  it("have the defaults of the design for root", () => {
    assert.deepEqual(defaults({ isRoot: true }), {
      proxy: { port: 9977, bind: ["0.0.0.0", "::"], allow: [], hosts: [], maxConnections: 512 },
      apt: { directHosts: [] },
      mirror: {
        httpsHosts: [],
        allowUpstreams: [],
        connectTimeoutMs: 20_000,
        responseTimeoutMs: 60_000,
        stallTimeoutMs: 10_000,
        connectionsPerHost: 8,
        serveStale: false,
      },
      archive: { aptConfigDir: "/etc/apt", aptListsDir: "/var/lib/apt/lists" },
      store: {
        cacheDir: "/var/cache/apt-p2p",
        stateDir: "/var/lib/apt-p2p",
        quotaBytes: "auto",
        keepFreeBytes: 500_000_000,
        offerDirs: ["/var/cache/apt/archives"],
      },
      dht: {
        network: "public",
        enabled: true,
        udpPort: 9977,
        udpBind: ["0.0.0.0", "::"],
        bootstrap: [],
        lanDiscovery: true,
        share: "fresh",
        lookupMinSizeBytes: 65_536,
      },
      peers: {
        uploadRateBytes: 1_000_000,
        uploadRatePerPeerBytes: "unlimited",
        lanUploadRateBytes: "unlimited",
        uploadSlots: 8,
        uploadSlotsPerPeer: 4,
        uploadHours: "always",
        uploadMonthBytes: "unlimited",
        neighbours: [],
      },
      router: { mapPort: false },
      log: { level: "info", requests: true },
    });
  });
  it("follow the XDG specification for users, and ignore relative paths as it asks", () => {
    const home = defaults({ isRoot: false, homeDirectory: "/home/a", xdgCacheHome: "relative" });
    assert.equal(home.store.cacheDir, "/home/a/.cache/apt-p2p");
    assert.equal(home.store.stateDir, "/home/a/.local/state/apt-p2p");
    const xdg = defaults({ isRoot: false, xdgCacheHome: "/c", xdgStateHome: "/s" });
    assert.equal(xdg.store.cacheDir, "/c/apt-p2p");
    assert.equal(xdg.store.stateDir, "/s/apt-p2p");
  });
  it("have help without a full stop, and text with one", () => {
    for (const { name, option } of optionRows) {
      assert.match(option.help, /^[a-zA-Z].*[^.]$/, name);
      assert.ok(option.help.length <= 60, name);
      assert.match(option.text, /\.$/, name);
    }
  });
  it("are all in titled sections", () => {
    assert.deepEqual(Object.keys(options), Object.keys(sectionTitles));
  });
  it("show root's defaults in the papers", () => {
    const shown = Object.fromEntries(optionRows.map((row) => [row.flag, shownDefault(row)]));
    const result = parseConfig({
      files: [],
      environment: {},
      flags: shown,
      context: { isRoot: false },
    });
    assert.ok(result.problems?.every(({ origin }) => origin?.kind === "default"));
    assert.equal(shown["cache-dir"], "/var/cache/apt-p2p");
  });
});
