/**
 * The production engine in a memory machine and virtual time: what clients get, what the mirror is
 * asked, what is kept, when everything goes wrong that can.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { setImmediate as turn } from "node:timers/promises";
import { describe, it } from "mocha";
import { sha256FromBytes, type Sha256 } from "../../src/base/sha256.ts";
import { KiB, minute } from "../../src/base/units.ts";
import { parseTarget } from "../../src/engine/target.ts";
import type { Answer } from "../../src/engine/types.ts";
import { nodeHashes } from "../../src/io/node-hashes.ts";
import { engineWorld, type EngineWorld } from "../../src/sim/engine-world.ts";
import type { Fault } from "../../src/sim/fake-mirror.ts";
import { SeededRandom } from "../../src/sim/seeded-random.ts";

const BASE = "http://mirror.example/debian";
const SMALL = "pool/main/s/small_1_all.deb";
const BIG = "pool/main/b/big_1_all.deb";
const HUGE = "pool/main/h/huge_1_all.deb";
const contents = new Map([
  [SMALL, bytes(9 * KiB, 1)],
  [BIG, bytes(1500 * KiB, 2)],
  [HUGE, bytes(5000 * KiB, 3)],
]);
const quiet = (): AbortSignal => new AbortController().signal;

describe("Engine.answer()", () => {
  it("fetches, proves and keeps a listed file, and serves it from the store after that", async () => {
    const world = await learned();
    const first = await get(world, BIG);
    assert.equal(first.answer.origin, "mirror");
    assert.ok(first.body.equals(content(BIG)));
    const second = await get(world, BIG);
    assert.equal(second.answer.origin, "cache");
    assert.ok(second.body.equals(content(BIG)));
    assert.equal(asked(world, BIG).length, 1);
    assert.deepEqual(validators(first.answer), validators(second.answer));
    assert.equal(world.counters.get("engine.known.deb"), 2);
  });

  it("lets any number of clients share one download", async () => {
    const world = await learned();
    const answers = await Promise.all(Array.from({ length: 20 }, () => get(world, BIG)));
    for (const { body } of answers) assert.ok(body.equals(content(BIG)));
    assert.equal(asked(world, BIG).length, 1);
    assert.equal(world.counters.get("engine.answered.shared"), 19);
  });

  it("goes on for the others when the client that began it leaves", async () => {
    const world = await learned({ bytesPerMs: 100 });
    const leaving = new AbortController();
    const first = await open(world, BIG, {}, leaving.signal);
    await settle(world, first.body!.next());
    const second = await open(world, BIG);
    first.body?.close();
    leaving.abort();
    assert.ok((await drain(world, second)).equals(content(BIG)));
    assert.equal(asked(world, BIG).length, 1);
  });

  it("stops a download that nobody wants any more, and resumes it from what it had", async () => {
    const world = await learned({ bytesPerMs: 10 });
    const answer = await open(world, BIG);
    for (let chunk = 0; chunk < 9; chunk += 1) await settle(world, answer.body!.next());
    answer.body!.close();
    // 30 s of patience at 10 bytes/ms are 300 KB more; then it ends.
    await idle(world, 5 * minute);
    assert.equal(world.engine.downloads().length, 0);
    const sent = world.mirror.sentBytes;
    assert.ok(sent < content(BIG).length, "it was stopped");
    const again = await get(world, BIG);
    assert.ok(again.body.equals(content(BIG)));
    assert.equal(world.counters.get("engine.download.resumed"), 1);
    assert.ok(world.mirror.sentBytes <= content(BIG).length + 64 * KiB, "nothing came twice");
  });

  it("holds back the tail until the whole is proven", async () => {
    const world = await learned({ bytesPerMs: 100, faults: { [BIG]: [{ flipAtByte: 100 }] } });
    const answer = await open(world, BIG);
    let received = 0;
    await assert.rejects(async () => {
      for (;;) {
        const chunk = await settle(world, answer.body!.next());
        if (chunk === undefined) return;
        received += chunk.length;
      }
    }, /not what the archive lists/);
    assert.ok(received <= content(BIG).length - 16 * KiB);
    assert.equal(world.counters.get("engine.mismatch.refetch"), 1);
  });

  it("gives the whole right file to the client that comes back for the rest", async () => {
    const world = await learned({ bytesPerMs: 100, faults: { [BIG]: [{ flipAtByte: 100 }] } });
    const cut = await open(world, BIG);
    await assert.rejects(drain(world, cut));
    const range = { range: "bytes=500000-", "if-range": cut.headers["last-modified"] ?? "" };
    const retry = await get(world, BIG, range);
    assert.equal(retry.answer.status, 200);
    assert.ok(retry.body.equals(content(BIG)));
    assert.equal(world.counters.get("engine.rangeRefused"), 1);
    assert.equal(asked(world, BIG).length, 2, "fetched again once");
    assert.ok(world.store.find(digest(content(BIG))) !== undefined);
  });

  it("fetches a small wrong file again without the client noticing", async () => {
    const world = await learned({ faults: { [SMALL]: [{ flipAtByte: 5 }] } });
    const { answer, body } = await get(world, SMALL);
    assert.equal(answer.status, 200);
    assert.ok(body.equals(content(SMALL)));
    assert.equal(asked(world, SMALL).length, 2);
  });

  it("never mixes a wrong beginning with the right rest, however slow the disk is", async () => {
    // An earlier run left a wrong beginning; the mirror is honest now.
    const dead = Array<Fault>(2).fill({ refuse: true });
    const lie = { flipAtByte: 10, cutAtBytes: 1100 * KiB };
    const world = await learned({ faults: { [BIG]: [lie, ...dead] } });
    await assert.rejects(drain(world, await open(world, BIG)));
    await idle(world, minute);
    for (let turn = 0; turn < 20; turn += 1) {
      const answer = await open(world, BIG);
      // All readers begin at once, while the transfer may end at any moment.
      const body = await drain(world, answer).catch(() => undefined);
      if (body !== undefined) assert.ok(body.equals(content(BIG)), `wrong bytes, turn ${turn}`);
    }
    assert.ok((await get(world, BIG)).body.equals(content(BIG)));
  });

  it("survives a mirror that lies differently each time about a large file nobody reads", async () => {
    const lies = [100, 200, 300, 400].map((flipAtByte) => ({ flipAtByte }));
    const world = await learned({ bytesPerMs: 1000, faults: { [HUGE]: lies } });
    await assert.rejects(drain(world, await open(world, HUGE)));
    await idle(world, 5 * minute);
    const { body } = await get(world, HUGE);
    assert.equal(body.length, content(HUGE).length);
    assert.equal(world.engine.downloads().length, 0);
  });

  it("closes the answers to a resume that do not fit", async () => {
    const url = "dists/stable/unknown.bin";
    const cut = { cutAtBytes: 100 * KiB };
    const other = {
      headers: { "last-modified": "Sun, 02 Aug 2026 12:00:00 GMT" },
      ignoreRange: true,
    };
    const world = await learned({ faults: { [url]: [cut, other] } });
    world.mirror.files.set(`${BASE}/${url}`, content(BIG));
    await assert.rejects(drain(world, await open(world, url)), /changed/);
    assert.equal(world.mirror.openBodies, 0);
  });

  it("asks again without conditions when its own copy of a Release has gone", async () => {
    const world = await learned();
    for (const path of world.files.paths.filter((each) => each.startsWith("/state/documents/"))) {
      await world.files.remove(path);
    }
    const { answer, body } = await get(world, "dists/stable/Release");
    assert.equal(answer.status, 200);
    assert.match(body.toString(), /Suite: stable/);
  });

  it("does not read on for ever when nobody comes back", async () => {
    const endless = { headers: { "content-length": undefined }, body: content(HUGE) };
    const world = await learned({ bytesPerMs: 100, faults: { [BIG]: [endless, endless] } });
    await assert.rejects(drain(world, await open(world, BIG)));
    await idle(world, 5 * minute);
    assert.equal(world.engine.downloads().length, 0);
    assert.ok(world.mirror.sentBytes < 2 * content(BIG).length + 3 * 1024 * KiB);
  });

  it("keeps no login page as the copy of a Release", async () => {
    const world = await learned();
    const url = `${BASE}/dists/stable/Release`;
    world.mirror.faults.set(url, [{ body: Buffer.from("<html>log in</html>") }]);
    await get(world, "dists/stable/Release", { "cache-control": "no-cache" });
    await idle(world, minute);
    const { body } = await get(world, "dists/stable/Release");
    assert.match(body.toString(), /^Suite: stable/);
  });

  it("never joins the rest of one file to the beginning of another", async () => {
    const url = "dists/stable/unknown.bin";
    const cut = { cutAtBytes: 100 * KiB, headers: { etag: '"one"' } };
    const other = { headers: { etag: '"two"' } };
    const world = await learned({ faults: { [url]: [cut, other, other, other] } });
    world.mirror.files.set(`${BASE}/${url}`, content(BIG));
    await assert.rejects(drain(world, await open(world, url)));
  });

  it("keeps nothing that needed credentials", async () => {
    const world = await learned();
    const authorization = "Basic eDp5";
    assert.ok((await get(world, BIG, { authorization })).body.equals(content(BIG)));
    world.mirror.faults.set(`${BASE}/${BIG}`, [{ status: 401 }]);
    assert.equal((await get(world, BIG)).answer.status, 401);
  });

  it("passes a mirror through that insists on the same wrong bytes, and keeps nothing", async () => {
    const lie = { flipAtByte: 5 };
    const world = await learned({ faults: { [SMALL]: [lie, lie, lie, lie] } });
    const { body } = await get(world, SMALL);
    assert.ok(!body.equals(content(SMALL)));
    assert.equal(body.length, content(SMALL).length);
    assert.equal(world.counters.get("engine.mismatch.pass"), 1);
    assert.equal(world.store.find(digest(body)), undefined);
    assert.equal(world.store.find(digest(content(SMALL))), undefined);
  });

  it("goes on where a broken transfer stopped", async () => {
    const cuts = [{ cutAtBytes: 400 * KiB }, { cutAtBytes: 300 * KiB }];
    const world = await learned({ faults: { [BIG]: cuts } });
    const { body } = await get(world, BIG);
    assert.ok(body.equals(content(BIG)));
    assert.deepEqual(
      asked(world, BIG).map(({ headers }) => headers["range"]),
      [undefined, "bytes=409600-", "bytes=716800-"],
    );
    assert.equal(world.mirror.sentBytes, content(BIG).length + overhead(world));
  });

  it("goes on also when the mirror knows no Range", async () => {
    const faults = { [BIG]: [{ cutAtBytes: 400 * KiB }, { ignoreRange: true }] };
    const world = await learned({ faults });
    const { body } = await get(world, BIG);
    assert.ok(body.equals(content(BIG)));
  });

  it("cuts the connection when the mirror keeps failing, and keeps the beginning", async () => {
    const cut = { cutAtBytes: 700 * KiB };
    const dead: Fault = { refuse: true };
    const world = await learned({ faults: { [BIG]: [cut, dead, dead, dead] } });
    await assert.rejects(drain(world, await open(world, BIG)), /refused|closed/);
    await idle(world, minute);
    world.mirror.faults.clear();
    assert.ok((await get(world, BIG)).body.equals(content(BIG)));
    assert.match(asked(world, BIG).at(-1)?.headers["range"] ?? "", /^bytes=\d+-$/);
  });

  it("turns a failure before the head into 502 with reason and body, without a retry", async () => {
    const world = await learned({ faults: { [BIG]: [{ refuse: true }] } });
    const { answer, body } = await get(world, BIG);
    assert.equal(answer.status, 502);
    assert.match(answer.reason ?? "", /refused/);
    assert.ok(body.length > 0);
    assert.equal(asked(world, BIG).length, 1);
    assert.ok((await get(world, BIG)).body.equals(content(BIG)), "and nothing of it lasts");
  });

  it("sends a client that used the prefix on to a mirror that cannot be reached", async () => {
    const release = "dists/stable/Release";
    const busy: Fault[] = [{ status: 503 }, { status: 503, headers: { "content-length": "0" } }];
    const faults = { [BIG]: [{ refuse: true }, ...busy], [release]: [{ refuse: true }, ...busy] };
    const world = await learned({ faults });
    const statuses = async (path: string): Promise<number[]> => {
      const all = [];
      for (let turn = 0; turn < 3; turn += 1) {
        all.push((await open(world, path, {}, quiet(), true)).status);
      }
      return all;
    };
    // A busy mirror's own answer passes, but a Release's retry would hold up other mirrors' files.
    assert.deepEqual(await statuses(BIG), [302, 503, 503]);
    assert.deepEqual(await statuses(release), [302, 302, 503]);
    assert.equal(world.counters.get("engine.sentOn"), 3);
  });

  it("passes other statuses through, also with a beginning at hand", async () => {
    const cut = [{ cutAtBytes: 700 * KiB }, ...Array<Fault>(2).fill({ refuse: true })];
    const gone = { status: 404, headers: { "x-odd": "1" } };
    const world = await learned({ faults: { [SMALL]: [gone], [BIG]: [...cut, gone] } });
    const small = await get(world, SMALL);
    assert.equal(small.answer.status, 404);
    assert.equal(small.body.toString(), "404\n");
    await assert.rejects(drain(world, await open(world, BIG)));
    await idle(world, minute);
    const big = await get(world, BIG);
    assert.equal(big.answer.status, 404);
    assert.equal(big.body.toString(), "404\n");
    assert.ok((await get(world, BIG)).body.equals(content(BIG)));
  });

  it("passes a body of another size through as it is, unstored", async () => {
    const faults = { [SMALL]: [{ body: Buffer.from("mirror sync in progress") }] };
    const world = await learned({ faults });
    const { answer, body } = await get(world, SMALL);
    assert.equal(answer.headers["content-length"], "23");
    assert.equal(body.toString(), "mirror sync in progress");
    assert.equal(world.counters.get("engine.answered.unproven"), 2, "after the Release");
    await idle(world, minute);
    assert.equal((await world.store.stats()).files, 1, "only the index is kept");
  });

  it("answers Range, If-Range and conditions alike, cold and warm", async () => {
    for (const warm of [false, true]) {
      const world = await learned();
      if (warm) await get(world, BIG);
      const part = await get(world, BIG, { range: "bytes=100-299" });
      assert.equal(part.answer.status, 206, String(warm));
      assert.equal(part.answer.headers["content-range"], `bytes 100-299/${content(BIG).length}`);
      assert.ok(part.body.equals(content(BIG).subarray(100, 300)));
      const { "last-modified": date = "", etag = "" } = part.answer.headers;
      assert.equal((await get(world, BIG, { "if-modified-since": date })).answer.status, 304);
      assert.equal((await get(world, BIG, { "if-none-match": etag })).answer.status, 304);
      const beyond = await get(world, BIG, { range: "bytes=99999999-" });
      assert.equal(beyond.answer.status, 416, String(warm));
    }
  });

  it("hands a far resume to the mirror rather than let the client wait", async () => {
    const world = await learned({ bytesPerMs: 10 });
    const { answer, body } = await get(world, BIG, { range: "bytes=1400000-" });
    assert.equal(answer.status, 206);
    assert.ok(body.equals(content(BIG).subarray(1400000)));
    assert.equal(world.counters.get("engine.answered.relayed"), 1);
    assert.ok(world.mirror.sentBytes < 200 * KiB);
  });

  it("takes in a file that a kill left whole but unrecorded, without asking the mirror", async () => {
    const before = await learned();
    await get(before, BIG);
    // A kill: what was written stays, what had not been recorded yet is forgotten.
    const random = new SeededRandom(1);
    const rebuilt = {
      clock: before.clock,
      mirror: before.mirror,
      files: before.files.crash("kill", random),
      kv: before.kv.crash("kill", random),
    };
    const after = await engineWorld({ hashes: nodeHashes, rebuilt });
    assert.ok((await get(after, BIG)).body.equals(content(BIG)));
    assert.equal(asked(after, BIG).length, 1);
  });

  it("learns from an index that it cannot store", async () => {
    const world = await learned({ quotaBytes: 0 });
    await get(world, SMALL);
    assert.equal(world.counters.get("engine.known.deb"), 1);
  });

  it("stores nothing with a quota of 0, and still proves what it passes on", async () => {
    const world = await learned({ quotaBytes: 0 });
    assert.ok((await get(world, BIG)).body.equals(content(BIG)));
    assert.ok((await get(world, BIG)).body.equals(content(BIG)));
    assert.equal(asked(world, BIG).length, 2);
    assert.ok(world.counters.get("engine.download.unstored") >= 2);
  });

  it("answers an unchanged Release with 304, and from its copy for a client without one", async () => {
    const world = await learned();
    const url = "dists/stable/Release";
    const first = await get(world, url);
    const again = await get(world, url, {
      "if-modified-since": first.answer.headers["last-modified"] ?? "",
    });
    assert.equal(again.answer.status, 304);
    const other = await get(world, url);
    assert.equal(other.answer.status, 200);
    assert.equal(other.answer.origin, "document");
    assert.ok(other.body.equals(first.body));
    assert.ok(world.counters.get("engine.answered.document.mirror") >= 1);
  });

  it("serves an old Release for a dead mirror only if the administrator wants that", async () => {
    for (const serveStale of [false, true]) {
      const world = await learned({ settings: { serveStale } });
      world.mirror.faults.set(`${BASE}/dists/stable/Release`, [{ refuse: true }]);
      const { answer } = await get(world, "dists/stable/Release");
      assert.equal(answer.status, serveStale ? 200 : 502);
    }
  });

  it("ends a loop through itself", async () => {
    const world = await learned();
    const { answer } = await get(world, BIG, { via: "1.1 apt-p2p-lab, 1.1 other" });
    assert.equal(answer.status, 508);
    assert.equal(asked(world, BIG).length, 0);
  });

  it("knows after a restart what it knew before, and goes on with what it had begun", async () => {
    const before = await learned({ bytesPerMs: 50 });
    await get(before, SMALL);
    const answer = await open(before, BIG);
    for (let chunk = 0; chunk < 20; chunk += 1) await settle(before, answer.body!.next());
    answer.body!.close();
    await settle(before, before.engine.close());
    await settle(before, before.store.close());
    const after = await engineWorld({ hashes: nodeHashes, rebuilt: before });
    assert.equal((await get(after, SMALL)).answer.origin, "cache");
    const rest = await get(after, BIG);
    assert.ok(rest.body.equals(content(BIG)));
    assert.equal(after.counters.get("engine.download.resumed"), 1);
  });

  it("plays the same story twice in the same way", async () => {
    assert.equal(await trace(7), await trace(7));
    assert.notEqual(await trace(7), await trace(8));
  });
});

/** A seeded story with random faults and clients → digest of all that happened. */
async function trace(seed: number): Promise<string> {
  const random = new SeededRandom(seed);
  const world = await learned({ bytesPerMs: 1000 });
  const kinds: Fault[] = [
    { cutAtBytes: 1000 },
    { flipAtByte: 7 },
    { refuse: true },
    { status: 503 },
  ];
  const hash = createHash("sha256");
  for (let step = 0; step < 40; step += 1) {
    const path = random.next() < 0.5 ? SMALL : BIG;
    const fault = kinds[Math.floor(random.next() * 8)];
    if (fault !== undefined) world.mirror.faults.set(`${BASE}/${path}`, [fault]);
    const answer = await open(world, path);
    const body = await drain(world, answer).catch((error: unknown) => Buffer.from(String(error)));
    if (answer.status === 200 && body.length === content(path).length) {
      assert.ok(body.equals(content(path)), `seed ${seed}, step ${step}: wrong bytes as whole`);
    }
    hash.update(`${world.clock.monotonicMs()} ${answer.status} ${answer.origin}`).update(body);
  }
  return hash.update(JSON.stringify(world.counters.snapshot())).digest("hex");
}

