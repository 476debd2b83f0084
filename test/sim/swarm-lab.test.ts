/** The laboratory of swarms with few machines: that its links, its troubles and its figures are true. */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { Host, Stream } from "../../src/sim/swarm/links.ts";
import type { Progress } from "../../src/sim/swarm/plan.ts";
import { runSwarm } from "../../src/sim/swarm/row.ts";
import {
  balance,
  boundMs,
  crowd48,
  deploy,
  few,
  lan,
  MB,
  Mbit,
  member,
  shah,
  thousand,
} from "../../src/sim/swarm/scenarios.ts";
import { trouble } from "../../src/sim/swarm/trouble.ts";
import { VirtualClock } from "../../src/sim/virtual-clock.ts";

const seed = 1;

describe("Links of a simulated swarm", () => {
  const clock = new VirtualClock();
  const host = (up: number, down = up): Host => new Host(clock, { up, down }, 10_000);

  /** Sends so many bytes → when each stream was through, in milliseconds. */
  function through(pairs: readonly (readonly [Host, Host])[], bytes: number): readonly number[] {
    const startMs = clock.monotonicMs();
    const tookMs: number[] = [];
    for (const [index, [from, to]] of pairs.entries()) {
      let left = bytes;
      const arrived = (count: number): void => {
        left -= count;
        if (left === 0) tookMs[index] = clock.monotonicMs() - startMs;
      };
      new Stream(from, to, 10, { arrived }).put(bytes);
    }
    clock.advance(60_000);
    return tookMs.map((ms) => Math.round(ms));
  }

  it("keep to the rate of the slower end, after the way there", () => {
    assert.deepEqual(through([[host(1_000_000), host(10_000_000)]], 1_000_000), [1011]);
    assert.deepEqual(through([[host(10_000_000), host(1_000_000)]], 1_000_000), [1011]);
  });

  it("are shared evenly by who sends, and by who receives", () => {
    const [from, to] = [host(1_000_000), host(1_000_000)];
    const fast = (): Host => host(100_000_000);
    const sent = through(
      [
        [from, fast()],
        [from, fast()],
      ],
      500_000,
    );
    for (const ms of sent) assert.ok(ms > 980 && ms < 1030, `${ms}`);
    const got = through(
      [
        [fast(), to],
        [fast(), to],
      ],
      500_000,
    );
    for (const ms of got) assert.ok(ms > 980 && ms < 1050, `${ms}`);
  });

  it("tell nothing of a stream that was cancelled, and go on with others", () => {
    const from = host(1_000_000);
    let heard = 0;
    const stream = new Stream(from, host(1_000_000), 10, { arrived: () => heard++ });
    stream.put(1_000_000);
    clock.advance(100);
    const before = heard;
    stream.cancel();
    assert.ok(before > 0);
    // Not 900 ms later: only the quantum that was leaving is in the way.
    const [ms = Infinity] = through([[from, host(1_000_000)]], 100_000);
    assert.ok(ms < 150, `${ms}`);
    assert.equal(heard, before);
  });
});

