/** The same story told directly and through us: where do the tellings differ? */
import type { Aspect, Scenario, Way } from "./scenario.ts";
import { ways } from "./scenario.ts";
import type { Step } from "./world.ts";

export interface Telling {
  readonly way: Way;
  readonly steps: readonly Step[];
  readonly complaints: readonly string[];
  readonly requests: number;
  readonly bytes: number;
  readonly milliseconds: number;
  /** What the mirrors saw, one line a request. */
  readonly traffic: readonly string[];
  /** The daemon's, at the end; not compared. */
  readonly counters: Readonly<Record<string, number>>;
  /** The daemon's own words; not compared. */
  readonly daemonLog: string;
}

export function differences(scenario: Scenario, tellings: readonly Telling[]): readonly string[] {
  const found = tellings.flatMap((each) => each.complaints.map((text) => `${each.way}: ${text}`));
  const direct = tellings.find((each) => each.way === "direct");
  if (direct === undefined) return found;
  const excused = new Set(Object.keys(scenario.differs ?? {}) as Aspect[]);
  for (const way of ways) {
    const ours = tellings.find((each) => each.way === way);
    if (way === "direct" || ours === undefined) continue;
    for (const [aspect, text] of compareWith(direct, ours)) {
      if (!excused.has(aspect)) found.push(`${way}: ${text}`);
    }
  }
  return found;
}

function* compareWith(direct: Telling, ours: Telling): Generator<readonly [Aspect, string]> {
  if (ours.steps.length !== direct.steps.length) {
    yield ["codes", `${ours.steps.length} steps, directly ${direct.steps.length}`];
  }
  for (const [index, expected] of direct.steps.entries()) {
    const step = ours.steps[index];
    if (step !== undefined) yield* compareSteps(expected, step);
  }
  if (ours.requests > direct.requests) {
    yield ["requests", `the mirror saw ${ours.requests} requests, directly ${direct.requests}`];
  }
  if (ours.bytes > direct.bytes) {
    yield ["bytes", `the mirror sent ${ours.bytes} bytes, directly ${direct.bytes}`];
  }
}

function* compareSteps(expected: Step, step: Step): Generator<readonly [Aspect, string]> {
  const at = shortened(expected.label);
  if (step.code !== expected.code) {
    yield ["codes", `${at}: ended with ${String(step.code)}, directly ${String(expected.code)}`];
  }
  for (const name of new Set([...Object.keys(expected.files), ...Object.keys(step.files)])) {
    const [was, is] = [expected.files[name], step.files[name]];
    if (was === is) continue;
    const what = is === undefined ? "missing" : was === undefined ? "one too many" : "other bytes";
    yield ["files", `${at}: ${name}: ${what}`];
  }
  yield* compareLines("messages", at, [expected.messages.classes, step.messages.classes]);
  yield* compareLines("reasons", at, [expected.messages.reasons, step.messages.reasons]);
}

function* compareLines(
  aspect: Aspect,
  at: string,
  [expected, found]: readonly [readonly string[], readonly string[]],
): Generator<readonly [Aspect, string]> {
  for (const line of without(expected, found)) yield [aspect, `${at}: did not say: ${line}`];
  for (const line of without(found, expected)) yield [aspect, `${at}: also said: ${line}`];
}

function shortened(label: string): string {
  return label.length > 60 ? `${label.slice(0, 59)}…` : label;
}

/** Multiset difference. */
function without(all: readonly string[], others: readonly string[]): readonly string[] {
  const left = [...others];
  return all.filter((each) => {
    const index = left.indexOf(each);
    if (index >= 0) left.splice(index, 1);
    return index < 0;
  });
}
