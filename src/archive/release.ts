/**
 * Release files (https://wiki.debian.org/DebianRepository/Format): what an archive says about its
 * indexes. MD5 and SHA-1 sections are not read; SHA-512 only gives by-hash names a SHA-256.
 */
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Sha256 } from "../base/sha256.ts";
import { allLines, oneLine, parseParagraphs, parseYesNo, type Paragraph } from "./deb822.ts";
import { parseListedFile, parseListedLine } from "./listed-line.ts";
import { detached, relativeName } from "./names.ts";

export interface ReleaseFile {
  /** Relative to the directory of the Release. */
  readonly path: string;
  readonly sha256: Sha256;
  /** undefined: the list does not tell (SHA256SUMS). */
  readonly sizeBytes: number | undefined;
  /** 128 lower-case hexadecimal digits, where the Release has them. */
  readonly sha512: string | undefined;
}

export interface ReleaseFacts {
  readonly suite: string | undefined;
  readonly codename: string | undefined;
  /** Milliseconds since 1970 UTC. */
  readonly dateMs: number | undefined;
  readonly validUntilMs: number | undefined;
  readonly acquireByHash: boolean;
  readonly files: readonly ReleaseFile[];
  /** Entries that are malformed or name something outside. */
  readonly refusedEntries: number;
}

/** Throws AptP2pError FORMAT if the text is too large or lists no file with its SHA-256. */
export function parseRelease(text: string): ReleaseFacts {
  if (text.length > limits.releaseBytes) {
    throw new AptP2pError("FORMAT", `the Release has more than ${limits.releaseBytes} bytes`);
  }
  const fields = parseParagraphs(text)[0] ?? new Map<string, string[]>();
  const { files, refusedEntries } = listedFiles(fields);
  if (files.length === 0) throw new AptP2pError("FORMAT", "the Release lists no SHA-256");
  return {
    suite: oneLine(fields, "Suite"),
    codename: oneLine(fields, "Codename"),
    dateMs: parseDate(oneLine(fields, "Date")),
    validUntilMs: parseDate(oneLine(fields, "Valid-Until")),
    acquireByHash: parseYesNo(oneLine(fields, "Acquire-By-Hash")) ?? false,
    files,
    refusedEntries,
  };
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** `Sat, 11 Jul 2026 10:16:00 UTC` (RFC 2822 in UTC, as apt demands) → milliseconds. */
export function parseDate(text: string | undefined): number | undefined {
  const match =
    /^(?:[A-Z][a-z]{2}, +)?(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2})(?::(\d{2}))? (?:UTC|GMT|Z|[+-]0000)$/.exec(
      text ?? "",
    );
  if (match === null) return undefined;
  const month = MONTHS.indexOf(match[2] ?? "");
  if (month < 0) return undefined;
  const [, day, , year, hour, minute, second] = match.map(Number);
  return Date.UTC(year ?? 0, month, day, hour, minute, Number.isNaN(second) ? 0 : second);
}

function listedFiles(fields: Paragraph): { files: ReleaseFile[]; refusedEntries: number } {
  const sha512 = sha512ByPath(fields);
  const files = new Map<string, ReleaseFile>();
  let refusedEntries = 0;
  for (const line of allLines(fields, "SHA256")) {
    const entry = parseListedFile(line);
    const path = entry === undefined ? undefined : relativeName(entry.name);
    if (entry === undefined || path === undefined) refusedEntries++;
    else if (!files.has(path)) {
      const { sizeBytes } = entry;
      const sha256 = detached(entry.sha256);
      files.set(path, { path: detached(path), sha256, sizeBytes, sha512: sha512.get(path) });
    }
  }
  return { files: [...files.values()], refusedEntries };
}

function sha512ByPath(fields: Paragraph): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of allLines(fields, "SHA512")) {
    const entry = parseListedLine(line);
    const path = entry === undefined ? undefined : relativeName(entry.name);
    const hex = entry?.hex.toLowerCase() ?? "";
    if (path !== undefined && /^[0-9a-f]{128}$/.test(hex)) found.set(path, detached(hex));
  }
  return found;
}