describe("Simulated swarms", function () {
  this.timeout(20_000);

  it("do the same again with the same seed, and something else with another", () => {
    const size = { count: 8, sizeBytes: 4 * MB };
    const rows = [seed, seed, seed + 1].map((each) => crowd48(each, "together", size));
    assert.deepEqual(rows[0], rows[1]);
    assert.notDeepEqual(rows[0]?.quantilesMs, rows[2]?.quantilesMs);
  });

  it("know the bound", () => {
    assert.equal(boundMs({ count: 48, sizeBytes: 20 * MB }, 10 * Mbit, 100 * Mbit), 16_000);
    assert.equal(boundMs({ count: 2, sizeBytes: 10 * MB }, 1000 * Mbit, 8 * Mbit), 10_000);
  });

  it("spare a slow mirror that a crowd wants one file from", () => {
    const size = { count: 16, sizeBytes: 10 * MB };
    const swarm = crowd48(seed, "together", size);
    assert.equal(swarm.finished, 16);
    assert.ok(swarm.ratio > 0.99 && swarm.ratio < 1.6, `${swarm.ratio} times the bound`);
    assert.ok(swarm.mirrorCopies >= 1 && swarm.mirrorCopies < 1.6, `${swarm.mirrorCopies} copies`);
    assert.ok(swarm.longestSilenceMs < 10_000, `${swarm.longestSilenceMs} ms of silence`);
    const direct = crowd48(seed, "direct", size);
    assert.equal(direct.mirrorCopies, 16);
    assert.ok(direct.p50Ms > 5 * swarm.p50Ms);
  });

  it("share a slow mirror among two and three, too", () => {
    for (const count of [2, 3]) {
      const row = few(seed, count);
      assert.equal(row.finished, count);
      assert.ok(row.ratio < 1.6, `${count}: ${row.ratio} times the bound`);
      assert.ok(row.mirrorCopies < 1.6, `${count}: ${row.mirrorCopies} copies`);
    }
  });

  it("do not all run to a mirror because it is slow", () => {
    for (const each of [seed, seed + 1]) {
      const row = crowd48(each, "together", { rate: 50 * Mbit });
      assert.equal(row.finished, 48);
      assert.ok(row.mirrorCopies < 3, `seed ${each}: ${row.mirrorCopies} copies`);
      assert.ok(
        row.longestSilenceMs < 12_000,
        `seed ${each}: ${row.longestSilenceMs} ms of silence`,
      );
    }
  }).timeout(30_000);

  it("bring everybody the file when members leave as soon as they have it", () => {
    let [ratio, copies] = [0, 0];
    const seeds = [seed, seed + 1, seed + 2];
    for (const each of seeds) {
      const row = crowd48(each, "leaving", { count: 24, sizeBytes: 10 * MB });
      assert.equal(row.finished, 24);
      ratio += row.ratio / seeds.length;
      copies += row.mirrorCopies / seeds.length;
    }
    // Whoever took the last piece away would have the others get it from the mirror one by one.
    assert.ok(ratio < 1.4, `${ratio} times the bound`);
    assert.ok(copies < 1.2, `${copies} copies`);
  });

  it("lose nothing by following the news of half of the others", () => {
    const took = [128, 12].map((watchedPeers) => {
      const size = { count: 24, sizeBytes: 200 * MB, policy: { watchedPeers } };
      const rows = [seed, seed + 1].map((each) => deploy(each, size));
      return rows.reduce((sum, { p50Ms }) => sum + p50Ms, 0);
    });
    const [all = 0, half = Infinity] = took;
    // With the same half for everybody nobody hears what the others have got.
    assert.ok(half < 1.04 * all, `${half} instead of ${all} ms`);
  });

  it("have a seed send little more than one copy", () => {
    const row = deploy(seed, { count: 10, sizeBytes: 100 * MB });
    assert.equal(row.finished, 10);
    assert.ok(row.ratio > 0.99 && row.ratio < 1.5, `${row.ratio} times the bound`);
    assert.ok(row.seedCopies < 1.5, `${row.seedCopies} copies from the seed`);
    assert.ok((row.sownMs ?? Infinity) <= row.lastMs);
  });

  it("use everybody, and a seed once, also where nobody knows more than a part", () => {
    const members = [
      member({ rate: 100 * Mbit, seed: true }),
      ...Array.from({ length: 60 }, (_, index) =>
        member({ rate: 100 * Mbit, sequential: false, startMs: 20 * index }),
      ),
    ];
    let lateBytes = 0;
    const row = runSwarm(
      {
        scenario: "large crowd",
        boundMs: boundMs({ count: 60, sizeBytes: 60 * MB }, 100 * Mbit, 100 * Mbit),
      },
      {
        ...{ ...lan, quantumBytes: 128 * 1024, seed, sizeBytes: 60 * MB, members },
        policy: { knownPeers: 20 },
      },
      (world) => {
        for (const { host } of world.members.slice(-10)) lateBytes += host.sentBytes;
        assert.ok(world.counters.get("swarm.requests.sown") > 0);
        assert.ok(world.counters.get("swarm.peers.displaced") > 0);
        return {};
      },
    );
    assert.equal(row.finished, 60);
    assert.ok(row.seedCopies < 1.7, `${row.seedCopies} copies from the seed`);
    assert.ok((row.sownMs ?? Infinity) < 1.2 * row.boundMs, `sown after ${row.sownMs} ms`);
    assert.ok(lateBytes > 0.4 * 10 * 60 * MB, `${lateBytes} bytes by those who came last`);
  });

  it("tell how far they have come, and are the same when watched", () => {
    const size = { count: 5, sizeBytes: 20 * MB };
    const told: Progress[] = [];
    const row = deploy(seed, { ...size, watch: (progress) => told.push(progress) });
    assert.deepEqual(row, deploy(seed, size));
    assert.equal(told.length, Math.floor(row.lastMs / 250));
    for (const [index, { pieces, wanted, left }] of told.entries()) {
      assert.equal(wanted, 5 * 39);
      assert.ok(pieces >= (told[index - 1]?.pieces ?? 0) && pieces <= wanted && left <= 5);
    }
    assert.ok((told.at(-1)?.pieces ?? 0) > 150);
  });

  it("load equal seeds equally", () => {
    const { more, finished } = balance(seed, { count: 40, sizeBytes: 20 * MB });
    assert.equal(finished, 40);
    assert.ok((more["maxByMean"] ?? Infinity) <= 1.5, JSON.stringify(more));
  });

  it("need the mirror no more once a file is known in the DHT", () => {
    const { more, finished } = thousand(seed, { count: 100 });
    assert.equal(finished, 100);
    assert.ok((more["lateShare"] ?? 1) <= 0.02, JSON.stringify(more));
    assert.ok((more["lateClients"] ?? 0) > 50);
  });

  it("serve customers no later when load counts, with volunteers of which half are busy", () => {
    const size = { count: 60, sizeBytes: 5 * MB };
    const withFeedback = shah(seed, 0.5, size);
    const blind = shah(seed, 0.5, { ...size, policy: { feedback: false } });
    assert.equal(withFeedback.tookMs.length, 60);
    const [mean = 0, blindMean = 0] = [withFeedback, blind].map(({ row }) => row.more["meanMs"]);
    assert.ok(mean < 1.2 * blindMean, `${mean} ms, blind ${blindMean} ms`);
  });

  it("send nothing to customers from who has no uplink for them", () => {
    const rate = 10 * Mbit;
    const limits = { nearRate: 0 };
    const members = [member({ rate, seed: true, limits }), member({ rate })];
    const mirror = { up: rate, serviceMs: 1, latencyMs: 1 };
    const plan = { ...lan, seed, sizeBytes: 1 * MB, members, mirror };
    const row = runSwarm({ scenario: "none", boundMs: 800 }, plan);
    assert.equal(row.finished, 1);
    assert.equal(row.seedCopies, 0);
    assert.equal(row.mirrorCopies, 1);
  });
});

