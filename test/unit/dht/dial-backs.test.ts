import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { Counters } from "../../../src/base/counters.ts";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { endpoint, type Endpoint } from "../../../src/base/endpoint.ts";
import { minute, second } from "../../../src/base/units.ts";
import { DialBacks } from "../../../src/dht/dial-backs.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

interface World {
  readonly clock: VirtualClock;
  readonly counters: Counters;
  readonly dials: DialBacks;
  /** Dials under way, in their order. */
  readonly open: { readonly to: Endpoint; readonly done: (reached: boolean) => void }[];
  /** Answers as they come: what `ask` was called with, and what came back. */
  readonly answers: string[];
  readonly ask: (to: Endpoint) => void;
}

function world(): World {
  const clock = new VirtualClock();
  const counters = new Counters();
  const open: World["open"] = [];
  const answers: string[] = [];
  const dialBack = {
    dial: (to: Endpoint, done: (reached: boolean) => void) => void open.push({ to, done }),
  };
  const dials = new DialBacks({ clock, dialBack, counters });
  const ask = (to: Endpoint): void => {
    dials.ask(to, (reached) => void answers.push(`${to.text} ${reached}`));
  };
  return { clock, counters, dials, open, answers, ask };
}

const asker = (n: number, port = 9977) => endpoint(`198.51.${n >> 8}.${n & 255}`, port);

describe("DialBacks.ask()", () => {
  it("dials and tells what came of it", () => {
    const { ask, open, answers, counters, dials } = world();
    ask(asker(1));
    ask(asker(2));
    assert.deepEqual(answers, []);
    assert.equal(dials.running, 2);
    open[1]?.done(false);
    open[0]?.done(true);
    assert.deepEqual(answers, ["198.51.0.2:9977 false", "198.51.0.1:9977 true"]);
    assert.equal(dials.running, 0);
    assert.equal(counters.get("dht.dialBacks.dialled"), 2);
    assert.equal(counters.get("dht.dialBacks.reached"), 1);
    assert.equal(counters.get("dht.dialBacks.failed"), 1);
  });

  it("shares one dial among repeated queries, under way and afterwards", () => {
    const { ask, open, answers, clock, counters } = world();
    ask(asker(1));
    ask(asker(1));
    open[0]?.done(true);
    ask(asker(1));
    assert.deepEqual(answers, Array(3).fill("198.51.0.1:9977 true"));
    assert.equal(open.length, 1);
    assert.equal(counters.get("dht.dialBacks.shared"), 2);
    clock.advance(10 * second);
    ask(asker(1));
    assert.equal(open.length, 2);
  });

  it("dials an address once in ten seconds, so that its ports cannot be tried in turn", () => {
    const { ask, open, answers, clock, counters } = world();
    for (let port = 1; port <= 1000; port++) ask(asker(1, port));
    assert.equal(open.length, 1);
    assert.equal(answers.filter((one) => one.endsWith("undefined")).length, 999);
    assert.equal(counters.get("dht.dialBacks.refused"), 999);
    open[0]?.done(false);
    clock.advance(10 * second - 1);
    ask(asker(1, 2000));
    assert.equal(open.length, 1);
    clock.advance(1);
    ask(asker(1, 2000));
    assert.equal(open.length, 2);
  });

  it("counts a /64 as one, and every port of the loopback interface", () => {
    const { ask, open } = world();
    ask(endpoint("2001:db8:0:1::1", 9977));
    ask(endpoint("2001:db8:0:1::2", 9977));
    ask(endpoint("2001:db8:0:2::1", 9977));
    assert.equal(open.length, 2);
    ask(endpoint("127.0.0.1", 1001));
    ask(endpoint("127.0.0.1", 1002));
    assert.equal(open.length, 4);
  });

  it("gives an address no second dial while its first one lasts, nor more sharers than 8", () => {
    const { ask, open, answers, clock } = world();
    for (let n = 0; n < 20; n++) ask(asker(1));
    assert.equal(answers.length, 12);
    clock.advance(30 * second);
    ask(asker(1, 80));
    assert.equal(open.length, 1);
    open[0]?.done(true);
    assert.equal(answers.filter((one) => one.endsWith("true")).length, 8);
  });

  it("keeps to its limits at once and per minute, whoever asks", () => {
    const { ask, open, answers, clock, dials } = world();
    for (let n = 0; n < 1000; n++) ask(asker(n));
    assert.equal(open.length, dhtLimits.dialBacksAtOnce);
    assert.equal(answers.length, 1000 - dhtLimits.dialBacksAtOnce);
    for (let n = 1000; n < 11_000; n++) {
      for (const { done } of open.splice(0)) done(true);
      ask(asker(n));
    }
    assert.equal(dials.running, 0);
    const reached = answers.filter((one) => one.endsWith("true")).length;
    assert.equal(reached, dhtLimits.dialBacksPerMinute);
    clock.advance(minute - 1);
    ask(asker(20_000));
    assert.equal(dials.running, 0);
    clock.advance(1);
    ask(asker(20_001));
    assert.equal(dials.running, 1);
  });
});
