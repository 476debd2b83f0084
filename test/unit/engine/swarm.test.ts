import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import { parseEndpoint, type Endpoint } from "../../../src/base/endpoint.ts";
import { limits } from "../../../src/base/limits.ts";
import { hour } from "../../../src/base/units.ts";
import type { Sha256 } from "../../../src/base/sha256.ts";
import type { FindEvents, Finder } from "../../../src/engine/finder.ts";
import { Swarm } from "../../../src/engine/swarm.ts";
import type { SwarmSession } from "../../../src/engine/swarm-session.ts";
import { nodeHashes } from "../../../src/io/node-hashes.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { Bans } from "../../../src/swarm/bans.ts";
import { Patience } from "../../../src/swarm/patience.ts";
import type { PeerInfo } from "../../../src/swarm/types.ts";
import { silentLog } from "../../integration/dht-swarm.ts";

const never = <T>(): Promise<T> => new Promise(() => undefined);
const digest = (letter: string): Sha256 => letter.repeat(64) as Sha256;

function neighbour(text: string): PeerInfo {
  const endpoint = parseEndpoint(text);
  assert.ok(endpoint !== undefined);
  return { endpoint, near: true, group: endpoint.address, state: "whole", via: "neighbour" };
}

/** A swarm whose peers never answer, and whose finder says what the test tells it to. */
class SilentWorld {
  readonly clock = new VirtualClock();
  readonly counters = new Counters();
  readonly bans = new Bans(this);
  readonly useful: Endpoint[] = [];
  readonly asked: string[] = [];
  readonly swarm: Swarm;
  searches: { readonly events: FindEvents; cancelled: boolean }[] = [];

  crowded = false;

  constructor() {
    const finder: Finder = {
      ...{ known: true, neighbours: 0 },
      hopeful: () => true,
      find: (_sha256, _sizeBytes, events) => {
        const search = { events, cancelled: false };
        this.searches.push(search);
        return { cancel: () => void (search.cancelled = true) };
      },
      useful: (endpoint) => this.useful.push(endpoint),
    };
    this.swarm = new Swarm({
      ...{ clock: this.clock, counters: this.counters, bans: this.bans, finder },
      ...{ hashes: nodeHashes, random: new SeededRandom(1), log: silentLog },
      crowded: () => this.crowded,
      ...{ patience: new Patience(), mirror: { fetch: never }, isNear: () => true },
      peers: {
        send: ({ to }) => {
          this.asked.push(to.text);
          return never();
        },
      },
      pieceHashes: () => Promise.resolve(undefined),
      announce: { unfinished: () => undefined, ended: () => undefined },
    });
  }

  open(sha256: Sha256, sizeBytes = 100_000, ahead: readonly number[] = []): SwarmSession {
    return this.swarm.open({
      ...{ sha256, sizeBytes, position: 0, ahead, store: undefined },
      ...{ mirror: { url: "http://ftp.us.debian.org/x", headers: {} }, sequential: true },
    });
  }

  /** How long the mirror waits from now on. */
  waitOf(session: SwarmSession): number {
    const startMs = this.clock.monotonicMs();
    assert.ok(this.clock.runUntil(() => session.transfer.streamWanted, 2000));
    return this.clock.monotonicMs() - startMs;
  }
}

describe("Swarm", () => {
  it("is of no use while there is no room for it", () => {
    const world = new SilentWorld();
    assert.equal(world.swarm.worthwhile(10_000_000), true);
    world.crowded = true;
    assert.equal(world.swarm.worthwhile(10_000_000), false);
  });

  it("lets the mirror wait no longer than for an answer that names nobody", () => {
    const world = new SilentWorld();
    for (const letter of ["a", "b", "c"]) {
      const session = world.open(digest(letter));
      world.clock.after(5, () => world.searches.at(-1)?.events.done());
      const waitedMs = world.waitOf(session);
      assert.ok(waitedMs >= 5 && waitedMs < 60, `${letter}: ${waitedMs} ms`);
      world.clock.advance(1000);
      session.close();
    }
    const last = world.waitOf(world.open(digest("d")));
    assert.ok(last > 200 && last <= 251, `three short waits have left ${last} ms`);
  });

  it("makes all files of a run together wait for silent peers no longer than one", () => {
    const world = new SilentWorld();
    const waits = ["a", "b", "c"].map((letter) => {
      const session = world.open(digest(letter));
      world.searches.at(-1)?.events.peers([neighbour("10.0.0.1:9977")]);
      const waitedMs = world.waitOf(session);
      world.clock.advance(1000);
      session.close();
      return waitedMs;
    });
    assert.ok(waits.every((ms) => ms <= 251));
    assert.ok(waits.filter((ms) => ms > 50).length === 1, waits.join(" "));
  });

  it("keeps the reader of a run's last file waiting, where others would lack what it has", async () => {
    const world = new SilentWorld();
    const rare = (letter: string): SwarmSession => {
      const session = world.open(digest(letter), 2 * limits.pieceBytes, [0, 1]);
      const others = Array.from({ length: 9 }, (_, index) => neighbour(`10.0.0.${index + 1}:9977`));
      session.addPeers(others.map((each) => ({ ...each, state: "unknown", via: "asker" })));
      return session;
    };
    const partingOf = async (session: SwarmSession): Promise<number> => {
      const startMs = world.clock.monotonicMs();
      const state = { parted: false };
      void session.part().then(() => (state.parted = true));
      while (!state.parted && world.clock.monotonicMs() < startMs + 1000) {
        await new Promise((next) => setImmediate(next));
        world.clock.advance(10);
      }
      session.close();
      return world.clock.monotonicMs() - startMs;
    };
    const first = rare("a");
    const together = await partingOf(rare("b"));
    assert.ok(together <= 20, `${together} ms beside another file`);
    const last = await partingOf(first);
    assert.ok(last >= 240 && last <= 280, `${last} ms for the last one`);
    const next = await partingOf(rare("c"));
    assert.ok(next <= 20, `${next} ms for one that follows`);
    world.clock.advance(11_000);
    assert.ok((await partingOf(rare("d"))) >= 240);
    assert.equal(world.counters.get("swarm.partings"), 2);
  });

  it("asks nobody who is banned, and stops looking when the file is closed", () => {
    const world = new SilentWorld();
    world.bans.ban("10.0.0.1", "wrong piece", hour);
    const session = world.open(digest("a"));
    world.searches[0]?.events.peers([neighbour("10.0.0.1:9977"), neighbour("10.0.0.2:9977")]);
    world.clock.advance(100);
    assert.deepEqual([...new Set(world.asked)], ["10.0.0.2:9977"]);
    assert.equal(world.swarm.session(digest("a")), session);
    session.close();
    assert.equal(world.searches[0]?.cancelled, true);
    assert.equal(world.swarm.session(digest("a")), undefined);
  });

  it("asks a stranger for one long file at a time, and for short ones at once", () => {
    const world = new SilentWorld();
    const find = (): void => world.searches.at(-1)?.events.peers([neighbour("10.0.0.1:9977")]);
    const asked = (): number => world.asked.splice(0).length;
    for (const letter of ["a", "b"]) {
      world.open(digest(letter), 2_000_000);
      find();
      world.clock.advance(50);
      assert.equal(asked() > 0, letter === "a", letter);
    }
    assert.ok(world.counters.get("swarm.peers.deferred") > 0);
    world.open(digest("c"));
    find();
    world.clock.advance(50);
    assert.ok(asked() > 0, "a short file");
    world.swarm.ended(digest("a"));
    world.clock.advance(50);
    assert.ok(asked() > 0, "the second long file");
    world.swarm.close();
  });
});
