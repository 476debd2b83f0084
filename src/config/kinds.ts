/**
 * The kinds of value that an option can have: how each is written, and what it becomes.
 *
 * Every kind is total: any text gives a value or a reason. `accepted` is the one sentence that
 * messages, the sample file and the manual page show, so the three cannot disagree.
 */
import { limits } from "../base/limits.ts";
import { day, GiB, hour, KiB, MiB, minute, second } from "../base/units.ts";

export type Parsed<V> =
  | { readonly value: V }
  /** `hint` is what to write instead, where that can be told from the text. */
  | { readonly value?: never; readonly hint?: string };

/** What the property's name in `Config` ends in: the unit of its value. */
export type UnitSuffix = "" | "Ms" | "Bytes";

export interface Kind<V, S extends UnitSuffix = UnitSuffix> {
  readonly parse: (text: string) => Parsed<V>;
  /** Completes "expected …". */
  readonly accepted: string;
  /** Stands for the value in a synopsis, e.g. `PORT`. */
  readonly placeholder: string;
  readonly suffix: S;
}

export function integer(min: number, max: number): Kind<number, ""> {
  return {
    parse: (text) => {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
      return value >= min && value <= max ? { value } : {};
    },
    accepted: `a whole number from ${min} to ${max}`,
    placeholder: "NUMBER",
    suffix: "",
  };
}

const words: Readonly<Record<string, boolean>> = {
  ...{ yes: true, true: true, on: true, "1": true },
  ...{ no: false, false: false, off: false, "0": false },
};

export const boolean: Kind<boolean, ""> = {
  parse: (text) => {
    const value = Object.hasOwn(words, text.toLowerCase()) ? words[text.toLowerCase()] : undefined;
    return value === undefined ? {} : { value };
  },
  accepted: "yes or no (also true, false, on, off, 1, 0)",
  placeholder: "yes|no",
  suffix: "",
};

export function oneOf<const W extends string>(choices: readonly W[]): Kind<W, ""> {
  return {
    parse: (text) => {
      const value = choices.find((choice) => choice === text.toLowerCase());
      return value === undefined ? {} : { value };
    },
    accepted: `one of ${choices.join(", ")}`,
    placeholder: choices.join("|"),
    suffix: "",
  };
}

const timeUnits: Readonly<Record<string, number>> = {
  ms: 1,
  s: second,
  m: minute,
  h: hour,
  d: day,
};

/** A time as a number with a unit → milliseconds. A bare number is refused: of what unit? */
export function duration(min: string, max: string): Kind<number, "Ms"> {
  const [least, most] = [milliseconds(min), milliseconds(max)];
  return {
    parse: (text) => {
      const value = milliseconds(text);
      if (value >= least && value <= most) return { value };
      return /^\d+$/.test(text) ? { hint: `with a unit, such as ${text}s` } : {};
    },
    accepted: `a time from ${min} to ${max}, with a unit (ms, s, m, h, d), such as 90s or 2.5h`,
    placeholder: "TIME",
    suffix: "Ms",
  };
}

function milliseconds(text: string): number {
  const match = /^(\d{1,12}(?:\.\d{1,6})?) ?(ms|s|m|h|d)$/.exec(text.toLowerCase());
  return match === null ? NaN : Math.round(Number(match[1]) * (timeUnits[match[2] ?? ""] ?? NaN));
}

const TiB = 1024 * GiB;
/** kB to TB are decimal, KiB to TiB and the bare letters binary, as in systemd and coreutils. */
const sizeUnits: Readonly<Record<string, number>> = {
  ...{ b: 1, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 },
  ...{ kib: KiB, mib: MiB, gib: GiB, tib: TiB },
  ...{ k: KiB, m: MiB, g: GiB, t: TiB },
};

