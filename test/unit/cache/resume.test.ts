import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { limits } from "../../../src/base/limits.ts";
import { sha256FromBytes } from "../../../src/base/sha256.ts";
import { KiB } from "../../../src/base/units.ts";
import { PrefixProofs } from "../../../src/cache/prefix-proofs.ts";
import type { PartRecord, PrefixProof } from "../../../src/cache/records.ts";
import { resumePrefix } from "../../../src/cache/resume.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { MemoryFiles } from "../../../src/sim/memory-files.ts";
import { content, contentOf } from "./world.ts";

const piece = limits.pieceBytes;
const { bytes } = content(1, 4 * piece + 100 * KiB);

function proof(pieces: number): PrefixProof {
  return { bytes: pieces * piece, sha256: contentOf(bytes.subarray(0, pieces * piece)).sha };
}

function recordOf(...pieces: number[]): PartRecord {
  return { sizeBytes: bytes.length, proofs: pieces.map(proof), bootId: "then" };
}

async function resume(
  onDisk: Uint8Array,
  record: PartRecord | undefined,
  sameBoot: boolean,
  limitBytes = bytes.length,
) {
  const files = new MemoryFiles();
  files.plant("/part", onDisk);
  const file = await files.open("/part");
  assert.ok(file);
  const resumed = await resumePrefix(nodeHashes, file, limitBytes, { record, sameBoot });
  // Whatever it says is held must have gone through the hasher, and be right if it is proven.
  const expected = createHash("sha256").update(onDisk.subarray(0, resumed.heldBytes)).digest("hex");
  assert.equal(sha256FromBytes(resumed.hasher.digest()), expected);
  return resumed;
}

function damagedAt(position: number): Buffer {
  const damaged = Buffer.from(bytes);
  damaged[position]! ^= 1;
  return damaged;
}

describe("resumePrefix()", () => {
  it("takes all that the file has in the boot in which it was written", async () => {
    for (const size of [0, 1, piece - 1, piece, 3 * piece + 5, bytes.length]) {
      const resumed = await resume(bytes.subarray(0, size), undefined, true);
      assert.deepEqual([resumed.heldBytes, resumed.damaged], [size, false]);
      assert.equal(resumed.proofs.all.length, Math.floor(size / piece));
    }
  });

  it("takes only what is proven in a later boot", async () => {
    const resumed = await resume(bytes, recordOf(1, 3), false);
    assert.deepEqual([resumed.heldBytes, resumed.damaged], [3 * piece, false]);
    assert.equal((await resume(bytes, undefined, false)).heldBytes, 0);
    assert.equal((await resume(bytes, recordOf(), false)).heldBytes, 0);
  });

  it("falls back to the last proof that the file reaches", async () => {
    const resumed = await resume(bytes.subarray(0, 3 * piece - 1), recordOf(1, 2, 3, 4), false);
    assert.deepEqual([resumed.heldBytes, resumed.damaged], [2 * piece, false]);
    assert.equal((await resume(bytes.subarray(0, 3 * piece - 1), recordOf(3), false)).heldBytes, 0);
  });

  it("falls back to the last proof before damage, in any boot", async () => {
    for (const sameBoot of [true, false]) {
      const damaged = damagedAt(2 * piece + 7);
      const resumed = await resume(damaged, recordOf(1, 2, 3, 4), sameBoot);
      assert.deepEqual([resumed.heldBytes, resumed.damaged], [2 * piece, true]);
      // Between proofs nobody knows where the damage is.
      assert.equal((await resume(damaged, recordOf(1, 4), sameBoot)).heldBytes, piece);
      assert.equal((await resume(damagedAt(0), recordOf(1, 4), sameBoot)).heldBytes, 0);
    }
  });

  it("does not notice damage behind the last proof in the same boot: the digest will", async () => {
    const resumed = await resume(damagedAt(3 * piece), recordOf(1, 2), true);
    assert.deepEqual([resumed.heldBytes, resumed.damaged], [bytes.length, false]);
  });

  it("never takes more than the file shall have", async () => {
    assert.equal((await resume(bytes, undefined, true, piece + 3)).heldBytes, piece + 3);
    assert.equal((await resume(bytes, recordOf(1, 3), false, 2 * piece)).heldBytes, piece);
  });
});

describe("PrefixProofs", () => {
  it("keeps few proofs, the newest all, and none far from its neighbours for its age", () => {
    const proofs = new PrefixProofs();
    for (let pieces = 1; pieces <= 4000; pieces++) {
      proofs.add({ bytes: pieces * piece, sha256: content(1, 1).sha });
      const kept = proofs.all.map(({ bytes: end }) => end / piece);
      assert.ok(kept.length <= limits.prefixProofs);
      assert.deepEqual(
        kept.slice(-4),
        [pieces - 3, pieces - 2, pieces - 1, pieces].filter((end) => end > 0).slice(-kept.length),
      );
      if (pieces < 100) continue;
      // Losing the last n pieces costs at most a few times n.
      for (let index = 1; index < kept.length; index++) {
        const lost = pieces - kept[index]! + 1;
        const cost = pieces - kept[index - 1]!;
        assert.ok(cost <= 8 * lost + 8, `${kept.join(" ")} of ${pieces}`);
      }
    }
  });

  it("tells which prefixes the disk has", () => {
    const proofs = new PrefixProofs();
    for (const pieces of [1, 2, 3]) proofs.add(proof(pieces));
    assert.deepEqual(proofs.within(3 * piece - 1), [proof(1), proof(2)]);
    proofs.clear();
    assert.deepEqual(proofs.within(Infinity), []);
  });
});
