/** Neighbours of one link become nodes of one network with nothing configured. */
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { afterEach, describe, it } from "mocha";
import { LanDiscovery } from "../../src/io/lan-discovery.ts";
import { secureRandom } from "../../src/io/secure-random.ts";
import { systemClock } from "../../src/io/system-clock.ts";
import { SeededRandom } from "../../src/sim/seeded-random.ts";
import { digestOf, lookUp, RealWorld, silentLog, wholeFile, type SwarmNode } from "./dht-swarm.ts";

const rounds = 20;
const seed = 11;

describe("neighbours without configuration", function () {
  this.timeout(60_000);
  const open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    await Promise.all(open.splice(0).map((each) => each.close()));
  });

  /** Of no other program, nor of a test that runs at the same time. */
  async function freePort(): Promise<number> {
    const socket = createSocket("udp4").bind(0, "127.0.0.1");
    await once(socket, "listening");
    const { port } = socket.address();
    socket.close();
    return port;
  }

  async function daemon(world: RealWorld, index: number, lanPort: number): Promise<SwarmNode> {
    const random = new SeededRandom(seed * 1000 + index);
    // One machine, so both have one address: the port tells whose file it is.
    const serving = { tcpPort: 10_000 + index, addresses: ["0.0.0.0"] };
    const node = await world.open({ index, address: "127.0.0.1", random, serving });
    const { service, counters, at } = node;
    open.push(
      await LanDiscovery.open({
        ...{ id: service.id, udpPort: at.port, tcpPort: 0, network: "public" },
        ...{ clock: systemClock, random: secureRandom, counters, log: silentLog },
        ...{ port: lanPort, loopback: true },
        found: ({ endpoint }) => service.found(endpoint),
      }),
    );
    return node;
  }

  const joined = ({ service }: SwarmNode): boolean =>
    service.status().families[0]?.state === "joined";

  it("have joined each other within 1.5 s, 19 of 20 times", async () => {
    const times: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const world = new RealWorld(seed);
      open.push(world);
      const lanPort = await freePort();
      const startedMs = performance.now();
      const pair = [
        await daemon(world, 2 * round, lanPort),
        await daemon(world, 2 * round + 1, lanPort),
      ];
      await world.until(() => pair.every(joined), 10_000);
      times.push(performance.now() - startedMs);
      await Promise.all(open.splice(0).map((each) => each.close()));
    }
    times.sort((a, b) => a - b);
    const p95 = times[Math.ceil(0.95 * rounds) - 1]!;
    const [median, slowest] = [times[rounds / 2]!, times.at(-1)!].map((ms) => ms.toFixed(0));
    console.log(`      median ${median} ms, p95 ${p95.toFixed(0)} ms, slowest ${slowest} ms`);
    assert.ok(p95 <= 1500, times.map(Math.round).join());
  });

  it("find each other's files", async () => {
    const world = new RealWorld(seed);
    open.push(world);
    const lanPort = await freePort();
    const first = await daemon(world, 100, lanPort);
    const second = await daemon(world, 101, lanPort);
    const sha256 = digestOf("of the first");
    first.service.publish(sha256, wholeFile);
    const placed = (): boolean => first.service.status().families[0]!.publishing.placed === 1;
    assert.ok(await world.until(placed, 10_000));
    assert.equal(first.counters.get("dht.publish.started"), 1);
    const { peers } = await lookUp(world, second, sha256);
    assert.deepEqual(
      peers.map(({ publisher }) => publisher.text),
      ["127.0.0.1:10100"],
    );
  });
});
