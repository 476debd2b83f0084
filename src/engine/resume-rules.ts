/** When an answer goes on with what is held, and how long a body may be. */
import type { Expectation } from "../archive/types.ts";
import { limits } from "../base/limits.ts";
import { parseContentRange } from "./conditional.ts";
import type { MirrorResponse } from "./ports.ts";

/**
 * Whether a 206 with these headers is the rest of what is held. `marks`: headers of the beginning
 * where only the mirror can say that both are of one file.
 */
export function continues(
  headers: Readonly<Record<string, string>>,
  beginning: {
    readonly held: number;
    readonly size: number | undefined;
    readonly marks: Readonly<Record<string, string>> | undefined;
  },
): boolean {
  const { held, size, marks } = beginning;
  const range = parseContentRange(headers["content-range"]);
  const sameSize = size === undefined || (range?.total ?? size) === size;
  if (marks !== undefined) {
    if (headers["etag"] !== marks["etag"]) return false;
    if (headers["last-modified"] !== marks["last-modified"]) return false;
  }
  return range?.start === held && sameSize && headers["content-encoding"] === undefined;
}

/**
 * Headers that ask for what follows `held` bytes, all or so many of it; undefined: that is the whole
 * file. `marks` as for `continues`.
 */
export function partOf(
  held: number,
  wantedBytes: number | undefined,
  marks: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> | undefined {
  if (held === 0 && wantedBytes === undefined) return undefined;
  const end = wantedBytes === undefined ? "" : held + wantedBytes - 1;
  return { range: `bytes=${held}-${end}`, ...(held > 0 && marks && ifRangeOf(marks)) };
}

/** Without a digest only the mirror itself can say that the rest belongs to the beginning. */
export function ifRangeOf(
  beginning: Readonly<Record<string, string>>,
): { readonly "if-range": string } | undefined {
  const { etag, "last-modified": date } = beginning;
  const validator = etag !== undefined && !etag.startsWith("W/") ? etag : date;
  return validator === undefined ? undefined : { "if-range": validator };
}

/** Where an answer ends that was asked for so many bytes alone; undefined: with the file. */
export function partEnd(
  { status, headers }: Pick<MirrorResponse, "status" | "headers">,
  wantedBytes: number | undefined,
): number | undefined {
  if (wantedBytes === undefined || status !== 206) return undefined;
  return parseContentRange(headers["content-range"])?.end;
}

/** Of a body whose length nobody told. */
export function mostBytes(accepted: readonly Expectation[], provable: boolean): number {
  if (!provable) return Infinity;
  return Math.max(...accepted.map(({ sizeBytes }) => sizeBytes ?? Infinity)) + limits.excessBytes;
}

/** The size that all of them have; undefined: they differ, or it is not known. */
export function commonSize(accepted: readonly Expectation[]): number | undefined {
  const sizes = new Set(accepted.map(({ sizeBytes }) => sizeBytes));
  return sizes.size === 1 ? accepted[0]?.sizeBytes : undefined;
}

/** Ends an answer whose body nobody wants: unread, it would keep its connection. */
export function discard({ body }: { readonly body: AsyncIterable<Buffer> }): void {
  body[Symbol.asyncIterator]()
    .return?.()
    .catch(() => undefined);
}

/** Asked anew each time: an await may lie between. */
export function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
