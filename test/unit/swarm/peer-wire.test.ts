import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, it } from "mocha";
import { parseEndpoint, type Endpoint } from "../../../src/base/endpoint.ts";
import { limits } from "../../../src/base/limits.ts";
import { parseSha256, type Sha256 } from "../../../src/base/sha256.ts";
import { KiB } from "../../../src/base/units.ts";
import { Bloom, bloomBytes } from "../../../src/swarm/bloom.ts";
import {
  encodeHaveQuestion,
  encodeHoldings,
  encodeSwarm,
  formatHave,
  formatLoad,
  formatPieceHashes,
  parseHave,
  parseHaveQuestion,
  parseHoldings,
  parseLoad,
  parsePieceHashes,
  parsePieceList,
  parseSwarm,
  wireBounds,
  type Holding,
} from "../../../src/swarm/peer-wire.ts";
import { PieceMap } from "../../../src/swarm/piece-map.ts";
import type { PeerState } from "../../../src/swarm/types.ts";

interface StateText {
  readonly sizeBytes: number;
  readonly have: readonly number[] | "whole";
  readonly fetching?: readonly number[];
  readonly hearsay?: readonly number[];
  readonly ticket?: number;
  readonly sown?: readonly number[];
  readonly peers: readonly string[];
}

interface Vectors {
  readonly loads: readonly { text: string; load: unknown }[];
  readonly have: readonly { text: string; pieces: number; has: readonly number[] }[];
  readonly swarm: readonly { name: string; hex: string; ascii: string; state: StateText }[];
  readonly badSwarm: readonly { name: string; hex: string; ascii: string }[];
  readonly holdings: readonly { hex: string; holdings: readonly Holding[] }[];
  readonly filters: readonly { digests: readonly string[]; hex: string }[];
}

const vectors = JSON.parse(
  readFileSync(new URL("../../vectors/peers.json", import.meta.url), "utf8"),
) as Vectors;

function mapOf(pieces: number, has: readonly number[]): PieceMap {
  const map = new PieceMap(pieces);
  for (const piece of has) map.add(piece);
  return map;
}

function endpoints(texts: readonly string[]): Endpoint[] {
  return texts.flatMap((text) => parseEndpoint(text) ?? []);
}

function stateOf({ sizeBytes, have, ticket, peers, ...maps }: StateText): PeerState {
  const pieces = Math.ceil(sizeBytes / limits.pieceBytes);
  const map = (has: readonly number[] | undefined): PieceMap | undefined =>
    has === undefined ? undefined : mapOf(pieces, has);
  return {
    sizeBytes,
    have: have === "whole" ? PieceMap.full(pieces) : mapOf(pieces, have),
    ...{ fetching: map(maps.fetching), hearsay: map(maps.hearsay), sown: map(maps.sown) },
    ...{ ticket, peers: endpoints(peers) },
  };
}

function plain(state: PeerState | undefined): unknown {
  return {
    sizeBytes: state?.sizeBytes,
    have: state?.have.bytes,
    fetching: state?.fetching?.bytes,
    hearsay: state?.hearsay?.bytes,
    ticket: state?.ticket,
    sown: state?.sown?.bytes,
    peers: state?.peers.map(({ text }) => text),
  };
}

function bytesOf({ hex, ascii }: { hex: string; ascii?: string }): Buffer {
  const bytes = Buffer.from(hex, "hex");
  if (ascii !== undefined) assert.equal(bytes.toString("latin1").replace(/[^ -~]/g, "."), ascii);
  return bytes;
}

