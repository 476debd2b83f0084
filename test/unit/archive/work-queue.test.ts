import { strict as assert } from "node:assert";
import { describe, it } from "mocha";
import { WorkQueue } from "../../../src/archive/work-queue.ts";
import { Counters } from "../../../src/base/counters.ts";
import { limits } from "../../../src/base/limits.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

function setUp() {
  const clock = new VirtualClock();
  const counters = new Counters();
  const silent = (): void => undefined;
  const log = { debug: silent, info: silent, warn: silent, error: silent };
  return { clock, counters, queue: new WorkQueue({ clock, log, counters }) };
}

/** Work that ends when it is told to. */
function gate() {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open: () => open() };
}

/** Whether the promise is settled once everything that can run has run. */
async function isDone(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  void promise.then(() => (done = true));
  await new Promise((resolve) => setImmediate(resolve));
  return done;
}

describe("WorkQueue", () => {
  it("runs one after another, in order, past failures", async () => {
    const { queue, counters } = setUp();
    const seen: string[] = [];
    const first = gate();
    const work = [
      queue.add("h", "1", async () => {
        seen.push("1 begins");
        await first.passed;
        seen.push("1 ends");
      }),
      queue.add("h", "2", () => Promise.reject(new Error("no"))),
      queue.add("h", "3", () => Promise.resolve(void seen.push("3"))),
    ];
    assert.equal(await isDone(Promise.any(work)), false);
    first.open();
    await Promise.all(work);
    assert.deepEqual(seen, ["1 begins", "1 ends", "3"]);
    assert.equal(counters.get("archive.work.failed"), 1);
  });

  it("adds nothing for work that waits already", async () => {
    const { queue } = setUp();
    let runs = 0;
    const run = (): Promise<void> => {
      runs++;
      return Promise.resolve();
    };
    await Promise.all([queue.add("h", "same", run), queue.add("h", "same", run)]);
    await queue.add("h", "same", run);
    assert.equal(runs, 2);
  });

  it("refuses more work than it may hold", async () => {
    const { queue, counters } = setUp();
    const first = gate();
    void queue.add("h", "first", () => first.passed);
    await isDone(first.passed);
    for (let at = 0; at < limits.indexQueue + 3; at++) {
      void queue.add("h", `${at}`, () => Promise.resolve());
    }
    assert.equal(counters.get("archive.queue.refused"), 3);
    first.open();
    await queue.idle();
  });
});

describe("settled()", () => {
  it("waits for work whose scope covers the name, and for no other", async () => {
    const { queue } = setUp();
    const debian = gate();
    void queue.add("h/debian", "x", () => debian.passed);
    const settled = queue.settled("h/debian/pool/a.deb", 1000);
    assert.equal(await isDone(queue.settled("h/debian-security/pool/a.deb", 1000)), true);
    assert.equal(await isDone(settled), false);
    debian.open();
    assert.equal(await isDone(settled), true);
  });

  it("waits for work that the work brings, and for what runs beside the queue", async () => {
    const { queue } = setUp();
    const [first, second, beside] = [gate(), gate(), gate()];
    void queue.add("h", "1", async () => {
      await first.passed;
      void queue.add("h", "2", () => second.passed);
    });
    void queue.beside("", () => beside.passed);
    const settled = queue.settled("h/x", 1000);
    beside.open();
    first.open();
    assert.equal(await isDone(settled), false);
    second.open();
    assert.equal(await isDone(settled), true);
  });

  it("gives up after the given time", async () => {
    const { queue, clock, counters } = setUp();
    const never = gate();
    void queue.add("h", "x", () => never.passed);
    const settled = queue.settled("h/x", 1000);
    clock.advance(999);
    assert.equal(await isDone(settled), false);
    clock.advance(1);
    assert.equal(await isDone(settled), true);
    assert.equal(counters.get("archive.settled.expired"), 1);
    never.open();
  });

  it("leaves no timer behind", async () => {
    const { queue, clock } = setUp();
    void queue.add("h", "x", () => Promise.resolve());
    await queue.settled("h/x", 1000);
    assert.equal(clock.pendingTimers, 0);
  });
});

describe("close()", () => {
  it("drops what waits and takes nothing more", async () => {
    const { queue } = setUp();
    const first = gate();
    let ran = false;
    void queue.add("h", "1", () => first.passed);
    await isDone(first.passed);
    const waiting = queue.add("h", "2", () => Promise.resolve(void (ran = true)));
    const closed = queue.close();
    await waiting;
    assert.equal(await isDone(closed), false);
    first.open();
    await closed;
    await queue.add("h", "3", () => Promise.resolve(void (ran = true)));
    assert.equal(ran, false);
  });
});
