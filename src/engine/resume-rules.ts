/** When an answer goes on with what is held, and how long a body may be. */
import type { Expectation } from "../archive/types.ts";
import { limits } from "../base/limits.ts";
import { parseContentRange } from "./conditional.ts";

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
