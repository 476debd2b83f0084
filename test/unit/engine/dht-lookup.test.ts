import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import type { Endpoint, Family } from "../../../src/base/endpoint.ts";
import { keyOf } from "../../../src/base/node-id.ts";
import type { LookupEvents } from "../../../src/dht/lookup.ts";
import { PeerBook } from "../../../src/dht/peer-book.ts";
import type { DhtFamily } from "../../../src/engine/dht-family.ts";
import { lookupPeers } from "../../../src/engine/dht-lookup.ts";
import type { PeerLookupSummary } from "../../../src/engine/dht-lookup.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { digestOf } from "../../integration/dht-swarm.ts";

const key = keyOf(digestOf("a"));

/** A family whose lookups the test answers. */
class FakeFamily {
  readonly family: Family;
  events: LookupEvents | undefined;
  cancelled = 0;

  constructor(family: Family) {
    this.family = family;
  }

  readonly node = {
    id: keyOf(digestOf("own")),
    table: { size: 1 },
    keeper: { quarantined: 0 },
    store: { count: () => 0 },
    lookup: (_key: unknown, events: LookupEvents) => {
      this.events = events;
      return {
        cancel: () => {
          this.cancelled++;
        },
      };
    },
  };

  tell(from: string, publisher: Endpoint, text: string): void {
    const at = endpoint(from, 9977);
    const contact = { id: keyOf(digestOf(from)), endpoint: at, peer: new PeerBook().peer(at) };
    this.events?.values?.([{ publisher, value: Buffer.from(text, "latin1") }], contact);
  }
}

function world() {
  const [v4, v6] = [new FakeFamily(4), new FakeFamily(6)];
  const counters = new Counters();
  const clock = new VirtualClock();
  const found: string[] = [];
  const summaries: PeerLookupSummary[] = [];
  const handle = lookupPeers(
    {
      ...{ clock, counters, families: [v4, v6] as unknown as readonly DhtFamily[] },
      isOwn: ({ text }) => text === "203.0.113.9:9977",
    },
    key,
    {
      peers: (peers) => found.push(...peers.map(({ publisher }) => publisher.text)),
      done: (summary) => summaries.push(summary),
    },
  );
  return { v4, v6, counters, found, summaries, handle };
}

describe("lookupPeers()", () => {
  it("gives each peer once in each of its states, from both families", () => {
    const { v4, v6, found } = world();
    const peer = endpoint("203.0.113.1", 9977);
    v4.tell("203.0.113.50", peer, "de");
    v4.tell("203.0.113.51", peer, "de");
    v4.tell("203.0.113.51", peer, "d1:si3ee");
    v6.tell("2001:db8::1", endpoint("2001:db8::7", 9977), "de");
    v4.tell("203.0.113.50", endpoint("203.0.113.9", 9977), "de");
    assert.deepEqual(found, [peer.text, peer.text, "[2001:db8::7]:9977"]);
  });

  it("believes in private publishers only those who can know them", () => {
    const { v4, counters, found } = world();
    const inside = endpoint("192.168.1.9", 9977);
    v4.tell("203.0.113.50", inside, "de");
    assert.deepEqual([found, counters.get("dht.value.misplaced")], [[], 1]);
    v4.tell("192.168.1.50", inside, "de");
    assert.deepEqual(found, [inside.text], "the liar's word does not stand in its way");
    v4.tell("192.168.1.50", endpoint("192.168.1.10", 9977), "nonsense");
    assert.equal(counters.get("dht.value.unreadable"), 1);
  });

  it("ends when the last family has, and is cancelled in both", () => {
    const { v4, v6, summaries, handle } = world();
    v4.events?.done({ closest: [], messages: 3 });
    assert.deepEqual(summaries, []);
    v6.events?.done({ closest: [], messages: 4 });
    assert.deepEqual(summaries, [{ families: 2, messages: 7, closest: 0 }]);
    handle.cancel();
    assert.deepEqual([v4.cancelled, v6.cancelled], [1, 1]);
  });
});
