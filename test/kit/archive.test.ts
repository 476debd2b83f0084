import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, it } from "mocha";

import { buildArchive } from "./archive.ts";
import { sha256 } from "./bytes.ts";
import { testKeys } from "./keys.ts";
import { scratchDirectory } from "./scratch.ts";

describe("buildArchive()", function () {
  this.timeout(20_000);
  const scratches: { remove: () => void }[] = [];

  afterEach(() => {
    for (const each of scratches.splice(0)) each.remove();
  });

  function directory(): string {
    const scratch = scratchDirectory("archive");
    scratches.push(scratch);
    return scratch.path;
  }

  it("makes packages that dpkg-deb reads", async () => {
    const packages = [{ name: "alpha", version: "1:2.0~rc1+b1-1", sizeBytes: 50_000 }];
    const archive = await buildArchive(directory(), { packages });
    const published = archive.package("alpha");
    const file = join(archive.root, published.path);
    const fields = execFileSync("dpkg-deb", ["-f", file, "Package", "Version"], {
      encoding: "utf8",
    });
    assert.equal(fields, "Package: alpha\nVersion: 1:2.0~rc1+b1-1\n");
    const inside = execFileSync("dpkg-deb", ["-c", file], { encoding: "utf8" });
    assert.match(inside, /\.\/usr\/share\/alpha\/data$/m);
    assert.ok(Math.abs(published.sizeBytes - 50_000) <= 512, `${published.sizeBytes} bytes`);
    assert.equal(sha256(readFileSync(file)), published.sha256);
  });

  it("makes the same bytes, signatures included, for the same options", async () => {
    const options = { packages: [{ name: "alpha" }], dateMs: 1_700_000_000_000 };
    const [one, two] = [
      await buildArchive(directory(), options),
      await buildArchive(directory(), options),
    ];
    for (const path of ["dists/stable/InRelease", one.package("alpha").path]) {
      assert.deepEqual(readFileSync(join(one.root, path)), readFileSync(join(two.root, path)));
    }
  });

  it("signs so that gpgv agrees, and as a stranger so that it does not", async () => {
    const keys = await testKeys();
    const verify = (root: string): string =>
      execFileSync("gpgv", ["--keyring", keys.keyringPath, join(root, "dists/stable/InRelease")], {
        encoding: "utf8",
        stdio: "pipe",
      });
    const packages = [{ name: "alpha" }];
    const honest = await buildArchive(directory(), { packages });
    assert.doesNotThrow(() => verify(honest.root));
    const strange = await buildArchive(directory(), { packages, signed: "stranger" });
    assert.throws(() => verify(strange.root), /public key/);
  });

  it("makes a thousand packages of 20 KB in less than 3 s", async () => {
    await testKeys();
    const packages = Array.from({ length: 1000 }, (_, index) => ({ name: `p${index}` }));
    const begun = performance.now();
    await buildArchive(directory(), { packages });
    const milliseconds = performance.now() - begun;
    assert.ok(milliseconds < 3000, `${milliseconds} ms`);
  });

  it("offers a patch from each publication to the next", async () => {
    const packages = Array.from({ length: 50 }, (_, index) => ({ name: `p${index}` }));
    const archive = await buildArchive(directory(), { packages });
    const path = join(archive.root, "dists/stable/main/binary-amd64/Packages");
    const decompress = (): string =>
      execFileSync("xz", ["-dc", `${path}.xz`], { encoding: "utf8" });
    const before = decompress();
    await archive.publish({ packages: [{ name: "p7", version: "2.0-1" }], pdiff: true });
    const index = readFileSync(`${path}.diff/Index`, "utf8");
    assert.match(index, new RegExp(`^ ${sha256(before)} `, "m"));
    assert.match(index, new RegExp(`^SHA256-Current: ${sha256(decompress())} `, "m"));
  });
});
