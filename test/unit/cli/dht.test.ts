import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "mocha";
import fc from "fast-check";
import {
  dhtLines,
  dhtStatusView,
  hopLine,
  lookupSummary,
  peerLine,
  walkView,
} from "../../../src/cli/dht-view.ts";
import { runCommand } from "../../../src/cli/run.ts";
import { FakeWorld, json, lines, withDaemon } from "./fake-world.ts";

const family = {
  ...{ family: 4, state: "joined", contacts: 120, quarantined: 2, buckets: [60, 40, 0, 20] },
  ...{ estimatedNodes: 300, outside: "203.0.113.7:9977", reachability: "reachable" },
  held: { values: 5, keys: 4, bytes: 600, publishers: 1 },
  publishing: {
    ...{ running: true, keys: 10, placed: 9, holders: 40, pendingStores: 3, pendingLookups: 1 },
    ...{ offline: false, note: "the Internet is told nothing yet" },
  },
  ...{ pendingQueries: 1, pendingLookups: 2 },
};
const report = {
  ...{ state: "on", udpPort: 9977, lanDiscovery: true, sharing: { files: 10 } },
  ...{ id: "ab".repeat(20), network: "public", version: "AP0.1.0", share: "fresh" },
  families: [family],
};
const peer = {
  address: "192.0.2.7:9977",
  atMs: 123,
  pieces: "none",
  state: "complete",
  private: [],
};
const digest = "a".repeat(64);

describe("views of the DHT", () => {
  it("show a node's place", () => {
    assert.equal(
      dhtStatusView(report),
      `  Network     public
  Node        ${"ab".repeat(20)}
  Version     AP0.1.0
  UDP port    9977
  Neighbours  found by multicast
  Sharing     fresh, 10 files of the store

IPv4
  State      joined
  Table      120 contacts, 2 newcomers, in 3 buckets
  Network    some 300 nodes
  Seen as    203.0.113.7:9977
  Reachable  yes
  Held       5 values of 4 keys for 1 publisher, 600 B
  Published  9 of 10 files published, 3 stores to go
             the Internet is told nothing yet
  Under way  1 query, 2 lookups
`,
    );
    assert.deepEqual(dhtLines(report), [
      "  IPv4  joined, 120 contacts, some 300 nodes, 5 values held, 9 of 10 files published, 3 stores to go",
    ]);
    assert.deepEqual(dhtLines({ state: "failed", reason: "taken" }), ["  State  failed: taken"]);
    assert.deepEqual(dhtLines(undefined), []);
    assert.equal(dhtStatusView({ state: "off" }), "  State  off\n");
  });

  it("show peers, hops and the end of a look-up", () => {
    assert.equal(peerLine(peer), "  0.123 s  192.0.2.7:9977  complete");
    const elsewhere = { ...peer, state: "3/8", pieces: "inline", private: ["10.0.0.1:9977"] };
    assert.match(
      peerLine(elsewhere),
      /3\/8 {2}pieces inline {2}inside its network 10\.0\.0\.1:9977$/,
    );
    const hop = { atMs: 40, node: "cd".repeat(20), address: "192.0.2.8:9977" };
    assert.equal(
      hopLine({ ...hop, what: "answer", rttMs: 39.6, nodes: 8, held: 1 }),
      "  0.040 s    cdcdcdcdcd  192.0.2.8:9977  39.6 ms, 8 nodes, 1 value held",
    );
    assert.match(hopLine({ ...hop, what: "suspect" }), / late$/);
    assert.match(hopLine({ ...hop, what: "failed" }), / no answer$/);
    const result = { families: 1, peers: 2, tookMs: 250, firstMs: 120, messages: 12 };
    assert.equal(lookupSummary(result), "2 peers, 0.250 s, the first after 0.120 s, 12 messages");
    assert.equal(lookupSummary({ families: 1, messages: 9 }), "Nobody has it, 0.000 s, 9 messages");
    assert.match(lookupSummary({ families: 0 }), /No other node is known/);
  });

  it("show a walk", () => {
    const walk = { family: 4, found: 40, answered: 30, queries: 70, tookMs: 2500, complete: false };
    const more = { estimatedNodes: 42, versions: { "AP0.1.0": 29, "": 1 } };
    assert.equal(
      walkView({ families: [{ ...walk, ...more }] }),
      `IPv4
  Found       40 nodes; it ended at a limit, there may be more
  Answered    30 (75 %)
  By density  some 42 nodes
  Versions    AP0.1.0 29, ? 1
  Queries     70
  Time        2.500 s
`,
    );
  });

  it("survive whatever a daemon of another version says", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        for (const view of [dhtStatusView, dhtLines, walkView, peerLine, hopLine]) view(value);
        for (const key of Object.keys(report)) dhtStatusView({ ...report, [key]: value });
        for (const key of Object.keys(family)) dhtLines({ families: [{ [key]: value }] });
      }),
    );
    const evil = { ...report, id: "\u001b[2J" };
    assert.match(dhtStatusView(evil), /Node +\uFFFD\[2J/);
  });
});

