/** What is wrong with a configuration, and where: as facts and as one line of text. */
import type { OptionRow } from "./options.ts";

/** Where a value was given. Later kinds win over earlier ones. */
export type Origin =
  | { readonly kind: "default" }
  | { readonly kind: "file"; readonly path: string; readonly line: number }
  | { readonly kind: "environment"; readonly variable: string }
  | { readonly kind: "flag"; readonly flag: string };

export interface Problem {
  /** Undefined: it concerns no single value. */
  readonly origin: Origin | undefined;
  /** Section and name as they were written, e.g. `[proxy] port`. */
  readonly option: string | undefined;
  /** The value as it was given. */
  readonly value: string | undefined;
  /** What is wrong, and what is accepted. */
  readonly message: string;
}

/** The name by which messages call an option. */
export function optionName(row: OptionRow): string {
  return `[${row.section}] ${row.name}`;
}

/** `/etc/apt-p2p/apt-p2p.conf:12`, `environment`, `command line`, `default`. */
export function originText(origin: Origin): string {
  switch (origin.kind) {
    case "default":
      return "default";
    case "file":
      return `${origin.path}:${origin.line}`;
    case "environment":
      return `environment ${origin.variable}`;
    case "flag":
      return `command line --${origin.flag}`;
  }
}

/** One line: where, what, which value, and what would be right. */
export function problemText(problem: Problem): string {
  const where = problem.origin === undefined ? "" : `${originText(problem.origin)}: `;
  const value = problem.value === undefined ? "" : ` = "${problem.value}"`;
  const what = problem.option === undefined ? "" : `${problem.option}${value}: `;
  return `${where}${what}${problem.message}`;
}
