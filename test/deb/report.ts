/** What a run has found: figures and checks, step by step. */
import { say } from "./host.ts";

export interface Check {
  readonly what: string;
  readonly passed: boolean;
  /** Why not, for who reads it. */
  readonly detail?: string;
}

export type Figures = Readonly<Record<string, number | string | readonly number[]>>;

export interface StepReport {
  readonly step: string;
  readonly seconds: number;
  readonly figures: Figures;
  readonly checks: readonly Check[];
}

/** Collects what one step finds. */
export class Findings {
  readonly #figures: Record<string, Figures[string]> = {};
  readonly #checks: Check[] = [];

  figure(name: string, value: Figures[string]): void {
    this.#figures[name] = typeof value === "number" ? rounded(value) : value;
  }

  check(what: string, passed: boolean, detail = ""): void {
    this.#checks.push(passed ? { what, passed } : { what, passed, detail: detail.slice(-2000) });
    if (!passed) say(`  not so: ${what}${detail === "" ? "" : `: ${detail.slice(-600)}`}`);
  }

  atMost(what: string, value: number, limit: number, unit: string): void {
    this.figure(what, value);
    const passed = value <= limit;
    this.check(`${what}: at most ${limit} ${unit}`, passed, `${rounded(value)} ${unit}`);
  }

  report(step: string, seconds: number): StepReport {
    return {
      step,
      seconds: Math.round(seconds * 10) / 10,
      figures: this.#figures,
      checks: this.#checks,
    };
  }
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}

export function passed(steps: readonly StepReport[]): boolean {
  return steps.every(({ checks }) => checks.every((check) => check.passed));
}

/** One line a step, for people. */
export function table(title: string, steps: readonly StepReport[]): string {
  const lines = steps.map(({ step, seconds, figures, checks }) => {
    const failed = checks.filter((check) => !check.passed).length;
    const verdict = failed === 0 ? "ok" : `${failed} of ${checks.length} failed`;
    const told = Object.entries(figures).map(([name, value]) => `${name} ${brief(value)}`);
    return `${step.padEnd(12)} ${verdict.padEnd(14)} ${seconds.toFixed(1).padStart(6)} s  ${told.join(", ")}`;
  });
  return [title, ...lines, ""].join("\n");
}

/** What is said in whole paragraphs stands in the report. */
function brief(value: Figures[string]): string {
  if (typeof value === "object") return value.join("/");
  if (typeof value === "number") return `${value}`;
  const [first = ""] = value.split("\n");
  return first.length <= 60 ? first : `${first.slice(0, 60)}…`;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}