describe("commands about the DHT", () => {
  let world: FakeWorld;
  beforeEach(() => (world = new FakeWorld()));
  afterEach(() => world.remove());

  const run = (...words: string[]): Promise<number> =>
    runCommand([...words, "--state-dir", world.directory], world);
  const result = {
    ...{ sha256: digest, peers: 1, firstMs: 123, tookMs: 250, families: 1, messages: 12 },
    closest: 8,
  };

  it("lookup shows peers as they come", async () => {
    const answer = lines([{ note: "small" }, { peer }, { result }]);
    const asked = await withDaemon(world.directory, answer, async () => {
      assert.equal(await run("lookup", digest), 0);
    });
    assert.deepEqual(asked, [`GET /lookup?what=${digest}`]);
    assert.equal(
      world.written.out,
      "  0.123 s  192.0.2.7:9977  complete\n1 peer, 0.250 s, the first after 0.123 s, 12 messages\n",
    );
    assert.equal(world.written.err, "apt-p2p: note: small\n");
  });

  it("lookup --json gives one object, with hops if they are wanted", async () => {
    const hop = { what: "answer" };
    const asked = await withDaemon(world.directory, lines([{ hop }, { peer }, { result }]), () =>
      run("lookup", "--json", "--hops", digest),
    );
    assert.deepEqual(asked, [`GET /lookup?what=${digest}&hops=1`]);
    const { peers, hops, count } = JSON.parse(world.written.out) as Record<string, unknown>;
    assert.deepEqual([peers, hops, count], [[peer], [hop], 1]);
  });

  it("lookup ends with 1 if there is nobody, and tells errors", async () => {
    const nobody = { ...result, peers: 0, firstMs: undefined };
    const statuses: number[] = [];
    for (const answer of [
      lines([{ result: nobody }]),
      lines([{ error: { code: "USAGE", message: "no such file" } }]),
      lines([]),
      json({ code: "CONFIG", message: "off" }, 500),
    ]) {
      await withDaemon(world.directory, answer, async () => {
        statuses.push(await run("lookup", digest));
      });
    }
    assert.deepEqual(statuses, [1, 2, 4, 3]);
    assert.match(world.written.err, /no such file\n.*run it again\n.*off\n$/s);
    assert.equal(await run("lookup"), 2);
    assert.equal(await run("lookup", digest, "--dht-only"), 2);
  });

  it("dht status and dht walk show what the daemon says", async () => {
    await withDaemon(world.directory, json(report), () => run("dht", "status"));
    assert.match(world.written.out, /^ {2}Network +public\n/);
    const walked = { families: [{ family: 6, found: 1, answered: 1 }] };
    const asked = await withDaemon(
      world.directory,
      lines([{ progress: { note: "IPv6: 1 nodes found" } }, { result: walked }]),
      () => run("dht", "walk", "--json"),
    );
    assert.deepEqual(asked, ["POST /dht/walk"]);
    assert.ok(world.written.out.endsWith(`${JSON.stringify(walked, undefined, 2)}\n`));
    assert.equal(await run("dht"), 2);
    assert.match(world.written.err, /apt-p2p dht needs one of: status, walk/);
  });
});
