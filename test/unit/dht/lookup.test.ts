/** One lookup under each switch of its policy, over scripted peers in virtual time. */
import { describe, it } from "mocha";
import { minute, second } from "../../../src/base/units.ts";
import assert from "node:assert/strict";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import type { Endpoint } from "../../../src/base/endpoint.ts";
import { Lookup } from "../../../src/dht/lookup.ts";
import type { Hop, LookupPort, LookupResult, LookupTask } from "../../../src/dht/lookup.ts";
import { PeerBook } from "../../../src/dht/peer-book.ts";
import type { Peer } from "../../../src/dht/peer-book.ts";
import { defaultPolicy, policies2008 } from "../../../src/dht/policy.ts";
import type { LookupPolicy } from "../../../src/dht/policy.ts";
import type { Contact } from "../../../src/dht/types.ts";
import type { AnswerFields, HeldValue, NodeInfo, Query } from "../../../src/krpc/message.ts";
import type { PendingQuery, QueryHandlers, Schedule } from "../../../src/krpc/transactions.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { answerTo, contactOf, idAt, queryMessage } from "./nodes.ts";

const target = idAt([0]);
const own = idAt([0xff]);

/** A node at this distance from the target: the first byte of its id. */
interface Script {
  /** Answers after so long; undefined: never. */
  readonly afterMs?: number;
  readonly names?: readonly (number | NodeInfo)[];
  readonly values?: readonly HeldValue[];
  readonly held?: number;
  readonly srttMs?: number;
  readonly suspect?: boolean;
  readonly endpoint?: Endpoint;
  /** What it answers to get_value. */
  readonly page?: (from: number) => readonly HeldValue[];
  /** Somebody else answers, which counts as a failure. */
  readonly impostor?: boolean;
}

const slots = 3;
/** Three at a time, the four closest, one second and no more; nothing else switched on. */
const plain: LookupPolicy = {
  ...{ name: "plain", k: 4, alpha: slots, farAlpha: slots, limitMs: 60_000 },
  schedule: () => ({ resendMs: [], suspectMs: 300, failMs: 1000 }),
  ...{ leapFrog: false, earlyAbort: false, freeSuspects: false, skipSuspects: false },
  ...{ rttFirst: false, inlineValues: true },
};

function value(publisher: number, text = "v"): HeldValue {
  return { publisher: endpoint(`203.0.113.${publisher}`, 9977), value: Buffer.from(text) };
}

interface Asked {
  readonly atMs: number;
  readonly who: number;
  readonly query: Query;
}

class World implements LookupPort {
  readonly own = own;
  readonly clock = new VirtualClock();
  readonly book = new PeerBook();
  readonly asked: Asked[] = [];
  readonly values: (readonly [atMs: number, HeldValue])[] = [];
  readonly hops: Hop[] = [];
  readonly results: (readonly [atMs: number, LookupResult])[] = [];
  readonly #scripts: ReadonlyMap<number, Script>;
  silent = 0;
  size: number | undefined = undefined;

  constructor(scripts: Readonly<Record<number, Script>>) {
    this.#scripts = new Map(Object.entries(scripts).map(([who, script]) => [Number(who), script]));
  }

  silence(): number {
    return this.silent;
  }

  networkSize(): number | undefined {
    return this.size;
  }

  measuredSize(): number | undefined {
    return this.size;
  }

  suspected({ id }: Contact): boolean {
    return this.#scripts.get(id[0]!)?.suspect === true;
  }

  contact(info: NodeInfo): Contact {
    return { ...info, peer: this.book.peer(info.endpoint) };
  }

  of(who: number): Contact {
    const { endpoint: at, srttMs } = this.#scripts.get(who) ?? {};
    const known: Partial<Peer> = srttMs === undefined ? {} : { srttMs };
    return contactOf(idAt([who]), at ?? who, known, this.book);
  }

