import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { minute } from "../../../src/base/units.ts";
import { Tokens } from "../../../src/dht/tokens.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";

function tokens(hashes = nodeHashes): { tokens: Tokens; drawn: () => number } {
  let drawn = 0;
  const secret = (): Uint8Array => new Uint8Array(20).fill(++drawn);
  return { tokens: new Tokens({ hashes, secret }), drawn: () => drawn };
}

describe("Tokens", () => {
  it("accepts what it issued, from the same address only", () => {
    const { tokens: some } = tokens();
    const token = some.issue("192.0.2.7", 0);
    assert.equal(token.length, 8);
    assert.equal(some.valid("192.0.2.7", token, 1), true);
    assert.equal(some.valid("192.0.2.8", token, 1), false);
    assert.equal(some.valid("2001:db8::7", token, 1), false);
    assert.notDeepEqual(some.issue("192.0.2.8", 1), token);
  });

  it("refuses tokens of another length or with any bit changed", () => {
    const { tokens: some } = tokens();
    const token = some.issue("192.0.2.7", 0);
    assert.equal(some.valid("192.0.2.7", token.subarray(0, 7), 0), false);
    assert.equal(some.valid("192.0.2.7", Uint8Array.from([...token, 0]), 0), false);
    assert.equal(some.valid("192.0.2.7", new Uint8Array(0), 0), false);
    for (let bit = 0; bit < 64; bit++) {
      const forged = Uint8Array.from(token);
      forged[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(some.valid("192.0.2.7", forged, 0), false, `bit ${bit}`);
    }
  });

  it("forgets a token when three newer secrets would stand before its own", () => {
    const { tokens: some } = tokens();
    const start = 1_000_000;
    const first = some.issue("192.0.2.7", start);
    const late = some.issue("192.0.2.7", start + 20 * minute - 1);
    assert.deepEqual(late, first, "the same secret's time");
    assert.notDeepEqual(some.issue("192.0.2.7", start + 20 * minute), first);
    assert.equal(some.valid("192.0.2.7", first, start + 20 * minute), true);
    assert.equal(some.valid("192.0.2.7", first, start + 60 * minute - 1), true);
    assert.equal(some.valid("192.0.2.7", first, start + 60 * minute), false);
  });

  it("forgets all of them after a long pause, and goes on in the old rhythm", () => {
    const { tokens: some, drawn } = tokens();
    const first = some.issue("192.0.2.7", 0);
    assert.equal(some.valid("192.0.2.7", first, 1000 * minute), false);
    assert.ok(drawn() <= 4, `${drawn()} secrets for one pause`);
    const second = some.issue("192.0.2.7", 1000 * minute);
    assert.equal(some.valid("192.0.2.7", second, 1059 * minute), true);
    assert.equal(some.valid("192.0.2.7", second, 1060 * minute), false);
  });

  it("hashes once for an address that is answered again and again", () => {
    let hashed = 0;
    const of = (data: Uint8Array | string): Uint8Array => (hashed++, nodeHashes.of(data));
    const { tokens: some } = tokens({ ...nodeHashes, of });
    const token = some.issue("192.0.2.7", 0);
    for (let time = 0; time < 100; time++) {
      some.issue("192.0.2.7", time);
      assert.ok(some.valid("192.0.2.7", token, time));
    }
    assert.equal(hashed, 1);
  });

  it("stays right when more addresses ask than it caches", () => {
    const { tokens: some } = tokens();
    const issued = Array.from({ length: 5000 }, (_, n) =>
      some.issue(`198.51.${n >> 8}.${n & 255}`, 0),
    );
    assert.equal(new Set(issued.map((token) => token.toString())).size, 5000);
    issued.forEach((token, n) => {
      assert.ok(some.valid(`198.51.${n >> 8}.${n & 255}`, token, 1));
    });
  });
});
