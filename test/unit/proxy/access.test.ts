import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Access } from "../../../src/proxy/access.ts";

const access = new Access({
  allow: [{ address: "10.1.0.0", prefixLength: 16 }],
  hosts: ["apt.lab.example"],
});
const local = { remoteAddress: "127.0.0.1", localAddress: "127.0.0.1" };
const lan = { remoteAddress: "10.1.2.3", localAddress: "10.1.0.1" };
const stranger = { remoteAddress: "10.2.2.3", localAddress: "10.1.0.1" };

function status(peer: typeof local, url: string, headers: Record<string, string>) {
  return access.refuse(peer, { url, headers })?.status ?? 200;
}

describe("Access.refuse()", () => {
  it("lets in this machine and the allowed networks, nobody else", () => {
    const request = ["http://mirror.example/x", { host: "mirror.example" }] as const;
    assert.equal(status(local, ...request), 200);
    assert.equal(status(lan, ...request), 200);
    assert.equal(status(stranger, ...request), 403);
  });

  it("answers an origin-form request only under its own names and address literals", () => {
    const good = ["localhost:9977", "LOCALHOST", "127.0.0.1:9977", "[::1]:9977", "apt.lab.example"];
    for (const host of good) assert.equal(status(local, "/m/x", { host }), 200, host);
    for (const host of ["evil.example", "evil.example:9977", "", "localhost.evil.example"]) {
      assert.equal(status(local, "/m/x", { host }), 421, host);
    }
  });

  it("refuses what a web page sent, except for the status page", () => {
    const host = "localhost:9977";
    for (const header of ["origin", "referer", "sec-fetch-site", "sec-fetch-mode"]) {
      assert.equal(status(local, "/m/x", { host, [header]: "x" }), 403, header);
      assert.equal(status(local, "http://m/x", { host: "m", [header]: "x" }), 403, header);
      assert.equal(status(local, "/", { host, [header]: "x" }), 200, header);
    }
  });
});

describe("Access.refusePeer()", () => {
  const refused = (headers: Record<string, string>): number =>
    access.refusePeer(headers)?.status ?? 200;

  it("lets in whoever asks by an address or by one of its names", () => {
    const good = ["192.0.2.7:9977", "[2001:db8::7]:9977", "localhost:9977", "apt.lab.example"];
    for (const host of good) assert.equal(refused({ host }), 200, host);
    for (const host of ["evil.example", "", "192.0.2.7.evil.example"]) {
      assert.equal(refused({ host }), 421, host);
    }
  });

  it("refuses what a web page sent", () => {
    for (const header of ["origin", "referer", "sec-fetch-site", "sec-fetch-mode"]) {
      assert.equal(refused({ host: "192.0.2.7", [header]: "x" }), 403, header);
    }
  });
});

describe("Access.isClient()", () => {
  it("knows this machine and the allowed networks", () => {
    assert.deepEqual(
      [local, lan, stranger].map((peer) => access.isClient(peer)),
      [true, true, false],
    );
    const outward = { remoteAddress: "127.0.0.1", localAddress: "10.2.0.1" };
    assert.equal(access.isClient(outward), false);
    assert.equal(access.isClient({ remoteAddress: "", localAddress: "" }), false);
  });
});

describe("Access.change()", () => {
  it("counts from the next question on", () => {
    const changing = new Access({ allow: [], hosts: [] });
    const headers = { host: "proxy.example.org" };
    assert.equal(changing.isClient(lan), false);
    assert.equal(changing.refusePeer(headers)?.status, 421);
    const allow = [{ address: "10.1.0.0", prefixLength: 16 }];
    changing.change({ allow, hosts: ["Proxy.example.org"] });
    assert.equal(changing.isClient(lan), true);
    assert.equal(changing.isClient(stranger), false);
    assert.equal(changing.refusePeer(headers), undefined);
    changing.change({ allow: [], hosts: [] });
    assert.equal(changing.isClient(lan), false);
    assert.equal(changing.isClient(local), true);
  });
});
