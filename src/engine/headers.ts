/** The few headers that an answer carries, and those that go through to the mirror and back. */
import type { Sha256 } from "../base/sha256.ts";
import type { StoredFile } from "../cache/types.ts";
import type { Answer } from "./types.ts";
import { BufferBody } from "./body.ts";
import type { Validators } from "./conditional.ts";

type Headers = Readonly<Record<string, string>>;

/** What a mirror may want to know of the client. */
const ASKED = [
  "user-agent",
  "accept",
  "accept-encoding",
  "authorization",
  "cache-control",
  "pragma",
];
export const CONDITIONS = ["if-modified-since", "if-none-match", "if-unmodified-since", "if-match"];
const PARTIAL = ["range", "if-range"];

/** End-to-end headers of an unproven answer (RFC 9110); length and framing are made anew. */
const ANSWERED = [
  ...["content-type", "content-encoding", "content-language", "content-disposition"],
  ...["last-modified", "etag", "date", "age", "expires", "cache-control", "vary"],
  ...["retry-after", "www-authenticate", "accept-ranges", "allow"],
];

export function askedHeaders(
  from: Readonly<Record<string, string | undefined>>,
  kinds: { readonly conditions: boolean; readonly partial: boolean },
): Record<string, string> {
  const names = [
    ...ASKED,
    ...(kinds.conditions ? CONDITIONS : []),
    ...(kinds.partial ? PARTIAL : []),
  ];
  return pick(from, names);
}

export function answeredHeaders(from: Headers): Record<string, string> {
  return pick(from, ANSWERED);
}

function pick(
  from: Readonly<Record<string, string | undefined>>,
  names: readonly string[],
): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const name of names) {
    const value = from[name];
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}

/**
 * Validators of proven content. Where the mirror gives no date, one is made from the digest: apt
 * resumes only with a date, and the same content must always show the same one.
 */
export function provenValidators(
  sha256: Sha256,
  lastModified: string | undefined,
): Validators & { lastModified: string } {
  return {
    etag: `"${sha256}"`,
    lastModified: lastModified ?? digestDate(sha256),
    madeUp: lastModified === undefined,
  };
}

/** A second between 2000 and 2017, fixed by the digest. */
function digestDate(sha256: Sha256): string {
  const seconds = 946_684_800 + (Number.parseInt(sha256.slice(0, 8), 16) >>> 3);
  return new Date(seconds * 1000).toUTCString();
}

export function contentType(name: string, known: string | undefined): string {
  if (known !== undefined) return known;
  return name.endsWith(".deb")
    ? "application/vnd.debian.binary-package"
    : "application/octet-stream";
}

export function storedType(file: StoredFile): string {
  return contentType(file.names[0] ?? "", file.contentType);
}

/**
 * A short answer of our own. Always with a body, since apt retries 5xx only if there is one, and with
 * the text as reason phrase, since that is what apt shows.
 */
export function textAnswer(status: number, text: string): Answer {
  const bytes = Buffer.from(`${text}\n`);
  return {
    status,
    reason: text.replace(/[^\x20-\x7e]/g, "?").slice(0, 200),
    headers: { "content-type": "text/plain; charset=utf-8", "content-length": `${bytes.length}` },
    body: new BufferBody(bytes),
    origin: "none",
    known: false,
  };
}
