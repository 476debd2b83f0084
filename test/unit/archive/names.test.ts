import { strict as assert } from "node:assert";
import fc from "fast-check";
import { describe, it } from "mocha";
import { fromListName, toListName } from "../../../src/archive/list-names.ts";
import {
  relativeName,
  splitPrefixPath,
  toFileName,
  toRootName,
} from "../../../src/archive/names.ts";

describe("toFileName()", () => {
  const cases: readonly [string, string, "http" | "https", string | undefined][] = [
    ["FTP.us.Debian.org", "/debian/a.deb", "http", "ftp.us.debian.org/debian/a.deb"],
    ["ftp.us.debian.org:80", "/a", "http", "ftp.us.debian.org/a"],
    ["ftp.us.debian.org:443", "/a", "https", "ftp.us.debian.org/a"],
    ["ftp.us.debian.org:", "/a", "http", "ftp.us.debian.org/a"],
    ["ftp.us.debian.org:443", "/a", "http", "ftp.us.debian.org:443/a"],
    ["ftp.us.debian.org:8080", "/a", "http", "ftp.us.debian.org:8080/a"],
    ["ftp.us.debian.org.", "/a", "http", "ftp.us.debian.org/a"],
    ["[::1]:8080", "/a", "http", "[::1]:8080/a"],
    ["user:word@host", "/a", "http", "host/a"],
    ["h", "/g++-12_1%3a12~rc%2B1.deb", "http", "h/g++-12_1:12~rc+1.deb"],
    ["h", "/g%2b%2B%7e", "http", "h/g++~"],
    ["h", "//a//./b/.//c", "http", "h/a/b/c"],
    ["h", "/%C3%A4", "http", "h/ä"],
    ["h", "/a%2fb", "http", undefined],
    ["h", "/a?b", "http", undefined],
    ["h", "/a#b", "http", undefined],
    ["h", "/a/../b", "http", undefined],
    ["h", "/a/%2e%2e/b", "http", undefined],
    ["h", "/a%00", "http", undefined],
    ["h", "/a%0a", "http", undefined],
    ["h", "/a%7f", "http", undefined],
    ["h", "/a%zz", "http", undefined],
    ["h", "/a%2", "http", undefined],
    ["h", "/%ff", "http", undefined],
    ["h", "/a b", "http", undefined],
    ["h", "/a/", "http", undefined],
    ["h", "/a/.", "http", undefined],
    ["h", "/", "http", undefined],
    ["h", "a", "http", undefined],
    ["h", `/${"a".repeat(5000)}`, "http", undefined],
    ["", "/a", "http", undefined],
    ["h:0", "/a", "http", undefined],
    ["h:65536", "/a", "http", undefined],
    ["h:x", "/a", "http", undefined],
    ["h!", "/a", "http", undefined],
  ];
  for (const [authority, path, scheme, expected] of cases) {
    it(`makes ${expected ?? "nothing"} of ${scheme}://${authority}${path.slice(0, 40)}`, () => {
      assert.equal(toFileName(authority, path, scheme), expected);
    });
  }

  it("gives a name that is its own name", () => {
    fc.assert(
      fc.property(fc.webUrl({ validSchemes: ["http"] }), (url) => {
        const { host, pathname } = new URL(url);
        const name = toFileName(host, pathname, "http");
        if (name === undefined) return;
        const [again = "", ...path] = name.split("/");
        const encoded = path.map(encodeURIComponent).join("/");
        assert.equal(toFileName(again, `/${encoded}`, "http"), name);
      }),
    );
  });
});

describe("toRootName()", () => {
  it("drops slashes at the end", () => {
    assert.equal(toRootName("Host", "/debian/", "http"), "host/debian");
    assert.equal(toRootName("host:443", "", "https"), "host");
    assert.equal(toRootName("host", "/a/../b", "http"), undefined);
  });
});

describe("relativeName()", () => {
  it("keeps what lies below and refuses what may not", () => {
    assert.equal(relativeName("./pool//a/./b.deb"), "pool/a/b.deb");
    assert.equal(relativeName("a/.hidden"), "a/.hidden");
    for (const bad of ["", "/etc/passwd", "../x", "a/../b", "a/", ".", "a/..", "a\nb", "a\0"]) {
      assert.equal(relativeName(bad), undefined, JSON.stringify(bad));
    }
  });
});

describe("splitPrefixPath()", () => {
  it("finds host and scheme behind the prefix", () => {
    const http = { scheme: "http", authority: "h:81", path: "/debian/x" };
    assert.deepEqual(splitPrefixPath("/h:81/debian/x"), http);
    const https = { scheme: "https", authority: "h", path: "/x" };
    assert.deepEqual(splitPrefixPath("/HTTPS///h/x"), https);
    assert.deepEqual(splitPrefixPath("/h"), { scheme: "http", authority: "h", path: "/" });
    assert.equal(splitPrefixPath("/"), undefined);
    assert.equal(splitPrefixPath("/HTTPS///"), undefined);
  });
});

describe("fromListName()", () => {
  const own = ["localhost:9977"];
  const cases: readonly [string, string | undefined][] = [
    ["deb.example.org_debian_dists_sid_InRelease", "deb.example.org/debian/dists/sid/InRelease"],
    ["h:8080_dists_x_Release.gpg", "h:8080/dists/x/Release.gpg"],
    ["h_a%5fb_._Packages", "h/a_b/Packages"],
    ["h_g%252b_InRelease", "h/g+/InRelease"],
    ["%5b::1%5d:9_x_InRelease", "[::1]:9/x/InRelease"],
    ["localhost:9977_h.example_debian_dists_sid_InRelease", "h.example/debian/dists/sid/InRelease"],
    ["localhost:9977_HTTPS___h.example_dists_sid_Release", "h.example/dists/sid/Release"],
    ["localhost:9978_h_x", "localhost:9978/h/x"],
    ["lock", undefined],
    ["_x", undefined],
    ["h_a%2", undefined],
    ["h_.._x", undefined],
  ];
  for (const [listName, expected] of cases) {
    it(`reads ${listName} as ${expected ?? "nothing"}`, () => {
      assert.equal(fromListName(listName, own), expected);
    });
  }

  it("is the reverse of toListName()", () => {
    const segment = fc.stringMatching(/^[A-Za-z0-9_~+%.:@-]{1,12}$/);
    fc.assert(
      fc.property(fc.array(segment, { minLength: 1, maxLength: 5 }), (parts) => {
        const encoded = parts.map(encodeURIComponent).join("/");
        const name = toFileName("ftp.us.debian.org", `/${encoded}`, "http");
        if (name !== undefined) assert.equal(fromListName(toListName(name), own), name);
      }),
    );
  });
});
