import { describe, it } from "mocha";
import assert from "node:assert/strict";
import { crashStore } from "./store-rounds.ts";

describe("Store on a real disk, killed with SIGKILL under load", () => {
  it("opens by itself, with no wrong byte, nothing stored and no finished piece lost", async function () {
    this.timeout(60_000);
    const rounds = Number(process.env["CRASH_ROUNDS"] ?? 60);
    const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
    const result = await crashStore({ rounds, seed, milliseconds: 30_000 });
    assert.ok(result.rounds >= Math.min(rounds, 8), `only ${result.rounds} rounds in 30 s`);
    assert.ok(result.stored > 0 && result.unfinishedFound > 0, JSON.stringify(result));
  });
});
