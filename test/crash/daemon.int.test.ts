import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { daemonIsBuilt } from "../kit/daemon.ts";
import { crashDaemon } from "./daemon-rounds.ts";

describe("The daemon, killed with SIGKILL under load", () => {
  it("starts again by itself, and no client ever gets a wrong byte", async function () {
    if (!daemonIsBuilt()) return this.skip();
    this.timeout(60_000);
    const rounds = Number(process.env["CRASH_ROUNDS"] ?? 10);
    const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
    const result = await crashDaemon({ rounds, seed, milliseconds: 30_000 });
    assert.ok(result.rounds >= Math.min(rounds, 5), `only ${result.rounds} rounds in 30 s`);
  });
});
