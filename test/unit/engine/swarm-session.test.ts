/** What of a peer's pieces is in memory while their reader does not come. */
import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import { parseEndpoint } from "../../../src/base/endpoint.ts";
import { limits } from "../../../src/base/limits.ts";
import type { Sha256 } from "../../../src/base/sha256.ts";
import type { PeerHttpRequest, PeerHttpResponse } from "../../../src/engine/ports.ts";
import { SwarmSession } from "../../../src/engine/swarm-session.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

const pieces = 100;
const sizeBytes = pieces * limits.pieceBytes;
const piece = Buffer.alloc(limits.pieceBytes, "piece");
const digest = Buffer.from(nodeHashes.of(piece)).toString("hex");

/** A seed that sends at once whatever it is asked for. */
function seed({ path, headers }: PeerHttpRequest): Promise<PeerHttpResponse> {
  const [, from = "0", to = "0"] = /^bytes=(\d+)-(\d+)$/.exec(headers["range"] ?? "") ?? [];
  const count = Math.ceil((Number(to) + 1 - Number(from)) / limits.pieceBytes);
  const body = (all: readonly Buffer[], status: number, more: Record<string, string> = {}) =>
    Promise.resolve({
      ...{ status, headers: more },
      body: (async function* () {
        for (const chunk of all) yield await Promise.resolve(chunk);
      })(),
    });
  if (path.endsWith("/pieces")) {
    return body([Buffer.from(digest.repeat(pieces), "hex")], 200);
  }
  if (path.includes("/swarm")) return body([], 404);
  return body(
    Array.from({ length: count }, () => piece),
    206,
    {
      "content-range": `bytes ${from}-${to}/${sizeBytes}`,
      "apt-p2p-pieces": Array.from({ length: count }, () => digest).join(","),
    },
  );
}

describe("SwarmSession", () => {
  it("lets peers wait for a reader that is slow, and goes on when it comes", async () => {
    const clock = new VirtualClock();
    const counters = new Counters();
    const aside: number[] = [];
    const session = new SwarmSession(
      {
        ...{ clock, counters, hashes: nodeHashes, random: new SeededRandom(1) },
        ...{ mirror: { fetch: () => new Promise(() => undefined) }, isNear: () => true },
        peers: { send: seed },
      },
      {
        ...{ sha256: "ab".repeat(32) as Sha256, sizeBytes, position: 0, ahead: [] },
        ...{
          mirror: undefined,
          patienceMs: 0,
          partingMs: () => 0,
          manyNear: false,
          sequential: true,
        },
        store: {
          putPiece: (number) => aside.push(number) > 0,
          dropPiece: () => undefined,
        },
      },
    );
    const endpoint = parseEndpoint("192.0.2.1:9977");
    assert.ok(endpoint !== undefined);
    const info = { near: true, group: "192.0.2.1", state: "whole", via: "neighbour" } as const;
    session.transfer.start();
    session.addPeers([{ endpoint, ...info }]);
    session.searchEnded();
    const settle = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 10) {
        clock.advance(10);
        for (let turn = 0; turn < 20; turn++) await new Promise((next) => setImmediate(next));
      }
    };
    await settle(400);
    const early = session.transfer.held.count;
    assert.ok(early >= limits.readyPieces, `${early} pieces are here`);
    assert.ok(early <= limits.soonPieces, `${early} pieces came although nobody takes them`);
    let position = 0;
    while (position < sizeBytes) {
      const step = await Promise.race([session.next(position), settle(3000).then(() => undefined)]);
      assert.ok(step !== undefined && (step.kind === "here" || step.kind === "ahead"));
      assert.equal(step.piece, position / limits.pieceBytes);
      if (step.kind === "here") {
        assert.ok(session.waiting(step.piece)?.equals(piece) === true, "others may have it, too");
        assert.ok(session.take(step.piece)?.equals(piece) === true);
        assert.equal(session.take(step.piece), undefined, "it is the reader's now");
      } else {
        assert.ok(aside.includes(step.piece));
      }
      position += limits.pieceBytes;
    }
    session.close();
  });
});
