import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { parseConfig } from "../../../src/config/parse.ts";
import { problemText } from "../../../src/config/problems.ts";

function check(flags: Readonly<Record<string, string>>): {
  problems: string[];
  warnings: string[];
} {
  const result = parseConfig({ files: [], environment: {}, flags, context: { isRoot: true } });
  if (result.problems !== undefined)
    return { problems: result.problems.map(problemText), warnings: [] };
  return { problems: [], warnings: result.warnings.map(problemText) };
}

describe("checkCombinations()", () => {
  it("has nothing to say about the defaults", () => {
    assert.deepEqual(check({}), { problems: [], warnings: [] });
  });
  it("wants at least one address, and none twice", () => {
    assert.match(
      check({ bind: "" }).problems[0]!,
      /--bind: \[proxy\] bind = "": at least one address/,
    );
    assert.match(check({ bind: "::1, 0:0::1" }).problems[0]!, /::1 is named twice/);
    assert.match(
      check({ bind: "0.0.0.0, ::1, 127.0.0.1" }).problems[0]!,
      /0\.0\.0\.0 already covers 127\.0\.0\.1/,
    );
    assert.deepEqual(check({ bind: "0.0.0.0, ::", allow: "10.0.0.0/8" }), {
      problems: [],
      warnings: [],
    });
  });
  it("wants one address of each family for datagrams, since answers leave from where was asked", () => {
    assert.match(check({ "udp-bind": "" }).problems[0]!, /\[dht\] udp_bind = "": at least one/);
    assert.match(check({ "udp-bind": "::, fd00::1" }).problems[0]!, /:: already covers fd00::1/);
    const two = check({ "udp-bind": "192.0.2.1, ::1, 192.0.2.2" });
    assert.match(two.problems[0]!, /udp_bind.*only one IPv4 address/);
    assert.match(check({ "udp-bind": "::1, ::2" }).problems[0]!, /only one IPv6 address/);
    assert.deepEqual(check({ "udp-bind": "192.0.2.1, ::1" }), { problems: [], warnings: [] });
  });
  it("refuses a state directory in which no socket can be made", () => {
    const long = `/${"a".repeat(93)}`;
    assert.deepEqual(check({ "state-dir": long }).problems, []);
    assert.match(check({ "state-dir": `${long}a` }).problems[0]!, /more than 107 bytes/);
    assert.match(check({ "state-dir": `/${"ä".repeat(50)}` }).problems[0]!, /more than 107 bytes/);
  });
  it("refuses to offer the store's own directories or what contains them", () => {
    const own = { "cache-dir": "/c/cache", "state-dir": "/s" };
    for (const offered of ["/c/cache", "/c", "/c/cache/sha256", "/s", "/"]) {
      assert.match(
        check({ ...own, "offer-dirs": offered }).problems[0]!,
        /must not contain one another/,
        offered,
      );
    }
    assert.deepEqual(check({ ...own, "offer-dirs": "/c/cache2, /c/archives" }).problems, []);
  });
  it("warns about access that cannot work or that is for everybody", () => {
    assert.match(
      check({ bind: "127.0.0.1", allow: "10.0.0.0/8" }).warnings[0]!,
      /no other machine can connect/,
    );
    assert.match(
      check({ bind: "0.0.0.0", allow: "0.0.0.0/0" }).warnings[0]!,
      /whoever reaches this port/,
    );
    assert.deepEqual(check({ bind: "10.0.0.1", allow: "10.0.0.0/8" }).warnings, []);
  });
  it("warns about a database in the cache", () => {
    assert.match(
      check({ "cache-dir": "/c", "state-dir": "/c/state" }).warnings[0]!,
      /may be emptied/,
    );
    assert.match(check({ "cache-dir": "/c", "state-dir": "/c" }).warnings[0]!, /may be emptied/);
  });
});
