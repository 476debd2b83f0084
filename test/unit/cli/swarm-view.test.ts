import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "mocha";
import { statusView } from "../../../src/cli/status-view.ts";
import { sourceLines, swarmLines } from "../../../src/cli/swarm-view.ts";

const swarm = {
  state: "on",
  received: {
    bytes: 25e6,
    peers: [
      { peer: "192.0.2.1:9977", bytes: 20e6 },
      { peer: "192.0.2.2:9977", bytes: 5e6 },
    ],
  },
  uploaded: {
    ...{ nearBytes: 40e6, farBytes: 10e6, monthBytes: 12e6, busy: 3 },
    peers: [
      { peer: "10.0.0.7", near: true, bytes: 40e6 },
      { peer: "198.51.100.9", near: false, bytes: 10e6 },
    ],
  },
  refused: {
    ...{ pieces: 2, bytes: 1_048_576, dropped: { piece: 2, broken: 1 }, liars: { piece: 1 } },
  },
  lookups: { asked: 40, found: 30, firstMs: 45 },
  neighbours: [
    { address: "10.0.0.7:9977", near: true, answeredAgoMs: 12, useful: 3 },
    { address: "10.0.0.8:9977", near: true, useful: 0 },
  ],
  bans: [{ who: "192.0.2.66", why: "wrong piece", untilMs: Date.UTC(2026, 0, 3, 12, 30) }],
  files: [
    {
      ...{ name: "h/pool/b.deb", cacheBytes: 0, mirrorBytes: 1e6, firstPeerMs: 31 },
      peers: [{ peer: "192.0.2.1:9977", bytes: 20e6 }],
      ...{ refused: 2, dropped: { "192.0.2.66:9977": "piece" } },
    },
    {
      ...{ name: "h/pool/a.deb", cacheBytes: 3e6, mirrorBytes: 0, peers: [] },
      ...{ refused: 0, dropped: {} },
    },
  ],
};

describe("what status says of peers", () => {
  it("tells who gave, who took, what was refused and why, and how long look-ups take", () => {
    const text = statusView({
      bytes: {
        ...{ fromCache: 3e6, fromPeers: 25e6, fromMirror: 22e6, passedThrough: 0 },
        ...{ toClients: 50e6, uploaded: 50e6 },
      },
      swarm,
    });
    assert.equal(
      text,
      `apt-p2p


Traffic
  from the cache   3.0 MB   6 %
  from peers      25.0 MB  50 %
  from mirrors    22.0 MB  44 %
  passed through      0 B   0 %
  to clients      50.0 MB
  to peers        50.0 MB

Peers
  Given         40.0 MB on the own network, 10.0 MB beyond it, 12.0 MB beyond it in this month, 3 questions turned away, busy
  Look-ups      40 in the DHT, 30 found peers, the first after 45 ms
  Refused       2 pieces, 1.0 MB
  Given up      2 × piece, 1 × broken
  Proven liars  1 × piece
  Neighbours    2, 1 of them answering
  from  192.0.2.1:9977  20.0 MB
  from  192.0.2.2:9977   5.0 MB
  to    10.0.0.7        40.0 MB  own network
  to    198.51.100.9    10.0 MB
  banned  192.0.2.66  wrong piece  until 2026-01-03 12:30 UTC

Last files
  b.deb  20.0 MB from peers (192.0.2.1:9977 20.0 MB, the first piece after 31 ms), 1.0 MB from the mirror, 2 pieces refused, 192.0.2.66:9977 given up (piece)
  a.deb  3.0 MB from the cache
`,
    );
  });

  it("says that there is nothing of it when nothing is shared", () => {
    assert.deepEqual(swarmLines({ ...swarm, state: "off" }), ["  off (dht.share = none)"]);
    assert.deepEqual(swarmLines({ state: "on" }), []);
    assert.deepEqual(sourceLines(undefined), []);
  });

  it("shows ten of each kind, and of many peers three", () => {
    const peers = Array.from({ length: 40 }, (_, index) => ({ peer: `p${index}`, bytes: 1 }));
    const dropped = Object.fromEntries(peers.map(({ peer }) => [peer, "size"]));
    const lines = swarmLines({ received: { peers } });
    assert.equal(lines.length, 10);
    const files = Array.from({ length: 40 }, () => ({ name: "x/y", peers, dropped }));
    assert.equal(sourceLines({ files }).length, 10);
    assert.match(
      sourceLines({ files })[0] ?? "",
      /40 B from peers \(p0 1 B, p1 1 B, p2 1 B, 37 more\), 40 peers given up$/,
    );
  });

  it("survives whatever a daemon of another version says", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        for (const view of [swarmLines, sourceLines]) view(value);
        for (const key of Object.keys(swarm)) swarmLines({ ...swarm, [key]: value });
        for (const key of Object.keys(swarm.files[0] ?? {})) {
          sourceLines({ files: [{ ...swarm.files[0], [key]: value }] });
        }
        swarmLines({ bans: [{ untilMs: value }] });
      }),
    );
    assert.doesNotThrow(() => swarmLines({ bans: [{ untilMs: 1e300 }] }));
    const evil = { files: [{ name: "x/\u001b[2J", cacheBytes: 1, mirrorBytes: 0, peers: [] }] };
    assert.match(statusView({ swarm: evil }), /\uFFFD\[2J/);
  });
});
