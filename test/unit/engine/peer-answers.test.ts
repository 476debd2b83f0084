import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { limits } from "../../../src/base/limits.ts";
import { sha256FromBytes } from "../../../src/base/sha256.ts";
import type { Body } from "../../../src/engine/body.ts";
import { readNews } from "../../../src/engine/news.ts";
import { Bloom } from "../../../src/swarm/bloom.ts";
import {
  encodeHaveQuestion,
  parseHave,
  parseHoldings,
  parseLoad,
  parseSwarm,
  wireBounds,
} from "../../../src/swarm/peer-wire.ts";
import { PieceMap } from "../../../src/swarm/piece-map.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import {
  bodyOf,
  content,
  digestOf,
  endpointOf,
  farAddress,
  nearAddress,
  PeerWorld,
  pieceList,
  type PeerWorldOptions,
} from "../../kit/peer-world.ts";

const piece = limits.pieceBytes;
const far = { remoteAddress: farAddress };
const nobody = "0".repeat(64);
const long = content(2 * piece + 1000);

function world(options: PeerWorldOptions = {}): { clock: VirtualClock; world: PeerWorld } {
  const clock = new VirtualClock();
  return { clock, world: new PeerWorld(clock, options) };
}

function range(start: number, end: number): { headers: { range: string } } {
  return { headers: { range: `bytes=${start}-${end - 1}` } };
}

/** As one who follows reads it. */
async function* chunksOf(body: Body): AsyncGenerator<Buffer> {
  try {
    for (let chunk = await body.next(); chunk !== undefined; chunk = await body.next()) yield chunk;
  } finally {
    body.close();
  }
}

/** Lets what is ready run. */
async function settle(): Promise<void> {
  for (let round = 0; round < 20; round++) await Promise.resolve();
}

describe("PeerAnswers without room in memory", () => {
  it("is busy with what it has, and tells what it does not have", async () => {
    let crowded = true;
    const { world: it } = world({ crowded: () => crowded });
    const url = `/~/sha256/${it.add(long)}`;
    for (const path of [url, `${url}/pieces`, `${url}/swarm`]) {
      const busy = await it.ask(path);
      assert.deepEqual([busy.status, busy.headers["retry-after"]], [503, "1"], path);
    }
    assert.equal(it.counters.get("peers.refused.busy"), 3);
    assert.equal((await it.ask(`/~/sha256/${nobody}`)).status, 404);
    crowded = false;
    assert.equal((await it.ask(url)).status, 200);
  });
});

