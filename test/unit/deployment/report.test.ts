/** The report says what happened, in numbers that were made here. */
import assert from "node:assert/strict";
import { describe, it } from "mocha";

import type { Action } from "../../../bench/deployment/actor.ts";
import { bytesOf, Ledger } from "../../../bench/deployment/ledger.ts";
import { reportFiles } from "../../../bench/deployment/report.ts";
import type { Report } from "../../../bench/deployment/report.ts";
import type { HostResult, RunResult } from "../../../bench/deployment/run.ts";

const none = { fromPeers: 0, fromMirror: 0, fromCache: 0, uploaded: 0 };

function host(name: string, more: Partial<HostResult> = {}): HostResult {
  return {
    ...{ name, group: "crowd", kind: "daemon", address: "192.0.2.1", readyMs: 900, failures: [] },
    ...{ bytes: none, cpuMs: 1500, peakRssBytes: 80e6, counters: {}, log: "" },
    ...more,
  };
}

function action(name: string, milliseconds: number, trouble?: string): Action {
  return {
    ...{ host: name, phase: "crowd", do: "install", what: "new", startedMs: 0, milliseconds },
    ...{ ok: trouble === undefined, allowed: false, trouble },
  };
}

const result: RunResult = {
  hosts: [
    host("a", { bytes: { ...none, fromMirror: 5e6, uploaded: 9e6 }, log: "a line\n" }),
    host("b", { bytes: { ...none, fromPeers: 5e6 } }),
    host("c", { readyMs: undefined, failures: ["exit 1: <b>no | disk</b>\nleft"] }),
  ],
  phases: [
    {
      ...{ name: "crowd", measured: true, startedMs: 10, milliseconds: 4000 },
      bytes: { ...none, fromPeers: 5e6, fromMirror: 5e6 },
      mirror: { requests: 3, bodyBytes: 5e6, wireBytes: 5.2e6 },
    },
  ],
  actions: [action("a", 1000), action("b", 3000), action("b", 9000, "exit 100")],
};

const files = reportFiles(
  {
    ...{ scenario: "crowd", about: "A story.", seed: 3, date: "2026-01-02T03:04:05Z" },
    ...{ kind: "hosts", version: "1.2.3", notes: ["A note."], machine: { cpus: 2 } },
  },
  result,
);

describe("reportFiles()", () => {
  it("has the numbers for programs", () => {
    const report = JSON.parse(files["report.json"] ?? "") as Report;
    assert.equal(report.ok, false);
    assert.deepEqual(report.times, [
      {
        ...{ phase: "crowd", do: "install", count: 3, failed: 1 },
        ...{ median: 2, p90: 2.8, last: 3 },
      },
    ]);
    assert.deepEqual(report.failures, ["c: exit 1: <b>no | disk</b>\nleft"]);
    assert.deepEqual(report.phases, JSON.parse(JSON.stringify(result.phases)));
    assert.equal(report.hosts[0]?.bytes.uploaded, 9e6);
    assert.ok(report.hosts.every((each) => !("log" in each)));
  });

  it("has a page that nothing a host says can break", () => {
    const page = files["report.md"] ?? "";
    assert.match(page, /^# crowd\n\nA story\.\n/);
    assert.match(page, /seed 3, 3 hosts, apt-p2p 1\.2\.3\. Not all went well/);
    assert.match(page, /\n- c: exit 1: \\<b>no \\\| disk\\<\/b> left\n/);
    assert.match(page, /\n\| crowd \| install \| 3 \| 1 \| 2\.00 \| 2\.80 \| 3\.00 \|\n/);
    assert.match(page, /\n\| a \| crowd \| 0\.90 \| 0\.000 MB \| 5\.0 MB \| 9\.0 MB \| 1\.50 \|/);
    assert.match(page, /\n\| c \| crowd \| never \|/);
    assert.match(page, /!\[completion\]\(completion\.svg\)\n/);
  });

  it("has three figures and the logs", () => {
    assert.deepEqual(Object.keys(files).sort(), [
      ...["completion.svg", "logs/a.log", "report.json", "report.md", "sources.svg"],
      "uploads.svg",
    ]);
    assert.match(files["completion.svg"] ?? "", />crowd: install</);
    assert.match(files["sources.svg"] ?? "", />from peers</);
    // Two hosts ran: the second, with all from peers, is the right end, at the top of 5 MB.
    assert.match(files["sources.svg"] ?? "", /points="80,430 770,50"/);
  });

  it("draws a run in which nothing was done", () => {
    const empty = reportFiles(
      {
        ...{ scenario: "none", about: "", seed: 1, date: "", kind: "hosts", version: "" },
        ...{ notes: [], machine: {} },
      },
      { hosts: [], phases: [], actions: [] },
    );
    assert.ok(!/NaN|Infinity/.test(JSON.stringify(empty)), JSON.stringify(empty));
  });
});

describe("Ledger", () => {
  it("adds up the lives of a daemon", async () => {
    let counters: Record<string, number> = { "engine.bytes.fromPeers": 10 };
    const ledger = new Ledger(() =>
      Promise.resolve({ version: "", counters, memory: { rssBytes: 5 }, cpuMs: 100 }),
    );
    await ledger.read();
    counters = { "engine.bytes.fromPeers": 30, "peers.bytes.uploaded.near": 4 };
    await ledger.read();
    ledger.close();
    counters = { "engine.bytes.fromPeers": 5, "peers.bytes.uploaded.far": 1 };
    await ledger.read();
    assert.deepEqual(bytesOf(ledger.counters), { ...none, fromPeers: 35, uploaded: 5 });
    assert.deepEqual(bytesOf(ledger.counters, { "engine.bytes.fromPeers": 30 }).fromPeers, 5);
    assert.equal(ledger.cpuMs, 200);
  });
});
