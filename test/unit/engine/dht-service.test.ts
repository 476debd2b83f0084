/** The service on the laboratory's network: what goes out, what comes in, what is said of it. */
import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import { endpoint } from "../../../src/base/endpoint.ts";
import type { Endpoint } from "../../../src/base/endpoint.ts";
import { keyOf } from "../../../src/base/node-id.ts";
import { DhtService } from "../../../src/engine/dht-service.ts";
import type { DhtServiceSettings } from "../../../src/engine/dht-service.ts";
import { wireVersion } from "../../../src/engine/dht-network.ts";
import { minute } from "../../../src/base/units.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { decodeMessage } from "../../../src/krpc/decode.ts";
import { encodeMessage } from "../../../src/krpc/encode.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import {
  digestOf,
  LabWorld,
  lookUp,
  MemoryRecords,
  wholeFile,
  type NodeOptions,
  type SwarmNode,
} from "../../integration/dht-swarm.ts";

/** A service that hears and says only what the test makes it. */
function lone(settings: Partial<DhtServiceSettings> = {}, hosts: readonly Endpoint[] = []) {
  const clock = new VirtualClock();
  const counters = new Counters();
  const sent: { readonly to: Endpoint; readonly bytes: Uint8Array }[] = [];
  const random = new SeededRandom(1);
  const service = new DhtService(
    {
      ...{ clock, random, counters, hashes: nodeHashes, records: new MemoryRecords() },
      port: { send: (to, bytes) => void sent.push({ to, bytes }) },
      secret: () => random.bytes(20),
      dialBack: { dial: (_to, done) => done(false) },
      bootstrap: { endpoints: () => Promise.resolve(hosts) },
      ownAddresses: () => new Set(["192.0.2.9"]),
      isNear: (address) => !address.startsWith("203."),
    },
    {
      ...{ families: [4, 6], network: "public", version: "0.1.0", share: "fresh" },
      serving: { tcpPort: 9977, addresses: ["0.0.0.0", "::"] },
      ...settings,
    },
  );
  service.start();
  return { service, clock, counters, sent };
}

function ping(version = "AP0.1.0"): Uint8Array {
  const id = keyOf(digestOf("an asker"));
  const query = { method: "ping" } as const;
  const rest = { readOnly: false, token: undefined, padding: 100, query };
  return encodeMessage({ kind: "query", transaction: "ab", version, id, ...rest });
}

describe("wireVersion()", () => {
  it("carries the network behind a slash, in 16 characters at most", () => {
    assert.equal(wireVersion(nodeHashes, "public", "0.1.0"), "AP0.1.0");
    const tag = Buffer.from(nodeHashes.of("office")).toString("hex").slice(0, 6);
    assert.equal(wireVersion(nodeHashes, "office", "0.1.0"), `AP0.1.0/${tag}`);
    const long = wireVersion(nodeHashes, "office", "10.11.12~rc1");
    assert.deepEqual([long.length, long.endsWith(`/${tag}`)], [16, true]);
    assert.equal(wireVersion(nodeHashes, "public", "10.11.12~rc1+b1").length, 16);
  });
});

