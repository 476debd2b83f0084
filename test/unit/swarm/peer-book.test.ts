import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { parseEndpoint, type Endpoint } from "../../../src/base/endpoint.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { PeerBook } from "../../../src/swarm/peer-book.ts";
import { Picker } from "../../../src/swarm/picker.ts";
import { defaultPolicy } from "../../../src/swarm/policy.ts";

function at(text: string): Endpoint {
  const endpoint = parseEndpoint(text);
  assert.ok(endpoint !== undefined, text);
  return endpoint;
}

/** Whom a teller at this address can name, of these. */
function named(teller: string, near: boolean, others: readonly string[]): string[] {
  const book = new PeerBook({
    ...{ random: new SeededRandom(1), policy: defaultPolicy, picker: new Picker(10) },
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
});