describe("PeerAnswers, whole files", () => {
  it("gives the whole, and any range of it", async () => {
    const { world: it } = world();
    const url = `/~/sha256/${it.add(long)}`;
    const whole = await it.ask(url);
    assert.equal(whole.status, 200);
    assert.deepEqual(whole.headers["etag"], `"${digestOf(long)}"`);
    assert.equal(whole.headers["content-length"], `${long.length}`);
    assert.ok((await bodyOf(whole)).equals(long));
    const part = await it.ask(url, range(5, 900_000));
    assert.equal(part.status, 206);
    assert.equal(part.headers["content-range"], `bytes 5-899999/${long.length}`);
    assert.ok((await bodyOf(part)).equals(long.subarray(5, 900_000)));
    assert.equal(it.counters.get("peers.answered.whole"), 2);
    assert.equal(it.counters.get("peers.bytes.uploaded.near"), long.length + 899_995);
    assert.equal(it.open, 0);
    assert.deepEqual(it.gate.load(), { active: 0, queued: 0, slots: 8 });
  });

  it("says the head alone to HEAD, without a slot", async () => {
    const { world: it } = world({ limits: { slots: 1 } });
    const url = `/~/sha256/${it.add(long)}`;
    const busy = await it.ask(url);
    const head = await it.ask(url, { method: "HEAD" });
    assert.deepEqual([head.status, head.body], [200, undefined]);
    assert.equal(head.headers["content-length"], `${long.length}`);
    busy.body?.close();
  });

  it("answers 416 beyond the end and 304 to who has it", async () => {
    const { world: it } = world();
    const url = `/~/sha256/${it.add(long)}`;
    const beyond = await it.ask(url, range(long.length, long.length + 1));
    assert.equal(beyond.status, 416);
    assert.equal(beyond.headers["content-range"], `bytes */${long.length}`);
    const known = await it.ask(url, { headers: { "if-none-match": `"${digestOf(long)}"` } });
    assert.equal(known.status, 304);
  });

  it("says the hashes of the pieces inside, once it knows them", async () => {
    const { world: it } = world();
    const url = `/~/sha256/${it.add(long)}`;
    const claims = async (start: number, end: number): Promise<string | undefined> => {
      const answer = await it.ask(url, range(start, end));
      answer.body?.close();
      return answer.headers["apt-p2p-pieces"];
    };
    assert.equal(await claims(0, piece), undefined);
    await settle();
    const hashes = pieceList(long).toString("hex").match(/.{64}/g) ?? [];
    assert.equal(await claims(0, piece), hashes[0]);
    assert.equal(await claims(1, 2 * piece + 1), hashes[1]);
    assert.equal(await claims(0, long.length), hashes.join(","));
    assert.equal(await claims(1, piece), undefined);
    assert.equal(it.listsMade, 1);
    const short = content(100);
    const whole = await it.ask(`/~/sha256/${it.add(short)}`);
    assert.equal(whole.headers["apt-p2p-pieces"], digestOf(short));
  });

  it("hides what is not shared, and what is private from far peers", async () => {
    const { world: it } = world();
    const hidden = it.add(content(10, 2), "public", false);
    const local = it.add(content(10, 3), "local");
    for (const path of ["", "/pieces", "/swarm"]) {
      assert.equal((await it.ask(`/~/sha256/${hidden}${path}`)).status, 404, path);
      assert.equal((await it.ask(`/~/sha256/${local}${path}`, far)).status, 404, path);
      assert.equal((await it.ask(`/~/sha256/${local}${path}`)).status, 200, path);
    }
    assert.equal((await it.ask(`/~/sha256/${local}`)).headers["apt-p2p-scope"], "local");
    assert.equal(it.counters.get("peers.answered.missing"), 6);
  });

  it("is busy when slots and queue are full, and says so", async () => {
    const { clock, world: it } = world({ limits: { slots: 1, slotsPerPeer: 1, queue: 1 } });
    const url = `/~/sha256/${it.add(long)}`;
    const first = await it.ask(url);
    const other = { remoteAddress: "10.0.0.8" };
    const second = it.ask(url, other);
    const third = await it.ask(url, { remoteAddress: "10.0.0.9" });
    assert.deepEqual([third.status, third.headers["retry-after"]], [503, "1"]);
    assert.deepEqual(parseLoad(third.headers["apt-p2p-load"]), { active: 1, queued: 1, slots: 1 });
    first.body?.close();
    assert.equal((await second).status, 200);
    const late = it.ask(url);
    await settle();
    clock.advance(limits.uploadQueueMs);
    assert.equal((await late).status, 503);
    assert.equal(it.counters.get("peers.refused.busy"), 2);
    (await second).body?.close();
    assert.deepEqual(it.gate.load(), { active: 0, queued: 0, slots: 1 });
  });

  it("takes who has left out of the queue", async () => {
    const { world: it } = world({ limits: { slots: 1, slotsPerPeer: 1 } });
    const url = `/~/sha256/${it.add(long)}`;
    const first = await it.ask(url);
    const leaving = new AbortController();
    const second = it.ask(url, { remoteAddress: "10.0.0.8" }, leaving.signal);
    await settle();
    leaving.abort();
    await assert.rejects(second, { code: "CLOSED" });
    assert.deepEqual(it.gate.load(), { active: 1, queued: 0, slots: 1 });
    first.body?.close();
  });

  it("keeps the rate to far peers, also when it sends", async () => {
    const { clock, world: it } = world({ limits: { farRate: 100_000 } });
    const answer = await it.ask(`/~/sha256/${it.add(long)}`, far);
    const all = bodyOf(answer);
    const state = { over: false };
    void all.then(() => (state.over = true));
    while (!state.over && clock.monotonicMs() < 60_000) {
      await settle();
      clock.advance(10);
    }
    assert.ok((await all).equals(long));
    const rate = long.length / (clock.monotonicMs() / 1000);
    assert.ok(Math.abs(rate / 100_000 - 1) < 0.1, `${rate} bytes/s`);
    assert.equal(it.counters.get("peers.bytes.uploaded.far"), long.length);
  });

  it("wakes an upload that waits for its pace when the peer leaves", async () => {
    const { world: it } = world({ limits: { farRate: 2000 } });
    const leaving = new AbortController();
    const answer = await it.ask(`/~/sha256/${it.add(long)}`, far, leaving.signal);
    await answer.body?.next();
    const next = answer.body?.next();
    await settle();
    leaving.abort();
    await assert.rejects(next ?? Promise.resolve(), { code: "CLOSED" });
    answer.body?.close();
    assert.deepEqual(it.gate.load(), { active: 0, queued: 0, slots: 8 });
    assert.equal(it.open, 0);
  });

  it("reads nothing for who left before the answer was there", async () => {
    const { world: it } = world();
    const answer = await it.ask(`/~/sha256/${it.add(long)}`, {}, AbortSignal.abort());
    await assert.rejects(answer.body?.next() ?? Promise.resolve(), { code: "CLOSED" });
    answer.body?.close();
    assert.equal(it.counters.get("peers.bytes.uploaded.near"), 0);
  });

  it("cuts who takes nothing for a while, and not who waits for his pace", async () => {
    const { clock, world: it } = world({ limits: { nearRate: 1_000_000 } });
    let cuts = 0;
    const answer = await it.ask(`/~/sha256/${it.add(long)}`, { cut: () => cuts++ });
    for (let chunk = 0; chunk < 5; chunk++) {
      clock.advance(limits.uploadStallMs - 10);
      await answer.body?.next();
    }
    assert.equal(cuts, 0);
    clock.advance(limits.uploadStallMs);
    assert.equal(cuts, 1);
    assert.equal(it.counters.get("peers.stalled"), 1);
    answer.body?.close();
  });

  it("does not keep a slot for a file that has just gone", async () => {
    const { world: it } = world();
    const sha256 = it.add(long);
    const url = `/~/sha256/${sha256}`;
    const opening = it.ask(url);
    it.remove(sha256);
    assert.equal((await opening).status, 404);
    assert.deepEqual(it.gate.load(), { active: 0, queued: 0, slots: 8 });
  });

  it("has nothing for far peers outside of the hours, and cuts what is under way", async () => {
    const allowance = {
      ...{ open: true, leftBytes: Infinity },
      book: (): void => undefined,
      giveBack: (): void => undefined,
    };
    const { world: it } = world({ allowance });
    const url = `/~/sha256/${it.add(long)}`;
    const running = await it.ask(url, far);
    await running.body?.next();
    allowance.open = false;
    await assert.rejects(running.body?.next() ?? Promise.resolve(), { code: "CLOSED" });
    running.body?.close();
    const refused = await it.ask(url, far);
    assert.deepEqual([refused.status, refused.headers["retry-after"]], [503, "60"]);
    assert.equal(it.counters.get("peers.refused.spent"), 1);
    const near = await it.ask(url);
    assert.equal(near.status, 200);
    near.body?.close();
  });

  it("counts who took how much of which file", async () => {
    const { clock, world: it } = world();
    const short = content(1000);
    const sha256 = it.add(short);
    const running = await it.ask(`/~/sha256/${sha256}`, far);
    await running.body?.next();
    clock.advance(500);
    assert.deepEqual(it.answers.uploads.file(sha256), { bytes: 1000, active: 1, lastMs: 0 });
    running.body?.close();
    await bodyOf(await it.ask(`/~/sha256/${sha256}`, range(0, 10)));
    assert.deepEqual(it.answers.uploads.peers(), [
      { peer: farAddress, near: false, bytes: 1000 },
      { peer: nearAddress, near: true, bytes: 10 },
    ]);
    assert.equal(it.answers.uploads.file(sha256)?.active, 0);
  });
});

