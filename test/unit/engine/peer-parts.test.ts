import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import { limits } from "../../../src/base/limits.ts";
import { MiB } from "../../../src/base/units.ts";
import { HeldQuestions } from "../../../src/engine/held-questions.ts";
import { PeerAskers } from "../../../src/engine/peer-askers.ts";
import { askerEndpoint, peerRoute } from "../../../src/engine/peer-route.ts";
import { Uploads } from "../../../src/engine/peer-uploads.ts";
import { UploadAllowance, type AllowanceSettings } from "../../../src/engine/upload-allowance.ts";
import { MemoryKeyValue } from "../../../src/sim/memory-key-value.ts";
import { SeededRandom } from "../../../src/sim/seeded-random.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { digestOf, endpointOf } from "../../kit/peer-world.ts";

const sha256 = digestOf(Buffer.from("a file"));
const silent = { debug: nothing, info: nothing, warn: nothing, error: nothing };

describe("peerRoute()", () => {
  it("takes apart what can be asked", () => {
    const routes = {
      [`/~/sha256/${sha256}`]: { kind: "file", sha256 },
      [`/~/sha256/${sha256}/pieces`]: { kind: "pieces", sha256 },
      [`/~/sha256/${sha256}/swarm`]: {
        ...{ kind: "swarm", sha256, seen: undefined, waitMs: 0, names: true },
        everyMs: undefined,
      },
      [`/~/sha256/${sha256}/swarm?seen=3&wait=200&names=0&every=500`]: {
        ...{ kind: "swarm", sha256, seen: 3, waitMs: 200, names: false, everyMs: 500 },
      },
      [`/~/sha256/${sha256}/swarm?wait=999999&new=1&seen=0`]: {
        ...{ kind: "swarm", sha256, seen: 0, waitMs: 10_000, names: true, everyMs: undefined },
      },
      [`/~/sha256/${sha256}/swarm?seen=-1&wait=1e3&every=-5`]: {
        ...{ kind: "swarm", sha256, seen: undefined, waitMs: 0, names: true, everyMs: undefined },
      },
      "/~/filter": { kind: "filter" },
      "/~/have": { kind: "have" },
    };
    for (const [url, route] of Object.entries(routes)) assert.deepEqual(peerRoute(url), route, url);
  });

  it("knows nothing else", () => {
    const upper = sha256.toUpperCase();
    for (const rest of ["", "filter/", "have?x", "sha256/", `sha256/${sha256}/`, "sha256/../x"]) {
      assert.equal(peerRoute(`/~/${rest}`), undefined, rest);
    }
    for (const rest of [
      upper,
      `${sha256}0`,
      `${sha256}/have`,
      `${sha256}/swarm?${"x".repeat(300)}`,
    ]) {
      assert.equal(peerRoute(`/~/sha256/${rest}`), undefined, rest);
    }
  });
});

describe("askerEndpoint()", () => {
  it("is the asker's address with the port that it names", () => {
    assert.equal(askerEndpoint("10.0.0.1", "9977")?.text, "10.0.0.1:9977");
    assert.equal(askerEndpoint("fd00::1", "65535")?.text, "[fd00::1]:65535");
  });
  it("is none for system ports, no ports, and addresses of one link", () => {
    for (const port of [undefined, "", "80", "1023", "65536", "99770", "0x50", "-9977", "9977 "]) {
      assert.equal(askerEndpoint("10.0.0.1", port), undefined, port);
    }
    for (const address of ["fe80::1", "169.254.1.1", "0.0.0.0", "224.0.0.1"]) {
      assert.equal(askerEndpoint(address, "9977"), undefined, address);
    }
  });
});

describe("PeerAskers", () => {
  const near = { address: "10.0.0.99", near: true, self: undefined };
  function askers(): PeerAskers {
    return new PeerAskers({ clock: new VirtualClock(), random: new SeededRandom(5) });
  }
  const none = { more: [], most: 20 };

  it("counts a far host once, and near daemons by their ports", () => {
    const it = askers();
    for (const port of [5001, 5002]) {
      it.note(sha256, endpointOf(`8.8.8.8:${port}`), false);
      it.note(sha256, endpointOf(`10.0.0.1:${port}`), true);
    }
    const names = it.sample(sha256, near, none).map(({ text }) => text);
    assert.deepEqual(names.sort(), ["10.0.0.1:5001", "10.0.0.1:5002", "8.8.8.8:5002"]);
  });

  it("tells loopback addresses to this machine only", () => {
    const it = askers();
    it.note(sha256, endpointOf("127.0.0.1:5001"), true);
    assert.deepEqual(it.sample(sha256, near, none), []);
    const local = { address: "127.0.0.1", near: true, self: undefined };
    assert.equal(it.sample(sha256, local, none).length, 1);
  });

  it("is bounded, and forgets the oldest", () => {
    const it = askers();
    for (let host = 0; host < 2 * limits.askersPerFile; host++) {
      it.note(sha256, endpointOf(`8.8.${host}.8:5000`), false);
    }
    const all = it.sample(sha256, near, { more: [], most: 1000 });
    assert.equal(all.length, limits.askersPerFile);
    assert.ok(!all.some(({ text }) => text === "8.8.0.8:5000"));
  });
});

