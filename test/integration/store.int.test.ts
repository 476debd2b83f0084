/** The store on real files: sizes, file systems and failures that the simulated disk does not have. */
import { afterEach, beforeEach, describe, it } from "mocha";
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Counters } from "../../src/base/counters.ts";
import type { Log } from "../../src/base/ports.ts";
import type { Sha256 } from "../../src/base/sha256.ts";
import { MiB } from "../../src/base/units.ts";
import { Store } from "../../src/cache/store.ts";
import type { StoreSettings } from "../../src/cache/types.ts";
import { DiskFiles } from "../../src/io/disk-files.ts";
import { LevelKeyValue } from "../../src/io/level-key-value.ts";
import { nodeHashes } from "../../src/io/node-hashes.ts";
import { systemClock } from "../../src/io/system-clock.ts";

const meta = { scope: "public", origin: "mirror" } as const;
const never = new AbortController().signal;
const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

function made(sizeBytes: number): { bytes: Buffer; sha: Sha256 } {
  const bytes = randomBytes(sizeBytes);
  return { bytes, sha: createHash("sha256").update(bytes).digest("hex") as Sha256 };
}

describe("Store on a real disk", () => {
  let scratch: string;
  let kv: LevelKeyValue;
  const counters = new Counters();
  const undo: (() => void)[] = [];

  beforeEach(async () => {
    scratch = mkdtempSync(join(tmpdir(), "apt-p2p-store-"));
    kv = await LevelKeyValue.open(join(scratch, "db"), silent);
  });

  afterEach(async () => {
    await kv.close();
    for (const action of undo.splice(0).reverse()) action();
    rmSync(scratch, { recursive: true, force: true });
  });

  function open(settings: Partial<StoreSettings> = {}): Promise<Store> {
    return Store.open(
      {
        ...{ kv, counters, hashes: nodeHashes, clock: systemClock, log: silent },
        files: new DiskFiles(),
        listed: (digests) => digests,
      },
      {
        directory: join(scratch, "cache"),
        quotaBytes: 1_000_000_000,
        keepFreeBytes: 0,
        offerDirectories: [],
        ...settings,
      },
    );
  }

  async function put(store: Store, { bytes, sha }: { bytes: Buffer; sha: Sha256 }): Promise<void> {
    const file = await store.begin(sha, bytes.length);
    for (let at = 0; at < bytes.length; at += 65_536) {
      file.append(bytes.subarray(at, at + 65_536));
      await file.drained();
    }
    file.commit([sha], meta);
    await file.release();
  }

  async function get(store: Store, sha: Sha256): Promise<Buffer | undefined> {
    const opened = await store.open(sha);
    if (opened === undefined) return undefined;
    const bytes = Buffer.alloc(opened.file.sizeBytes);
    await opened.handle.read(bytes, 0);
    await opened.handle.close();
    return bytes;
  }

  it("keeps files large and small, over a restart", async () => {
    const all = [0, 1, 20_000, 512 * 1024, 3 * MiB + 1].map(made);
    const store = await open();
    await Promise.all(all.map((one) => put(store, one)));
    for (const { bytes, sha } of all) assert.ok((await get(store, sha))?.equals(bytes));
    await store.close();
    const again = await open();
    await again.settled();
    for (const { bytes, sha } of all) assert.ok((await get(again, sha))?.equals(bytes));
    assert.equal((await again.stats()).files, all.length);
    const [, first] = all;
    const path = again.find(first!.sha)!.path;
    assert.equal(statSync(path).mode & 0o777, 0o644);
    assert.match(path, new RegExp(`/sha256/${first!.sha.slice(0, 2)}/${first!.sha}$`));
    await again.close();
  });

  it("never holds the event loop for 10 ms while it hashes a beginning again", async () => {
    const one = made(40 * MiB);
    const store = await open();
    const file = await store.begin(one.sha, one.bytes.length);
    file.append(one.bytes.subarray(0, 39 * MiB));
    await file.suspend();
    // The best of three attempts: another program may have had the processor.
    let best = Infinity;
    for (let attempt = 0; attempt < 3; attempt++) {
      let longestMs = 0;
      let lastMs = performance.now();
      const timer = setInterval(() => {
        const nowMs = performance.now();
        longestMs = Math.max(longestMs, nowMs - lastMs - 1);
        lastMs = nowMs;
      }, 1);
      const again = await store.begin(one.sha, one.bytes.length);
      clearInterval(timer);
      assert.equal(again.heldBytes, 39 * MiB);
      best = Math.min(best, longestMs);
      await again.suspend();
    }
    assert.ok(best < 10, `${best} ms at best`);
    await store.close();
  }).timeout(20_000);

  it("takes in files by linking, or by copying from another file system", async function () {
    const store = await open();
    const [near, far] = [made(300_000), made(300_001)];
    mkdirSync(join(scratch, "in/below"), { recursive: true });
    writeFileSync(join(scratch, "in/below/near.deb"), near.bytes);
    const paths = [join(scratch, "in")];
    const hasOther = existsSync("/dev/shm") && statSync("/dev/shm").dev !== statSync(scratch).dev;
    if (hasOther) {
      const other = mkdtempSync("/dev/shm/apt-p2p-store-");
      undo.push(() => rmSync(other, { recursive: true, force: true }));
      writeFileSync(join(other, "far.deb"), far.bytes);
      paths.push(other);
    }
    const result = await store.import(paths, () => undefined, never);
    assert.deepEqual(
      [result.files, result.linked, result.failed],
      [paths.length, 1, []],
      JSON.stringify(result),
    );
    assert.ok((await get(store, near.sha))?.equals(near.bytes));
    if (hasOther) assert.ok((await get(store, far.sha))?.equals(far.bytes));
    assert.deepEqual(readdirSync(join(scratch, "cache/partial")), []);
    // The source stays what it was when our copy goes.
    await store.clean("all", () => undefined);
    assert.ok(existsSync(join(scratch, "in/below/near.deb")));
    await store.close();
    if (!hasOther) this.skip();
  });

  it("notices a change through another name of the same file", async () => {
    const store = await open();
    const one = made(50_000);
    await put(store, one);
    const alias = join(scratch, "alias");
    linkSync(store.find(one.sha)!.path, alias);
    writeFileSync(alias, Buffer.alloc(50_000));
    utimesSync(alias, 1, 1);
    assert.equal(await get(store, one.sha), undefined);
    assert.equal(store.find(one.sha), undefined);
    await store.close();
  });

  it("offers files of another directory and follows its changes", async () => {
    const archives = join(scratch, "archives");
    mkdirSync(join(archives, "partial"), { recursive: true });
    const [one, two] = [made(100_000), made(200_000)];
    writeFileSync(join(archives, "one.deb"), one.bytes);
    writeFileSync(join(archives, "partial", "two.deb"), two.bytes);
    const store = await open({ offerDirectories: [archives] });
    await store.scanOffers(never);
    assert.ok((await get(store, one.sha))?.equals(one.bytes));
    assert.equal(store.find(two.sha), undefined);
    rmSync(join(archives, "one.deb"));
    await store.scanOffers(never);
    assert.equal(store.find(one.sha), undefined);
    assert.equal((await store.stats()).offeredFiles, 0);
    await store.close();
  });

  it("survives a file system that is full", async function () {
    const small = join(scratch, "small");
    mkdirSync(small);
    const mount = spawnSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", small]);
    if (mount.status !== 0) return this.skip();
    undo.push(() => spawnSync("umount", [small]));
    const store = await open({ directory: join(small, "cache") });
    await assert.rejects(store.begin(made(1).sha, 5 * MiB), { code: "NO_SPACE" });
    const kept = made(MiB);
    await put(store, kept);
    // Somebody else fills the disk after room was found.
    const cut = made(2 * MiB);
    const file = await store.begin(cut.sha, cut.bytes.length);
    file.append(cut.bytes.subarray(0, 500_000));
    await file.flushed();
    writeFileSync(join(small, "other"), Buffer.alloc(2 * MiB));
    file.append(cut.bytes.subarray(500_000));
    await file.flushed();
    assert.equal(file.failure?.code, "NO_SPACE");
    assert.equal(file.digest(), cut.sha);
    file.commit([cut.sha], meta);
    await file.release();
    assert.equal(store.find(cut.sha), undefined);
    assert.deepEqual(readdirSync(join(small, "cache/partial")), []);
    assert.ok((await get(store, kept.sha))?.equals(kept.bytes));
    // With the need for room the store gives way, not the other.
    const next = made(1.5 * MiB);
    await put(store, next);
    assert.ok((await get(store, next.sha))?.equals(next.bytes));
    assert.equal(store.find(kept.sha), undefined);
    await store.close();
  });
});
