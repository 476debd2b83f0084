import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import { AptP2pError } from "../../../src/base/errors.ts";
import { parseConfig } from "../../../src/config/parse.ts";
import { LiveConfig } from "../../../src/daemon/live-config.ts";
import { DaemonRouter } from "../../../src/daemon/router.ts";
import type { Mapped, RouterRound } from "../../../src/io/router-round.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";
import { silentLog } from "../../integration/dht-swarm.ts";

const minute = 60_000;
const gateway = "192.168.1.1";

function read(mapPort: "yes" | "no") {
  const files = [{ path: "f", text: `[router]\nmap_port = ${mapPort}\n` }];
  return parseConfig({ files, environment: {}, flags: {}, context: { isRoot: true } });
}

type Respond = (round: RouterRound) => Promise<Mapped>;

const granted: Respond = (round) =>
  Promise.resolve({
    how: { by: "NAT-PMP", gateway },
    mappings: round.wishes.map((wish) => ({ ...wish, externalPort: wish.port })),
    externalAddress: "8.8.4.4",
  });
const refused: Respond = () => Promise.reject(new AptP2pError("UPSTREAM", "no answer"));

function world(respond: Respond, mapPort: "yes" | "no" = "yes") {
  const result = read(mapPort);
  assert.ok(result.problems === undefined);
  const clock = new VirtualClock();
  const counters = new Counters();
  const live = new LiveConfig(result.config);
  const rounds: RouterRound[] = [];
  const answers = { respond };
  const ask = (round: RouterRound, signal: AbortSignal): Promise<Mapped> => {
    rounds.push(round);
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(new AptP2pError("CLOSED", "late")));
      answers.respond(round).then(resolve, reject);
    });
  };
  const parts = { clock, counters, log: silentLog, ask, gateway: () => gateway };
  const router = new DaemonRouter(parts, live);
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await settle();
  };
  const kinds = (): string => rounds.map(({ kind }) => kind).join(" ");
  const set = (value: "yes" | "no"): void => live.reload(read(value), silentLog);
  return { answers, clock, counters, router, rounds, settle, pass, kinds, set };
}

const ports = { tcpPort: 9977, udpPort: 9978 };

describe("DaemonRouter", () => {
  it("asks nobody unless the administrator wants it", async () => {
    const { router, rounds, pass } = world(granted, "no");
    router.start(ports);
    await pass(10 * minute);
    await router.close();
    assert.deepEqual(rounds, []);
    assert.deepEqual(router.report(), { state: "off" });
  });

  it("asks for both ports, renews them long before they end, and gives them back", async () => {
    const { router, rounds, counters, pass, settle, kinds } = world(granted);
    router.start(ports);
    assert.deepEqual(router.report(), { state: "asking" });
    await settle();
    const wishes = [
      { protocol: "TCP", port: 9977 },
      { protocol: "UDP", port: 9978 },
    ];
    assert.deepEqual(rounds, [
      { kind: "map", wishes, gateway, lifetimeSeconds: 7200, description: "apt-p2p" },
    ]);
    const report = router.report();
    assert.ok(report.state === "mapped");
    assert.deepEqual(
      [report.by, report.externalAddress, report.problem, report.mappings.length],
      ["NAT-PMP", "8.8.4.4", undefined, 2],
    );
    await pass(59 * minute);
    assert.equal(kinds(), "map");
    await pass(minute);
    assert.equal(kinds(), "map map");
    await router.close();
    assert.equal(kinds(), "map map unmap");
    assert.equal(counters.get("daemon.router.released"), 1);
    assert.deepEqual(router.report(), { state: "off" });
    await pass(600 * minute);
    assert.equal(rounds.length, 3);
  });

  it("tries again after a failure, less and less often, and tells the reason", async () => {
    const { router, rounds, counters, answers, clock, pass, settle } = world(refused);
    router.start(ports);
    await settle();
    const report = router.report();
    assert.ok(report.state === "failed");
    assert.match(report.reason, /no answer/);
    assert.equal(report.againAtMs, clock.wallMs() + minute);
    for (const minutes of [1, 2, 4, 8, 16, 32, 60, 60]) {
      const before = rounds.length;
      await pass(minutes * minute - 1);
      assert.equal(rounds.length, before);
      await pass(1);
      assert.equal(rounds.length, before + 1);
    }
    assert.equal(counters.get("daemon.router.failed"), 9);
    answers.respond = granted;
    await pass(60 * minute);
    assert.equal(router.report().state, "mapped");
    await router.close();
  });

  it("follows the configuration while the daemon runs", async () => {
    const { router, settle, kinds, set } = world(granted, "no");
    router.start(ports);
    set("yes");
    await settle();
    assert.equal(router.report().state, "mapped");
    set("no");
    await settle();
    assert.deepEqual([kinds(), router.report().state], ["map unmap", "off"]);
    set("yes");
    await settle();
    assert.equal(kinds(), "map unmap map");
  });

  it("holds up nobody: a router that never answers ends a round, and the stop", async () => {
    const { router, answers, pass, settle, kinds } = world(() => new Promise(() => undefined));
    router.start(ports);
    await settle();
    await pass(40_000);
    await settle();
    assert.equal(router.report().state, "failed");
    answers.respond = granted;
    await pass(minute);
    assert.equal(router.report().state, "mapped");
    answers.respond = () => new Promise(() => undefined);
    let closed = false;
    const closing = router.close().then(() => (closed = true));
    await settle();
    await pass(1999);
    assert.equal(closed, false);
    await pass(1);
    await closing;
    assert.equal(kinds(), "map map unmap");
  });

  it("ends what is under way when it stops", async () => {
    const { router, settle, kinds } = world(() => new Promise(() => undefined));
    router.start(ports);
    await settle();
    await router.close();
    assert.equal(kinds(), "map");
  });

  it("says why others will not come in although the router agreed", async () => {
    const nested = world(async (round) => ({
      ...(await granted(round)),
      externalAddress: "100.64.0.7",
    }));
    nested.router.start(ports);
    await nested.settle();
    const behind = nested.router.report();
    assert.match(behind.state === "mapped" ? (behind.problem ?? "") : "", /behind another router/);
    const moved = world(async (round) => {
      const mapped = await granted(round);
      return { ...mapped, mappings: mapped.mappings.map((each) => ({ ...each, externalPort: 5 })) };
    });
    moved.router.start(ports);
    await moved.settle();
    const other = moved.router.report();
    assert.match(
      other.state === "mapped" ? (other.problem ?? "") : "",
      /gave port 5 instead of 9977/,
    );
  });

  it("asks for nothing where there is nothing to reach", async () => {
    const { router, rounds, settle } = world(granted);
    router.start({ tcpPort: undefined, udpPort: undefined });
    await settle();
    assert.deepEqual(rounds, []);
  });
});
