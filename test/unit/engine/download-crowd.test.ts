/** What a mirror is asked for while a crowd downloads, and what becomes of its answers. */
import assert from "node:assert/strict";
import { describe, it } from "mocha";
import type { Expectation } from "../../../src/archive/types.ts";
import { Counters } from "../../../src/base/counters.ts";
import { AptP2pError } from "../../../src/base/errors.ts";
import { parseEndpoint } from "../../../src/base/endpoint.ts";
import { sha256FromBytes } from "../../../src/base/sha256.ts";
import { KiB } from "../../../src/base/units.ts";
import { Download } from "../../../src/engine/download.ts";
import type { Outcome } from "../../../src/engine/download-plan.ts";
import type { MirrorResponse } from "../../../src/engine/ports.ts";
import { SwarmSession } from "../../../src/engine/swarm-session.ts";
import { Unstored } from "../../../src/engine/unstored.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import type { PeerInfo } from "../../../src/swarm/types.ts";
import { seededBytes } from "../../kit/bytes.ts";

const file = seededBytes("crowd", 1_300_000);
const sha256 = sha256FromBytes(nodeHashes.of(file));
const url = "http://ftp.us.debian.org/x";
const expectation: Expectation = {
  ...{ sha256, sizeBytes: file.length, trust: "verified", listedIn: "Packages" },
  ...{ release: undefined, signedBy: [] },
};

/** `bytes` in chunks, as a server does that knows ranges, or one that does not. */
function answer(bytes: Buffer, range: string | undefined, ranges: boolean): MirrorResponse {
  const [, first = "0", last = ""] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
  const part = ranges && range !== undefined;
  const from = part ? Number(first) : 0;
  const end = part && last !== "" ? Math.min(bytes.length, Number(last) + 1) : bytes.length;
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = from; at < end; at += 10_000) {
      yield await Promise.resolve(bytes.subarray(at, Math.min(end, at + 10_000)));
    }
  }
  const headers = {
    "content-length": `${end - from}`,
    ...(part && { "content-range": `bytes ${from}-${end - 1}/${bytes.length}` }),
  };
  return { status: part ? 206 : 200, headers, global: true, body: chunks() };
}

interface Downloaded {
  readonly outcome: Outcome;
  readonly body: Buffer;
  /** Ranges, in order; undefined: the whole file. */
  readonly asked: readonly (string | undefined)[];
  readonly counters: Counters;
}

/** Nine other members that say nothing, and a reader. */
async function download(bytes: Buffer, ranges: boolean): Promise<Downloaded> {
  const clock = new VirtualClock();
  const counters = new Counters();
  const asked: (string | undefined)[] = [];
  const mirror = {
    fetch: ({ headers }: { readonly headers: Readonly<Record<string, string>> }) => {
      asked.push(headers["range"]);
      return Promise.resolve(answer(bytes, headers["range"], ranges));
    },
  };
  const unstored = (): Unstored => new Unstored(nodeHashes, new AptP2pError("STORAGE", "full"));
  const swarm = (position: number): SwarmSession => {
    const session = new SwarmSession(
      {
        ...{ clock, counters, hashes: nodeHashes, random: new SeededRandom(1), mirror },
        ...{ isNear: () => true, peers: { send: () => new Promise(() => undefined) } },
      },
      {
        ...{ sha256, sizeBytes: file.length, position, ahead: [], store: undefined },
        ...{
          mirror: { url, headers: {} },
          patienceMs: 0,
          partingMs: () => 0,
          manyNear: false,
          sequential: true,
        },
      },
    );
    session.addPeers(Array.from({ length: 9 }, (_, index) => member(index + 1)));
    session.searchEnded();
    session.transfer.start();
    return session;
  };
  const hooks = {
    onWhole: () => undefined,
    onMismatch: () => "pass" as const,
    onReceived: () => undefined,
  };
  const run = new Download(
    { mirror, clock, hooks },
    {
      ...{ url, accepted: [expectation], headers: {}, swarm },
      ...{ sink: unstored(), spare: unstored, urgent: false, suspect: false, collect: false },
    },
  );
  run.join();
  const reader = run.body(0, undefined);
  let outcome: Outcome | undefined;
  const chunks: Buffer[] = [];
  const reading = (async () => {
    for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
      chunks.push(Buffer.from(chunk));
    }
  })();
  void run.run().then((how) => (outcome = how));
  for (let ms = 0; ms < 120_000 && outcome === undefined; ms += 50) {
    clock.advance(50);
    for (let turn = 0; turn < 40; turn++) await new Promise((next) => setImmediate(next));
  }
  assert.ok(outcome !== undefined, "it does not end");
  await reading;
  return { outcome, body: Buffer.concat(chunks), asked, counters };
}

function member(host: number): PeerInfo {
  const endpoint = parseEndpoint(`10.0.0.${host}:9977`);
  assert.ok(endpoint !== undefined);
  return { endpoint, near: true, group: endpoint.address, state: "unknown", via: "asker" };
}

describe("A download in a crowd", () => {
  it("asks the mirror for no more than a taste at first, and for pieces when the crowd gives nothing", async () => {
    const { outcome, body, asked, counters } = await download(file, true);
    assert.deepEqual([outcome, body.equals(file)], [{ kind: "proven", sha256 }, true]);
    assert.equal(asked[0], `bytes=0-${16 * KiB - 1}`);
    assert.ok(!asked.includes(undefined), "the whole file");
    assert.ok(counters.get("swarm.mirror.tastes") > 0);
  });

  it("takes what it needs of a mirror that sends no parts", async () => {
    const { outcome, body } = await download(file, false);
    assert.deepEqual([outcome, body.equals(file)], [{ kind: "proven", sha256 }, true]);
  });

  for (const ranges of [true, false]) {
    const how = ranges ? "in parts" : "only whole";
    it(`passes on all of what is not the file, from a mirror that sends it ${how}`, async () => {
      const other = seededBytes("other", 900_000);
      const { outcome, body, asked } = await download(other, ranges);
      assert.deepEqual([outcome, body.equals(other)], [{ kind: "unproven" }, true]);
      assert.deepEqual(asked, [`bytes=0-${16 * KiB - 1}`, ...(ranges ? [undefined] : [])]);
    });
  }
});
