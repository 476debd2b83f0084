/**
 * Applies an ed script to a stream of lines, so that a 60 MB index is patched in the memory of one
 * chunk and the script. As with ed, the result ends with LF if it has any line.
 */
import { AptP2pError } from "../base/errors.ts";
import type { Edit } from "./ed-script.ts";

const LF = 10;

/**
 * `base` with `edits` (in the order of the file, as parseEdScript gives them) applied. Rejects with
 * AptP2pError FORMAT when an edit addresses lines that the base does not have.
 */
export async function* applyEdits(
  base: AsyncIterable<Buffer>,
  edits: readonly Edit[],
): AsyncGenerator<Buffer, void> {
  const applier = new Applier(edits);
  for await (const chunk of base) yield* applier.push(chunk);
  yield* applier.end();
}

class Applier {
  readonly #edits: readonly Edit[];
  #next = 0;
  /** Whole lines of the base that have gone by. */
  #line = 0;
  /** The last byte that went by; LF before the first line. */
  #lastByte = LF;

  constructor(edits: readonly Edit[]) {
    this.#edits = edits;
  }

  *push(chunk: Buffer): Generator<Buffer, void> {
    let position = 0;
    while (position < chunk.length) {
      yield* this.#insertDue();
      const edit = this.#edits[this.#next];
      const dropping = edit !== undefined && this.#line >= edit.at;
      const until = edit === undefined ? Infinity : dropping ? edit.at + edit.deleted : edit.at;
      const end = this.#skipLines(chunk, position, until);
      if (!dropping) yield chunk.subarray(position, end);
      this.#lastByte = chunk[end - 1] ?? LF;
      position = end;
    }
  }

  *end(): Generator<Buffer, void> {
    if (this.#lastByte !== LF) {
      const edit = this.#edits[this.#next];
      if (edit === undefined || this.#line < edit.at) yield Buffer.from("\n");
      this.#line++;
    }
    yield* this.#insertDue();
    if (this.#next < this.#edits.length) {
      throw new AptP2pError("FORMAT", "the patch addresses lines that the index does not have");
    }
  }

  /** Hands out the text of every edit whose dropped lines have all gone by. */
  *#insertDue(): Generator<Buffer, void> {
    for (;;) {
      const edit = this.#edits[this.#next];
      if (edit === undefined || this.#line < edit.at + edit.deleted) return;
      yield* edit.inserted;
      this.#next++;
    }
  }

  /** Where line number `until` begins, or the end of the chunk; counts the lines on the way. */
  #skipLines(chunk: Buffer, from: number, until: number): number {
    if (until === Infinity) return chunk.length;
    let position = from;
    while (this.#line < until) {
      const end = chunk.indexOf(LF, position);
      if (end < 0) return chunk.length;
      this.#line++;
      position = end + 1;
    }
    return position;
  }
}
