/**
 * Two machines with real apt: what the second gets comes from the first. Here with few packages; the
 * bench (bench/swarm-real.ts) does it with a hundred.
 */
import assert from "node:assert/strict";
import { describe, it } from "mocha";

import { daemonIsBuilt } from "../kit/daemon.ts";
import { netlabProblem } from "../kit/netlab.ts";
import { pair } from "./scenarios/pair.ts";
import type { PairResult } from "./scenarios/pair.ts";

describe("two machines with real apt", function () {
  this.timeout(60_000);

  before(function () {
    if (!daemonIsBuilt()) this.skip();
  });

  it("on loopback: the second has packages and indexes from the first", async () => {
    judge(await pair({ packages: 12, network: "loopback" }));
  });

  const problem = netlabProblem();
  const why = problem === undefined ? "" : ` (skipped: ${problem})`;
  it(`in namespaces, in the default configuration: the same${why}`, async function () {
    if (problem !== undefined) this.skip();
    judge(await pair({ packages: 12 }));
  });
});

function judge(result: PairResult): void {
  assert.deepEqual(result.packagesFromMirror, []);
  assert.deepEqual(result.indexesFromMirror, []);
  assert.ok(result.shareByCounters >= 0.98, `by counters ${result.shareByCounters}`);
  assert.ok(result.shareByMirror >= 0.98, `by the mirror ${result.shareByMirror}`);
}
