import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { endpoint } from "../../../src/base/endpoint.ts";
import { hour, minute } from "../../../src/base/units.ts";
import { Reachability } from "../../../src/dht/reachability.ts";

function askedBy(count: number, nowMs: number): Reachability {
  const reach = new Reachability();
  for (let n = 1; n <= count; n++) reach.asked(endpoint(`192.0.2.${n}`, 9977), nowMs);
  return reach;
}

describe("Reachability", () => {
  it("knows nothing at first, and while too few different nodes were asked", () => {
    const reach = askedBy(7, 0);
    for (let n = 0; n < 100; n++) reach.asked(endpoint("192.0.2.1", 9977), n);
    assert.equal(reach.state(10 * hour), "unknown");
    assert.equal(reach.readOnly(10 * hour), false);
  });

  it("is reachable once a query comes unasked", () => {
    const reach = askedBy(8, 0);
    reach.heard({ unasked: false, nowMs: minute });
    assert.equal(reach.state(minute), "unknown");
    reach.heard({ unasked: true, nowMs: 2 * minute });
    assert.equal(reach.state(2 * minute), "reachable");
    assert.equal(reach.readOnly(100 * hour), false);
  });

  it("is unreachable if none comes within 15 minutes after the eighth was asked", () => {
    const reach = askedBy(7, 0);
    reach.asked(endpoint("192.0.2.200", 9977), 5 * minute);
    reach.asked(endpoint("192.0.2.201", 9977), 19 * minute);
    reach.heard({ unasked: false, nowMs: 19 * minute });
    assert.equal(reach.state(20 * minute - 1), "unknown");
    assert.equal(reach.readOnly(20 * minute - 1), false);
    assert.equal(reach.state(20 * minute), "unreachable");
    assert.equal(reach.readOnly(20 * minute), true);
  });

  it("does not say so for ten minutes of every hour, and believes who comes then or later", () => {
    const reach = askedBy(8, 0);
    const start = 15 * minute;
    for (const round of [0, 1, 5]) {
      const from = start + round * hour;
      assert.equal(reach.readOnly(from), true);
      assert.equal(reach.readOnly(from + 50 * minute - 1), true);
      assert.equal(reach.readOnly(from + 50 * minute), false);
      assert.equal(reach.readOnly(from + 60 * minute - 1), false);
      assert.equal(reach.state(from + 55 * minute), "unreachable");
    }
    reach.heard({ unasked: true, nowMs: start + 61 * minute });
    assert.equal(reach.state(start + 61 * minute), "reachable");
    assert.equal(reach.readOnly(start + 61 * minute), false);
  });

  it("begins anew when the address has changed", () => {
    const reach = askedBy(8, 0);
    reach.heard({ unasked: true, nowMs: minute });
    reach.reset(hour);
    assert.equal(reach.state(hour), "unknown");
    for (let n = 1; n <= 8; n++) reach.asked(endpoint(`192.0.2.${n}`, 9977), hour);
    assert.equal(reach.state(hour + 15 * minute), "unreachable");
    reach.reset(2 * hour);
    assert.equal(reach.readOnly(20 * hour), false);
  });
});