describe("PeerAnswers, a seed for a crowd", () => {
  const first = (start: number, end: number): { headers: Record<string, string> } => ({
    headers: { ...range(start, end).headers, "apt-p2p-unsown": "1" },
  });

  it("gives a piece once to those who want to be the first, and tells what it gave", async () => {
    const { world: it } = world();
    const url = `/~/sha256/${it.add(long)}`;
    const before = parseSwarm(await bodyOf(await it.ask(`${url}/swarm`)));
    assert.equal(before?.sown, undefined);
    const given = await it.ask(url, first(piece, 2 * piece));
    assert.deepEqual([given.status, given.headers["apt-p2p-sown"]], [206, "QA"]);
    await bodyOf(given);
    const again = await it.ask(url, first(0, 2 * piece));
    assert.deepEqual([again.status, again.headers["apt-p2p-sown"]], [409, "QA"]);
    assert.equal(it.counters.get("peers.refused.sown"), 1);
    const after = parseSwarm(await bodyOf(await it.ask(`${url}/swarm`)));
    assert.deepEqual(after?.sown?.bytes, Uint8Array.of(0x40));
    // Who does not ask for that gets it all the same.
    assert.equal((await it.ask(url, range(piece, 2 * piece))).status, 206);
  });

  it("gives to another what did not get there, or was refused for another reason", async () => {
    const { world: it } = world({ limits: { slots: 1, queue: 0 } });
    const url = `/~/sha256/${it.add(long)}`;
    const cut = await it.ask(url, first(0, 2 * piece));
    await cut.body?.next();
    assert.equal((await it.ask(url, first(2 * piece, long.length))).status, 503);
    cut.body?.close();
    const rest = await it.ask(url, first(0, piece));
    assert.deepEqual([rest.status, rest.headers["apt-p2p-sown"]], [206, "gA"]);
    await bodyOf(rest);
    assert.equal((await it.ask(url, { ...first(piece, long.length), method: "HEAD" })).status, 206);
    assert.equal((await it.ask(url, first(piece, long.length))).status, 206);
  });
});