  query(to: Contact, query: Query, schedule: Schedule, handlers: QueryHandlers): PendingQuery {
    const who = to.id[0]!;
    const script = this.#scripts.get(who) ?? {};
    this.asked.push({ atMs: this.clock.monotonicMs(), who, query });
    const stops = [
      this.clock.after(schedule.suspectMs, () => handlers.suspect?.()),
      this.clock.after(schedule.failMs, () => handlers.done({ kind: "failed" })),
      ...schedule.resendMs.map((ms) => this.clock.after(ms, () => handlers.resent?.())),
    ];
    const cancel = (): void => {
      for (const stop of stops) stop();
    };
    const { afterMs } = script;
    if (afterMs !== undefined && afterMs < schedule.failMs) {
      const answer = (): void => {
        cancel();
        if (script.impostor === true) handlers.done({ kind: "failed" });
        else {
          const message = answerTo(queryMessage(query), to.id, this.#fields(script, query));
          handlers.done({ kind: "answer", message, rttMs: afterMs });
        }
      };
      stops.push(this.clock.after(afterMs, answer));
    }
    return { cancel, sendNoMore: () => undefined };
  }

  start(from: readonly number[], policy: LookupPolicy, task: Partial<LookupTask> = {}): Lookup {
    const lookup = new Lookup(
      this,
      { target, kind: "values", policy, ...task },
      {
        values: (values) => {
          for (const each of values) this.values.push([this.clock.monotonicMs(), each]);
        },
        hop: (hop) => void this.hops.push(hop),
        done: (result) => void this.results.push([this.clock.monotonicMs(), result]),
      },
    );
    lookup.start(from.map((who) => this.of(who)));
    return lookup;
  }

  /** Runs it all → when it ended, once, and with whom. */
  ended(): {
    readonly atMs: number;
    readonly closest: readonly number[];
    readonly messages: number;
  } {
    this.clock.advance(200_000);
    assert.equal(this.results.length, 1, "the end comes exactly once");
    const [atMs, { closest, messages }] = this.results[0]!;
    return { atMs, closest: closest.map(({ id }) => id[0]!), messages };
  }

  askedAt(who: number): number | undefined {
    return this.asked.find((each) => each.who === who)?.atMs;
  }

  #fields({ names = [], values = [], held, page }: Script, query: Query): AnswerFields {
    if (query.method === "get_value") return { values: page?.(query.from) ?? [] };
    const nodes = names.map((name) => (typeof name === "number" ? this.of(name) : name));
    return { nodes, values, ...(held !== undefined && { held }) };
  }
}

/** Nodes that answer after 50 ms and name nobody. */
function quick(...whos: readonly number[]): Record<number, Script> {
  return Object.fromEntries(whos.map((who) => [who, { afterMs: 50 }]));
}

