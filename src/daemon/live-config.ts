/**
 * The configuration of the running daemon. SIGHUP gives new values to options that are marked
 * reloadable in the table; the others stay as they were at the start, and are named in the log.
 */
import { errorText } from "../base/errors.ts";
import type { Log } from "../base/ports.ts";
import { optionRows, type Config, type OptionRow } from "../config/options.ts";
import type { ConfigResult } from "../config/parse.ts";
import { optionName, problemText } from "../config/problems.ts";

/** Options that only other programs read, when they need them. */
const readElsewhere = "apt";

export class LiveConfig {
  #now: Config;
  readonly #listeners: (() => unknown)[] = [];

  constructor(config: Config) {
    this.#now = config;
  }

  /** What counts at this moment: to be read at each use. */
  get now(): Config {
    return this.#now;
  }

  /** `listener` is called after a reload that changed something. */
  onChange(listener: () => unknown): void {
    this.#listeners.push(listener);
  }

  /** Takes over what was read anew. With a problem in it nothing changes. */
  reload(read: ConfigResult, log: Log): void {
    if (read.problems !== undefined) {
      for (const problem of read.problems) {
        log.error("reload.problem", { problem: problemText(problem) });
      }
      log.error("reload.refused", {
        problems: read.problems.length,
        kept: "the old configuration",
      });
      return;
    }
    for (const warning of read.warnings) {
      log.warn("reload.warning", { warning: problemText(warning) });
    }
    const changed = optionRows.filter((row) => differs(row, this.#now, read.config));
    const counts = ({ option, section }: OptionRow): boolean =>
      option.reloadable === true || section === readElsewhere;
    const taken = changed.filter(counts);
    const late = changed.filter((row) => !counts(row));
    this.#now = merged(this.#now, read.config, taken);
    const names = (rows: readonly OptionRow[]): string => rows.map(optionName).join(", ");
    log.info("reloaded", { changed: taken.length === 0 ? "nothing" : names(taken) });
    if (late.length > 0) log.warn("reload.needs-restart", { options: names(late) });
    if (taken.length > 0) this.#tell(log);
  }

  #tell(log: Log): void {
    for (const listener of this.#listeners) {
      try {
        listener();
      } catch (thrown) {
        log.error("reload.failed", { error: errorText(thrown) });
      }
    }
  }
}

type Values = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

function valueOf(config: Config, { section, property }: OptionRow): unknown {
  return (config as Values)[section]?.[property];
}

/** Values are words, numbers, and lists and records of such. */
function differs(row: OptionRow, a: Config, b: Config): boolean {
  return JSON.stringify(valueOf(a, row)) !== JSON.stringify(valueOf(b, row));
}

function merged(running: Config, wanted: Config, rows: readonly OptionRow[]): Config {
  const sections = Object.entries(running as Values).map(([section, values]) => {
    const taken = rows
      .filter((row) => row.section === section)
      .map((row) => [row.property, valueOf(wanted, row)] as const);
    return [section, Object.freeze({ ...values, ...Object.fromEntries(taken) })] as const;
  });
  return Object.freeze(Object.fromEntries(sections)) as unknown as Config;
}