/** A number of bytes, with a unit unless it is 0. */
export const size: Kind<number, "Bytes"> = {
  parse: (text) => {
    if (text === "0") return { value: 0 };
    const match = /^(\d{1,15}(?:\.\d{1,6})?) ?([a-z]{1,3})$/.exec(text.toLowerCase());
    const value = Math.round(Number(match?.[1]) * (sizeUnits[match?.[2] ?? ""] ?? NaN));
    if (Number.isSafeInteger(value)) return { value };
    return /^\d+$/.test(text) ? { hint: `with a unit, such as ${text}MB` } : {};
  },
  accepted: "a size with a unit (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB), such as 10GB, or 0",
  placeholder: "SIZE",
  suffix: "Bytes",
};

/** A part of the day by the machine's clock; it may go over midnight. */
export interface Hours {
  /** Minutes since midnight: 0 to 1439. */
  readonly fromMinute: number;
  /** Exclusive, 0 to 1440; before `fromMinute`: on the next day. */
  readonly untilMinute: number;
}

/** `HH:MM-HH:MM`; 24:00 is the end of the day. */
export const hours: Kind<Hours, ""> = {
  parse: (text) => {
    const match = /^(\d{1,2}):([0-5]\d) ?- ?(\d{1,2}):([0-5]\d)$/.exec(text);
    if (match === null) return /^\d{1,2} ?- ?\d{1,2}$/.test(text) ? { hint: "with minutes" } : {};
    const [fromHour = 0, from = 0, untilHour = 0, until = 0] = match.slice(1).map(Number);
    const fromMinute = fromHour * 60 + from;
    const untilMinute = untilHour * 60 + until;
    if (fromMinute >= dayMinutes || untilMinute > dayMinutes) return {};
    return fromMinute === untilMinute ? {} : { value: { fromMinute, untilMinute } };
  },
  accepted: "hours of the day as HH:MM-HH:MM, such as 22:00-06:30",
  placeholder: "HH:MM-HH:MM",
  suffix: "",
};

const dayMinutes = 24 * 60;

/** One fixed word beside the values of another kind. */
export function orWord<V, S extends UnitSuffix, const W extends string>(
  word: W,
  kind: Kind<V, S>,
): Kind<V | W, S> {
  return {
    parse: (text) => (text.toLowerCase() === word ? { value: word } : kind.parse(text)),
    accepted: `${word}, or ${kind.accepted}`,
    placeholder: `${word}|${kind.placeholder}`,
    suffix: kind.suffix,
  };
}

// A control character in a path is never meant, and would forge lines in logs.
// eslint-disable-next-line no-control-regex
const controlCharacter = /[\u0000-\u001f\u007f]/;

/** An absolute path, normalized: no empty and no `.` segments, no slash at its end. */
export const path: Kind<string, ""> = {
  parse: (text) => {
    if (!text.startsWith("/") || controlCharacter.test(text)) {
      return /^["'].*["']$/.test(text) ? { hint: "without quotes" } : {};
    }
    const segments = text.split("/").filter((segment) => segment !== "" && segment !== ".");
    return segments.includes("..") ? {} : { value: `/${segments.join("/")}` };
  },
  accepted: "an absolute path without .. in it",
  placeholder: "PATH",
  suffix: "",
};

/** Values of another kind, separated by commas; nothing at all is the empty list. */
export function list<V>(kind: Kind<V, "">): Kind<readonly V[], ""> {
  return {
    parse: (text) => {
      const items = text.split(",").map((item) => item.trim());
      if (items.length === 1 && items[0] === "") return { value: [] };
      if (items.length > limits.configListItems) {
        return { hint: `at most ${limits.configListItems} of them` };
      }
      const value: V[] = [];
      for (const item of items) {
        const parsed = kind.parse(item);
        if (!("value" in parsed)) {
          const instead = parsed.hint === undefined ? "" : `: ${parsed.hint}`;
          return { hint: item === "" ? "there is an empty item" : `not "${item}"${instead}` };
        }
        value.push(parsed.value);
      }
      return { value };
    },
    accepted: `a list, separated by commas, each item ${kind.accepted}`,
    placeholder: `${kind.placeholder},…`,
    suffix: "",
  };
}
