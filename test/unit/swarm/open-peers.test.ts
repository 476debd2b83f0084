import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { endpoint } from "../../../src/base/endpoint.ts";
import { Flight } from "../../../src/swarm/flight.ts";
import { OpenPeers } from "../../../src/swarm/open-peers.ts";
import { Peer } from "../../../src/swarm/peer.ts";
import { Picker } from "../../../src/swarm/picker.ts";
import { PieceMap } from "../../../src/swarm/piece-map.ts";
import { defaultPolicy } from "../../../src/swarm/policy.ts";
import { shapeOf } from "../../../src/swarm/shape.ts";

const pieces = 100;
const shape = shapeOf(pieces * 512 * 1024);

function made(index: number, ...having: number[]): Peer {
  const at = endpoint(`192.0.2.${index}`, 9977);
  const peer = new Peer({
    ...{ endpoint: at, near: true, group: at.address, state: "unknown", via: "neighbour" },
  });
  peer.have = new PieceMap(pieces);
  for (const piece of having) peer.have.add(piece);
  return peer;
}

describe("OpenPeers", () => {
  function world(): { picker: Picker; open: OpenPeers; ready: (nowMs?: number) => string[] } {
    const picker = new Picker(pieces);
    const open = new OpenPeers(defaultPolicy, picker);
    return {
      picker,
      open,
      ready: (nowMs = 0) =>
        open
          .ready(nowMs)
          .map(({ key }) => key)
          .sort(),
    };
  }

  it("are those that another request can go to", () => {
    const { open, ready } = world();
    const peers = [made(1, 1), made(2, 2), made(3, 3)];
    for (const peer of peers) open.update(peer);
    const [a, b, c] = peers as [Peer, Peer, Peer];
    assert.deepEqual(
      ready(),
      peers.map(({ key }) => key),
    );
    // One request until it has given something, then two.
    const request = { source: a.key, piece: 1, count: 1 };
    const flights = [1, 2].map(() => new Flight(request, shape, 0));
    for (const flight of flights) a.began(flight);
    a.ended(flights[0]!);
    open.update(a);
    assert.deepEqual(ready(), [b.key, c.key]);
    a.keptPieces = 1;
    open.update(a);
    assert.deepEqual(ready(), [a.key, b.key, c.key]);
    b.restUntilMs = 10;
    assert.deepEqual(ready(9), [a.key, c.key]);
    assert.deepEqual(ready(10), [a.key, b.key, c.key]);
    c.dropped = true;
    open.changed(c);
    assert.deepEqual(ready(10), [a.key, b.key]);
  });

  it("come back when they have told of more, or something of theirs is missing again", () => {
    const { picker, open, ready } = world();
    const peers = [made(1, 5), made(2, 6), made(3, 7)];
    const [a, b, c] = peers as [Peer, Peer, Peer];
    for (const piece of [5, 6, 7]) picker.took(piece);
    for (const peer of peers) {
      open.update(peer);
      open.hasNothing(peer);
    }
    assert.deepEqual(ready(), []);
    picker.gaveUp(6);
    assert.deepEqual(ready(), [b.key]);
    open.changed(c);
    assert.deepEqual(ready(), [b.key, c.key]);
    // So many at once that they are not told one by one.
    for (const peer of peers) open.hasNothing(peer);
    for (let piece = 10; piece < 50; piece++) picker.took(piece);
    for (let piece = 10; piece < 50; piece++) picker.gaveUp(piece);
    assert.deepEqual(ready(), [a.key, b.key, c.key]);
  });
});
