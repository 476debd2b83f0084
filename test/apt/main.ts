/**
 * `npm run test:apt`: plays the equivalence scenarios and writes bench/results/apt-equivalence.json.
 *
 *   --all          also the slow ones (default: all but those)
 *   --quick        only those that `npm test` plays
 *   --only NAME    this one, or those whose name begins so; may be repeated
 *   --way WAY      direct, prefix or proxy alone; may be repeated
 *   --jobs N       worlds at a time (default 6)
 *   --verbose      for a scenario that differs: what apt printed, the mirror saw, the daemon logged
 *   --json         the result on standard output instead of a table
 *   --list         names and topics, without playing
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { daemonIsBuilt } from "../kit/daemon.ts";
import { play } from "./runner.ts";
import type { Report } from "./runner.ts";
import { ways } from "./scenario.ts";
import type { Scenario, Way } from "./scenario.ts";
import { scenarios } from "./scenarios/index.ts";

const { values } = parseArgs({
  options: {
    all: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
    way: { type: "string", multiple: true, default: [] },
    jobs: { type: "string", default: "6" },
    verbose: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});

process.exitCode = await main();

async function main(): Promise<number> {
  const chosen = scenarios.filter(isChosen);
  if (chosen.length === 0) {
    console.error("No scenario has such a name; --list prints them.");
    return 2;
  }
  if (values.list) {
    for (const each of chosen) console.log(`${each.topic.padEnd(10)} ${each.name}`);
    return 0;
  }
  const unknown = values.way.find((each) => !ways.includes(each as Way));
  if (unknown !== undefined) {
    console.error(`There is no way ${unknown}; there are ${ways.join(", ")}.`);
    return 2;
  }
  if (
    !daemonIsBuilt() &&
    !(values.way.length > 0 && values.way.every((each) => each === "direct"))
  ) {
    console.error("The daemon is not compiled: npm run build");
    return 2;
  }
  const begun = performance.now();
  const pending = play(chosen, {
    concurrency: Math.max(1, Number(values.jobs)),
    ...(values.way.length > 0 ? { ways: values.way as Way[] } : {}),
    onReport: (report) => {
      if (!values.json) printReport(report);
    },
  });
  const reports = await Promise.all(pending);
  const result = summary(reports, performance.now() - begun);
  if (values.only.length === 0 && values.way.length === 0) save(result);
  if (values.json) console.log(JSON.stringify(result, undefined, 2));
  else printTotals(result);
  return result.different > 0 ? 1 : 0;
}

function isChosen(scenario: Scenario): boolean {
  if (values.only.length > 0) return values.only.some((each) => scenario.name.startsWith(each));
  if (values.quick) return scenario.quick === true;
  return values.all || scenario.slow !== true;
}

function summary(reports: readonly Report[], milliseconds: number) {
  return {
    scenarios: reports.length,
    equal: reports.filter((each) => each.skipped === undefined && each.differences.length === 0)
      .length,
    different: reports.filter((each) => each.differences.length > 0).length,
    skipped: reports.filter((each) => each.skipped !== undefined).length,
    seconds: Math.round(milliseconds / 1000),
    results: reports.map((report) => ({
      name: report.scenario.name,
      topic: report.scenario.topic,
      ...(report.skipped === undefined ? {} : { skipped: report.skipped }),
      ...(report.scenario.differs === undefined ? {} : { mayDiffer: report.scenario.differs }),
      differences: report.differences,
      tellings: report.tellings.map((each) => ({
        way: each.way,
        seconds: Math.round(each.milliseconds / 100) / 10,
        exitCodes: each.steps.map((step) => step.code),
        requests: each.requests,
        bytes: each.bytes,
      })),
    })),
  };
}

type Summary = ReturnType<typeof summary>;

function printReport(report: Report): void {
  const { name, topic } = report.scenario;
  const verdict =
    report.skipped !== undefined ? "skipped" : report.differences.length > 0 ? "DIFFERS" : "equal";
  const figures = report.tellings
    .map((each) => `${each.way} ${(each.milliseconds / 1000).toFixed(1)} s ${each.requests} req`)
    .join(", ");
  console.log(
    `${verdict.padEnd(8)} ${topic.padEnd(9)} ${name.padEnd(40)} ${report.skipped ?? figures}`,
  );
  const shown = values.verbose ? report.differences : report.differences.slice(0, 8);
  for (const each of shown) console.log(`           ${each}`);
  const hidden = report.differences.length - shown.length;
  if (hidden > 0) console.log(`           … and ${hidden} more (--verbose)`);
  if (values.verbose && (report.differences.length > 0 || values.only.length > 0))
    printDetails(report);
}

function printDetails(report: Report): void {
  for (const telling of report.tellings) {
    console.log(`\n=== ${telling.way}`);
    for (const step of telling.steps) {
      console.log(`--- ${step.label}: ${String(step.code)}, ${Math.round(step.milliseconds)} ms`);
      console.log(step.output);
    }
    console.log("--- mirror");
    for (const line of telling.traffic) console.log(line);
    if (telling.way !== "direct") console.log("--- counters", telling.counters);
    if (telling.daemonLog !== "") console.log(`--- daemon\n${telling.daemonLog}`);
  }
}

function printTotals(result: Summary): void {
  const { equal, different, skipped, seconds } = result;
  console.log(`${equal} equal, ${different} different, ${skipped} skipped, in ${seconds} s.`);
}

function save(result: Summary): void {
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const path = join(root, "bench", "results", "apt-equivalence.json");
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, JSON.stringify(result, undefined, 2) + "\n");
}
