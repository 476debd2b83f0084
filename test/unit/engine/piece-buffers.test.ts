import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { limits } from "../../../src/base/limits.ts";
import {
  givePieceBuffer,
  keepPieceBuffer,
  takePieceBuffer,
} from "../../../src/engine/piece-buffers.ts";

const piece = limits.pieceBytes;

describe("memory of pieces", () => {
  it("is used again, once, and as long as asked for", () => {
    const first = takePieceBuffer(piece - 1);
    assert.equal(first.length, piece - 1);
    givePieceBuffer(first.subarray(100));
    // Whoever gives it back twice would have it lent to two.
    givePieceBuffer(first);
    const [again, other] = [takePieceBuffer(piece), takePieceBuffer(piece)];
    assert.equal(again.buffer, first.buffer);
    assert.equal(again.length, piece);
    assert.notEqual(other.buffer, first.buffer);
    givePieceBuffer(again);
    givePieceBuffer(other);
  });

  it("is never that of others, nor what somebody keeps, nor more than the bound", () => {
    const own = Buffer.alloc(piece);
    givePieceBuffer(own);
    const kept = takePieceBuffer(piece);
    keepPieceBuffer(kept);
    givePieceBuffer(kept);
    const many = Array.from({ length: limits.sparePieceBuffers + 2 }, () => takePieceBuffer(piece));
    for (const each of many) givePieceBuffer(each);
    const memory = new Set(many.map(({ buffer }) => buffer));
    const taken = many.map(() => takePieceBuffer(piece).buffer);
    assert.ok(!taken.includes(own.buffer) && !taken.includes(kept.buffer));
    assert.equal(taken.filter((each) => memory.has(each)).length, limits.sparePieceBuffers);
  });

  it("is not spent on small files", () => {
    const small = takePieceBuffer(1000);
    assert.equal(small.buffer.byteLength, 1000);
    givePieceBuffer(small);
    assert.notEqual(takePieceBuffer(1000).buffer, small.buffer);
  });
});
