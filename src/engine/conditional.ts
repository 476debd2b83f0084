/**
 * Ranges and preconditions of HTTP (RFC 9110 sections 13 and 14), as far as a server of unchanging
 * files needs them: one byte range, If-Range, If-None-Match, If-Modified-Since.
 *
 * Departure: a date that we made up matches only if it is the very same. "Not later" would call an old
 * copy current when the mirror gives no Last-Modified and apt sends the time of its own download.
 */

export interface Validators {
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
  /** The date is not the mirror's: nothing can be told from a later one. */
  readonly madeUp: boolean;
}

export type Selection =
  | { readonly kind: "whole" }
  /** Bytes [start, end). */
  | { readonly kind: "part"; readonly start: number; readonly end: number }
  | { readonly kind: "not-modified" }
  | { readonly kind: "unsatisfiable" };

type Headers = Readonly<Record<string, string | undefined>>;

/** What a client with these request headers must get of a file of `sizeBytes`. */
export function select(headers: Headers, validators: Validators, sizeBytes: number): Selection {
  if (notModified(headers, validators)) return { kind: "not-modified" };
  const range = headers["range"];
  if (range === undefined || !rangeStillCounts(headers["if-range"], validators)) {
    return { kind: "whole" };
  }
  return parseRange(range, sizeBytes);
}

function notModified(headers: Headers, validators: Validators): boolean {
  const { etag, lastModified, madeUp } = validators;
  const noneMatch = headers["if-none-match"];
  if (noneMatch !== undefined) {
    if (noneMatch.trim() === "*") return true;
    const listed = noneMatch.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
    return etag !== undefined && listed.includes(etag);
  }
  const since = headers["if-modified-since"];
  if (since === undefined || lastModified === undefined) return false;
  return since === lastModified || (!madeUp && Date.parse(since) >= Date.parse(lastModified));
}

function rangeStillCounts(ifRange: string | undefined, validators: Validators): boolean {
  return (
    ifRange === undefined || ifRange === validators.etag || ifRange === validators.lastModified
  );
}

/** The first byte that a Range header asks for, if it is of the form `bytes=N-…`. */
export function rangeStart(range: string | undefined): number | undefined {
  const match = /^bytes=(\d{1,15})-/.exec(range ?? "");
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

/** One range; anything else (several, another unit, nonsense) may be ignored, and is. */
function parseRange(range: string, sizeBytes: number): Selection {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(range.trim());
  if (match === null) return { kind: "whole" };
  const [first = "", last = ""] = match.slice(1);
  if (first === "") {
    if (last === "") return { kind: "whole" };
    if (Number(last) === 0) return { kind: "unsatisfiable" };
    return { kind: "part", start: Math.max(0, sizeBytes - Number(last)), end: sizeBytes };
  }
  const start = Number(first);
  if (last !== "" && Number(last) < start) return { kind: "whole" };
  if (start >= sizeBytes) return { kind: "unsatisfiable" };
  return {
    kind: "part",
    start,
    end: last === "" ? sizeBytes : Math.min(Number(last) + 1, sizeBytes),
  };
}

/** `bytes 5-9/10` → {start: 5, end: 10, total: 10}; undefined if it is not of that form. */
export function parseContentRange(
  text: string | undefined,
): { start: number; end: number; total: number | undefined } | undefined {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(text ?? "");
  if (match === null) return undefined;
  const [first = "", last = "", total = ""] = match.slice(1);
  if (Number(last) < Number(first)) return undefined;
  return {
    start: Number(first),
    end: Number(last) + 1,
    total: total === "*" ? undefined : Number(total),
  };
}
