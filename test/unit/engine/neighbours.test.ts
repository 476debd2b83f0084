import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import { endpoint, type Endpoint } from "../../../src/base/endpoint.ts";
import { AptP2pError } from "../../../src/base/errors.ts";
import { limits } from "../../../src/base/limits.ts";
import type { Sha256 } from "../../../src/base/sha256.ts";
import { minute, second } from "../../../src/base/units.ts";
import { Neighbours, type Wanted } from "../../../src/engine/neighbours.ts";
import type { PeerHttpRequest, PeerHttpResponse, PeerPort } from "../../../src/engine/ports.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { Bloom } from "../../../src/swarm/bloom.ts";
import { encodeHoldings, parseHaveQuestion } from "../../../src/swarm/peer-wire.ts";

const digest = (seed: number): Sha256 => {
  const random = new SeededRandom(seed);
  let text = "";
  while (text.length < 64) text += Math.floor(random.next() * 16).toString(16);
  return text as Sha256;
};
const at = (host: number, port = 9977): Endpoint => endpoint(`10.0.0.${host}`, port);
const long = 10 * limits.pieceBytes;
const short = 20_000;

interface FakeMachine {
  readonly shares: Set<Sha256>;
  readonly downloads: Set<Sha256>;
  delayMs: number;
  /** Says what it answers instead, if anything. */
  instead?: (
    request: PeerHttpRequest,
  ) => { status: number; body?: Uint8Array } | "silence" | undefined;
}

/** A network of machines that answer in virtual time. */
class FakeNetwork implements PeerPort {
  readonly clock = new VirtualClock();
  readonly counters = new Counters();
  readonly machines = new Map<string, FakeMachine>();
  readonly asked: PeerHttpRequest[] = [];
  readonly neighbours = new Neighbours({
    ...{ peers: this, clock: this.clock, counters: this.counters, random: new SeededRandom(1) },
    isNear: (address) => address.startsWith("10."),
  });

  machine(where: Endpoint, shares: readonly Sha256[] = []): FakeMachine {
    const machine = { shares: new Set(shares), downloads: new Set<Sha256>(), delayMs: 5 };
    this.machines.set(where.text, machine);
    return machine;
  }

  send(request: PeerHttpRequest, signal: AbortSignal): Promise<PeerHttpResponse> {
    this.asked.push(request);
    const machine = this.machines.get(request.to.text);
    return new Promise((resolve, reject) => {
      const instead = machine?.instead?.(request);
      if (signal.aborted) reject(new AptP2pError("CLOSED", "cancelled"));
      signal.addEventListener("abort", () => reject(new AptP2pError("CLOSED", "cancelled")));
      if (instead === "silence") {
        const end = (): void => reject(new AptP2pError("UPSTREAM", "no answer in time"));
        this.clock.after(request.patienceMs ?? 10 * second, end);
      } else if (machine === undefined) {
        reject(new AptP2pError("UPSTREAM", "connection refused"));
      } else {
        const respond = (): void => resolve(responseOf(instead ?? answerOf(machine, request)));
        this.clock.after(machine.delayMs, respond);
      }
    });
  }

  /** Time goes on, and promises with it. */
  async pass(ms: number, stepMs = 1): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.clock.advance(stepMs);
      for (let turn = 0; turn < 12; turn++) await Promise.resolve();
    }
  }

  times(path: string, where?: Endpoint): number {
    return this.asked.filter(
      (each) => each.path === path && (where === undefined || each.to.text === where.text),
    ).length;
  }

  look(sha256: Sha256, sizeBytes = long, again = false): Found {
    const found: Found = { named: [], doneMs: undefined };
    const startMs = this.clock.monotonicMs();
    const wanted = { sha256, sizeBytes, again };
    this.neighbours.find(wanted, {
      peers: (peers) => {
        assert.equal(found.doneMs, undefined, "named after the end");
        for (const peer of peers) found.named.push(`${peer.endpoint.text} ${peer.state}`);
      },
      done: () => {
        assert.equal(found.doneMs, undefined, "done twice");
        found.doneMs = this.clock.monotonicMs() - startMs;
      },
    });
    assert.deepEqual([...found.named, found.doneMs], [undefined], "told from inside the call");
    return found;
  }

  /** Looks for a file until that is over. */
  async find(sha256: Sha256, sizeBytes = long, again = false): Promise<Found> {
    const found = this.look(sha256, sizeBytes, again);
    for (let passed = 0; passed < 200 && found.doneMs === undefined; passed++) await this.pass(1);
    return found;
  }
}

