import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import type { Sha256 } from "../../../src/base/sha256.ts";
import { FileSourceBook } from "../../../src/engine/file-sources.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { engineWorld } from "../../../src/sim/engine-world.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import type { RouterReport } from "../../../src/status/router-report.ts";
import { statusPage } from "../../../src/status/page.ts";
import { snapshot } from "../../../src/status/snapshot.ts";
import { swarmReport, type SwarmSources } from "../../../src/status/swarm-report.ts";
import { silentLog } from "../../integration/dht-swarm.ts";

const digest = (letter: string): Sha256 => letter.repeat(64) as Sha256;

function session(given: Readonly<Record<string, number>>, refused = 0) {
  return {
    firstPeerMs: 20,
    record: () => ({
      ...{ pieces: new Map(), lists: [], whole: new Set<string>() },
      refused: Array.from({ length: refused }, () => ({ piece: 0, digest: "", source: "" })),
      dropped: new Map(refused > 0 ? [["192.0.2.66:9977", "piece"]] : []),
      bytes: new Map(Object.entries(given)),
    }),
  };
}

function book(): FileSourceBook {
  const book = new FileSourceBook({ clock: new VirtualClock(), log: silentLog });
  book.brought({ name: "h/a.deb", sha256: digest("a") }, 7, session({ p: 10, q: 20 }, 1));
  book.brought({ name: "h/<b>.deb", sha256: digest("b") }, 0, session({ p: 15 }));
  book.brought({ name: "h/c.deb", sha256: digest("c") }, 5, undefined);
  book.fromCache("h/a.deb", digest("a"), 100);
  book.fromCache("h/a.deb", digest("a"), 1);
  return book;
}

const sources = (book: FileSourceBook): SwarmSources => ({
  enabled: true,
  files: () => book.files(),
  givers: () => book.peers(),
  takers: () => [{ peer: "10.0.0.7", near: true, bytes: 9 }],
  neighbours: () => [],
  bans: () => [{ who: "192.0.2.66", why: "wrong piece", untilMs: 0 }],
  monthBytes: () => 4,
});

describe("FileSourceBook", () => {
  it("remembers of each file who gave it, and of each peer what it gave", () => {
    const [b, c, a] = book().files();
    assert.deepEqual(
      [a, b, c].map((file) => [file?.cacheBytes, file?.mirrorBytes, file?.peers]),
      [
        [
          101,
          7,
          [
            { peer: "q", bytes: 20 },
            { peer: "p", bytes: 10 },
          ],
        ],
        [0, 0, [{ peer: "p", bytes: 15 }]],
        [0, 5, []],
      ],
    );
    assert.deepEqual([a?.refused, a?.dropped], [1, { "192.0.2.66:9977": "piece" }]);
    assert.deepEqual([a?.firstPeerMs, c?.firstPeerMs], [20, undefined]);
    assert.deepEqual(book().peers(), [
      { peer: "p", bytes: 25 },
      { peer: "q", bytes: 20 },
    ]);
  });

  it("is bounded", () => {
    const full = new FileSourceBook({ clock: new VirtualClock(), log: silentLog });
    for (let index = 0; index < 2000; index++) {
      const sha256 = index.toString(16).padStart(64, "0") as Sha256;
      full.brought({ name: "x", sha256 }, 1, session({ [`peer${index}`]: 1 }));
    }
    assert.ok(full.files().length < 1000 && full.peers().length < 1000);
    assert.equal(full.files().at(-1)?.sha256, (1999).toString(16).padStart(64, "0"));
  });
});

describe("snapshot()", () => {
  it("sums up what came from peers and went to them", async () => {
    const world = await engineWorld({ hashes: nodeHashes });
    const counted = { "engine.bytes.fromPeers": 45, "peers.bytes.uploaded.far": 3 };
    for (const [name, amount] of Object.entries(counted)) world.counters.add(name, amount);
    world.counters.add("peers.bytes.uploaded.near", 9);
    const shown = await snapshot({
      ...{ ...world, version: "0", listening: () => [], swarm: sources(book()) },
      ...{ dht: () => ({ state: "off" }), memoryLimitBytes: undefined },
      router: () => ({ state: "off" }),
      process: () => ({ pid: 1, uptimeMs: 0, rssBytes: 0, cpuMs: 0, maxStallMs: 0 }),
    });
    assert.deepEqual([shown.bytes.fromPeers, shown.bytes.uploaded], [45, 12]);
    assert.deepEqual(
      shown.swarm.files.map(({ name }) => name),
      ["h/a.deb", "h/c.deb", "h/<b>.deb"],
    );
    const page = statusPage(shown);
    assert.match(page, /Fetched from peers<\/th><td>0\.0 KiB/);
    assert.match(page, /From p<\/th><td>/);
    assert.match(page, /To 10\.0\.0\.7<\/th>/);
    assert.match(page, /Banned 192\.0\.2\.66<\/th><td>wrong piece, until 1970/);
    assert.match(page, /h\/&lt;b&gt;\.deb<\/th><td>0\.0 KiB from 1 peer<\/td>/);
    assert.doesNotMatch(page, /<b>/);
  });

  it("tells on the page what the router has given", async () => {
    const world = await engineWorld({ hashes: nodeHashes });
    const page = async (router: RouterReport): Promise<string> =>
      statusPage(
        await snapshot({
          ...{ ...world, version: "0", listening: () => [], swarm: sources(book()) },
          ...{ dht: () => ({ state: "off" }), memoryLimitBytes: 1, router: () => router },
          process: () => ({ pid: 1, uptimeMs: 0, rssBytes: 0, cpuMs: 0, maxStallMs: 0 }),
        }),
      );
    const mappings = [
      { protocol: "TCP", port: 1, externalPort: 9977 },
      { protocol: "UDP", port: 1, externalPort: 9978 },
    ] as const;
    const common = { mappings, externalAddress: undefined, untilMs: 0, problem: undefined };
    const mapped = { state: "mapped", by: "UPnP", ...common } as const;
    assert.match(await page(mapped), /passes TCP 9977 and UDP 9978 on, by UPnP<\/td>/);
    assert.match(await page({ ...mapped, problem: "<why>" }), /UPnP, but &lt;why&gt;</);
    const failed = { state: "failed", reason: "no answer", againAtMs: 0 } as const;
    assert.match(await page(failed), /gave no ports: no answer/);
    assert.doesNotMatch(await page({ state: "off" }), /Router/);
  });

  it("gives counters their names, and look-ups their mean time", () => {
    const counters = new Counters();
    const moved = {
      ...{ "swarm.lookups": 4, "swarm.lookups.found": 2, "swarm.lookups.firstMs": 90 },
      ...{ "swarm.pieces.refused": 3, "swarm.bytes.refused": 30, "peers.refused.busy": 5 },
      ...{ "swarm.peers.dropped.piece": 2, "swarm.liars.list": 1 },
    };
    for (const [name, amount] of Object.entries(moved)) counters.add(name, amount);
    const report = swarmReport(sources(book()), counters.snapshot());
    assert.deepEqual(report.lookups, { asked: 4, found: 2, firstMs: 45 });
    assert.deepEqual(report.refused, {
      ...{ pieces: 3, bytes: 30, dropped: { piece: 2 }, liars: { list: 1 } },
    });
    assert.deepEqual([report.uploaded.busy, report.uploaded.monthBytes], [5, 4]);
    assert.equal(swarmReport(sources(book()), {}).lookups.firstMs, undefined);
  });
});
