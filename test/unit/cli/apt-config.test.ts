import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { hostProxies, parseAptDump, sourceHosts } from "../../../src/cli/apt-config.ts";

describe("parseAptDump()", () => {
  it("reads names in any case, and leaves out lists and what it cannot read", () => {
    const config = parseAptDump(
      'APT "";\nAcquire::HTTP::Proxy-Auto-Detect "/etc/apt-p2p/apt-proxy";\n' +
        'APT::Architectures:: "amd64";\nDPkg::Post-Invoke:: "a "quoted" word";\nnonsense\n\n',
    );
    assert.deepEqual(
      [...config],
      [
        ["apt", ""],
        ["acquire::http::proxy-auto-detect", "/etc/apt-p2p/apt-proxy"],
      ],
    );
  });
});

describe("hostProxies()", () => {
  it("gives the hosts that have a proxy of their own", () => {
    const text =
      'Acquire::http::Proxy "http://x:1";\nAcquire::http::Proxy::a.example.org "DIRECT";\n' +
      'Acquire::http::Proxy::b.example.org "";\nAcquire::https::Proxy::c.example.org "http://y";\n';
    assert.deepEqual(hostProxies(parseAptDump(text)), [["a.example.org", "DIRECT"]]);
  });
});

describe("sourceHosts()", () => {
  it("reads both formats, each host once, without comments and what is not enabled", () => {
    const oneLine =
      "deb http://ftp.us.debian.org/debian trixie main\n#deb http://no.example.org/ x y\n" +
      "deb-src [signed-by=/k] https://user:pw@B.example.org:8443/x trixie main\n" +
      "deb http://ftp.us.debian.org/debian-security trixie main\n" +
      "deb mirror+http://m.example.org/list trixie main\n";
    assert.deepEqual(sourceHosts(oneLine), [
      { scheme: "http", authority: "ftp.us.debian.org" },
      { scheme: "https", authority: "b.example.org:8443" },
    ]);
    const stanzas =
      "Types: deb\nURIs: https://a.example.org/\n http://a.example.org/\n# http://c.example.org\n\n" +
      "Enabled: no\nURIs: http://d.example.org/\n";
    assert.deepEqual(sourceHosts(stanzas), [
      { scheme: "https", authority: "a.example.org" },
      { scheme: "http", authority: "a.example.org" },
    ]);
  });
});