interface Found {
  readonly named: string[];
  doneMs: number | undefined;
}

interface FakeAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

function answerOf({ shares, downloads }: FakeMachine, request: PeerHttpRequest): FakeAnswer {
  if (request.path === "/~/filter") {
    const body = Bloom.of(shares, shares.size).bytes;
    const etag = `"${shares.size}"`;
    const same = request.headers["if-none-match"] === etag;
    return same ? { status: 304, headers: { etag } } : { status: 200, headers: { etag }, body };
  }
  const digests = parseHaveQuestion(request.body ?? new Uint8Array());
  if (request.path !== "/~/have" || digests === undefined) return { status: 400 };
  const have = (sha256: Sha256) =>
    shares.has(sha256) ? "whole" : downloads.has(sha256) ? "unfinished" : "no";
  const body = encodeHoldings(digests.map((each) => ({ have: have(each), local: false })));
  return { status: 200, body };
}

function responseOf({ status, headers = {}, body }: FakeAnswer): PeerHttpResponse {
  async function* chunks(): AsyncGenerator<Buffer> {
    await Promise.resolve();
    if (body !== undefined) yield Buffer.from(body);
  }
  return { status, headers, body: chunks() };
}

/** As a call: the compiler takes a property that was true for true ever after. */
const hopeful = ({ neighbours }: FakeNetwork): boolean => neighbours.hopeful;

