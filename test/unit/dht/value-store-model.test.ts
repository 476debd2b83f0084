/** The store against a dumb model of it: whatever is done, both hold the same. */
import { describe, it } from "mocha";
import assert from "node:assert/strict";
import fc from "fast-check";
import { dhtLimits } from "../../../src/base/dht-limits.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import { minute, second } from "../../../src/base/units.ts";
import { entryDigest, xorInto } from "../../../src/dht/value-digest.ts";
import type { ValueStore } from "../../../src/dht/value-store.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { holder, keyNumber, MemoryRecords } from "./values.ts";

interface Held {
  readonly key: number;
  readonly from: number;
  readonly text: string;
  untilMs: number;
}

type Step =
  | { readonly kind: "store"; readonly key: number; readonly from: number; readonly text: string }
  | { readonly kind: "renew"; readonly from: number; readonly right: boolean }
  | { readonly kind: "wait"; readonly minutes: number }
  | { readonly kind: "restart" };

const publisher = (n: number) => endpoint(`192.0.${n}.7`, 9977);
const small = fc.nat(4);

const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant("store" as const),
        ...{ key: small, from: small, text: fc.constantFrom("", "a", "longer") },
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant("renew" as const),
        ...{ from: small, right: fc.boolean() },
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant("wait" as const), minutes: fc.nat(100) }),
    },
    { weight: 1, arbitrary: fc.constant({ kind: "restart" as const }) },
  ),
  { maxLength: 60, size: "max" },
);

/**
 * What the model still holds once the store has dropped what has lapsed. Whole seconds and minutes
 * round up, so that what lapsed just now may be there or not.
 */
function settled(model: readonly Held[], store: ValueStore, nowMs: number): Held[] {
  return model.filter(({ key, from, untilMs }) => {
    const page = store.page({ key: keyNumber(key), asker: "192.0.2.1", from: 0, count: 9 }).values;
    const held = page.some((one) => one.publisher.text === publisher(from).text);
    if (untilMs > nowMs) assert.ok(held, "dropped too early");
    if (untilMs < nowMs - minute - 2 * second) assert.ok(!held, "held too long");
    return held;
  });
}

function replay(all: readonly Step[]): void {
  const records = new MemoryRecords();
  const clock = new VirtualClock();
  clock.advance(12_345.678);
  let { store } = holder({ records, clock });
  let model: Held[] = [];
  for (const step of all) {
    const nowMs = clock.monotonicMs();
    const untilMs = nowMs + dhtLimits.valueMs;
    if (step.kind === "store") {
      const { key, from, text } = step;
      const value = Buffer.from(text);
      store.store({ key: keyNumber(key), publisher: publisher(from), value, nowMs });
      model = model.filter((one) => one.key !== key || one.from !== from);
      if (text !== "") model.push({ key, from, text, untilMs });
    } else if (step.kind === "renew") {
      const own = model.filter(({ from }) => from === step.from);
      const digest = new Uint8Array(16);
      for (const { key, text } of own) {
        xorInto(digest, entryDigest(nodeHashes, keyNumber(key), Buffer.from(text)));
      }
      if (!step.right) digest[3]! ^= 4;
      const agreed = store.renew(publisher(step.from), { count: own.length, digest, nowMs });
      assert.equal(agreed, step.right && own.length > 0);
      if (agreed) for (const held of own) held.untilMs = untilMs;
    } else {
      if (step.kind === "restart") ({ store } = holder({ records, clock }));
      else clock.advance(step.minutes * minute);
      store.expire(clock.monotonicMs());
      model = settled(model, store, clock.monotonicMs());
    }
    assert.equal(store.size, model.length);
    assert.equal(
      store.bytes,
      model.reduce((sum, { text }) => sum + 20 + text.length, 0),
    );
    assert.equal(store.keys, new Set(model.map(({ key }) => key)).size);
    assert.equal(store.publishers, new Set(model.map(({ from }) => from)).size);
    const stored = [...records.map.keys()].filter((name) => name.startsWith("dht!value!4!"));
    assert.equal(stored.length, model.length, "one record for each");
  }
}

describe("ValueStore", () => {
  it("holds what a dumb model holds, over restarts, too", () => {
    fc.assert(fc.property(steps, replay), { numRuns: 300 });
  });
});