describe("PeerAnswers, whom it names", () => {
  it("names nobody where only news are wanted", async () => {
    const { world: it } = world();
    const url = `/~/sha256/${it.add(long)}`;
    await it.ask(url, { headers: { "apt-p2p-port": "5000" }, remoteAddress: "10.0.0.8" });
    const named = async (query: string): Promise<number | undefined> =>
      parseSwarm(await bodyOf(await it.ask(`${url}/swarm${query}`)))?.peers.length;
    assert.equal(await named(""), 1);
    assert.equal(await named("?names=1"), 1);
    assert.equal(await named("?names=0"), 0);
  });
});

describe("PeerAnswers, downloads under way", () => {
  it("gives the pieces that are had, with their hashes and the map", async () => {
    const { world: it } = world();
    it.download(long, [1]);
    const url = `/~/sha256/${digestOf(long)}`;
    const answer = await it.ask(url, range(piece, 2 * piece));
    assert.equal(answer.status, 206);
    const hash = digestOf(long.subarray(piece, 2 * piece));
    assert.equal(answer.headers["apt-p2p-pieces"], hash);
    const have = parseHave(answer.headers["apt-p2p-have"], 3);
    assert.deepEqual([have?.has(0), have?.has(1), have?.has(2)], [false, true, false]);
    assert.ok((await bodyOf(answer)).equals(long.subarray(piece, 2 * piece)));
    assert.equal(it.counters.get("peers.answered.unfinished"), 1);
  });

  it("gives what is rare to two at a time, who soon have it whole", async () => {
    const { clock, world: it } = world();
    it.download(long, [0, 1]).rare.add(0);
    const url = `/~/sha256/${digestOf(long)}`;
    const bodies: (Body | undefined)[] = [];
    const ask = async (number: number, host: number): Promise<void> => {
      const from = { remoteAddress: `10.0.0.${host}` };
      const answer = await it.ask(url, { ...range(number * piece, (number + 1) * piece), ...from });
      assert.equal(answer.status, 206);
      bodies.push(answer.body);
    };
    const all = [20, 21, 22].map((host) => ask(0, host));
    await settle();
    assert.deepEqual(it.gate.load(), { active: 2, queued: 1, slots: 8 });
    await ask(1, 23);
    assert.equal(bodies.length, 3, "what is not rare does not wait");
    assert.equal(it.counters.get("peers.asked.rare"), 3);
    clock.advance(300);
    await Promise.all(all);
    assert.deepEqual(it.gate.load(), { active: 4, queued: 0, slots: 8 });
    for (const body of bodies) body?.close();
  });

  it("has no range with a piece that is not had, nor the whole, nor a list", async () => {
    const { world: it } = world();
    it.download(long, [0, 2]);
    const url = `/~/sha256/${digestOf(long)}`;
    const parts = [range(piece - 1, piece + 1), range(piece, 2 * piece), range(0, long.length), {}];
    for (const part of parts) assert.equal((await it.ask(url, part)).status, 404);
    assert.equal((await it.ask(`${url}/pieces`)).status, 404);
    assert.equal((await it.ask(url, range(long.length, long.length + 1))).status, 416);
    const last = await it.ask(url, range(2 * piece, long.length));
    assert.ok((await bodyOf(last)).equals(long.subarray(2 * piece)));
  });

  it("keeps it among neighbours until it is known to be public", async () => {
    const { world: it } = world();
    const download = it.download(long, [0]);
    const url = `/~/sha256/${digestOf(long)}`;
    for (const scope of ["local", "unknown"] as const) {
      download.scope = scope;
      assert.equal((await it.ask(url, { ...range(0, 10), ...far })).status, 404, scope);
      assert.equal((await it.ask(`${url}/swarm`, far)).status, 404, scope);
      const near = await it.ask(url, range(0, 10));
      assert.equal(near.headers["apt-p2p-scope"], "local");
      near.body?.close();
    }
    download.scope = "public";
    assert.equal((await it.ask(url, { ...range(0, 10), ...far })).status, 206);
  });

  it("goes on from the store when the download has ended meanwhile", async () => {
    const { world: it } = world();
    const download = it.download(long, [0, 1]);
    const answer = await it.ask(`/~/sha256/${digestOf(long)}`, range(0, 2 * piece));
    const first = Buffer.from((await answer.body?.next()) ?? "");
    assert.ok(first.length > 0 && first.length < 2 * piece);
    download.gone = true;
    it.add(long);
    const rest = await bodyOf(answer);
    assert.ok(Buffer.concat([first, rest]).equals(long.subarray(0, 2 * piece)));
    assert.equal(it.open, 0);
  });

  it("breaks off when what was had is nowhere any more", async () => {
    const { world: it } = world();
    const download = it.download(long, [0]);
    const answer = await it.ask(`/~/sha256/${digestOf(long)}`, range(0, piece));
    download.gone = true;
    await assert.rejects(bodyOf(answer), { code: "STORAGE" });
    answer.body?.close();
    assert.deepEqual(it.gate.load(), { active: 0, queued: 0, slots: 8 });
  });
});

