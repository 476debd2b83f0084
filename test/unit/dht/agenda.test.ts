import { describe, it } from "mocha";
import assert from "node:assert/strict";
import fc from "fast-check";
import { endpoint } from "../../../src/base/endpoint.ts";
import { randomNodeId } from "../../../src/base/node-id.ts";
import { Agenda } from "../../../src/dht/agenda.ts";
import { PeerBook } from "../../../src/dht/peer-book.ts";
import type { Contact } from "../../../src/dht/types.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";

const random = new SeededRandom(1);
const book = new PeerBook();
const contacts: readonly Contact[] = Array.from({ length: 8 }, (_, index) => {
  const at = endpoint("192.0.2.1", 1000 + index);
  return { id: randomNodeId(random), endpoint: at, peer: book.peer(at) };
});
const [first, second] = contacts as [Contact, Contact];

describe("Agenda", () => {
  it("takes out what its slot has begun for, once", () => {
    const agenda = new Agenda(10);
    agenda.plan(first, 25);
    agenda.plan(second, 30);
    assert.deepEqual(agenda.take(19), []);
    assert.deepEqual(agenda.take(20), [first]);
    assert.deepEqual(agenda.take(35), [second]);
    assert.deepEqual(agenda.take(1000), []);
    assert.equal(agenda.size, 0);
  });

  it("lets the earlier of two plans stand", () => {
    const agenda = new Agenda(10);
    agenda.plan(first, 50);
    agenda.plan(first, 20);
    agenda.plan(first, 90);
    assert.deepEqual(agenda.take(29), [first]);
    assert.deepEqual(agenda.take(99), []);
  });

  it("does not take out again in the same slot, nor whom it was told to forget", () => {
    const agenda = new Agenda(10);
    agenda.plan(first, -Infinity);
    assert.deepEqual(agenda.take(5), [first]);
    agenda.plan(first, 0);
    agenda.plan(second, 0);
    agenda.forget(second);
    assert.deepEqual(agenda.take(9), []);
    assert.deepEqual(agenda.take(10), [first]);
  });

  it("is a list of contacts with their earliest times", () => {
    const action = fc.record({
      what: fc.constantFrom("plan", "forget", "take"),
      who: fc.nat(contacts.length - 1),
      afterMs: fc.nat(200),
    });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const agenda = new Agenda(10);
        const model = new Map<Contact, number>();
        let [nowMs, next] = [0, -Infinity];
        for (const { what, who, afterMs } of actions) {
          const contact = contacts[who]!;
          if (what === "plan") {
            const slot = Math.max(next, Math.floor((nowMs + afterMs) / 10));
            agenda.plan(contact, nowMs + afterMs);
            model.set(contact, Math.min(slot, model.get(contact) ?? Infinity));
          } else if (what === "forget") {
            agenda.forget(contact);
            model.delete(contact);
          } else {
            nowMs += afterMs;
            next = Math.floor(nowMs / 10) + 1;
            const due = contacts.filter((each) => (model.get(each) ?? Infinity) < next);
            const taken = agenda.take(nowMs);
            assert.deepEqual(new Set(taken), new Set(due));
            assert.equal(taken.length, due.length);
            for (const each of due) model.delete(each);
          }
          assert.equal(agenda.size, model.size);
        }
      }),
    );
  });
});
