import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { endpoint } from "../../../src/base/endpoint.ts";
import { noteRoundTrip, PeerBook } from "../../../src/dht/peer-book.ts";
import { retransmissionMs } from "../../../src/dht/policy.ts";

const at = (n: number) => endpoint(`192.0.2.${n}`, 9977);

describe("PeerBook", () => {
  it("has one record an address, with nothing known at first", () => {
    const book = new PeerBook();
    const peer = book.peer(at(1));
    assert.equal(book.peer(endpoint("192.0.2.1", 9977)), peer);
    assert.notEqual(book.peer(endpoint("192.0.2.1", 9978)), peer);
    assert.equal(book.find(at(1)), peer);
    assert.equal(book.find(at(9)), undefined);
    assert.deepEqual([peer.srttMs, peer.failures, peer.suspect], [undefined, 0, false]);
    assert.deepEqual(
      [peer.heardAtMs, peer.provenAtMs, peer.token],
      [-Infinity, -Infinity, undefined],
    );
  });

  it("knows the scope of an address", () => {
    const book = new PeerBook();
    const scopes = ["8.8.8.8", "10.0.0.1", "127.0.0.1", "fd00::1", "2600::1"].map(
      (address) => book.peer(endpoint(address, 9977)).scope,
    );
    assert.deepEqual(scopes, ["global", "private", "loopback", "private", "global"]);
  });

  it("forgets the least recently used", () => {
    const book = new PeerBook(3);
    const [first, second] = [book.peer(at(1)), book.peer(at(2))];
    book.peer(at(3));
    assert.equal(book.peer(at(1)), first);
    book.peer(at(4));
    assert.equal(book.size, 3);
    assert.equal(book.find(at(2)), undefined);
    assert.equal(book.find(at(1)), first);
    assert.notEqual(book.peer(at(2)), second);
    for (let n = 0; n < 200; n++) book.peer(at(n));
    assert.equal(book.size, 3);
  });
});

describe("noteRoundTrip()", () => {
  it("smooths as RFC 6298 says", () => {
    const peer = new PeerBook().peer(at(1));
    noteRoundTrip(peer, 100);
    assert.deepEqual([peer.srttMs, peer.rttvarMs], [100, 50]);
    noteRoundTrip(peer, 180);
    assert.deepEqual([peer.srttMs, peer.rttvarMs], [110, 57.5]);
    for (let n = 0; n < 100; n++) noteRoundTrip(peer, 150);
    assert.ok(Math.abs((peer.srttMs ?? 0) - 150) < 0.01);
    assert.ok(retransmissionMs(peer) < 151);
  });
});