describe("PeerAnswers, news", () => {
  it("tells size, pieces and who else wants the file", async () => {
    const { world: it } = world();
    const download = it.download(long, [0]);
    download.fetching = new PieceMap(3);
    download.fetching.add(2);
    download.named = [endpointOf("8.8.4.4:9977"), endpointOf("10.0.0.9:9977")];
    const url = `/~/sha256/${digestOf(long)}/swarm`;
    const state = parseSwarm(await bodyOf(await it.ask(url)));
    assert.equal(state?.sizeBytes, long.length);
    assert.deepEqual([state.have.count, state.have.has(0)], [1, true]);
    assert.deepEqual([state.fetching?.count, state.fetching?.has(2)], [1, true]);
    const names = state.peers.map(({ text }) => text).sort();
    assert.deepEqual(names, ["10.0.0.9:9977", "8.8.4.4:9977"]);
    const told = parseSwarm(await bodyOf(await it.ask(url, far)));
    assert.deepEqual(
      told?.peers.map(({ text }) => text),
      ["8.8.4.4:9977"],
    );
    assert.equal(it.counters.get("peers.answered.swarm"), 2);
  });

  it("remembers who asked, and names them to others, also of a whole file", async () => {
    const { clock, world: it } = world();
    const url = `/~/sha256/${it.add(long)}`;
    const headers = { "apt-p2p-port": "5000" };
    for (let host = 1; host <= 30; host++) {
      const answer = await it.ask(url, { headers, remoteAddress: `8.8.8.${host}` });
      answer.body?.close();
    }
    await it.ask(`${url}/swarm`, { headers, remoteAddress: "10.0.0.5" });
    const named = async (remoteAddress: string, port?: string): Promise<string[]> => {
      const asked = { remoteAddress, headers: port === undefined ? {} : { "apt-p2p-port": port } };
      const state = parseSwarm(await bodyOf(await it.ask(`${url}/swarm`, asked)));
      return state?.peers.map(({ text }) => text) ?? [];
    };
    const some = await named("8.8.8.1", "5000");
    assert.equal(some.length, wireBounds.swarmPeers);
    assert.equal(new Set(some).size, wireBounds.swarmPeers);
    assert.ok(!some.includes("8.8.8.1:5000") && !some.includes("10.0.0.5:5000"));
    assert.deepEqual(it.heard, ["10.0.0.5:5000"]);
    clock.advance(limits.askerMs + 1);
    assert.deepEqual(await named("192.0.2.99"), []);
  });

  it("holds the answer back until there is another piece", async () => {
    const { clock, world: it } = world();
    const download = it.download(long, [0]);
    const url = `/~/sha256/${digestOf(long)}/swarm?seen=1&wait=5000`;
    const waiting = it.ask(url);
    await settle();
    assert.equal(download.listeners.size, 1);
    download.gain(2);
    const state = parseSwarm(await bodyOf(await waiting));
    assert.equal(state?.have.count, 2);
    assert.equal(download.listeners.size, 0);
    // Another number of pieces than the asker has seen: at once.
    const now = parseSwarm(await bodyOf(await it.ask(url)));
    assert.equal(now?.have.count, 2);
    assert.equal(clock.pendingTimers, 0);
  });

  it("goes on telling whoever wants to follow, until the file is whole", async () => {
    const { clock, world: it } = world();
    const download = it.download(long, [0]);
    const answer = await it.ask(`/~/sha256/${digestOf(long)}/swarm?every=500`);
    assert.deepEqual(
      [answer.headers["apt-p2p-every"], answer.headers["content-length"]],
      ["500", undefined],
    );
    const { body } = answer;
    assert.ok(body !== undefined);
    const told: (number | undefined)[] = [];
    const over = readNews(chunksOf(body), { clock, everyMs: 500 }, (bytes) => {
      const state = parseSwarm(bytes);
      assert.ok(state?.load !== undefined);
      told.push(state.have.count);
      return undefined;
    });
    await settle();
    assert.deepEqual(told, [1]);
    download.gain(1);
    await settle();
    assert.deepEqual(told, [1], "so soon it is not told again");
    clock.advance(500);
    await settle();
    assert.deepEqual(told, [1, 2]);
    clock.advance(2000);
    await settle();
    assert.deepEqual(told, [1, 2, 2], "it is still there");
    clock.advance(500);
    download.gain(2);
    await settle();
    assert.deepEqual(told, [1, 2, 2, 3]);
    assert.deepEqual([await over, it.counters.get("peers.news")], [undefined, 4]);
    assert.deepEqual([download.listeners.size, clock.pendingTimers], [0, 0]);
  });

  it("goes on for eight files of one peer, and answers once what is beyond or whole", async () => {
    const { world: it } = world();
    it.download(long, [0]);
    const ask = (what: string) => it.ask(`/~/sha256/${what}/swarm?every=500`);
    const answers = [];
    for (let count = 0; count < limits.heldQuestionsPerPeer; count++) {
      answers.push(await ask(digestOf(long)));
    }
    assert.ok(answers.every(({ headers }) => headers["apt-p2p-every"] === "500"));
    const whole = it.add(content(600_000, 7));
    for (const what of [digestOf(long), whole]) {
      const { status, headers } = await ask(what);
      assert.deepEqual([status, headers["apt-p2p-every"]], [200, undefined], what);
    }
    answers[0]?.body?.close();
    const again = await ask(digestOf(long));
    assert.equal(again.headers["apt-p2p-every"], "500");
    for (const { body } of [...answers, again]) body?.close();
  });

  it("answers when the time is over, and 404 when the download is", async () => {
    const { clock, world: it } = world();
    const download = it.download(long, [0]);
    const url = `/~/sha256/${digestOf(long)}/swarm?seen=1&wait=99999`;
    const waiting = it.ask(url);
    await settle();
    clock.advance(wireBounds.waitMs);
    assert.equal((await waiting).status, 200);
    const second = it.ask(url);
    await settle();
    it.downloads.clear();
    for (const listener of download.listeners) listener();
    assert.equal((await second).status, 404);
  });

  it("holds back a few answers of one peer only, and none of one that has left", async () => {
    const { world: it } = world();
    const download = it.download(long, [0]);
    const url = `/~/sha256/${digestOf(long)}/swarm?seen=1&wait=5000`;
    const leaving = new AbortController();
    const waiting = Array.from({ length: limits.heldQuestionsPerPeer }, () =>
      it.ask(url, {}, leaving.signal),
    );
    await settle();
    assert.equal((await it.ask(url)).status, 200);
    leaving.abort();
    for (const each of waiting) await assert.rejects(each, { code: "CLOSED" });
    assert.equal(download.listeners.size, 0);
    const again = it.ask(url);
    await settle();
    download.gain(1);
    assert.equal((await again).status, 200);
  });

  it("gives the list of pieces of a whole file", async () => {
    const { world: it } = world();
    const url = `/~/sha256/${it.add(long)}/pieces`;
    assert.ok((await bodyOf(await it.ask(url, far))).equals(pieceList(long)));
    await bodyOf(await it.ask(url, far));
    assert.equal(it.listsMade, 1);
    const short = content(10);
    const one = await bodyOf(await it.ask(`/~/sha256/${it.add(short)}/pieces`));
    assert.equal(one.toString("hex"), digestOf(short));
    assert.equal(it.counters.get("peers.answered.pieces"), 3);
  });
});

