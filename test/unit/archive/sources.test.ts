import { strict as assert } from "node:assert";
import { describe, it } from "mocha";
import {
  parseDeb822Sources,
  parseOneLineSources,
  releaseDirectory,
} from "../../../src/archive/apt-sources.ts";
import { Sources } from "../../../src/archive/sources.ts";
import { Counters } from "../../../src/base/counters.ts";
import { MemoryFiles } from "../../../src/sim/memory-files.ts";

const own = ["localhost:9977"];
const plain = { signedBy: undefined, trusted: undefined };

describe("parseOneLineSources()", () => {
  it("reads lines with and without options, and through our own prefix", () => {
    const text =
      "# a comment\n\n" +
      "deb http://ftp.us.debian.org/debian bookworm main contrib # behind\n" +
      "deb-src [ arch=amd64 signed-by=/k/a.gpg,/k/b.asc ] https://Host:443/x/ sid main\n" +
      "deb [trusted=yes signed-by=0123456789abcdef0123456789ABCDEF01234567!] http://h:81 ./\n" +
      "deb http://localhost:9977/ftp.us.debian.org/debian sid main\n" +
      "deb http://localhost:9977/HTTPS///h.example/d sid main\n" +
      "deb cdrom:[Debian]/ sid main\ndeb file:/srv/x ./\n";
    const key = "0123456789ABCDEF0123456789ABCDEF01234567";
    assert.deepEqual(parseOneLineSources(text, own), {
      entries: [
        {
          root: "ftp.us.debian.org/debian",
          host: "ftp.us.debian.org",
          suites: ["bookworm"],
          ...plain,
        },
        {
          root: "host/x",
          host: "host",
          suites: ["sid"],
          signedBy: { keyFiles: ["/k/a.gpg", "/k/b.asc"], fingerprints: [], embeddedKeys: [] },
          trusted: undefined,
        },
        {
          root: "h:81",
          host: "h",
          suites: ["./"],
          signedBy: { keyFiles: [], fingerprints: [key], embeddedKeys: [] },
          trusted: true,
        },
        { root: "ftp.us.debian.org/debian", host: "ftp.us.debian.org", suites: ["sid"], ...plain },
        { root: "h.example/d", host: "h.example", suites: ["sid"], ...plain },
      ],
      malformed: [],
    });
  });

  it("tells which lines it could not read", () => {
    const { malformed } = parseOneLineSources("deb http://h\nrpm http://h x y\ndeb\n", own);
    assert.deepEqual(malformed, [1, 2, 3]);
  });
});

describe("parseDeb822Sources()", () => {
  it("reads several URIs and suites, keys embedded and named", () => {
    const text =
      "# comment\nTypes: deb deb-src\nURIs: http://a/debian\n https://b/debian/\n" +
      "Suites: sid sid-updates\nComponents: main\nSigned-By: /k/a.gpg\n /k/b.gpg\n\n" +
      "Types: deb\nURIs: http://c\nSuites: flat/\nTrusted: no\nSigned-By:\n" +
      " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ==\n -----END PGP PUBLIC KEY BLOCK-----\n\n" +
      "Enabled: no\nTypes: deb\nURIs: http://d\nSuites: x\n\nTypes: deb\nURIs: http://e\n";
    const signedBy = { keyFiles: ["/k/a.gpg", "/k/b.gpg"], fingerprints: [], embeddedKeys: [] };
    const block =
      "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----\n";
    const suites = ["sid", "sid-updates"];
    assert.deepEqual(parseDeb822Sources(text, own), {
      entries: [
        { root: "a/debian", host: "a", suites, signedBy, trusted: undefined },
        { root: "b/debian", host: "b", suites, signedBy, trusted: undefined },
        {
          root: "c",
          host: "c",
          suites: ["flat/"],
          signedBy: { keyFiles: [], fingerprints: [], embeddedKeys: [block] },
          trusted: false,
        },
      ],
      malformed: [4],
    });
  });
});

describe("releaseDirectory()", () => {
  it("knows suites and flat repositories", () => {
    assert.equal(releaseDirectory("h/debian", "sid"), "h/debian/dists/sid");
    assert.equal(releaseDirectory("h/debian", "sid/updates"), "h/debian/dists/sid/updates");
    assert.equal(releaseDirectory("h/x", "./"), "h/x");
    assert.equal(releaseDirectory("h/x", "/"), "h/x");
    assert.equal(releaseDirectory("h/x", "sub//dir/"), "h/x/sub/dir");
    assert.equal(releaseDirectory("h/x", "../y/"), undefined);
  });
});

describe("Sources", () => {
  const log = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: () => undefined,
  };
  const settings = { aptConfigDirectory: "/etc/apt", ownAuthorities: own };

  it("reads the files that apt reads, and again after a change", async () => {
    const files = new MemoryFiles();
    const put = (path: string, text: string): void => files.plant(path, Buffer.from(text));
    put("/etc/apt/sources.list", "deb http://a/debian sid main\n");
    put("/etc/apt/sources.list.d/b.list", "deb [signed-by=/k] http://b x y\nrubbish\n");
    put("/etc/apt/sources.list.d/c.sources", "Types: deb\nURIs: http://c:8080\nSuites: ./\n");
    put("/etc/apt/sources.list.d/d.list.disabled", "deb http://d x y\n");
    const counters = new Counters();
    const sources = new Sources({ files, log, counters }, settings);
    await sources.refresh();
    assert.deepEqual(sources.hosts(), new Set(["a", "b", "c"]));
    assert.equal(counters.get("archive.sources.malformed"), 1);
    assert.equal(sources.about("a/debian/dists/sid")?.base, "a/debian");
    assert.equal(sources.about("c:8080")?.base, "c:8080");
    assert.deepEqual(sources.about("b/dists/x")?.signedBy?.keyFiles, ["/k"]);
    assert.equal(sources.about("a/debian/dists/bookworm"), undefined);

    put("/etc/apt/sources.list", "deb http://e x y\n");
    await sources.refresh();
    assert.deepEqual(sources.hosts(), new Set(["e", "b", "c"]));
  });

  it("goes on without a file that it cannot read", async () => {
    const files = new MemoryFiles();
    files.plant("/etc/apt/sources.list", Buffer.alloc(2 ** 20 + 1, "x"));
    files.plant("/etc/apt/sources.list.d/b.list", Buffer.from("deb http://b x y\n"));
    const counters = new Counters();
    const sources = new Sources({ files, log, counters }, settings);
    await sources.refresh();
    assert.deepEqual(sources.hosts(), new Set(["b"]));
    assert.equal(counters.get("archive.sources.unreadable"), 1);
  });
});