describe("Lookup: the way to the closest", () => {
  it("asks the nearest first, follows who is named, and ends with the nearest that answered", () => {
    const world = new World({
      ...quick(1, 2, 3, 4, 60, 70),
      50: { afterMs: 50, names: [3, 1, 4] },
      4: { afterMs: 50, names: [2, 50, 1] },
    });
    world.start([70, 50, 60], plain);
    const { atMs, closest, messages } = world.ended();
    assert.deepEqual(closest, [1, 2, 3, 4]);
    assert.deepEqual(
      world.asked.map(({ who }) => who),
      [50, 60, 70, 1, 3, 4, 2],
    );
    assert.equal(atMs, 150);
    assert.equal(messages, 7);
    assert.ok(world.asked.every(({ query }) => query.method === "find_value"));
  });

  it("asks find_node for as many as it wants, and waits until so many have answered", () => {
    const world = new World(quick(...Array.from({ length: 60 }, (_, n) => n + 1)));
    world.start([1, 2, 3, 4, 5, 6, 7, 8, 9], plain, { kind: "nodes", width: 6 });
    assert.deepEqual(world.ended().closest, [1, 2, 3, 4, 5, 6]);
    assert.deepEqual(world.asked[0]!.query, { method: "find_node", target, count: 6 });
    const wide = new World(quick());
    wide.start([1], plain, { kind: "nodes", width: 100 });
    assert.deepEqual(wide.asked[0]!.query, { method: "find_node", target, count: 32 });
  });

  it("has at most alpha queries under way", () => {
    const world = new World({});
    world.start([1, 2, 3, 4, 5, 6, 7, 8], plain);
    assert.equal(world.asked.length, slots);
    assert.deepEqual(world.ended().closest, []);
    assert.equal(world.asked.length, 8, "everybody was asked in the end");
  });

  it("ends at once without anybody to ask, and never asks itself", () => {
    const world = new World({});
    world.start([], plain);
    assert.equal(world.results.length, 1);
    const other = new World({ 9: { afterMs: 50, names: [0xff] } });
    other.start([9, 0xff], plain);
    assert.deepEqual(other.ended().closest, [9]);
    assert.deepEqual(
      other.asked.map(({ who }) => who),
      [9],
    );
  });

  it("takes two claims on an id or an address, not three, so that a lie hides nobody", () => {
    const at = endpoint("198.51.100.77", 9977);
    const twins = [11, 12, 13].map((who) => ({ id: idAt([who]), endpoint: at }));
    const moved = { id: idAt([30]), endpoint: endpoint("8.8.4.4", 9977) };
    const world = new World({
      ...quick(11, 12, 13, 30),
      40: { afterMs: 50, names: [...twins, 30, moved] },
    });
    world.start([40], plain);
    assert.deepEqual(world.ended().closest, [11, 12, 30, 30]);
    assert.equal(world.asked.length, 5);
  });

  it("counts messages with those that are sent again", () => {
    const world = new World(quick(2));
    const schedule = () => ({ resendMs: [100, 200], suspectMs: 400, failMs: 500 });
    world.start([1, 2], { ...plain, schedule });
    assert.equal(world.ended().messages, 4);
  });

  it("goes on without who fails or is somebody else", () => {
    const world = new World({ ...quick(1, 3, 4, 5), 2: { afterMs: 50, impostor: true } });
    world.start([1, 2, 3, 4, 5], plain);
    const { closest, atMs } = world.ended();
    assert.deepEqual(closest, [1, 3, 4, 5]);
    assert.equal(atMs, 100);
    assert.deepEqual(
      world.hops.map(({ contact, what }) => [contact.id[0], what]),
      [
        [1, "answer"],
        [2, "failed"],
        [3, "answer"],
        [4, "answer"],
        [5, "answer"],
      ],
    );
  });

  it("ends when told to give up, with what it has", () => {
    const world = new World(quick(2));
    const lookup = world.start([1, 2], {
      ...plain,
      schedule: () => policies2008[0]!.schedule(world.of(1).peer),
    });
    world.clock.advance(1000);
    assert.deepEqual([world.results.length, lookup.ended], [0, false]);
    lookup.giveUp();
    assert.equal(lookup.ended, true);
    lookup.giveUp();
    const { atMs, closest } = world.ended();
    assert.deepEqual([atMs, closest], [1000, [2]]);
  });

  it("is silent after it was cancelled", () => {
    const world = new World({ ...quick(2, 3), 1: { afterMs: 60, values: [value(1)], held: 1 } });
    const lookup = world.start([1, 2, 3, 4], plain);
    world.clock.advance(55);
    const before = world.asked.length;
    lookup.cancel();
    world.clock.advance(100_000);
    assert.equal(lookup.ended, true);
    assert.deepEqual([world.values.length, world.results.length], [0, 0]);
    assert.equal(world.asked.length, before);
    assert.equal(world.clock.pendingTimers, 0);
  });
});

