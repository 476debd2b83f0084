import assert from "node:assert/strict";
import { describe, it } from "mocha";
import {
  address,
  host,
  hostAndPort,
  hostPattern,
  isLoopback,
  isWildcard,
  network,
  networkName,
} from "../../../src/config/network-kinds.ts";

describe("address", () => {
  it("brings addresses into one form", () => {
    const cases = {
      "127.0.0.1": "127.0.0.1",
      "0:0:0:0:0:0:0:1": "::1",
      "2001:DB8:0::1": "2001:db8::1",
      "fe80::1%eth0": "fe80::1%eth0",
      "::": "::",
    };
    for (const [text, value] of Object.entries(cases)) {
      assert.deepEqual(address.parse(text), { value }, text);
    }
  });
  it("refuses names and the forms of IPv4 that only old parsers read", () => {
    for (const text of [
      "",
      "localhost",
      "127.1",
      "0177.0.0.1",
      "0x7f000001",
      "1.2.3.4.5",
      "256.1.1.1",
    ]) {
      assert.deepEqual(address.parse(text), {}, text);
    }
  });
});

describe("network", () => {
  it("reads CIDR notation and single addresses", () => {
    const cases = {
      "192.168.1.0/24": { family: "ipv4", address: "192.168.1.0", prefixLength: 24 },
      "10.1.2.3": { family: "ipv4", address: "10.1.2.3", prefixLength: 32 },
      "0.0.0.0/0": { family: "ipv4", address: "0.0.0.0", prefixLength: 0 },
      "2001:db8::/32": { family: "ipv6", address: "2001:db8::", prefixLength: 32 },
      "FD00::1": { family: "ipv6", address: "fd00::1", prefixLength: 128 },
    } as const;
    for (const [text, value] of Object.entries(cases)) {
      assert.deepEqual(network.parse(text), { value }, text);
    }
  });
  it("asks what is meant when bits behind the prefix are set", () => {
    const { hint } = network.parse("192.168.1.5/24") as { hint: string };
    assert.equal(hint, "192.168.1.0/24 for the network, 192.168.1.5 for the host");
    assert.match((network.parse("2001:db8::1/32") as { hint: string }).hint, /^2001:db8::\/32 /);
  });
  it("refuses everything else", () => {
    for (const text of [
      "",
      "/8",
      "10.0.0.0/33",
      "::/129",
      "10.0.0.0/",
      "10.0.0.0/a",
      "10/8",
      "fe80::1%lo/64",
    ]) {
      assert.deepEqual(network.parse(text), {}, text);
    }
  });
});

describe("host", () => {
  it("takes names in lower case without the dot at the end, and addresses", () => {
    const cases = {
      "FTP.us.debian.org.": "ftp.us.debian.org",
      localhost: "localhost",
      my_host: "my_host",
      "127.0.0.1": "127.0.0.1",
      "[::1]": "::1",
      "2001:DB8::1": "2001:db8::1",
    };
    for (const [text, value] of Object.entries(cases))
      assert.deepEqual(host.parse(text), { value }, text);
  });
  it("says what is left of a URL", () => {
    for (const text of [
      "http://ftp.us.debian.org/debian",
      "https://ftp.us.debian.org",
      "ftp.us.debian.org:80",
    ]) {
      assert.deepEqual(host.parse(text), { hint: "only the host, ftp.us.debian.org" }, text);
    }
  });
  it("refuses what is no host", () => {
    for (const text of [
      "",
      ".",
      "a..b",
      "-a",
      "a-",
      "a b",
      "*.debian.org",
      "1.2.3",
      "a/b",
      `${"a".repeat(64)}.b`,
      `${"a.".repeat(127)}ab`,
    ]) {
      assert.deepEqual(host.parse(text), {}, text);
    }
  });
});

describe("hostPattern", () => {
  it("reads hosts, and all hosts of a domain", () => {
    const cases = {
      "FTP.us.debian.org.": "ftp.us.debian.org",
      "192.0.2.1": "192.0.2.1",
      "[2001:DB8::1]": "2001:db8::1",
      "*.Example.org": "*.example.org",
    };
    for (const [text, value] of Object.entries(cases)) {
      assert.deepEqual(hostPattern.parse(text), { value }, text);
    }
  });
  it("refuses what would not be understood", () => {
    for (const text of ["", "*", "*.", "a*.example.org", "*.*.org", "*.192.0.2.1", "*.[::1]"]) {
      assert.deepEqual(hostPattern.parse(text), {}, text);
    }
    const hinted = hostPattern.parse("http://example.org/x");
    assert.deepEqual(hinted, { hint: "only the host, example.org" });
  });
});

describe("hostAndPort", () => {
  it("takes names and addresses, with a port or with the usual one", () => {
    const cases = {
      "FTP.us.debian.org": { host: "ftp.us.debian.org", port: 9977 },
      "ftp.us.debian.org:1": { host: "ftp.us.debian.org", port: 1 },
      "192.0.2.1:65535": { host: "192.0.2.1", port: 65_535 },
      "192.0.2.1": { host: "192.0.2.1", port: 9977 },
      "2001:DB8::1": { host: "2001:db8::1", port: 9977 },
      "[2001:db8::1]": { host: "2001:db8::1", port: 9977 },
      "[2001:db8::1]:53": { host: "2001:db8::1", port: 53 },
    };
    for (const [text, value] of Object.entries(cases))
      assert.deepEqual(hostAndPort.parse(text), { value }, text);
  });
  it("refuses everything else", () => {
    for (const text of [
      ...["", ":", ":1", "a:", "a:0", "a:65536", "a:1:2", "a:-1", "a:1x", "http://a:1", "a/b:1"],
      ...["[]:1", "[a]:1:2", "[2001:db8::1]:0", "[2001:db8::1]1", "2001:db8::1]:1", "127.1:5"],
    ]) {
      assert.deepEqual(hostAndPort.parse(text), {}, text);
    }
  });
});

describe("networkName", () => {
  it("takes letters, digits and dashes in lower case", () => {
    const cases = { public: "public", LAN: "lan", "Our-Office-2": "our-office-2", "7": "7" };
    for (const [text, value] of Object.entries(cases))
      assert.deepEqual(networkName.parse(text), { value }, text);
    assert.deepEqual(networkName.parse("a".repeat(64)), { value: "a".repeat(64) });
  });
  it("refuses everything else", () => {
    for (const text of ["", "-", "-a", "a-", "a b", "a.b", "a_b", "ä", "a".repeat(65)])
      assert.deepEqual(networkName.parse(text), {}, text);
  });
});

describe("isLoopback()", () => {
  it("tells addresses of this machine alone from others", () => {
    for (const text of ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
      assert.ok(isLoopback(text), text);
    for (const text of ["0.0.0.0", "::", "10.0.0.1", "fe80::1%eth0"])
      assert.ok(!isLoopback(text), text);
  });
});

describe("isWildcard()", () => {
  it("knows the two addresses that stand for all", () => {
    assert.ok(isWildcard("0.0.0.0") && isWildcard("::"));
    assert.ok(!isWildcard("127.0.0.1") && !isWildcard("::1"));
  });
});
