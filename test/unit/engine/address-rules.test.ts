import assert from "node:assert/strict";
import { describe, it } from "mocha";
import {
  addressAllowed,
  isGlobal,
  isLoopback,
  networkTest,
} from "../../../src/engine/address-rules.ts";

const rules = {
  named: (host: string) => host === "lab.example",
  own: () => new Set(["192.168.7.9", "2001:db8::9"]),
};

describe("addressAllowed()", () => {
  it("refuses this machine and its link, in every spelling", () => {
    const refused = ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "169.254.1.1", "fe80::1"];
    for (const address of [...refused, "0.0.0.0", "::", "224.0.0.1", "192.168.7.9", "nonsense"]) {
      assert.equal(addressAllowed(rules, "mirror.example", address), false, address);
    }
  });

  it("allows private networks and the Internet", () => {
    for (const address of ["10.1.2.3", "192.168.7.8", "fd00::1", "93.184.216.34", "2606:2800::1"]) {
      assert.equal(addressAllowed(rules, "mirror.example", address), true, address);
    }
  });

  it("allows everything to a host that apt's sources or the administrator name", () => {
    assert.equal(addressAllowed(rules, "lab.example", "127.0.0.1"), true);
  });
});

describe("networkTest()", () => {
  it("knows members of its networks, also as IPv4 in IPv6", () => {
    const member = networkTest([
      { address: "192.168.0.0", prefixLength: 16 },
      { address: "2001:db8::", prefixLength: 32 },
    ]);
    assert.deepEqual(["192.168.3.4", "::ffff:192.168.3.4", "2001:db8:1::1"].map(member), [
      true,
      true,
      true,
    ]);
    assert.deepEqual(["192.169.0.1", "2001:db9::1", "x", ""].map(member), Array(4).fill(false));
  });
});

describe("isGlobal() and isLoopback()", () => {
  it("tell the Internet from here", () => {
    assert.deepEqual(["93.184.216.34", "10.0.0.1", "::1"].map(isGlobal), [true, false, false]);
    assert.deepEqual(["127.0.0.5", "::1", "10.0.0.1"].map(isLoopback), [true, true, false]);
  });
});
