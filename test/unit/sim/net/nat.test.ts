import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { endpoint } from "../../../../src/base/endpoint.ts";
import { minute, second } from "../../../../src/base/units.ts";
import {
  drawNat,
  isReachable,
  NatGateway,
  natMixB,
  type NatKind,
} from "../../../../src/sim/net/nat.ts";
import { SeededRandom } from "../../../../src/sim/seeded-random.ts";

const outside = endpoint("192.0.2.1", 9977);
const friend = endpoint("198.51.100.5", 9977);
const sibling = endpoint("198.51.100.5", 4444);
const stranger = endpoint("203.0.113.9", 9977);

const gateway = (kind: NatKind): NatGateway => new NatGateway(outside, { kind, pinholeMs: 30_000 });

describe("NatGateway", () => {
  it("lets in, after a datagram to a friend, whom its kind lets in", () => {
    const expected: Readonly<Record<NatKind, readonly boolean[]>> = {
      open: [true, true, true],
      mapped: [true, true, true],
      cone: [true, true, true],
      "address-restricted": [true, true, false],
      "port-restricted": [true, false, false],
      symmetric: [true, false, false],
    };
    for (const [kind, admitted] of Object.entries(expected)) {
      const nat = gateway(kind as NatKind);
      const seen = nat.outgoing(friend, 0);
      const actual = [friend, sibling, stranger].map((from) => nat.admits(from, seen, 10));
      assert.deepEqual(actual, admitted, kind);
    }
  });

  it("lets nobody in before the host has sent, unless it is open or mapped", () => {
    for (const [kind] of natMixB) {
      const settings = { kind, pinholeMs: 30_000 };
      assert.equal(gateway(kind).admits(friend, outside, 0), isReachable(settings), kind);
    }
  });

  it("closes a pinhole after its time; only what goes out keeps it open", () => {
    for (const kind of ["cone", "address-restricted", "port-restricted", "symmetric"] as const) {
      const nat = gateway(kind);
      const seen = nat.outgoing(friend, 0);
      assert.equal(nat.admits(friend, seen, 30_000), true, kind);
      assert.equal(nat.admits(friend, seen, 30_001), false, `${kind} was kept open from outside`);
      const again = nat.outgoing(friend, 40_000);
      nat.outgoing(friend, 65_000);
      assert.equal(nat.admits(friend, again, 95_000), true, kind);
      assert.equal(nat.admits(friend, again, 95_001), false, kind);
    }
  });

  it("shows one endpoint as a cone, and one per destination and time as symmetric", () => {
    const cone = gateway("port-restricted");
    assert.equal(cone.outgoing(friend, 0), outside);
    assert.equal(cone.outgoing(stranger, 99_000), outside);
    const nat = gateway("symmetric");
    const first = nat.outgoing(friend, 0);
    assert.equal(first.address, outside.address);
    assert.deepEqual(nat.outgoing(friend, 20_000), first);
    const other = nat.outgoing(stranger, 20_000);
    const later = nat.outgoing(friend, 60_000);
    assert.equal(new Set([outside, first, other, later].map(({ text }) => text)).size, 4);
    assert.equal(nat.admits(friend, other, 20_000), false, "by another's mapping");
    assert.equal(nat.admits(stranger, other, 20_000), true);
  });

  it("gives symmetric mappings valid ports for ever", () => {
    const nat = new NatGateway(endpoint("192.0.2.1", 65_530), { kind: "symmetric", pinholeMs: 1 });
    for (let turn = 0; turn < 70_000; turn++) {
      const { port } = nat.outgoing(friend, 10 * turn);
      assert.ok(port >= 1024 && port <= 65_535, `${port}`);
    }
  });

  it("forgets what has expired, and the oldest when too many are open", () => {
    const quiet = gateway("port-restricted");
    const busy = gateway("port-restricted");
    const first = endpoint("198.51.100.1", 1000);
    busy.outgoing(first, 0);
    for (let turn = 0; turn < 10_000; turn++) {
      const to = endpoint(`198.51.${turn >> 8}.${turn & 255}`, 1001);
      quiet.outgoing(to, turn * second);
      busy.outgoing(to, turn / 1000);
    }
    assert.ok(quiet.pinholes <= 64, `${quiet.pinholes}`);
    assert.ok(busy.pinholes <= 4096 && busy.pinholes >= 3072, `${busy.pinholes}`);
    assert.equal(busy.admits(first, outside, 10), false);
    assert.equal(busy.admits(endpoint("198.51.39.15", 1001), outside, 10), true);
  });
});

describe("drawNat()", () => {
  it("gives mix B's kinds and pinhole times in their shares", () => {
    const random = new SeededRandom(11);
    const count = 20_000;
    const drawn = Array.from({ length: count }, () => drawNat(random));
    const share = (of: (nat: (typeof drawn)[0]) => boolean): number =>
      drawn.filter(of).length / count;
    let sum = 0;
    for (const [kind, expected] of natMixB) {
      sum += expected;
      const actual = share((nat) => nat.kind === kind);
      assert.ok(Math.abs(actual - expected) < 0.015, `${kind}: ${actual}`);
    }
    assert.ok(Math.abs(sum - 1) < 1e-9);
    assert.ok(Math.abs(share(isReachable) - 0.68) < 0.015);
    assert.ok(Math.abs(share(({ pinholeMs }) => pinholeMs === 30 * second) - 0.25) < 0.015);
    assert.ok(Math.abs(share(({ pinholeMs }) => pinholeMs === minute) - 0.35) < 0.015);
    const long = share(({ pinholeMs }) => pinholeMs >= 2 * minute && pinholeMs <= 5 * minute);
    assert.ok(Math.abs(long - 0.4) < 0.015, `${long}`);
  });
});
