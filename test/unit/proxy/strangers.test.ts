import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { describe, it } from "mocha";
import { limits } from "../../../src/base/limits.ts";
import { Strangers } from "../../../src/proxy/strangers.ts";

class FakeSocket extends EventEmitter {
  readonly remoteAddress: string;
  destroyed = false;

  constructor(remoteAddress: string) {
    super();
    this.remoteAddress = remoteAddress;
  }

  destroy(): void {
    this.destroyed = true;
    this.emit("close");
  }
}

function socket(address: string): FakeSocket & Socket {
  const fake: unknown = new FakeSocket(address);
  return fake as FakeSocket & Socket;
}

describe("Strangers", () => {
  it("have half of the connections; who asks nothing goes first, who asks stays", () => {
    const strangers = new Strangers(8);
    const sockets = [1, 2, 3, 4].map((host) => socket(`192.0.2.${host}`));
    for (const each of sockets) assert.ok(strangers.admit(each));
    for (const each of sockets) strangers.busy(each, true);
    assert.equal(strangers.admit(socket("192.0.2.5")), false);
    const [, second, third] = sockets;
    assert.ok(second !== undefined && third !== undefined);
    strangers.busy(third, false);
    strangers.busy(second, false);
    assert.ok(strangers.admit(socket("192.0.2.6")));
    assert.deepEqual(
      sockets.map(({ destroyed }) => destroyed),
      [false, false, true, false],
    );
    assert.equal(strangers.count, 4);
  });

  it("have few connections each, and of one /64 not all", () => {
    const strangers = new Strangers(1000);
    const most = limits.connectionsPerStranger;
    const sockets = Array.from({ length: most }, () => socket("192.0.2.1"));
    assert.ok(sockets.every((each) => strangers.admit(each)));
    assert.equal(strangers.admit(socket("192.0.2.1")), false);
    assert.ok(strangers.admit(socket("192.0.2.2")));
    sockets[0]?.destroy();
    assert.ok(strangers.admit(socket("192.0.2.1")));
    let admitted = 0;
    for (let host = 0; host < 400; host++) {
      if (strangers.admit(socket(`2001:db8::${host.toString(16)}`))) admitted++;
    }
    assert.equal(admitted, 250);
    assert.ok(strangers.admit(socket("2001:db8:0:1::1")));
  });

  it("do not include clients", () => {
    const strangers = new Strangers(2);
    const client = socket("127.0.0.1");
    strangers.busy(client, true);
    strangers.busy(client, false);
    assert.equal(strangers.count, 0);
    assert.ok(strangers.admit(socket("192.0.2.1")));
    assert.equal(client.destroyed, false);
  });
});
