/** What a scenario file may say, and how wrong ones are refused. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "mocha";

import { ScenarioProblem } from "../../../bench/deployment/fields.ts";
import { parseHosts } from "../../../bench/deployment/hosts-file.ts";
import { parseScenario } from "../../../bench/deployment/scenario.ts";

const minimal = {
  name: "small",
  archive: { packages: [{ name: "one", size: "20kB" }] },
  groups: [{ name: "all-of-them", hosts: 2 }],
  phases: [{ name: "only", events: [{ do: "update" }] }],
};

/** The message about a scenario in which `change` is merged. */
function refusal(change: object): string {
  try {
    parseScenario(JSON.stringify({ ...minimal, ...change }));
  } catch (error) {
    assert.ok(error instanceof ScenarioProblem, String(error));
    return error.message;
  }
  return "accepted";
}

const event = (one: object): object => ({ phases: [{ name: "only", events: [one] }] });

describe("parseScenario()", () => {
  it("fills in what is not given", () => {
    const { network, mirror, groups, phases } = parseScenario(JSON.stringify(minimal));
    assert.equal(network, "near");
    assert.deepEqual(mirror, { up: undefined, down: undefined, roundTrip: 0 });
    assert.equal(groups[0]?.nat, "none");
    assert.deepEqual(phases[0]?.events[0], {
      ...{ do: "update", way: "daemon", at: 0, hosts: ["all"], pick: undefined },
      ...{ arrivals: { kind: "together" }, mayFail: false },
    });
  });

  it("reads times, sizes and rates with their units", () => {
    const { mirror, archive, phases } = parseScenario(
      JSON.stringify({
        ...{ ...minimal, mirror: { up: "1.5Gbit", down: "800kbit", roundTrip: "20ms" } },
        ...event({
          ...{ do: "update", at: "1.5m" },
          arrivals: { kind: "poisson", gap: "250ms" },
        }),
      }),
    );
    assert.deepEqual(mirror, { up: 1500, down: 0.8, roundTrip: 20 });
    assert.equal(archive.packages[0]?.size, 20_000);
    assert.equal(phases[0]?.events[0]?.at, 90_000);
    assert.deepEqual(phases[0].events[0].arrivals, { kind: "poisson", gap: 250 });
  });

  for (const [what, change, message] of [
    ["no JSON object", { name: 7 }, /^name: expected a name of small letters.*, got 7$/],
    ["an unknown key", { grups: [] }, /^grups: no such key; did you mean groups\?$/],
    ["a missing one", { groups: undefined }, /^groups: expected a list, got nothing$/],
    ["an empty list", { phases: [] }, /^phases: expected a list of at least 1, got \[\]$/],
    [
      "a bare number of seconds",
      event({ do: "update", at: "5" }),
      /^phases\[0\]\.events\[0\]\.at: expected a time from 0s to 1d, .*\(write it with a unit, such as 5s\), got "5"$/,
    ],
    [
      "an unknown event",
      event({ do: "instal" }),
      /^phases\[0\]\.events\[0\]\.do: expected one of update, install, .*, got "instal"$/,
    ],
    [
      "a key of another event",
      event({ do: "update", packages: ["one"] }),
      /^phases\[0\]\.events\[0\]\.packages: no such key; known are at, /,
    ],
    [
      "a package that is not made",
      event({ do: "install", packages: ["ones"] }),
      /^phases\[0\]\.events\[0\]\.packages\[0\]: there is no "ones" .*; did you mean one\?$/,
    ],
    [
      "a file that nobody shares",
      event({ do: "get", file: "image" }),
      /^phases\[0\]\.events\[0\]\.file: there is no "image" in this scenario$/,
    ],
    [
      "arrivals without their number",
      event({ do: "update", arrivals: { kind: "burst", size: 2 } }),
      /^phases\[0\]\.events\[0\]\.arrivals\.every: expected a time .*, got nothing$/,
    ],
    [
      "a link without a rate",
      event({ do: "link" }),
      /^phases\[0\]\.events\[0\]: expected up, down or both$/,
    ],
    [
      "an option that the daemon has not",
      { settings: { peers: { upload_rat: "1MB" } } },
      /^settings\.peers\.upload_rat: no such key; did you mean upload_rate\?$/,
    ],
    [
      "a section that the daemon has not",
      { groups: [{ name: "a", hosts: 1, settings: { pears: {} } }] },
      /^groups\[0\]\.settings\.pears: no such key; did you mean peers\?$/,
    ],
    [
      "too many hosts",
      { groups: [{ name: "a", hosts: 1001 }] },
      /^groups\[0\]\.hosts: expected a whole number from 1 to 1000, got 1001$/,
    ],
    [
      "two groups of one name",
      { groups: [1, 2].map((hosts) => ({ name: "a", hosts })) },
      /^groups: a is there twice$/,
    ],
    [
      "both kinds of archive",
      { archive: { realistic: 2, sources: ["deb http://ftp.us.debian.org/debian trixie main"] } },
      /^archive: expected either packages and realistic, or sources$/,
    ],
    ["no archive", { archive: {} }, /^archive: expected either/],
    [
      "an unknown liar",
      { groups: [{ name: "a", hosts: 1, liar: "white lie" }] },
      /^groups\[0\]\.liar: expected one of wrong bytes, .*, got "white lie"$/,
    ],
  ] as const) {
    it(`refuses ${what} and says where`, () => assert.match(refusal(change), message));
  }

  it("refuses what is no JSON", () => {
    assert.throws(() => parseScenario("{"), /^Error: no JSON: /);
  });

  it("accepts every example", () => {
    const directory = new URL("../../../bench/deployment/scenarios/", import.meta.url);
    const names = readdirSync(directory);
    for (const name of names) {
      const { name: own, about } = parseScenario(readFileSync(new URL(name, directory), "utf8"));
      assert.equal(`${own}.json`, name);
      assert.notEqual(about, "", name);
    }
    for (const name of ["pair", "crowd", "staggered", "deploy", "churn", "nat"]) {
      assert.ok(names.includes(`${name}.json`), name);
    }
  });
});

describe("parseHosts()", () => {
  it("reads hosts with and without facts", () => {
    const text =
      "# ours\n\nroot@h1.example name=one arch=arm64 # old\n  h2 group=seed address=192.0.2.7\n";
    assert.deepEqual(parseHosts(text), [
      {
        ...{ target: "root@h1.example", name: "one", address: "h1.example" },
        ...{ arch: "arm64", group: undefined },
      },
      {
        ...{ target: "h2", name: "h2", address: "192.0.2.7" },
        ...{ arch: undefined, group: "seed" },
      },
    ]);
  });

  for (const [text, message] of [
    ["# none\n", /names none/],
    ["h1\n-oProxyCommand=x\n", /^Error: line 2: expected user@host or host, got -oProxyCommand=x$/],
    ["a@-b\n", /^Error: line 1: expected user@host/],
    ["h1 nam=x\n", /^Error: line 1: nam=x is none of name, address, arch, group .*mean name=\?$/],
    ["h1 name=a/b\n", /^Error: line 1: name: expected letters, digits/],
    ["h1\nroot@h1\n", /two hosts are named h1/],
  ] as const) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseHosts(text), message);
    });
  }
});