describe("test/vectors/peers.json", () => {
  it("has headers that mean what they say", () => {
    for (const { text, load } of vectors.loads) {
      assert.deepEqual(parseLoad(text) ?? null, load, text);
    }
    for (const { text, pieces, has } of vectors.have) {
      assert.equal(formatHave(mapOf(pieces, has)), text);
      assert.deepEqual(parseHave(text, pieces)?.bytes, mapOf(pieces, has).bytes);
    }
    assert.ok(vectors.loads.length >= 5 && vectors.have.length >= 2);
  });

  for (const vector of vectors.swarm) {
    it(`${vector.name}: bytes and meaning are the same thing`, () => {
      const bytes = bytesOf(vector);
      assert.deepEqual(plain(parseSwarm(bytes)), plain(stateOf(vector.state)));
      assert.equal(Buffer.from(encodeSwarm(stateOf(vector.state))).toString("hex"), vector.hex);
    });
  }

  for (const vector of vectors.badSwarm) {
    it(`${vector.name}: refused`, () => assert.equal(parseSwarm(bytesOf(vector)), undefined));
  }

  it("has answers to have-questions", () => {
    for (const { hex, holdings } of vectors.holdings) {
      assert.equal(encodeHoldings(holdings).toString("hex"), hex);
      assert.deepEqual(parseHoldings(Buffer.from(hex, "hex"), holdings.length), holdings);
    }
  });

  it("has filters", () => {
    for (const { digests, hex } of vectors.filters) {
      const parsed = digests.flatMap((digest) => parseSha256(digest) ?? []);
      assert.equal(Buffer.from(Bloom.of(parsed, parsed.length).bytes).toString("hex"), hex);
    }
  });
});

describe("peer-wire", () => {
  const digests = fc
    .uint8Array({ minLength: 32, maxLength: 32 })
    .map((bytes) => Buffer.from(bytes).toString("hex") as Sha256);

  it("brings back what was said", () => {
    const hashes = fc.array(digests, { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(hashes, fc.nat(999_999), fc.nat(999_999), (list, active, queued) => {
        assert.deepEqual(parsePieceHashes(formatPieceHashes(list), list.length), list);
        assert.deepEqual(parseHaveQuestion(encodeHaveQuestion(list)), list);
        assert.deepEqual(parsePieceList(encodeHaveQuestion(list), list.length), list);
        const load = { active, queued, slots: 16 };
        assert.deepEqual(parseLoad(formatLoad(load)), load);
      }),
      { seed: 11, numRuns: 200 },
    );
  });

  it("takes any bytes and any text, and never throws", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 100 }),
        fc.string({ unit: "binary" }),
        (bytes, text) => {
          parseSwarm(bytes);
          parseHoldings(bytes, 3);
          parseHaveQuestion(bytes);
          parsePieceList(bytes, 2);
          Bloom.parse(bytes);
          parseLoad(text);
          parsePieceHashes(text, 1);
          parseHave(text, 9);
        },
      ),
      { seed: 12, numRuns: 2000 },
    );
  });

  it("refuses what is not of the form", () => {
    const [one, two] = ["ab".repeat(32), "cd".repeat(32)];
    assert.equal(parsePieceHashes(undefined, 1), undefined);
    assert.equal(parsePieceHashes(one, 2), undefined);
    assert.equal(parsePieceHashes(`${one},${two}`, 1), undefined);
    assert.equal(parsePieceHashes(`${one};${two}`, 2), undefined);
    assert.equal(parsePieceHashes(one.toUpperCase(), 1), undefined);
    assert.equal(parseHave("gA==", 1), undefined);
    assert.equal(parseHave("wA", 1), undefined);
    assert.equal(parseHaveQuestion(Buffer.alloc(33)), undefined);
    assert.equal(parseHaveQuestion(Buffer.alloc(0)), undefined);
    const most = wireBounds.haveDigests;
    assert.equal(parseHaveQuestion(Buffer.alloc(32 * most))?.length, most);
    assert.equal(parseHaveQuestion(Buffer.alloc(32 * most + 32)), undefined);
    assert.equal(parseHoldings(Buffer.from([3]), 1), undefined);
    assert.equal(parseHoldings(Buffer.from([0, 1]), 1), undefined);
  });

  it("fits the state of the largest file into its bound", () => {
    const sizeBytes = 120 * KiB * KiB * KiB;
    const pieces = sizeBytes / limits.pieceBytes;
    const peers = endpoints(Array.from({ length: 30 }, (_, host) => `[2001:db8::${host}]:9977`));
    const all = Array.from({ length: pieces - 1 }, (_, piece) => piece);
    const state = {
      sizeBytes,
      have: mapOf(pieces, all),
      fetching: mapOf(pieces, [pieces - 1]),
      peers,
    };
    const bytes = encodeSwarm(state);
    assert.ok(bytes.length <= wireBounds.swarmBytes, `${bytes.length}`);
    assert.equal(parseSwarm(bytes)?.peers.length, wireBounds.swarmPeers);
    assert.equal(bloomBytes, 64 * KiB);
  });
});
