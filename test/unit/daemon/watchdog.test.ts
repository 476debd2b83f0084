import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { Counters } from "../../../src/base/counters.ts";
import { startWatchdog, type HealthCheck } from "../../../src/daemon/watchdog.ts";
import { VirtualClock } from "../../../src/sim/virtual-clock.ts";

const well: HealthCheck = () => Promise.resolve();
const broken: HealthCheck = () => Promise.reject(new Error("it is gone"));
const silent: HealthCheck = () => new Promise(() => undefined);

function watched(checks: Readonly<Record<string, HealthCheck>>) {
  const clock = new VirtualClock();
  const counters = new Counters();
  const told: number[] = [];
  const said: string[] = [];
  const quiet = (): void => undefined;
  const end = startWatchdog({
    ...{ checks, clock, counters, intervalMs: 60_000 },
    log: {
      ...{ debug: quiet, info: quiet, error: quiet },
      warn: (event, fields) => said.push(`${event} ${String(fields?.["problems"])}`),
    },
    tell: () => {
      told.push(clock.monotonicMs());
      return Promise.resolve();
    },
  });
  /** Time passes in steps, and what waits for promises comes to its turn in each. */
  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 500) {
      clock.advance(Math.min(500, left));
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { counters, told, said, end, pass };
}

describe("the watchdog", () => {
  it("gives four signs of life in the interval, the first one at once", async () => {
    const { told, said, counters, pass, end } = watched({ a: well, b: well });
    await pass(59_500);
    assert.deepEqual(told, [500, 15_000, 30_000, 45_000]);
    assert.deepEqual(said, []);
    assert.equal(counters.get("daemon.watchdog.passed"), 4);
    end();
    await pass(60_000);
    assert.equal(told.length, 4);
  });

  it("gives none while a check fails, and says which", async () => {
    let broke = true;
    const { told, said, counters, pass } = watched({
      proxy: (signal) => (broke ? broken(signal) : well(signal)),
      files: well,
    });
    await pass(40_000);
    assert.deepEqual(told, []);
    assert.deepEqual(said, Array(3).fill("unwell proxy: it is gone"));
    assert.equal(counters.get("daemon.watchdog.failed"), 3);
    broke = false;
    await pass(10_000);
    assert.deepEqual(told, [45_000]);
  });

  it("waits for a check no longer than until the next one is due", async () => {
    let answers = true;
    const { told, said, pass } = watched({
      proxy: (signal) => (answers ? well(signal) : silent(signal)),
      files: well,
    });
    await pass(20_000);
    assert.equal(told.length, 2);
    answers = false;
    await pass(40_000);
    assert.equal(told.length, 2);
    assert.deepEqual([...new Set(said)], ["unwell proxy: CLOSED: no answer in time"]);
    answers = true;
    await pass(30_000);
    assert.ok(told.some((atMs) => atMs > 60_000));
  });
});
