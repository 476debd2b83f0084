import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "mocha";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { limits } from "../../../src/base/limits.ts";
import { idText } from "../../../src/base/node-id.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { decodeMessage } from "../../../src/krpc/decode.ts";
import { encodedSize, encodeMessage } from "../../../src/krpc/encode.ts";
import * as message from "../../../src/krpc/message.ts";
import { wireLimits } from "../../../src/krpc/sizes.ts";
import * as value from "../../../src/krpc/value.ts";
import {
  encodeFileValue,
  encodePieceList,
  parseValue,
  pieceListKey,
} from "../../../src/krpc/value.ts";
import * as bloom from "../../../src/swarm/bloom.ts";
import { newsBounds } from "../../../src/swarm/news.ts";
import { wireBounds } from "../../../src/swarm/peer-wire.ts";
import { defaultUploadLimits as uploads } from "../../../src/swarm/upload-gate.ts";
import { plain } from "./messages.ts";

interface Vector {
  readonly name: string;
  readonly hex: string;
  readonly ascii: string;
}

interface Vectors {
  readonly messages: readonly (Vector & { readonly bytes: number; readonly message: unknown })[];
  readonly undecodable: readonly (Vector & {
    readonly transaction?: string;
    readonly code?: number;
  })[];
}

interface ValueVectors {
  readonly values: readonly (Vector & { readonly key?: string; readonly parsed: unknown })[];
}

function read(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../../vectors/${name}`, import.meta.url), "utf8"));
}

function input({ hex, ascii }: Vector): Uint8Array {
  const bytes = Buffer.from(hex, "hex");
  assert.equal(bytes.toString("latin1").replace(/[^ -~]/g, "."), ascii);
  return new Uint8Array(bytes);
}

const krpc = read("krpc.json") as Vectors;

describe("test/vectors/krpc.json", () => {
  for (const vector of krpc.messages) {
    it(`${vector.name}: bytes and meaning are the same thing`, () => {
      const datagram = input(vector);
      const decoded = decodeMessage(datagram);
      assert.ok(decoded.kind !== "undecodable");
      assert.deepEqual(plain(decoded), vector.message);
      assert.equal(Buffer.from(encodeMessage(decoded)).toString("hex"), vector.hex);
      assert.equal(encodedSize(decoded), vector.bytes);
    });
  }

  for (const vector of krpc.undecodable) {
    it(`${vector.name}: refused`, () => {
      const got = decodeMessage(input(vector));
      assert.ok(got.kind === "undecodable");
      assert.deepEqual([got.transaction, got.code], [vector.transaction, vector.code]);
    });
  }

  it("has every query, an answer to each, and an error", () => {
    const names = new Set(krpc.messages.map(({ name }) => name));
    const methods = [
      "ping",
      "join",
      "find_node",
      "find_value",
      "get_value",
      "store_value",
      "renew",
    ];
    for (const method of methods) {
      assert.ok(names.has(method) && names.has(`answer to ${method}`), method);
    }
    assert.ok(names.has("error"));
  });
});

describe("PROTOCOL.md", () => {
  const document = readFileSync(new URL("../../../PROTOCOL.md", import.meta.url), "utf8");
  const vectors = [
    ...krpc.messages,
    ...(read("values.json") as ValueVectors).values,
    ...(read("peers.json") as { readonly swarm: readonly Vector[] }).swarm,
  ];

  it("shows datagrams that are vectors", () => {
    const shown = [...document.matchAll(/^ {4}(d[12]:.*)$/gm)].map(([, ascii]) => ascii);
    assert.ok(shown.length >= 10, `only ${shown.length}`);
    for (const ascii of shown)
      assert.ok(
        vectors.some((vector) => vector.ascii === ascii),
        ascii,
      );
  });

  it("gives the limits that the program has", () => {
    const numbers = {
      ...{ dhtLimits, wireLimits, message, value, limits, wireBounds, newsBounds, bloom, uploads },
    };
    const known = new Map<string, unknown>(
      Object.entries(numbers).flatMap(([group, all]) =>
        Object.entries(all).map(([name, number]) => [`${group}.${name}`, number] as const),
      ),
    );
    const rows = [...document.matchAll(/^\|.*\| ([\d,]+)[^|]* \| `(\w+\.\w+)` +\|$/gm)];
    assert.ok(rows.length >= 27, `only ${rows.length}`);
    for (const [, number = "", name = ""] of rows) {
      assert.equal(Number(number.replaceAll(",", "")), known.get(name), name);
    }
  });
});

describe("test/vectors/values.json", () => {
  for (const vector of (read("values.json") as ValueVectors).values) {
    it(`${vector.name}: bytes and meaning are the same thing`, () => {
      const parsed = parseValue(input(vector));
      assert.deepEqual(plain(parsed), vector.parsed);
      assert.ok(parsed.kind !== "bad");
      const encoded =
        parsed.kind === "file" ? encodeFileValue(parsed.value) : encodePieceList(parsed.list);
      assert.equal(Buffer.from(encoded).toString("hex"), vector.hex);
      const key =
        parsed.kind === "pieces" ? idText(pieceListKey(nodeHashes, parsed.list)) : undefined;
      assert.equal(key, vector.key);
    });
  }
});