describe("PeerAnswers, the own network", () => {
  it("gives a filter of what it shares, and 304 while that is the same", async () => {
    const { world: it } = world();
    const held = Array.from({ length: 100 }, (_, index) => it.add(content(20, index), "local"));
    const hidden = it.add(content(30), "public", false);
    const answer = await it.ask("/~/filter");
    const etag = answer.headers["etag"] ?? "";
    const filter = Bloom.parse(await bodyOf(answer));
    assert.ok(held.every((sha256) => filter?.mayHave(sha256) === true));
    assert.equal(filter?.mayHave(hidden), false);
    const same = await it.ask("/~/filter", { headers: { "if-none-match": etag } });
    assert.equal(same.status, 304);
    it.add(content(40, 1000));
    const changed = await it.ask("/~/filter", { headers: { "if-none-match": etag } });
    assert.equal(changed.status, 200);
    assert.notEqual(changed.headers["etag"], etag);
    assert.equal(it.counters.get("peers.answered.filter"), 3);
  });

  it("says of many files at once whether it has them", async () => {
    const { world: it } = world();
    const [whole, local, hidden] = [
      it.add(content(10, 1)),
      it.add(content(10, 2), "local"),
      it.add(content(10, 3), "public", false),
    ];
    const share = it.download(long, [0]);
    const digests = [whole, local, hidden, digestOf(long), sha256FromBytes(Buffer.alloc(32))];
    const answer = await it.ask("/~/have", {
      method: "POST",
      headers: { "apt-p2p-port": "9977" },
      readBody: () => Promise.resolve(encodeHaveQuestion(digests)),
    });
    assert.deepEqual(parseHoldings(await bodyOf(answer), 5), [
      { have: "whole", local: false },
      { have: "whole", local: true },
      { have: "no", local: false },
      { have: "unfinished", local: false },
      { have: "no", local: false },
    ]);
    assert.deepEqual(it.heard, [`${nearAddress}:9977`]);
    assert.deepEqual(share.heardOf, it.heard, "it wants what is on its way here");
  });

  it("refuses questions that are none, or too long", async () => {
    const { world: it } = world();
    const have = async (body: Buffer | undefined): Promise<number> => {
      const readBody = (): Promise<Buffer | undefined> => Promise.resolve(body);
      return (await it.ask("/~/have", { method: "POST", readBody })).status;
    };
    assert.equal(await have(Buffer.alloc(31)), 400);
    assert.equal(await have(Buffer.alloc(0)), 400);
    assert.equal(await have(undefined), 413);
    assert.equal(it.counters.get("peers.refused.bad"), 3);
  });

  it("is not for far peers", async () => {
    const { world: it } = world();
    assert.equal((await it.ask("/~/filter", far)).status, 403);
    assert.equal((await it.ask("/~/have", { ...far, method: "POST" })).status, 403);
    assert.equal(it.counters.get("peers.refused.forbidden"), 2);
  });
});