describe("DhtService", () => {
  const asker = endpoint("203.0.113.5", 1234);

  it("answers in the family that was asked, and counts bytes and datagrams", () => {
    const { service, counters, sent } = lone();
    service.receive(asker, ping());
    service.receive(endpoint("2001:db8::5", 1234), ping());
    const answers = sent.filter(({ bytes }) => decodeMessage(bytes).kind === "answer");
    assert.deepEqual(
      answers.map(({ to }) => to.text),
      ["203.0.113.5:1234", "[2001:db8::5]:1234"],
    );
    assert.equal(counters.get("dht.datagrams.received"), 2);
    assert.equal(counters.get("dht.bytes.received"), 2 * ping().length);
    assert.equal(counters.get("dht.datagrams.sent"), sent.length);
    const bytes = sent.reduce((sum, each) => sum + each.bytes.length, 0);
    assert.equal(counters.get("dht.bytes.sent"), bytes);
  });

  it("hears nobody of another network, nor of a family that it has no socket for", () => {
    const { service, counters, sent } = lone({ network: "office", families: [4] });
    service.receive(asker, ping());
    assert.equal(counters.get("dht.heard.otherNetwork"), 1);
    service.receive(endpoint("2001:db8::5", 1234), ping());
    assert.deepEqual(sent, []);
    service.receive(asker, ping(service.status().version));
    assert.ok(sent.length > 0);
  });

  it("stays among neighbours in the network lan", async () => {
    const { service, counters, sent } = lone({ network: "lan" }, [
      endpoint("203.0.113.6", 9977),
      endpoint("192.168.1.6", 9977),
    ]);
    const version = service.status().version;
    service.receive(asker, ping(version));
    service.found(endpoint("203.0.113.7", 9977));
    await new Promise(setImmediate);
    assert.deepEqual([...new Set(sent.map(({ to }) => to.address))], ["192.168.1.6"]);
    assert.equal(counters.get("dht.datagrams.strangers"), 1);
    service.receive(endpoint("192.168.1.7", 9977), ping(version));
    assert.ok(sent.some(({ to }) => to.address === "192.168.1.7"));
    // Somebody near may name a stranger; nothing goes there.
    const [node] = service.families;
    const port = 9977;
    const peer = node!.node.book.peer(endpoint("203.0.113.8", port));
    const contact = { id: keyOf(digestOf("x")), endpoint: peer.endpoint, peer };
    node!.node.ask(contact, { method: "ping" }, () => undefined);
    assert.equal(counters.get("dht.datagrams.withheld"), 1);
  });

  it("publishes nothing if nothing is to be shared, and says so", () => {
    const { service, counters } = lone({ share: "none" });
    assert.equal(service.publish(digestOf("a"), wholeFile), "notShared");
    assert.equal(counters.get("dht.publish.notShared"), 1);
    const notes = service.status().families.map(({ publishing }) => publishing.note);
    assert.deepEqual(notes, ["share is none", "share is none"]);
    const dhtOnly = lone({ serving: undefined }).service;
    assert.equal(dhtOnly.status().families[0]?.publishing.note, "this daemon serves no files");
    const loopback = lone({ serving: { tcpPort: 1, addresses: ["127.0.0.1"] } }).service;
    assert.match(loopback.status().families[0]?.publishing.note ?? "", /proxy\.bind/);
  });

  it("keeps its id, whatever else is in the records", () => {
    const records = new MemoryRecords();
    records.put("dht!id!old", "nonsense");
    const made = (): DhtService =>
      new DhtService(
        {
          ...{ clock: new VirtualClock(), random: new SeededRandom(records.map.size) },
          ...{ counters: new Counters(), hashes: nodeHashes, records },
          ...{ port: { send: () => undefined }, secret: () => new Uint8Array(20) },
          dialBack: { dial: () => undefined },
          bootstrap: { endpoints: () => Promise.resolve([]) },
          ...{ ownAddresses: () => new Set<string>(), isNear: () => true },
        },
        {
          ...{ families: [4], network: "public", version: "0.1.0", share: "none" },
          serving: undefined,
        },
      );
    assert.deepEqual(made().id, made().id);
  });

  it("ends a lookup at once while no other node is known", () => {
    const { service, clock } = lone();
    let families: number | undefined;
    service.lookup(digestOf("a"), { done: (summary) => (families = summary.families) });
    assert.equal(families, undefined, "never from inside the call");
    clock.advance(0);
    assert.equal(families, 0);
  });

  describe("in a network", () => {
    async function network(
      count: number,
      options: (index: number) => Omit<NodeOptions, "index"> = () => ({}),
    ): Promise<{ world: LabWorld; nodes: SwarmNode[] }> {
      const world = new LabWorld(21, 20);
      const first = await world.open({ index: 0, ...options(0) });
      const nodes = [first];
      for (let index = 1; index < count; index++) {
        nodes.push(await world.open({ ...options(index), index, bootstrap: [first.at] }));
      }
      const joined = ({ service }: SwarmNode): boolean =>
        service.status().families[0]?.state === "joined";
      // The first has heard of all others, but on the Internet they must prove themselves.
      assert.ok(await world.until(() => nodes.slice(1).every(joined), 60_000));
      return { world, nodes };
    }

    it("drops values that nobody can read, and those of addresses that the teller cannot know", async () => {
      const { world, nodes } = await network(12);
      const sha256 = digestOf("odd");
      const key = keyOf(sha256);
      const [teller, looker] = [nodes[1]!, nodes[2]!];
      const store = (publisher: Endpoint, text: string): void => {
        for (const { service } of nodes) {
          const value = Buffer.from(text, "latin1");
          const nowMs = 1;
          service.families[0]!.node.store.store({ key, publisher, value, nowMs });
        }
      };
      store(teller.at, "de");
      store(endpoint("127.77.0.200", 9977), "nonsense");
      store(looker.at, "d1:si9ee");
      const { peers } = await lookUp(world, looker, sha256);
      assert.deepEqual(
        peers.map(({ publisher }) => publisher.text),
        [teller.at.text],
      );
      assert.ok(looker.counters.get("dht.value.unreadable") >= 1);
    });

    it("tells the Internet nothing before somebody there has connected", async () => {
      let reached = false;
      const global = (index: number) => ({
        ...{ address: `203.0.${index}.1`, reaches: () => reached },
      });
      const { world, nodes } = await network(8, global);
      const [asker, other] = [nodes[3]!, nodes[6]!];
      const sha256 = digestOf("far");
      asker.service.publish(sha256, wholeFile);
      const publishing = () => asker.service.status().families[0]!.publishing;
      world.pass(15 * minute);
      assert.equal(asker.counters.get("dht.dialBack.unreached"), 1);
      assert.deepEqual([publishing().placed, publishing().running], [0, false]);
      assert.match(publishing().note ?? "", /cannot connect to our TCP port/);
      assert.deepEqual((await lookUp(world, other, sha256)).peers, []);
      reached = true;
      world.pass(35 * minute);
      assert.equal(asker.counters.get("dht.dialBack.reached"), 1);
      assert.equal(asker.counters.get("dht.publish.started"), 1);
      assert.deepEqual([publishing().placed, publishing().note], [1, undefined]);
      const { peers } = await lookUp(world, other, sha256);
      assert.deepEqual(
        peers.map(({ publisher }) => publisher.text),
        ["203.0.3.1:9977"],
      );
    });

    it("walks, one walk at a time, and compares with the density of ids", async () => {
      const { world, nodes } = await network(40);
      const { service, counters } = nodes[5]!;
      let found: number | undefined;
      let estimate: number | undefined;
      const cancel = service.walk({
        done: ([walk]) => {
          found = walk?.answered;
          estimate = walk?.estimatedNodes;
        },
      });
      assert.ok(cancel !== undefined);
      assert.equal(service.walk({ done: () => assert.fail("a second walk") }), undefined);
      assert.ok(await world.until(() => found !== undefined, 60_000));
      assert.equal(found, 39);
      assert.ok(estimate !== undefined && estimate > 20 && estimate < 80, `${estimate}`);
      assert.equal(counters.get("dht.walk.done"), 1);
      const again = service.walk({ done: () => assert.fail("it was cancelled") });
      again?.();
      assert.equal(await world.until(() => false, 2000), false);
    });
  });
});
