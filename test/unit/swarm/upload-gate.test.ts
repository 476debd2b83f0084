import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { MiB } from "../../../src/base/units.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import {
  defaultUploadLimits,
  partyOf,
  UploadGate,
  type FarAllowance,
  type Uploader,
  type UploadLimits,
  type Slot,
} from "../../../src/swarm/upload-gate.ts";

const near = (host: number): Uploader => ({ address: `10.0.0.${host}`, near: true });
const far = (host: number): Uploader => ({ address: `192.0.2.${host}`, near: false });

function gate(limits: Partial<UploadLimits> = {}, allowance?: FarAllowance) {
  const clock = new VirtualClock();
  const made = new UploadGate(clock, { ...defaultUploadLimits, ...limits }, allowance);
  const granted: string[] = [];
  const slots = new Map<string, Slot[]>();
  const enter = (who: Uploader, bytes = 1000, rare = false) =>
    made.enter(
      who,
      (slot) => {
        granted.push(who.address);
        slots.set(who.address, [...(slots.get(who.address) ?? []), slot]);
      },
      { bytes, rare },
    );
  const leave = ({ address }: Uploader): void => {
    const slot = slots.get(address)?.shift();
    assert.ok(slot !== undefined);
    slot.end();
  };
  return { clock, gate: made, granted, slots, enter, leave };
}

/** Sends so many bytes as fast as it may; when it was over, in virtual time. */
function upload(clock: VirtualClock, slot: Slot, bytes: number, done: (ms: number) => void) {
  let left = bytes;
  const next = (): void => {
    const slice = Math.min(left, slot.sliceBytes);
    slot.pace(slice, () => {
      left -= slice;
      if (left > 0) next();
      else {
        slot.end();
        done(clock.monotonicMs());
      }
    });
  };
  next();
}

