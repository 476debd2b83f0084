import assert from "node:assert/strict";
import { describe, it } from "mocha";
import { SystemdNotify } from "../../../src/io/systemd-notify.ts";

const socket = { NOTIFY_SOCKET: "/run/systemd/notify" };

describe("SystemdNotify", () => {
  it("says one thing after another, also after one that failed", async () => {
    const said: string[] = [];
    const finish: (() => void)[] = [];
    const notify = new SystemdNotify({
      environment: socket,
      run: (words) => {
        said.push(words.join(" "));
        return new Promise((resolve, reject) => {
          finish.push(said.length === 1 ? () => reject(new Error("no")) : resolve);
        });
      },
    });
    const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
    const first = notify.send("READY=1", "STATUS=listening");
    const second = notify.send("WATCHDOG=1");
    await turn();
    assert.deepEqual(said, ["READY=1 STATUS=listening"]);
    finish[0]?.();
    assert.equal(await first, false);
    await turn();
    assert.deepEqual(said.slice(1), ["WATCHDOG=1"]);
    finish[1]?.();
    assert.equal(await second, true);
  });

  it("says nothing where nobody listens", async () => {
    const run = (): Promise<void> => Promise.reject(new Error("must not run"));
    const notify = new SystemdNotify({ environment: { WATCHDOG_USEC: "1000000" }, run });
    assert.equal(await notify.send("READY=1"), false);
    assert.equal(notify.watchdogMs, undefined);
  });

  it("knows whether and how often systemd wants to hear of this process", () => {
    const given = (environment: Readonly<Record<string, string>>): number | undefined =>
      new SystemdNotify({ environment: { ...socket, ...environment }, pid: 7 }).watchdogMs;
    assert.equal(given({ WATCHDOG_USEC: "60000000" }), 60_000);
    assert.equal(given({ WATCHDOG_USEC: "60000000", WATCHDOG_PID: "7" }), 60_000);
    // Of a parent, which has handed its environment on.
    assert.equal(given({ WATCHDOG_USEC: "60000000", WATCHDOG_PID: "6" }), undefined);
    for (const text of ["0", "", "soon", "-5"]) {
      assert.equal(given({ WATCHDOG_USEC: text }), undefined, text);
    }
    assert.equal(given({}), undefined);
  });
});