describe("Lookup: the customizations of 2008, each by itself", () => {
  it("retransmission belongs to the schedule alone", () => {
    const peer = new World({}).of(1).peer;
    const [original, retransmit] = policies2008;
    assert.deepEqual(original!.schedule(peer).resendMs, []);
    const times = { resendMs: [2000, 6000], suspectMs: 9000, failMs: 9000 };
    assert.deepEqual(retransmit!.schedule(peer), times);
    assert.deepEqual(
      policies2008.map(({ name, leapFrog, earlyAbort }) => [name, leapFrog, earlyAbort]),
      [
        ["original", false, false],
        ["retransmit", false, false],
        ["leapfrog", true, false],
        ["abort", true, true],
        ["reping", true, true],
      ],
    );
  });

  /** Far ones that never answer hold all slots but one; the other shows the way to the closest. */
  const stalled = { ...quick(1, 2, 3, 4), 60: { afterMs: 50, names: [1, 2, 3, 4] } };

  it("leap-frog: who is no longer among the closest gives up its slot", () => {
    const world = new World(stalled);
    world.start([60, 70, 80], { ...plain, leapFrog: true });
    world.clock.advance(50);
    assert.deepEqual(
      [1, 2, 3].map((who) => world.askedAt(who)),
      [50, 50, 50],
      "all slots are free",
    );
    const { atMs, closest } = world.ended();
    assert.deepEqual(closest, [1, 2, 3, 4]);
    assert.equal(atMs, 1000, "but the end waits for the far ones");
  });

  it("without leap-frog the stalled keep their slots", () => {
    const world = new World(stalled);
    world.start([60, 70, 80], plain);
    world.clock.advance(249);
    assert.deepEqual(
      [1, 2, 3, 4].map((who) => world.askedAt(who)),
      [50, 100, 150, 200],
      "one slot is left",
    );
    assert.equal(world.ended().atMs, 1000);
  });

  it("early abort: the end comes when the closest have answered, whatever is under way", () => {
    const world = new World(stalled);
    world.start([60, 70, 80], { ...plain, earlyAbort: true });
    assert.deepEqual(world.ended(), { atMs: 250, closest: [1, 2, 3, 4], messages: 7 });
    const both = new World(stalled);
    both.start([60, 70, 80], { ...plain, earlyAbort: true, leapFrog: true });
    assert.equal(both.ended().atMs, 150);
  });

  it("early abort does not end while one of the closest is awaited", () => {
    const world = new World({ ...quick(1, 2, 4, 5), 3: { afterMs: 800 } });
    world.start([1, 2, 3, 4, 5], { ...plain, earlyAbort: true, leapFrog: true });
    assert.deepEqual([world.ended().atMs, world.ended().closest], [800, [1, 2, 3, 4]]);
  });
});

describe("Lookup: suspects, round trips and hedging", () => {
  const impatient: LookupPolicy = {
    ...plain,
    ...{ leapFrog: true, earlyAbort: true, freeSuspects: true, skipSuspects: true },
  };

  it("does not wait for who is late, but counts it if it answers in time", () => {
    const world = new World({ ...quick(1, 3, 4, 5), 2: { afterMs: 900 } });
    world.start([1, 2, 3, 4, 5], impatient);
    assert.deepEqual([world.ended().atMs, world.ended().closest], [350, [1, 3, 4, 5]]);
    const slower = new World({ ...quick(1, 3, 4), 5: { afterMs: 299 }, 2: { afterMs: 320 } });
    slower.start([1, 2, 3, 4, 5], impatient);
    assert.deepEqual([slower.ended().atMs, slower.ended().closest], [320, [1, 2, 3, 4]]);
  });

  it("waits for the late where suspects only lose their slot", () => {
    const world = new World({ ...quick(1, 3, 4, 5, 6), 2: { afterMs: 900 } });
    world.start([1, 2, 3, 4, 5, 6], { ...impatient, skipSuspects: false });
    assert.deepEqual([world.ended().atMs, world.ended().closest], [900, [1, 2, 3, 4]]);
  });

  it("passes over those who were slow lately, unless too few are left without them", () => {
    const slow = { afterMs: 50, suspect: true };
    const enough = new World({ ...quick(2, 3, 4, 5), 1: slow });
    enough.start([1, 2, 3, 4, 5], impatient);
    assert.deepEqual(enough.ended().closest, [2, 3, 4, 5]);
    assert.equal(enough.askedAt(1), undefined);
    const few = new World({ ...quick(3, 4), 1: slow, 2: slow, 5: slow });
    few.start([1, 2, 3, 4, 5], impatient);
    assert.deepEqual(few.ended().closest, [1, 2, 3, 4]);
    assert.equal(few.askedAt(5), undefined, "the farthest is not needed");
    const plainly = new World({ ...quick(2, 3, 4, 5), 1: slow });
    plainly.start([1, 2, 3, 4, 5], { ...impatient, skipSuspects: false });
    assert.equal(plainly.askedAt(1), 0);
  });

  it("asks the quickest of the closest first, the unknown as if it were rather slow", () => {
    const world = new World({
      1: { afterMs: 50, srttMs: dhtLimits.firstTimeoutMs + 1 },
      2: { afterMs: 50 },
      3: { afterMs: 50, srttMs: 40 },
      4: { afterMs: 50, srttMs: 20 },
    });
    const order = (rttFirst: boolean) => {
      world.asked.length = 0;
      world.start([1, 2, 3, 4], { ...impatient, rttFirst, alpha: 1 });
      world.clock.advance(1000);
      return world.asked.map(({ who }) => who);
    };
    assert.deepEqual(order(true), [4, 3, 2, 1]);
    assert.deepEqual(order(false), [1, 2, 3, 4]);
  });

  it("asks ahead near the target where many are silent, and nobody where none is", () => {
    const run = (silent: number, size: number | undefined): number => {
      const world = new World({});
      world.silent = silent;
      world.size = size;
      world.start([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], { ...impatient, alpha: 4, farAlpha: 4 });
      return world.asked.length;
    };
    assert.equal(run(0, 20), 4);
    const ahead = run(0.6, 20) - 4;
    assert.ok(ahead >= 2 && ahead <= 6, `${ahead} ahead`);
    assert.equal(run(1, 20) - 4, ahead, "a network that is gone is not flooded");
    assert.equal(run(0.6, 1e9), 4, "far away nothing is asked ahead");
  });

  it("asks few where it is far from the target", () => {
    const run = (size: number): number => {
      const world = new World({});
      world.size = size;
      world.start([1, 2, 3, 4, 5, 6], { ...impatient, alpha: 4, farAlpha: 2 });
      return world.asked.length;
    };
    assert.deepEqual([run(20), run(1e9)], [4, 2]);
  });
});

