/** What systemd hears of a real daemon, by the real systemd-notify. */
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { after, before, describe, it } from "mocha";
import { daemonIsBuilt, startDaemon, type TestDaemon } from "../kit/daemon.ts";
import { canNotify, notifySocket, type NotifySocket } from "../kit/notify-socket.ts";
import { scratchDirectory } from "../kit/scratch.ts";
import { eventually } from "./hostile-world.ts";

describe("a daemon under systemd", function () {
  this.timeout(60_000);
  const scratch = scratchDirectory("notify");
  const watchdogMs = 4000;
  let socket: NotifySocket;
  let daemon: TestDaemon;

  before(async function () {
    if (!daemonIsBuilt() || !canNotify()) this.skip();
    mkdirSync(join(scratch.path, "apt"));
    socket = await notifySocket(join(scratch.path, "notify"));
    daemon = await startDaemon({
      aptConfigDirectory: join(scratch.path, "apt"),
      environment: { NOTIFY_SOCKET: socket.path, WATCHDOG_USEC: `${watchdogMs * 1000}` },
    });
  });
  after(async () => {
    if (daemonIsBuilt() && canNotify()) {
      await daemon.close();
      socket.close();
    }
    scratch.remove();
  });
  const signs = (): number =>
    socket.messages.filter((message) => message.startsWith("WATCHDOG=1")).length;

  it("says once that it is ready, where it listens, and then that it is well", async () => {
    await eventually(
      () => signs() >= 4,
      () => socket.messages.join(" | "),
      20_000,
    );
    const ready = socket.messages.filter((message) => message.includes("READY=1"));
    assert.equal(ready.length, 1);
    assert.match(ready[0] ?? "", new RegExp(`STATUS=listening on 127\\.0\\.0\\.1:${daemon.port}`));
    assert.ok(socket.messages.findIndex((message) => message.includes("READY=1")) === 0);
    assert.ok((await daemon.counter("daemon.watchdog.passed")) >= 4);
  });

  it("gives no sign of life while it is frozen, and does so again afterwards", async () => {
    await daemon.signal("SIGSTOP");
    await delay(1500);
    const before = signs();
    await delay(watchdogMs);
    assert.ok(signs() <= before, "a frozen process has said that it is well");
    await daemon.signal("SIGCONT");
    await eventually(
      () => signs() > before,
      () => "it is silent after it was woken",
      10_000,
    );
  });

  it("says that it stops", async () => {
    await daemon.signal("SIGTERM");
    assert.equal(daemon.ended, 0);
    await eventually(
      () => socket.messages.some((message) => message.includes("STOPPING=1")),
      () => socket.messages.join(" | "),
    );
  });
});