interface Learned {
  readonly bytesPerMs?: number;
  readonly quotaBytes?: number;
  readonly faults?: Readonly<Record<string, Fault[]>>;
  readonly settings?: { serveStale?: boolean };
}

/** A world whose archive has read the mirror's Release and Packages, through the engine. */
async function learned(options: Learned = {}): Promise<EngineWorld> {
  const world = await engineWorld({
    hashes: nodeHashes,
    ...(options.quotaBytes !== undefined && { quotaBytes: options.quotaBytes }),
    ...(options.bytesPerMs !== undefined && { mirrorBytesPerMs: options.bytesPerMs }),
    ...(options.settings !== undefined && { settings: options.settings }),
  });
  const packages = Buffer.from(
    [...contents]
      .map(
        ([path, body], index) =>
          `Package: p${index}\nFilename: ${path}\nSize: ${body.length}\nSHA256: ${digest(body)}\n`,
      )
      .join("\n"),
  );
  const index = "main/binary-amd64/Packages";
  const release = Buffer.from(
    `Suite: stable\nDate: Sat, 01 Aug 2026 12:00:00 UTC\nSHA256:\n ${digest(packages)} ${packages.length} ${index}\n`,
  );
  world.mirror.files.set(`${BASE}/dists/stable/Release`, release);
  world.mirror.files.set(`${BASE}/dists/stable/${index}`, packages);
  for (const [path, body] of contents) world.mirror.files.set(`${BASE}/${path}`, body);
  await get(world, "dists/stable/Release");
  await get(world, `dists/stable/${index}`);
  for (const [path, faults] of Object.entries(options.faults ?? {})) {
    world.mirror.faults.set(`${BASE}/${path}`, [...faults]);
  }
  overheads.set(world, world.mirror.sentBytes);
  world.mirror.asked.length = 0;
  return world;
}