describe("PeerAnswers, all of it", () => {
  it("tells its load in every answer", async () => {
    const { world: it } = world();
    const urls = [`/~/sha256/${it.add(long)}`, `/~/sha256/${nobody}`, "/~/x", "/~/filter"];
    for (const url of urls) {
      const answer = await it.ask(url, { method: "HEAD" });
      assert.deepEqual(parseLoad(answer.headers["apt-p2p-load"])?.slots, 8, url);
      assert.equal(answer.body, undefined);
    }
  });

  it("takes the methods that there are", async () => {
    const { world: it } = world();
    const url = `/~/sha256/${it.add(long)}`;
    for (const method of ["POST", "PUT", "DELETE"]) {
      const answer = await it.ask(url, { method });
      assert.deepEqual([answer.status, answer.headers["allow"]], [405, "GET, HEAD, POST"]);
    }
    assert.equal((await it.ask("/~/have")).status, 405);
  });

  it("gives nothing at all when nothing is shared, and in a local network nothing to others", async () => {
    const { world: none } = world({ settings: { enabled: false } });
    const sha256 = none.add(long);
    for (const url of [`/~/sha256/${sha256}`, `/~/sha256/${sha256}/swarm`, "/~/filter"]) {
      assert.equal((await none.ask(url)).status, 404, url);
    }
    const { world: local } = world({ settings: { nearOnly: true } });
    const url = `/~/sha256/${local.add(content(10))}`;
    assert.equal((await local.ask(url, far)).status, 403);
    assert.equal((await local.ask(url)).status, 200);
  });
});
