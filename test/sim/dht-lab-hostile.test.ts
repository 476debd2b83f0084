/** What hostile nodes achieve in a small network: bench/hostile-dht.ts runs the same with many. */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { minute, second } from "../../src/base/units.ts";
import { dhtLimits } from "../../src/base/dht-limits.ts";
import { nodeHashes } from "../../src/io/node-hashes.ts";
import { benchAmplification, benchFlood } from "../../src/sim/dht/flood-bench.ts";
import { benchLiars, benchSybils } from "../../src/sim/dht/hostile-bench.ts";
import { internet } from "../../src/sim/net/latency.ts";

const seed = 1;
const common = { seed, hashes: nodeHashes, latency: internet(seed), lookupEveryMs: 5 * second };

describe("hostile nodes in the laboratory", function () {
  this.timeout(20 * second);

  it("a flood of stores fills no node and slows nobody", async () => {
    const task = { ...common, nodes: 20, durationMs: 0 };
    const settings = { perSecond: 2000, floodMs: 20 * second, sources: 256 };
    const row = await benchFlood(task, settings);
    assert.ok(row.floodDatagrams >= 40_000, `${row.floodDatagrams} datagrams`);
    // A small network lets each source store much: what bounds it is the room for all together.
    assert.ok(row.refused + row.unheard > row.floodDatagrams / 4, JSON.stringify(row));
    assert.ok(row.valuesMost <= dhtLimits.heldKeys, `${row.valuesMost} values`);
    assert.ok(row.bytesMost <= dhtLimits.heldBytes, `${row.bytesMost} bytes`);
    assert.ok(row.peersMost <= dhtLimits.knownPeers);
    assert.ok(row.quarantineMost <= dhtLimits.quarantine);
    assert.equal(row.missed, 0);
    assert.ok(row.ratio <= 1.5, `p99 ${row.floodP99} ms instead of ${row.idleP99} ms`);
  });

  it("answers to who has proved nothing are no longer than its queries", async () => {
    const row = await benchAmplification({ ...common, nodes: 15, durationMs: 0 }, 16);
    assert.ok(row.queries > 100, `${row.queries} queries`);
    assert.ok(row.answers > row.queries / 2, `${row.answers} answers`);
    assert.equal(Object.keys(row.most).length, 7);
    // Nor does the node's wish to get to know newcomers send more to them than they sent.
    for (const [method, ratio] of Object.entries(row.mostWithPings)) {
      assert.ok(ratio <= 1, `${method}: ${ratio} bytes for one`);
    }
  });

  it("a fifth of liars hides no value, and stolen tokens are worth nothing", async () => {
    const row = await benchLiars({ ...common, nodes: 50, durationMs: 15 * minute });
    assert.equal(row.hostile, 10);
    assert.ok(row.liarsInTables > 0, "nobody knows the liars");
    assert.equal(row.wrongPortsInTables, 0);
    assert.ok(row.lookups.success >= 0.99, `${row.lookups.missed} missed`);
    assert.ok(row.replays > 0, "no token was replayed");
    assert.equal(row.replaysAccepted, 0);
  });

  it("Sybils around one key hide no other", async () => {
    const task = { ...common, nodes: 30, durationMs: 12 * minute };
    const row = await benchSybils(task, { sybils: 16, subnets: 8, phases: 2 });
    assert.equal(row.phases.length, 2);
    assert.ok(row.others.lookups > 100);
    assert.ok(row.others.missed <= 0.02 * row.others.lookups, `${row.others.missed} missed`);
    assert.ok((row.phases[0]?.lookups ?? 0) > 10);
  });
});
