/**
 * Reading JSON whose exact shape belongs to somebody else: what is missing or of another type reads
 * as nothing, so that a command of one version can show what a daemon of another one says.
 */

/** The object's fields; none if it is no object. */
export function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : {};
}

export function items(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function number(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

/** A text; "" is nothing. */
export function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

export function texts(value: unknown): readonly string[] {
  return items(value).flatMap((item) => text(item) ?? []);
}

/** Milliseconds since 1970, from such a number or from a date as text; what no date holds is nothing. */
export function time(value: unknown): number | undefined {
  const at = number(value) ?? Date.parse(text(value) ?? "");
  return Math.abs(at) <= 8.64e15 ? at : undefined;
}
