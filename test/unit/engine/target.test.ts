import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { parseAuthority, parseTarget, urlOf } from "../../../src/engine/target.ts";

function url(text: string): string | undefined {
  const target = parseTarget(text);
  return target && urlOf(target, target.scheme);
}

describe("parseTarget()", () => {
  it("understands the URL prefix, the forward proxy and the https form", () => {
    const file = "ftp.us.debian.org/debian/pool/main/h/hello/hello_2.10-3_amd64.deb";
    assert.equal(url(`/${file}`), `http://${file}`);
    assert.equal(url(`http://${file}`), `http://${file}`);
    assert.equal(url(`/HTTPS///${file}`), `https://${file}`);
    assert.equal(parseTarget(`/${file}`)?.name, file);
    assert.equal(parseTarget(`/HTTPS///${file}`)?.name, file);
  });

  it("keeps the path byte for byte and names the file decoded", () => {
    const path = "/debian//pool/main/g/g%2b%2b/a%7e1%3a2+x~y:z.deb";
    const target = parseTarget(`http://Mirror.example:80${path}`);
    assert.equal(target?.path, path);
    assert.equal(target.authority, "mirror.example");
    assert.equal(target.name, "mirror.example/debian/pool/main/g/g++/a~1:2+x~y:z.deb");
  });

  it("keeps a port that is not the scheme's own, and IPv6 literals", () => {
    assert.equal(url("/mirror.example:8080/debian/x"), "http://mirror.example:8080/debian/x");
    assert.equal(url("http://[2001:DB8::1]:8080/x"), "http://[2001:db8::1]:8080/x");
  });

  it("passes a query on but has no name for it", () => {
    const target = parseTarget("http://mirror.example/x?y=1");
    assert.equal(target?.path, "/x?y=1");
    assert.equal(target.name, undefined);
  });

  it("refuses what names no host", () => {
    const wrong = ["/", "", "*", "http:///x", "http://user:pw@host/x", "/ho st/x", "ftp://h/x"];
    for (const text of [
      ...wrong,
      "http://h:0/x",
      "http://h:99999/x",
      "/-/x",
      "http://h/x#y",
      "http://1.2.3.4.5/x",
    ]) {
      assert.equal(parseTarget(text), undefined, text);
    }
  });
});

describe("parseAuthority()", () => {
  it("wants host and port", () => {
    assert.deepEqual(parseAuthority("Host.example:443"), { host: "host.example", port: 443 });
    assert.equal(parseAuthority("host.example"), undefined);
    assert.equal(parseAuthority("http://host.example:443"), undefined);
  });
});