describe("Lookup: values", () => {
  it("delivers values before the end, each publisher once in each of its states", () => {
    const world = new World({
      1: { afterMs: 50, values: [value(1), value(2)], held: 2 },
      2: { afterMs: 500, values: [value(2), value(3), value(1, "new")], held: 3 },
    });
    world.start([1, 2], plain);
    assert.equal(world.ended().atMs, 500);
    assert.deepEqual(
      world.values.map(([atMs, { publisher, value: what }]) => [
        ...[atMs, publisher.address, Buffer.from(what).toString()],
      ]),
      [
        [50, "203.0.113.1", "v"],
        [50, "203.0.113.2", "v"],
        [500, "203.0.113.3", "v"],
        [500, "203.0.113.1", "new"],
      ],
    );
  });

  it("does not end at the first values: a stale holder ends no search", () => {
    const world = new World({ ...quick(2, 3), 1: { afterMs: 50, values: [value(1)], held: 1 } });
    world.start([1, 2, 3], plain);
    assert.deepEqual(world.ended().closest, [1, 2, 3]);
  });

  const all = Array.from({ length: 9 }, (_, n) => value(n));
  const holder: Script = {
    ...{ afterMs: 50, values: all.slice(0, 4), held: 9 },
    page: (from) => all.slice(from, from + 3),
  };

  it("asks a holder for its further values, page by page, and does not hold up the end for them", () => {
    const world = new World({ 1: holder });
    world.start([1], plain);
    const { atMs, messages } = world.ended();
    assert.deepEqual([atMs, messages], [50, 2]);
    world.clock.advance(second);
    assert.equal(world.values.length, 9);
    const pages = world.asked.flatMap(({ query }) => (query.method === "get_value" ? [query] : []));
    const { mostValues } = dhtLimits;
    assert.deepEqual(
      pages.map(({ from, count }) => [from, count]),
      [
        [4, mostValues],
        [7, mostValues],
      ],
    );
  });

  it("stops asking a holder that has no more, or claims more than anybody holds", () => {
    const liar = new World({
      1: { ...holder, held: 65_535, page: (from) => [value(from, `${from}`)] },
    });
    liar.start([1], plain);
    liar.ended();
    liar.clock.advance(minute);
    assert.equal(liar.asked.length, 1 + dhtLimits.pagesPerHolder);
    const empty = new World({ 1: { ...holder, page: () => [] } });
    empty.start([1], plain);
    assert.equal(empty.ended().messages, 2);
  });

  it("delivers a bounded number of values", () => {
    const many = (who: number): HeldValue[] =>
      Array.from({ length: 300 }, (_, n) => value(who, `${n}`));
    const whos = Array.from({ length: 12 }, (_, n) => n + 1);
    const scripts = whos.map((who) => [who, { afterMs: 50, values: many(who), held: 300 }]);
    const world = new World(Object.fromEntries(scripts) as Record<number, Script>);
    world.start(whos, { ...plain, k: 12 });
    world.ended();
    assert.equal(world.values.length, dhtLimits.lookupValues);
  });

  it("2008: fetches values when the search has ended, from the nearest holders, six at most", () => {
    const whos = [1, 2, 3, 4, 5, 6, 7, 8];
    const script = (who: number): Script => ({
      ...{ afterMs: 50, held: 1, page: () => [value(who)] },
    });
    const world = new World(Object.fromEntries(whos.map((who) => [who, script(who)])));
    world.start(whos, { ...plain, k: 8, alpha: 2, inlineValues: false });
    assert.equal(world.ended().atMs, 200);
    const pages = world.asked.filter(({ query }) => query.method === "get_value");
    assert.deepEqual(pages.map(({ who, atMs }) => [who, atMs]).slice(0, 6), [
      [1, 200],
      [2, 200],
      [3, 250],
      [4, 250],
      [5, 300],
      [6, 300],
    ]);
    assert.deepEqual(
      world.values.map(([atMs]) => atMs),
      [250, 250, 300, 300, 350, 350],
    );
  });
});

