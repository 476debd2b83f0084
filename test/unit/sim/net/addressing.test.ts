import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "mocha";
import { endpoint, parseEndpoint, scopeOf, subnetOf } from "../../../../src/base/endpoint.ts";
import { endpointOf, indexOf, mostHosts } from "../../../../src/sim/net/addressing.ts";

describe("endpointOf()", () => {
  it("gives global canonical addresses, from which indexOf() finds the host again", () => {
    fc.assert(
      fc.property(fc.nat({ max: mostHosts - 1 }), (index) => {
        const made = endpointOf(index);
        assert.deepEqual(parseEndpoint(made.text), made);
        assert.equal(scopeOf(made.address), "global");
        assert.equal(indexOf(made), index);
        assert.equal(indexOf(endpoint(made.address, 1)), index);
      }),
    );
  });

  it("puts each host into a /24 of its own", () => {
    const subnets = Array.from({ length: 70_000 }, (_, i) => subnetOf(endpointOf(i).address));
    assert.equal(new Set(subnets).size, 70_000);
  });

  it("has no addresses beyond the last host, and no host for other addresses", () => {
    for (const index of [-1, 0.5, NaN, mostHosts]) {
      assert.throws(() => endpointOf(index), RangeError);
    }
    for (const address of ["192.0.2.7", "1.0.0.8", "0.0.0.7", "10.0.0.7", "2001:db8::7"]) {
      assert.equal(indexOf(endpoint(address, 9977)), undefined, address);
    }
  });
});