describe("HeldQuestions", () => {
  it("are so many of one peer and of all", () => {
    const held = new HeldQuestions(new VirtualClock());
    const ends: ((() => void) | undefined)[] = [];
    for (let host = 0; !ends.includes(undefined); host++) {
      const who = { address: `10.0.0.${host}`, near: true };
      for (let each = 0; each < limits.heldQuestionsPerPeer; each++) ends.push(held.begin(who));
      if (host === 0) assert.equal(held.begin(who), undefined);
    }
    assert.equal(ends.filter((end) => end !== undefined).length, limits.heldQuestions);
    ends[0]?.();
    assert.equal(typeof held.begin({ address: "10.0.0.0", near: true }), "function");
  });
});

describe("Uploads", () => {
  it("forgets the peer that took nothing for longest", () => {
    const uploads = new Uploads({ clock: new VirtualClock(), counters: new Counters() });
    for (let host = 0; host <= limits.uploadPeers; host++) {
      const who = { address: `10.0.${host >> 8}.${host & 255}`, near: true };
      uploads.add(sha256, who, host);
    }
    const peers = uploads.peers();
    assert.equal(peers.length, limits.uploadPeers);
    assert.equal(peers[0]?.bytes, limits.uploadPeers);
    assert.ok(!peers.some(({ peer }) => peer === "10.0.0.0"));
    assert.equal(uploads.file(digestOf(Buffer.alloc(1))), undefined);
  });
});

describe("UploadAllowance", () => {
  const local = (...parts: [number, number, number, number, number]): number =>
    new Date(...parts).getTime();
  function allowance(settings: Partial<AllowanceSettings>, kv = new MemoryKeyValue()) {
    const clock = new VirtualClock(local(2026, 4, 30, 12, 0));
    const made = (): UploadAllowance =>
      new UploadAllowance(
        { kv, clock, log: silent },
        { hours: "always", monthBytes: "unlimited", ...settings },
      );
    return { clock, kv, made, it: made() };
  }

  it("is open within its hours, also over midnight", () => {
    const at = (hours: AllowanceSettings["hours"], hour: number, minute: number): boolean => {
      const { clock, it } = allowance({ hours });
      clock.jumpWall(local(2026, 4, 30, hour, minute) - clock.wallMs());
      return it.open;
    };
    const night = { fromMinute: 22 * 60, untilMinute: 6 * 60 + 30 };
    assert.deepEqual(
      [at(night, 21, 59), at(night, 22, 0), at(night, 0, 0), at(night, 6, 29), at(night, 6, 30)],
      [false, true, true, true, false],
    );
    const noon = { fromMinute: 12 * 60, untilMinute: 13 * 60 };
    assert.deepEqual([at(noon, 11, 59), at(noon, 12, 0), at(noon, 13, 0)], [false, true, false]);
    assert.equal(at("always", 3, 0), true);
  });

  it("counts a calendar month across restarts", async () => {
    const first = allowance({ monthBytes: 10_000 });
    first.it.book(6000);
    first.it.giveBack(1000);
    assert.equal(first.it.leftBytes, 5000);
    await first.it.close();
    const second = first.made();
    assert.equal(second.leftBytes, 5000);
    assert.equal(second.usedBytes, 5000);
    first.clock.jumpWall(local(2026, 5, 1, 0, 0) - first.clock.wallMs());
    assert.equal(second.leftBytes, 10_000);
    second.giveBack(3000);
    assert.equal(second.leftBytes, 10_000);
    second.book(1000);
    await second.close();
    assert.equal(first.made().leftBytes, 9000);
  });

  it("is recorded now and then, and after much", async () => {
    const { clock, it, made } = allowance({});
    it.book(5);
    assert.equal(made().usedBytes, 0);
    clock.advance(limits.allowanceRecordMs);
    await Promise.resolve().then(() => Promise.resolve());
    assert.equal(made().usedBytes, 5);
    it.book(limits.allowanceRecordBytes);
    await Promise.resolve().then(() => Promise.resolve());
    assert.equal(made().usedBytes, 5 + limits.allowanceRecordBytes);
    assert.equal(it.leftBytes, Infinity);
    assert.ok(limits.allowanceRecordBytes > MiB);
  });

  it("begins anew where the record is no record", async () => {
    for (const value of ["", "{", "[]", "null", '{"month":"2026-5","bytes":-1}', '{"bytes":7}']) {
      const kv = new MemoryKeyValue();
      await kv.batch([{ key: "peers!month", value }]);
      assert.equal(allowance({}, kv).it.usedBytes, 0, value);
    }
  });
});

function nothing(): void {
  // Nothing.
}