describe("Simulated peers in trouble", function () {
  this.timeout(20_000);

  const size = { sizeBytes: 4 * MB, count: 8 };

  for (const kind of [
    "deaf",
    "slow",
    "idle",
    "busy",
    "stalls",
    "leaves",
    "bytes",
    "list",
  ] as const) {
    it(`do not keep apt from the right file: ${kind}`, () => {
      for (const share of [0.5, 1]) {
        const row = trouble(seed, { ...size, trouble: kind, share });
        assert.equal(row.finished, 1);
        assert.equal(row.refetches, 0);
        // Twice the mirror alone is what no promise allows; the benches measure the promise.
        assert.ok((row.more["byAlone"] ?? Infinity) < 2, JSON.stringify(row.more));
        if (kind === "bytes") assert.ok(row.refused > 0 || row.mirrorCopies > 0.9);
      }
    });
  }

  it("cannot keep apt from the honest half by lists that are wrong", () => {
    for (const each of [seed, seed + 1, seed + 2]) {
      const { more } = trouble(each, { trouble: "list", share: 0.5 });
      assert.ok((more["byAlone"] ?? Infinity) < 1, `seed ${each}: ${JSON.stringify(more)}`);
    }
  });

  it("cost one refetch when all tell the same lie", () => {
    const row = trouble(seed, { ...size, trouble: "consistent", share: 1 });
    assert.equal(row.finished, 1);
    // Wrong bytes that agree with each other are found only at the end, or when the mirror disagrees.
    assert.ok(row.refetches === 1 || row.refused > 0, JSON.stringify(row));
    assert.ok(row.refetches <= 1);
  });
});