describe("UploadGate", () => {
  it("gives so many slots, then places in the queue, and then is busy", () => {
    const { gate: it, enter, granted, leave } = gate({ slots: 2, slotsPerPeer: 2, queue: 2 });
    enter(near(1));
    enter(near(2));
    assert.equal(typeof enter(near(3)), "function");
    assert.equal(typeof enter(near(4)), "function");
    assert.equal(enter(near(5)), undefined);
    assert.deepEqual(it.load(), { active: 2, queued: 2, slots: 2 });
    leave(near(1));
    assert.deepEqual(granted, ["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    assert.deepEqual(it.load(), { active: 2, queued: 1, slots: 2 });
  });

  it("has thousands come back later, so that refusing them costs no more than serving", () => {
    const { gate: it, enter, clock } = gate({ slots: 1, slotsPerPeer: 1, queue: 0 });
    enter(near(1));
    assert.equal(it.retryAfterS, 1);
    const refuse = (perSecond: number, seconds: number): void => {
      for (let tick = 0; tick < 100 * seconds; tick++) {
        for (let each = 0; each < perSecond / 100; each++) assert.equal(enter(near(2)), undefined);
        clock.advance(10);
      }
    };
    refuse(200, 10);
    assert.equal(it.retryAfterS, 1);
    refuse(2000, 10);
    assert.ok(Math.abs(it.retryAfterS - 10) <= 1, `${it.retryAfterS} s`);
    clock.advance(20_000);
    assert.equal(it.retryAfterS, 1);
  });

  it("lets no peer take all slots, nor the whole queue", () => {
    const { gate: it, enter, granted } = gate({ slots: 8, slotsPerPeer: 2, queue: 8 });
    for (let index = 0; index < 4; index++) assert.notEqual(enter(near(1)), undefined);
    assert.equal(enter(near(1)), undefined);
    assert.equal(granted.length, 2);
    enter(near(2));
    assert.equal(granted.at(-1), "10.0.0.2");
    assert.deepEqual(it.load(), { active: 3, queued: 2, slots: 8 });
  });

  it("serves who has none before who has some, and else in order", () => {
    const { enter, granted, leave } = gate({ slots: 2, slotsPerPeer: 2, queue: 8 });
    enter(near(1));
    enter(near(2));
    enter(near(1));
    enter(near(3));
    enter(near(4));
    leave(near(2));
    assert.equal(granted.at(-1), "10.0.0.3");
    leave(near(3));
    assert.equal(granted.at(-1), "10.0.0.4");
    leave(near(4));
    assert.deepEqual(granted.slice(4), ["10.0.0.1"]);
  });

  it("begins few of what is rare at once, so that each is whole soon, and waits for no slow one", () => {
    const { gate: it, enter, granted, leave, clock } = gate({ atOnce: 2 });
    for (let host = 1; host <= 8; host++) enter(near(host), 1000, true);
    assert.equal(granted.length, 2);
    leave(near(1));
    leave(near(2));
    assert.equal(granted.length, 4, "two that are done make room for two");
    clock.advance(200);
    assert.equal(granted.length, 4);
    clock.advance(60);
    assert.equal(granted.length, 6, "those that are still there are slow");
    leave(near(3));
    assert.equal(granted.length, 6, "a slow one had no place among those that have just begun");
    clock.advance(260);
    assert.deepEqual(it.load(), { active: 5, queued: 0, slots: 8 });
  });

  it("begins what is not rare, and near uploads, whoever else has just begun", () => {
    const { enter, granted } = gate({ atOnce: 2 });
    for (let host = 1; host <= 4; host++) enter(far(host), 1000, true);
    assert.equal(granted.length, 2);
    enter(near(1), 1000, true);
    assert.equal(granted.at(-1), "10.0.0.1");
    enter(far(5));
    assert.equal(granted.at(-1), "192.0.2.5");
  });

  it("keeps a quarter of the slots for the own network", () => {
    const { gate: it, enter, granted } = gate({ slots: 8, slotsPerPeer: 8 });
    for (let host = 1; host <= 8; host++) enter(far(host));
    assert.deepEqual(it.load(), { active: 6, queued: 2, slots: 8 });
    enter(near(1));
    assert.equal(granted.at(-1), "10.0.0.1");
  });

  it("forgets who has left the queue, and a slot that is left twice is left once", () => {
    const { gate: it, enter, slots } = gate({ slots: 1, slotsPerPeer: 1 });
    enter(near(1));
    const leaveQueue = enter(near(2));
    assert.ok(typeof leaveQueue === "function");
    leaveQueue();
    leaveQueue();
    assert.deepEqual(it.load(), { active: 1, queued: 0, slots: 1 });
    const slot = slots.get("10.0.0.1")?.[0];
    slot?.end();
    slot?.end();
    assert.deepEqual(it.load(), { active: 0, queued: 0, slots: 1 });
  });

  it("keeps the rate of all far peers together and of each of them", () => {
    const limits = { farRate: 1_000_000, ratePerPeer: 150_000, slots: 16 };
    const { clock, gate: it } = gate(limits);
    const ends: number[] = [];
    for (let host = 1; host <= 4; host++) {
      for (let index = 0; index < 2; index++) {
        it.enter(far(host), (slot) => upload(clock, slot, MiB, (ms) => ends.push(ms)));
      }
    }
    assert.ok(clock.runUntil(() => ends.length === 8, 60_000));
    // Four peers of 150 kB/s are less than all may have: each takes 14 s for two MiB.
    const seconds = (ends.at(-1) ?? 0) / 1000;
    assert.ok(Math.abs(seconds / ((2 * MiB) / 150_000) - 1) < 0.1, `${seconds} s`);

    const more: number[] = [];
    const startMs = clock.monotonicMs();
    for (let host = 1; host <= 10; host++) {
      it.enter(far(host), (slot) => upload(clock, slot, MiB, (ms) => more.push(ms)));
    }
    assert.ok(clock.runUntil(() => more.length === 10, 60_000));
    const all = ((more.at(-1) ?? 0) - startMs) / 1000;
    assert.ok(Math.abs(all / ((10 * MiB) / 1_000_000) - 1) < 0.1, `${all} s`);
  });

  it("does not pace the own network, unless it is told to", () => {
    const { clock, gate: it } = gate();
    let end = -1;
    it.enter(near(1), (slot) => upload(clock, slot, 100 * MiB, (ms) => (end = ms)));
    assert.equal(end, 0);
    const limited = gate({ nearRate: 10 * MiB });
    let over = 0;
    limited.gate.enter(near(1), (slot) =>
      upload(limited.clock, slot, 50 * MiB, (ms) => (over = ms)),
    );
    assert.ok(limited.clock.runUntil(() => over > 0, 60_000));
    assert.ok(Math.abs(over / 5000 - 1) < 0.1, `${over} ms`);
  });

  it("gives nothing where the rate is 0", () => {
    const allows = (limits: Partial<UploadLimits>, who: Uploader): boolean =>
      gate(limits).gate.allows(who, 1);
    assert.equal(allows({}, far(1)), true);
    assert.equal(allows({ farRate: 0 }, far(1)), false);
    assert.equal(allows({ ratePerPeer: 0 }, far(1)), false);
    assert.equal(allows({ farRate: 0 }, near(1)), true);
    assert.equal(allows({ nearRate: 0 }, near(1)), false);
  });

  it("asks the allowance for far peers only, and gives back what was not sent", () => {
    const allowance = {
      ...{ open: true, leftBytes: 2500 },
      book: (bytes: number) => void (allowance.leftBytes -= bytes),
      giveBack: (bytes: number) => void (allowance.leftBytes += bytes),
    };
    const { gate: it, enter, slots, clock } = gate({ slots: 8, slotsPerPeer: 1 }, allowance);
    enter(near(1), 10_000);
    enter(far(1), 1000);
    const leaveQueue = enter(far(1), 1000);
    assert.equal(it.allows(far(2), 1000), false);
    assert.equal(it.allows(far(2), 500), true);
    assert.equal(it.allows(near(2), 1000), true);
    leaveQueue?.();
    assert.equal(allowance.leftBytes, 1500);
    const slot = slots.get("192.0.2.1")?.[0];
    slot?.pace(300, () => undefined);
    clock.advance(10_000);
    slot?.end();
    assert.equal(allowance.leftBytes, 2200);
    allowance.open = false;
    assert.equal(it.allows(far(2), 10), false);
    assert.equal(slot?.open, false);
    assert.equal(slots.get("10.0.0.1")?.[0]?.open, true);
  });

  it("ends a wait at whichever rate holds it up", () => {
    for (const ratePerPeer of [5000, 1_000_000_000]) {
      const { clock, gate: it } = gate({ farRate: 10_000, ratePerPeer });
      let passed = 0;
      it.enter(far(1), (slot) => {
        slot.pace(20_000, () => passed++);
        slot.pace(1000, () => passed++)();
      });
      clock.advance(60_000);
      assert.equal(passed, 1, `${ratePerPeer}`);
    }
  });
});

describe("UploadGate.change()", () => {
  const limits = { ...defaultUploadLimits, slots: 1, queue: 4 };

  it("gives slots that are new to those that wait, and takes none away", () => {
    const { gate: it, enter, granted, leave } = gate({ slots: 1, queue: 4 });
    for (const host of [1, 2, 3]) enter(near(host));
    it.change({ ...limits, slots: 2 });
    assert.deepEqual(granted, ["10.0.0.1", "10.0.0.2"]);
    it.change({ ...limits, slots: 1 });
    assert.deepEqual(it.load(), { active: 2, queued: 1, slots: 1 });
    leave(near(1));
    assert.equal(granted.length, 2);
    leave(near(2));
    assert.deepEqual(granted.slice(2), ["10.0.0.3"]);
  });

  it("changes the pace of what is under way, up, down and away", () => {
    const { clock, gate: it } = gate({ farRate: 10_000 });
    const done: number[] = [];
    it.enter(far(1), (slot) => upload(clock, slot, 100_000, (ms) => done.push(ms)));
    clock.advance(5000);
    it.change({ ...defaultUploadLimits, farRate: 20_000 });
    clock.advance(10_000);
    assert.equal(done.length, 1);
    // Half of it in 5 s, the other half in 2.5 s.
    assert.ok(Math.abs((done[0] ?? 0) - 7500) < 300, String(done[0]));

    it.enter(far(1), (slot) => upload(clock, slot, 100_000, (ms) => done.push(ms)));
    it.change({ ...defaultUploadLimits, farRate: 1000 });
    clock.advance(20_000);
    assert.equal(done.length, 1);
    const nowMs = clock.monotonicMs();
    it.change({ ...defaultUploadLimits, farRate: Infinity });
    clock.advance(1);
    assert.equal(done.length, 2);
    assert.ok((done[1] ?? Infinity) <= nowMs + 1);
  });

  it("changes the pace of each peer as well", () => {
    const { clock, gate: it } = gate({ farRate: Infinity, ratePerPeer: 1000 });
    const done: number[] = [];
    it.enter(far(1), (slot) => upload(clock, slot, 100_000, (ms) => done.push(ms)));
    clock.advance(1000);
    it.change({ ...defaultUploadLimits, farRate: Infinity, ratePerPeer: 100_000 });
    clock.advance(1200);
    assert.equal(done.length, 1);
  });

  it("closes what is under way when its rate becomes 0, and whoever waits hears of it", () => {
    const { clock, gate: it } = gate({ farRate: 1000 });
    const slots: Slot[] = [];
    let passed = 0;
    for (const who of [far(1), near(1)]) it.enter(who, (slot) => slots.push(slot));
    slots[0]?.pace(10_000, () => passed++);
    slots[0]?.pace(10_000, () => passed++);
    it.change({ ...defaultUploadLimits, farRate: 0 });
    clock.advance(0);
    assert.equal(passed, 2);
    assert.deepEqual(
      slots.map(({ open }) => open),
      [false, true],
    );
    assert.equal(it.allows(far(2), 1), false);
  });
});

describe("partyOf()", () => {
  it("is an address, or the /64 of a far IPv6 one", () => {
    assert.equal(partyOf(far(1)), "192.0.2.1");
    assert.equal(partyOf({ address: "2001:db8::1", near: true }), "2001:db8::1");
    const [one, two] = ["2001:db8::1", "2001:db8::2"].map((address) =>
      partyOf({ address, near: false }),
    );
    assert.equal(one, two);
  });
});