describe("Neighbours", () => {
  it("names at once who promises a file, and whoever says that it is downloading it", async () => {
    const net = new FakeNetwork();
    net.machine(at(1), [digest(1)]);
    net.machine(at(2)).downloads.add(digest(1));
    net.machine(at(3));
    for (const host of [1, 2, 3]) net.neighbours.learn(at(host));
    assert.ok(hopeful(net), "they are being asked");
    assert.ok(!net.neighbours.mayHave(digest(1)));
    await net.pass(20);
    assert.ok(hopeful(net) && net.neighbours.mayHave(digest(1)));
    assert.ok(!net.neighbours.mayHave(digest(2)));
    const { named, doneMs } = await net.find(digest(1));
    assert.deepEqual(named, ["10.0.0.1:9977 whole", "10.0.0.2:9977 unknown"]);
    assert.equal(doneMs, 6, "a moment to gather, and the way there and back");
    assert.equal(net.times("/~/have", at(1)), 0, "it has promised");
    assert.equal(net.counters.get("swarm.found.promised"), 1);
    assert.equal(net.counters.get("swarm.found.unfinished"), 1);
    const [first] = net.neighbours.status();
    assert.deepEqual(first, {
      ...{ address: "10.0.0.1:9977", near: true, files: 1, useful: 0, rttMs: 5 },
      answeredAgoMs: 21,
    });
  });

  it("tries again soon when a neighbour is not there yet", async () => {
    const net = new FakeNetwork();
    net.neighbours.learn(at(1));
    await net.pass(20);
    assert.ok(!hopeful(net));
    net.machine(at(1), [digest(1)]);
    await net.pass(4 * second, 10);
    assert.ok(hopeful(net) && net.neighbours.mayHave(digest(1)));
  });

  it("is done at once when there is nobody, and never more than once", async () => {
    const net = new FakeNetwork();
    assert.deepEqual(await net.find(digest(1)), { named: [], doneMs: 0 });
    assert.equal(net.neighbours.count, 0);
  });

  it("asks all that is wanted in one moment in one request", async () => {
    const net = new FakeNetwork();
    for (const host of [1, 2]) net.machine(at(host));
    for (const host of [1, 2]) net.neighbours.learn(at(host));
    await net.pass(20);
    const wanted = Array.from({ length: 600 }, (_, index) => digest(index));
    const found = wanted.map((each) => net.look(each));
    await net.pass(50);
    assert.ok(found.every(({ doneMs }) => doneMs === 6));
    assert.equal(net.times("/~/have"), 4, "two questions for 600 digests, to each of two");
    const lengths = net.asked
      .filter(({ body }) => body !== undefined)
      .map(({ body }) => body?.length);
    assert.deepEqual(lengths.sort(), [512 * 32, 512 * 32, 88 * 32, 88 * 32]);
    assert.equal(net.counters.get("swarm.have.asked"), 4);
  });

  it("looks for a short file by filters alone, and asks for those that are old", async () => {
    const net = new FakeNetwork();
    const machine = net.machine(at(1), [digest(1)]);
    net.neighbours.learn(at(1));
    await net.pass(3 * second, 100);
    machine.shares.add(digest(2));
    const fresh = await net.find(digest(2), short);
    assert.deepEqual(fresh, { named: ["10.0.0.1:9977 whole"], doneMs: 5 });
    assert.equal(net.times("/~/have"), 0);
    assert.equal(net.times("/~/filter"), 2);
    const next = await net.find(digest(3), short);
    assert.deepEqual(next, { named: [], doneMs: 0 }, "this filter is new enough");
    assert.equal(net.times("/~/filter"), 2);
    await net.pass(3 * second, 100);
    assert.deepEqual((await net.find(digest(3), short)).named, []);
    assert.equal(net.asked.at(-1)?.headers["if-none-match"], '"2"');
    assert.equal(net.counters.get("swarm.filters"), 2, "the third answer was: the same");
  });

  it("asks for filters now and then also when nobody wants anything", async () => {
    const net = new FakeNetwork();
    const machine = net.machine(at(1));
    net.neighbours.learn(at(1));
    await net.pass(second, 10);
    machine.shares.add(digest(1));
    await net.pass(2 * minute, 100);
    assert.ok(net.neighbours.mayHave(digest(1)));
    assert.ok(net.times("/~/filter") <= 3);
  });

  it("waits for a silent neighbour once, not twice in a row", async () => {
    const net = new FakeNetwork();
    const machine = net.machine(at(1));
    net.neighbours.learn(at(1));
    await net.pass(20);
    machine.instead = () => "silence";
    assert.equal((await net.find(digest(1))).doneMs, 150);
    await net.pass(10);
    assert.ok(!hopeful(net));
    assert.equal((await net.find(digest(2))).doneMs, 0, "its answer is outstanding");
    await net.pass(1500);
    assert.equal(net.counters.get("swarm.neighbours.failed"), 1);
    assert.equal((await net.find(digest(3))).doneMs, 0, "it rests");
    assert.equal(net.times("/~/have"), 1);
    await net.pass(2 * second, 10);
    assert.equal((await net.find(digest(4))).doneMs, 150, "another chance");
    delete machine.instead;
    await net.pass(3 * second, 10);
    assert.equal((await net.find(digest(5))).doneMs, 0, "the second rest is longer");
    await net.pass(3 * second, 10);
    assert.ok((await net.find(digest(6))).doneMs! < 20, "here again");
    assert.ok(hopeful(net));
  });

  it("does not wait for one that is always late, but believes its filter", async () => {
    const net = new FakeNetwork();
    const machine = net.machine(at(1), [digest(1)]);
    net.neighbours.learn(at(1));
    await net.pass(20);
    machine.delayMs = 400;
    assert.equal((await net.find(digest(2))).doneMs, 150);
    await net.pass(500);
    assert.equal(net.counters.get("swarm.neighbours.late"), 1);
    for (const seed of [3, 4, 5]) assert.equal((await net.find(digest(seed))).doneMs, 0);
    const { named, doneMs } = await net.find(digest(1));
    assert.deepEqual([named, doneMs], [["10.0.0.1:9977 whole"], 0]);
  });

  it("asks one that is late all the same, and hears it when nobody waits any more", async () => {
    const net = new FakeNetwork();
    const machine = net.machine(at(1));
    net.neighbours.learn(at(1));
    await net.pass(20);
    machine.delayMs = 400;
    await net.find(digest(1));
    await net.pass(500);
    machine.downloads.add(digest(2));
    const events: string[] = [];
    const search = net.neighbours.find(
      { sha256: digest(2), sizeBytes: long, again: false },
      {
        peers: (peers) => events.push(...peers.map(({ endpoint }) => endpoint.text)),
        done: () => events.push("done"),
      },
    );
    await net.pass(100);
    assert.deepEqual(events, ["done"]);
    await net.pass(400);
    assert.deepEqual(events, ["done", at(1).text]);
    const asked = net.times("/~/have");
    await net.find(digest(3), short);
    assert.equal(net.times("/~/have"), asked, "a short file is over by then");
    search.cancel();
  });

  it("forgets who fails for long, unless it was configured, and hears who comes back", async () => {
    const net = new FakeNetwork();
    net.neighbours.learn(at(1));
    net.neighbours.learn(at(2), "configuration");
    await net.pass(90 * minute, second);
    await net.find(digest(1));
    assert.deepEqual(
      net.neighbours.status().map(({ address }) => address),
      ["10.0.0.2:9977"],
    );
    const before = net.asked.length;
    assert.ok(before < 50, `${before} requests to nobody`);
    net.machine(at(2), [digest(1)]);
    for (let round = 0; round < 40; round++) {
      net.neighbours.learn(at(2));
      await net.pass(second, 50);
    }
    assert.ok(net.neighbours.mayHave(digest(1)), "it was heard, so its rest is over sooner");
    assert.equal(net.asked.length, before + 1);
  });

  it("takes wrong answers for none, and a filter that promises everything for nothing", async () => {
    const answers: [number, Uint8Array | undefined][] = [
      [200, Buffer.from([7])],
      [200, Buffer.from([2, 2])],
      [200, Buffer.alloc(1 << 20)],
      [404, undefined],
      [302, undefined],
      [304, undefined],
    ];
    for (const [status, body] of answers) {
      const net = new FakeNetwork();
      const machine = net.machine(at(1));
      machine.instead = () => (body === undefined ? { status } : { status, body });
      net.neighbours.learn(at(1));
      await net.pass(2100, 10);
      assert.equal(net.counters.get("swarm.neighbours.failed"), 1, `filter ${status}`);
      const { named } = await net.find(digest(1));
      assert.deepEqual(named, []);
      assert.equal(net.counters.get("swarm.neighbours.failed"), 2, `have ${status}`);
      assert.ok(!hopeful(net));
    }
    const net = new FakeNetwork();
    const machine = net.machine(at(1), [digest(1)]);
    const ones = Buffer.alloc(1000, 0xff);
    ones.set([1, 7, 0, 0, 0, 0, 0, 1]);
    machine.instead = ({ path }) =>
      path === "/~/filter" ? { status: 200, body: ones } : undefined;
    net.neighbours.learn(at(1));
    await net.pass(20);
    assert.ok(!net.neighbours.mayHave(digest(1)));
    const one = await net.find(digest(1), short);
    assert.deepEqual(one.named, ["10.0.0.1:9977 whole"], "asked, for its filter tells nothing");
    assert.deepEqual((await net.find(digest(2), short)).named, []);
  });

  it("ends an answer that trickles", async () => {
    const net = new FakeNetwork();
    const signals: AbortSignal[] = [];
    const trickle: PeerPort = {
      send: (_request, signal) => {
        signals.push(signal);
        const forever = (async function* () {
          await new Promise((_resolve, reject) => {
            signal.addEventListener("abort", () => reject(new AptP2pError("UPSTREAM", "cut")));
          });
          yield Buffer.alloc(1);
        })();
        return Promise.resolve({ status: 200, headers: {}, body: forever });
      },
    };
    const { clock, counters } = net;
    const neighbours = new Neighbours({
      ...{ peers: trickle, clock, counters, random: new SeededRandom(2), isNear: () => true },
    });
    neighbours.learn(at(1));
    await net.pass(4900, 10);
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [false],
    );
    await net.pass(200, 10);
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [true],
    );
    assert.equal(counters.get("swarm.neighbours.failed"), 1);
    neighbours.close();
  });

  it("keeps those that answer when strangers crowd in", async () => {
    const net = new FakeNetwork();
    for (let host = 1; host <= 20; host++) {
      net.machine(at(host));
      net.neighbours.learn(at(host));
    }
    await net.pass(20);
    for (let port = 1024; port < 1424; port++) net.neighbours.learn(at(99, port));
    const ofOne = net.neighbours.status().filter(({ address }) => address.startsWith("10.0.0.99:"));
    assert.equal(ofOne.length, 16);
    for (let host = 0; host < 600; host++) {
      net.neighbours.learn(endpoint(`10.1.${host >> 8}.${host & 255}`, 9977));
      if (host % 100 === 0) await net.pass(10);
    }
    const known = net.neighbours.status();
    assert.equal(known.length, limits.neighbours);
    assert.equal(known.filter(({ answeredAgoMs }) => answeredAgoMs !== undefined).length, 20);
    assert.equal(net.counters.get("swarm.neighbours.learned"), 20 + 400 + 600);
  });

  it("asks at most 48 about a file, then 16 of many: the useful ones first", async () => {
    for (const [count, asked] of [
      [48, 48],
      [60, 16],
    ] as const) {
      const net = new FakeNetwork();
      for (let host = 1; host <= count; host++) {
        net.machine(at(host));
        net.neighbours.learn(at(host));
      }
      await net.pass(20);
      const useful = [7, count - 1];
      for (const host of useful)
        for (let file = 0; file < 3; file++) net.neighbours.useful(at(host));
      await net.find(digest(1));
      assert.equal(net.times("/~/have"), asked);
      for (const host of useful) assert.equal(net.times("/~/have", at(host)), 1);
    }
  });

  it("names far peers that were useful, for the rest of the run", async () => {
    const net = new FakeNetwork();
    const far = (host: number): Endpoint => endpoint(`192.0.2.${host}`, 9977);
    for (const host of [1, 2, 3, 4]) net.neighbours.useful(far(host));
    assert.ok(hopeful(net));
    const { named } = await net.find(digest(1));
    assert.deepEqual(
      named,
      [2, 3, 4].map((host) => `192.0.2.${host}:9977 unknown`),
    );
    assert.equal(net.asked.length, 0, "nothing that is for the own network is asked of them");
    await net.pass(3 * minute, second);
    assert.deepEqual((await net.find(digest(1))).named, []);
    assert.ok(!hopeful(net) && net.neighbours.count === 0);
  });

  it("names configured peers beyond the own network, without hope", async () => {
    const net = new FakeNetwork();
    const named = new Set<string>();
    for (let host = 1; host <= 5; host++) {
      net.neighbours.learn(endpoint(`192.0.2.${host}`, 9977), "configuration");
    }
    for (let seed = 0; seed < 30; seed++) {
      const found = await net.find(digest(seed));
      assert.equal(found.named.length, 3);
      for (const each of found.named) named.add(each);
    }
    assert.equal(named.size, 5);
    assert.ok(!hopeful(net) && net.asked.length === 0);
  });

  it("asks all of a network once about a file, and only some when asked again", async () => {
    const net = new FakeNetwork();
    for (let host = 1; host <= 40; host++) {
      net.machine(at(host));
      net.neighbours.learn(at(host));
    }
    await net.pass(30_000, 100);
    const filters = net.times("/~/filter");
    await net.find(digest(1));
    assert.equal(net.times("/~/have"), 40);
    await net.find(digest(1), long, true);
    assert.equal(net.times("/~/have"), 40 + 16);
    assert.equal(
      net.times("/~/filter") - filters,
      24,
      "of those that were not asked the second time",
    );
  });

  it("says nothing more once cancelled or closed, and leaves no timer behind", async () => {
    const net = new FakeNetwork();
    net.machine(at(1), [digest(1)]).delayMs = 50;
    net.neighbours.learn(at(1));
    await net.pass(100);
    const told: string[] = [];
    const events = { peers: () => told.push("peers"), done: () => told.push("done") };
    const wanted = (seed: number): Wanted => ({
      ...{ sha256: digest(seed), sizeBytes: long, again: false },
    });
    net.neighbours.find(wanted(1), events).cancel();
    net.neighbours.find(wanted(2), events).cancel();
    net.neighbours.find(wanted(3), events);
    await net.pass(10);
    net.neighbours.close();
    await net.pass(300);
    assert.deepEqual(told, []);
    assert.equal(net.clock.pendingTimers, 0);
  });
});

describe("Neighbours.configure()", () => {
  it("forgets those that are not named any more, but nobody who was found otherwise", () => {
    const network = new FakeNetwork();
    const known = (): string[] => network.neighbours.status().map(({ address }) => address);
    network.neighbours.learn(at(1));
    network.neighbours.configure([at(2), at(3)]);
    assert.deepEqual(
      known(),
      [at(1), at(2), at(3)].map(({ text }) => text),
    );
    network.neighbours.configure([at(3), at(4)]);
    assert.deepEqual(
      known(),
      [at(1), at(3), at(4)].map(({ text }) => text),
    );
    network.neighbours.configure([]);
    assert.deepEqual(known(), [at(1).text]);
  });
});
