/**
 * The quick part of the equivalence suite: real apt-get, directly and through the compiled daemon.
 * All scenarios start together; each test waits for its own report.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "mocha";

import { daemonIsBuilt } from "../kit/daemon.ts";
import { play } from "./runner.ts";
import type { Report } from "./runner.ts";
import { scenarios } from "./scenarios/index.ts";

describe("apt-get through us", function () {
  this.timeout(300_000);
  const chosen = scenarios.filter((each) => each.quick === true);
  let reports: readonly Promise<Report>[] = [];

  before(() => {
    assert.ok(daemonIsBuilt(), "the daemon is not compiled: npm run build");
    reports = play(chosen, { concurrency: 6 });
  });

  after(() => Promise.allSettled(reports));

  for (const [index, scenario] of chosen.entries()) {
    it(`does as apt alone does in ${scenario.name}`, async function () {
      const report = await reports[index];
      if (report?.skipped !== undefined) {
        this.test!.title += ` (skipped: ${report.skipped})`;
        this.skip();
      }
      assert.ok(report?.differences.length === 0, report?.differences.join("\n"));
    });
  }
});
