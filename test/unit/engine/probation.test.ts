import { describe, it } from "mocha";
import assert from "node:assert/strict";
import type { Sha256 } from "../../../src/base/sha256.ts";
import { minute } from "../../../src/base/units.ts";
import { Probation } from "../../../src/engine/probation.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

const [first, second, third] = ["a", "b", "c"].map((letter) => letter.repeat(64)) as [
  Sha256,
  Sha256,
  Sha256,
];
const [peer, other] = ["192.0.2.1", "192.0.2.2"] as const;

describe("Probation", () => {
  it("asks a stranger for one short file at a time as well, beside a long one", () => {
    let retries = 0;
    const probation = new Probation(new VirtualClock());
    assert.ok(probation.admits(peer, first, "long"));
    assert.ok(probation.admits(peer, second, "short"));
    assert.ok(!probation.admits(peer, third, "short"));
    probation.wait(third, () => retries++);
    probation.ended(second);
    assert.equal(retries, 1);
    assert.ok(probation.admits(peer, third, "short"));
    probation.proven(peer);
    assert.ok(probation.admits(peer, second, "short") && probation.admits(peer, second, "long"));
    probation.doubt(peer);
    assert.ok(!probation.admits(peer, first, "long"));
    assert.ok(probation.admits(peer, first, "short"), "what is proven first does no harm");
  });

  it("admits a stranger to one file at a time, and to all once it gave something right", () => {
    const probation = new Probation(new VirtualClock());
    let retries = 0;
    assert.ok(probation.admits(peer, first));
    assert.ok(probation.admits(peer, first), "still the same file");
    assert.ok(!probation.admits(peer, second));
    assert.ok(probation.admits(other, second), "another stranger is free");
    probation.wait(second, () => retries++);
    probation.proven(peer);
    assert.equal(retries, 1);
    assert.ok(probation.admits(peer, second) && probation.admits(peer, first));
  });

  it("frees it with the end of the file, whatever came of it", () => {
    const probation = new Probation(new VirtualClock());
    let retries = 0;
    probation.admits(peer, first);
    probation.wait(second, () => retries++);
    probation.ended(first);
    assert.equal(retries, 1);
    assert.ok(probation.admits(peer, second));
    probation.ended(second);
    assert.equal(retries, 1, "who has ended waits no more");
  });

  it("keeps away whoever was part of a wrong file, until that is cleared up or long ago", () => {
    const clock = new VirtualClock();
    const probation = new Probation(clock);
    probation.proven(peer);
    probation.doubt(peer);
    probation.ended(first);
    assert.ok(!probation.admits(peer, first) && !probation.admits(peer, second));
    probation.cleared(peer);
    assert.ok(probation.admits(peer, first) && !probation.admits(peer, second), "on probation");
    probation.doubt(peer);
    probation.ended(first);
    clock.advance(10 * minute);
    assert.ok(probation.admits(peer, second));
  });
});
