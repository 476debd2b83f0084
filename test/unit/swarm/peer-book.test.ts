import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import { parseEndpoint, type Endpoint } from "../../../src/base/endpoint.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { PeerBook } from "../../../src/swarm/peer-book.ts";
import { Picker } from "../../../src/swarm/picker.ts";
import { defaultPolicy } from "../../../src/swarm/policy.ts";
import type { PeerInfo } from "../../../src/swarm/types.ts";

function at(text: string): Endpoint {
  const endpoint = parseEndpoint(text);
  assert.ok(endpoint !== undefined, text);
  return endpoint;
}

const counters = new Counters();

/** Whom a teller at this address can name, of these. */
function named(teller: string, near: boolean, others: readonly string[]): string[] {
  const book = new PeerBook({
    ...{ counters, random: new SeededRandom(1), policy: defaultPolicy, picker: new Picker(10) },
  });
  const endpoint = at(teller);
  book.add({ endpoint, near, group: endpoint.address, state: "unknown", via: "dht" }, 0);
  const peer = book.get(teller);
  assert.ok(peer !== undefined);
  book.exchange(peer, others.map(at), 0);
  return [...book.all()].map(({ key }) => key).filter((key) => key !== teller);
}

describe("PeerBook", () => {
  it("lets a teller name four, and only those that it can know", () => {
    const far = [1, 2, 3, 4, 5].map((host) => `11.0.1.${host}:9977`);
    assert.deepEqual(named("11.0.0.1:9977", false, far), far.slice(0, 4));
    const odd = [
      ...["10.0.0.9:9977", "127.0.0.1:8080", "[::1]:8080", "0.0.0.0:9977", "224.0.0.1:9977"],
      ...["11.0.2.1:80"],
    ];
    assert.deepEqual(named("11.0.0.1:9977", false, odd), []);
    assert.deepEqual(named("10.0.0.1:9977", true, odd), ["10.0.0.9:9977"]);
    assert.deepEqual(named("127.0.0.1:9977", true, odd.slice(0, 2)), odd.slice(0, 2));
  });

  describe("with more peers than it remembers", () => {
    const known = 50;
    const asker = (host: number): PeerInfo => {
      const endpoint = at(`10.0.${host >>> 8}.${host & 255}:9977`);
      const group = endpoint.address;
      return { endpoint, near: true, group, state: "unknown", via: "asker" };
    };
    const filled = (seed: number): PeerBook => {
      const book = new PeerBook({
        ...{ counters, random: new SeededRandom(seed), picker: new Picker(10) },
        policy: { ...defaultPolicy, knownPeers: known },
      });
      for (let host = 1; host <= known; host++) book.add(asker(host), 0);
      return book;
    };
    const hosts = (book: PeerBook): string[] => [...book.all()].map(({ key }) => key);

    it("keeps as many of those that come late, and comes to an end", () => {
      let late = 0;
      for (let seed = 1; seed <= 20; seed++) {
        const book = filled(seed);
        for (let host = known + 1; host <= 4 * known; host++) book.add(asker(host), 0);
        const kept = hosts(book);
        assert.equal(kept.length, known);
        for (let host = 1; host <= 4 * known; host++) {
          assert.equal(book.add(asker(host), 0), false, `seed ${seed}: it goes on`);
        }
        const first = new Set(hosts(filled(seed)));
        late += kept.filter((key) => !first.has(key)).length / known;
      }
      // Three of four came late.
      assert.ok(late / 20 > 0.7 && late / 20 < 0.8, `${late / 20}`);
    });

    it("keeps whom it has asked for pieces, and lets nobody in that is only named", () => {
      const book = filled(1);
      for (const peer of book.all()) peer.used = true;
      for (let host = known + 1; host <= 4 * known; host++) {
        assert.equal(book.add(asker(host), 0), false);
      }
      const other = filled(1);
      for (let host = known + 1; host <= 4 * known; host++) {
        assert.equal(other.add({ ...asker(host), via: "exchange" }, 0), false);
      }
    });
  });
});