describe("Lookup: what answers claim is bounded", () => {
  it("keeps the nearest candidates of those that liars name, and so many of them", () => {
    let named = 0;
    const world = new World({});
    const forged = (): NodeInfo[] =>
      Array.from({ length: 32 }, () => {
        named++;
        const at = endpoint(`8.${(named >> 8) & 255}.${named & 255}.7`, 9977);
        // Ever nearer ones.
        const left = 2 ** 24 - named;
        return { id: idAt([200, left >> 16, (left >> 8) & 255, left & 255]), endpoint: at };
      });
    const noted = new Set<string>();
    world.contact = (info) => {
      noted.add(info.endpoint.text);
      return { ...info, peer: world.book.peer(info.endpoint) };
    };
    world.query = (to, query, _schedule, handlers) => {
      world.asked.push({ atMs: world.clock.monotonicMs(), who: to.id[0]!, query });
      const message = answerTo(queryMessage(query), to.id, { nodes: forged() });
      const cancel = world.clock.after(20, () =>
        handlers.done({ kind: "answer", message, rttMs: 20 }),
      );
      return { cancel, sendNoMore: () => undefined };
    };
    const lookup = world.start([240], { ...plain, alpha: 8, farAlpha: 8, k: 8 });
    world.clock.advance(2000);
    assert.ok(noted.size > 10_000, `only ${noted.size} were named`);
    assert.equal(lookup.ended, false, "each answer names nearer ones");
    lookup.giveUp();
    assert.equal(world.results.length, 1);
    assert.ok(world.asked.length <= 1 + 8 * 100, `${world.asked.length} queries`);
  });

  it("takes few candidates of one global /24 or /64, any number of the own network", () => {
    const names = (at: (n: number) => Endpoint): NodeInfo[] =>
      Array.from({ length: 10 }, (_, n) => ({ id: idAt([n + 1]), endpoint: at(n + 1) }));
    for (const [at, taken] of [
      [(n: number) => endpoint(`8.8.8.${n}`, 9977), dhtLimits.subnetPerLookup],
      [(n: number) => endpoint(`2600::${n}`, 9977), dhtLimits.subnetPerLookup],
      [(n: number) => endpoint(`192.168.1.${n}`, 9977), 10],
    ] as const) {
      const world = new World({
        ...quick(1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
        90: { afterMs: 50, names: names(at) },
      });
      world.start([90], { ...plain, k: 20 });
      world.ended();
      assert.equal(world.asked.length - 1, taken);
    }
  });
});

describe("defaultPolicy", () => {
  it("waits by the peer's own round trips, within bounds, and sends again later", () => {
    const book = new PeerBook();
    const unknown = book.peer(endpoint("192.0.2.1", 9977));
    const at = (srttMs: number, rttvarMs: number) =>
      defaultPolicy.schedule({ ...unknown, srttMs, rttvarMs });
    assert.equal(defaultPolicy.schedule(unknown).suspectMs, dhtLimits.firstTimeoutMs);
    assert.equal(at(1, 0).suspectMs, dhtLimits.shortestTimeoutMs);
    assert.equal(at(100, 20).suspectMs, 180);
    assert.equal(at(2000, 500).suspectMs, dhtLimits.longestWaitMs);
    for (const plan of [defaultPolicy.schedule(unknown), at(1, 0), at(2000, 900), at(100, 20)]) {
      assert.ok(plan.suspectMs <= plan.failMs);
      for (const resend of plan.resendMs) assert.ok(resend < plan.failMs);
    }
  });
});
