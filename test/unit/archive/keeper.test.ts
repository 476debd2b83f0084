/**
 * The archive room on a disk that fails, and over crashes: whatever is cut off, the next start knows
 * nothing wrong, and what is learned again is kept.
 */
import { strict as assert } from "node:assert";
import { describe, it } from "mocha";
import { AptP2pError } from "../../../src/base/errors.ts";
import { FaultPlan, type CrashKind } from "../../../src/sim/fault-plan.ts";
import { MemoryFiles } from "../../../src/sim/memory-files.ts";
import { MemoryKeyValue } from "../../../src/sim/memory-key-value.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import {
  fileName,
  gzip,
  openArchive,
  packagesText,
  releaseText,
  sha256,
  signedInline,
  type World,
} from "./kit.ts";

const SUITE = "ftp.us.debian.org/debian/dists/sid";
const INDEX = "main/binary-amd64/Packages.gz";
const DEB = fileName("ftp.us.debian.org/debian/pool/a.deb");

/** Learns `days` generations, each with its index. */
async function learn(world: World, days: number): Promise<void> {
  for (let day = 1; day <= days; day++) {
    const content = gzip(packagesText([{ path: "pool/a.deb", content: `v${day}` }]));
    const text = releaseText([{ path: INDEX, content }], { day });
    await world.archive.learnDocument(fileName(`${SUITE}/InRelease`), signedInline(text));
    world.store(`${SUITE}/${INDEX}`, content);
    await world.archive.idle();
  }
}

const known = (world: World) => world.archive.expectations(DEB).map((one) => one.sha256);
const newest = ["v5", "v4", "v3"].map((content) => sha256(content));

describe("Keeper", () => {
  it("keeps all in memory when nothing can be written, and says so", async () => {
    const faults = new FaultPlan({
      failWhen: (operation) => ["create", "batch"].includes(operation),
      failure: () => new AptP2pError("NO_SPACE", "the disk is full"),
    });
    const files = new MemoryFiles({ faults });
    // Loading writes nothing that matters: only what is learned later is lost.
    const world = await openArchive({ files, kv: new MemoryKeyValue(faults) });
    await learn(world, 5);
    assert.deepEqual(known(world), newest);
    assert.ok(world.counters.get("archive.write.failed") > 5);
    assert.ok(world.warnings.some(({ event }) => event === "archive.write.failed"));
  });

  for (const kind of ["kill", "power"] as const satisfies CrashKind[]) {
    it(`knows nothing wrong after any ${kind} crash`, async () => {
      const whole = new FaultPlan();
      const trial = await openArchive({
        files: new MemoryFiles({ faults: whole }),
        kv: new MemoryKeyValue(whole),
      });
      await learn(trial, 5);
      assert.ok(whole.operations > 100);
      for (let stopAt = 0; stopAt < whole.operations; stopAt++) {
        const faults = new FaultPlan({ stopAt });
        const files = new MemoryFiles({ faults });
        const kv = new MemoryKeyValue(faults);
        await Promise.race([
          faults.stopped,
          openArchive({ files, kv }).then((world) => learn(world, 5)),
        ]);
        const random = new SeededRandom(stopAt);
        const after = await openArchive({
          files: files.crash(kind, random),
          kv: kv.crash(kind, random),
        });
        // Some generations, newest first, none of them torn.
        const all = [5, 4, 3, 2, 1].map((day) => sha256(`v${day}`));
        assert.deepEqual(
          known(after),
          all.filter((digest) => known(after).includes(digest)),
        );
        assert.ok(after.files.paths.every((path) => /\.(?:table|release)$/.test(path)));
        await learn(after, 5);
        assert.deepEqual(known(after), newest);
        assert.equal(after.files.paths.length, 6, `after a crash at operation ${stopAt}`);
        assert.equal(after.files.openHandles, 0);
      }
    }).timeout(30_000);
  }
});