const overheads = new WeakMap<EngineWorld, number>();

function overhead(world: EngineWorld): number {
  return overheads.get(world) ?? 0;
}

async function open(
  world: EngineWorld,
  path: string,
  headers: Record<string, string> = {},
  signal = quiet(),
  prefixed = false,
): Promise<Answer> {
  const target = parseTarget(`${BASE}/${path}`);
  assert.ok(target !== undefined);
  return settle(world, world.engine.answer({ method: "GET", target, prefixed, headers }, signal));
}

async function get(
  world: EngineWorld,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ answer: Answer; body: Buffer }> {
  const answer = await open(world, path, headers);
  return { answer, body: await drain(world, answer) };
}

async function drain(world: EngineWorld, answer: Answer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const { body } = answer;
  if (body === undefined) return Buffer.alloc(0);
  try {
    for (;;) {
      const chunk = await settle(world, body.next());
      if (chunk === undefined) return Buffer.concat(chunks);
      chunks.push(Buffer.from(chunk));
    }
  } finally {
    body.close();
  }
}

/** Lets the promise settle, moving virtual time on only when nothing else can happen. */
async function settle<T>(world: EngineWorld, promise: Promise<T>): Promise<T> {
  const state = { settled: false };
  const done = (): void => void (state.settled = true);
  promise.then(done, done);
  for (let still = 0; !state.settled; still += 1) {
    for (let turns = 0; turns < 3; turns += 1) await turn();
    const next = world.clock.nextTimerMs;
    if (!isSettled(state) && next !== undefined && next <= 10 * minute) world.clock.advance(next);
    assert.ok(still < 100_000, "nothing happens any more");
  }
  return promise;
}

function isSettled(state: { settled: boolean }): boolean {
  return state.settled;
}

async function idle(world: EngineWorld, ms: number): Promise<void> {
  const end = world.clock.monotonicMs() + ms;
  while (world.clock.monotonicMs() < end) {
    for (let turns = 0; turns < 3; turns += 1) await turn();
    const next = world.clock.nextTimerMs ?? Infinity;
    world.clock.advance(Math.min(next, end - world.clock.monotonicMs()));
  }
  for (let turns = 0; turns < 10; turns += 1) await turn();
}

function asked(world: EngineWorld, path: string) {
  return world.mirror.asked.filter(({ url }) => url === `${BASE}/${path}`);
}

function content(path: string): Buffer {
  return contents.get(path) ?? Buffer.alloc(0);
}

function validators(answer: Answer) {
  const { etag, "last-modified": lastModified } = answer.headers;
  return { etag, lastModified };
}

function bytes(size: number, seed: number): Buffer {
  const random = new SeededRandom(seed);
  const all = Buffer.alloc(size);
  for (let at = 0; at < size; at += 1) all[at] = Math.floor(random.next() * 256);
  return all;
}

function digest(body: Buffer): Sha256 {
  return sha256FromBytes(nodeHashes.of(body));
}
