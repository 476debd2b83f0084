/**
 * A network of real nodes on loopback: it forms through one node, finds what was published, survives
 * restarts without that node, and costs as many messages as in the laboratory.
 */
import assert from "node:assert/strict";
import { afterEach, describe, it } from "mocha";
import type { Sha256 } from "../../src/base/sha256.ts";
import { SeededRandom } from "../../src/sim/seeded-random.ts";
import {
  digestOf,
  LabWorld,
  lookUp,
  MemoryRecords,
  RealWorld,
  wholeFile,
  type SwarmNode,
  type SwarmWorld,
} from "./dht-swarm.ts";

const nodeCount = 60;

describe("a DHT on real sockets", function () {
  this.timeout(60_000);
  const open: RealWorld[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((world) => world.close()));
  });

  const joined = (node: SwarmNode): boolean =>
    node.service.status().families[0]?.state === "joined";

  interface Formed {
    readonly nodes: SwarmNode[];
    readonly records: MemoryRecords[];
    /** By the index of the node that published it. */
    readonly files: readonly Sha256[];
  }

  /** All join by the first; each publishes a file. */
  async function form(world: SwarmWorld): Promise<Formed> {
    const records = Array.from({ length: nodeCount }, () => new MemoryRecords());
    const first = await world.open({ index: 0, records: records[0]! });
    const nodes = [first];
    for (let index = 1; index < nodeCount; index++) {
      const options = { index, records: records[index]!, bootstrap: [first.at] };
      nodes.push(await world.open(options));
    }
    assert.ok(await world.until(() => nodes.every(joined), 20_000), "all join");
    const files = nodes.map((_, index) => digestOf(`file ${index}`));
    for (const [index, { service }] of nodes.entries()) {
      assert.equal(service.publish(files[index]!, wholeFile), "published");
    }
    const placed = ({ service }: SwarmNode): boolean => {
      const publishing = service.status().families[0]!.publishing;
      return publishing.placed === 1 && publishing.pendingStores === 0;
    };
    assert.ok(await world.until(() => nodes.every(placed), 20_000), "all is published");
    return { nodes, records, files };
  }

  /** Every file, each by another node → messages per lookup. */
  async function findAll(world: SwarmWorld, { nodes, files }: Formed): Promise<number> {
    let messages = 0;
    for (const [index, node] of nodes.entries()) {
      const owner = (index + 17) % nodes.length;
      const found = await lookUp(world, node, files[owner]!);
      messages += found.messages;
      const publishers = new Set(found.peers.map(({ publisher }) => publisher.text));
      assert.deepEqual([...publishers], [`${nodes[owner]!.at.address}:9977`]);
    }
    return messages / nodes.length;
  }

  it("forms, finds everything, and needs as many messages as the laboratory says", async () => {
    const seed = 5;
    const real = new RealWorld(seed);
    open.push(real);
    const lab = new LabWorld(seed, 1);
    const inReality = await form(real);
    const expected = await findAll(lab, await form(lab));
    // A machine that is held up adds messages, never takes any away.
    let messages = await findAll(real, inReality);
    for (let tries = 1; tries < 3 && messages > 1.2 * expected; tries++) {
      messages = Math.min(messages, await findAll(real, inReality));
    }
    console.log(
      `      ${messages.toFixed(1)} messages per lookup on sockets, ${expected.toFixed(1)} in the laboratory`,
    );
    assert.ok(Math.abs(messages / expected - 1) <= 0.25, `${messages} against ${expected}`);
    assert.ok(expected >= 8, "nobody ends before the 8 closest have answered");
    const own = await lookUp(real, inReality.nodes[3]!, inReality.files[3]!);
    assert.deepEqual(own.peers, [], "nobody is its own peer");
    const { counters } = inReality.nodes[0]!;
    for (const name of ["datagrams.sent", "datagrams.received", "bytes.sent", "bytes.received"]) {
      assert.ok(counters.get(`dht.${name}`) > 0, name);
    }
  });

  it("is found again after restarts, without the node that all had joined by", async () => {
    const seed = 6;
    const world = new RealWorld(seed);
    open.push(world);
    const formed = await form(world);
    const { nodes, records, files } = formed;
    await nodes[0]!.close();
    const restarted = new SeededRandom(seed).bytes(8).map((byte) => 1 + (byte % (nodeCount - 1)));
    for (const index of new Set(restarted)) {
      const { at, service } = nodes[index]!;
      await nodes[index]!.close();
      nodes[index] = await world.open({ index, records: records[index]!, port: at.port });
      assert.deepEqual(nodes[index].service.id, service.id, "its id is kept");
    }
    const back = [...new Set(restarted)].map((index) => nodes[index]!);
    assert.ok(await world.until(() => back.every(joined), 15_000), `seed ${seed}: all join again`);
    for (const node of back) {
      const found = await lookUp(world, node, files[30]!);
      assert.equal(found.peers.length, 1, `seed ${seed}`);
    }
  });

  it("answers what is malformed, and counts it", async () => {
    const world = new RealWorld(7);
    open.push(world);
    const node = await world.open({ index: 0 });
    const other = await world.open({ index: 1, bootstrap: [node.at] });
    const query = "d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:flew1:t2:xx1:v7:AP0.1.01:y1:qe";
    other.service.receive(node.at, Buffer.from(query, "latin1"));
    other.service.receive(node.at, Buffer.from("nonsense"));
    assert.equal(other.counters.get("dht.datagrams.malformed"), 2);
    assert.equal(other.counters.get("dht.heard.wrong"), 1);
    const heard = (): boolean => node.counters.get("dht.heard.unasked") > 0;
    assert.ok(await world.until(heard, 5000), "the error reaches the one who asked");
  });
});
