/**
 * ed scripts as `diff --ed` writes them and archives publish them as patches of indexes.
 *
 * Commands: `Na`, `N[,M]c`, `N[,M]d`, each address below the one before (the script works from the
 * end of the file to its start, so that addresses stay those of the old file). Text ends with a line
 * that is a lone dot. A text line that is itself a lone dot is written `..`, followed by the end of
 * the text, `s/.//` (remove the first character of the line just added) and, if more text follows,
 * a bare `a`.
 */
import { AptP2pError } from "../base/errors.ts";

export interface Edit {
  /** Lines of the old file before the edit. */
  readonly at: number;
  /** Lines of the old file that are dropped from there. */
  readonly deleted: number;
  /** What comes in their place: whole lines, each with its LF. */
  readonly inserted: readonly Buffer[];
}

/** The edits in the order of the file. Throws AptP2pError FORMAT for any other script. */
export function parseEdScript(script: Buffer): readonly Edit[] {
  const reader = new ScriptReader(script);
  const edits: Edit[] = [];
  let belowLine = Infinity;
  for (let command = reader.next(); command !== undefined; command = reader.next()) {
    const edit = parseEdit(command, reader);
    if (edit.at + edit.deleted > belowLine)
      throw malformed("its commands are not from end to start");
    belowLine = edit.at;
    edits.push(edit);
  }
  return edits.reverse();
}

interface Line {
  readonly start: number;
  /** Behind the LF. */
  readonly end: number;
}

class ScriptReader {
  readonly bytes: Buffer;
  #position = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  /** The next line, which must end with LF; undefined at the end of the script. */
  next(): Line | undefined {
    const start = this.#position;
    if (start >= this.bytes.length) return undefined;
    const end = this.bytes.indexOf(10, start) + 1;
    if (end === 0) throw malformed("its last line has no end");
    this.#position = end;
    return { start, end };
  }

  /** Consumes the next line if it is `text`. */
  accept(text: string): boolean {
    const start = this.#position;
    const end = start + text.length + 1;
    if (this.bytes.toString("latin1", start, end) !== `${text}\n`) return false;
    this.#position = end;
    return true;
  }
}

function parseEdit(command: Line, reader: ScriptReader): Edit {
  if (command.end - command.start > 64) throw malformed("a command is too long");
  const text = reader.bytes.toString("latin1", command.start, command.end - 1);
  const match = /^(\d{1,10})(?:,(\d{1,10}))?([acd])$/.exec(text);
  if (match === null) throw malformed(`"${text.slice(0, 32)}" is no command`);
  const from = Number(match[1]);
  const to = match[2] === undefined ? from : Number(match[2]);
  if (match[3] === "a") {
    if (match[2] !== undefined) throw malformed(`"${text}" has two addresses`);
    return { at: from, deleted: 0, inserted: parseText(reader) };
  }
  if (from < 1 || to < from) throw malformed(`"${text}" addresses no lines`);
  const inserted = match[3] === "c" ? parseText(reader) : [];
  return { at: from - 1, deleted: to - from + 1, inserted };
}

/** Text up to its end, and what a lone dot in it needs after that. */
function parseText(reader: ScriptReader): readonly Buffer[] {
  const parts: Buffer[] = [];
  do {
    const lines = textBlock(reader);
    if (!reader.accept("s/.//")) {
      if (lines.end > lines.start) parts.push(reader.bytes.subarray(lines.start, lines.end));
      return parts;
    }
    if (lines.last - lines.start > 0) parts.push(reader.bytes.subarray(lines.start, lines.last));
    if (lines.end - lines.last < 2) throw malformed("s/.// stands behind no text");
    parts.push(reader.bytes.subarray(lines.last + 1, lines.end));
  } while (reader.accept("a"));
  return parts;
}

/** Lines up to the lone dot: `[start, end)`, the last of them from `last` on. */
function textBlock(reader: ScriptReader): { start: number; last: number; end: number } {
  let start = -1;
  let last = -1;
  for (let line = reader.next(); line !== undefined; line = reader.next()) {
    if (start < 0) start = line.start;
    if (line.end - line.start === 2 && reader.bytes[line.start] === 0x2e) {
      return { start, last: last < 0 ? line.start : last, end: line.start };
    }
    last = line.start;
  }
  throw malformed("a text has no end");
}

function malformed(what: string): AptP2pError {
  return new AptP2pError("FORMAT", `not an ed script of diff --ed: ${what}`);
}
