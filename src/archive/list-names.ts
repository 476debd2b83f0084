/**
 * Names of files in apt's lists directory (/var/lib/apt/lists) ↔ names of files in archives.
 *
 * apt (URItoFileName) drops scheme and user from the URL, escapes special characters, among them
 * `_` and `%`, as `%xx`, and writes `/` as `_`.
 */
import { splitPrefixPath, toFileName } from "./names.ts";
import type { FileName } from "./types.ts";

/**
 * The archive's name of a file in the lists directory; undefined if it is none. What came through
 * this daemon in prefix form (`localhost:9977_host_…`, `localhost:9977_HTTPS___host_…`) is named
 * after the host behind; `ownAuthorities` are the forms `host:port` under which we are addressed.
 */
export function fromListName(
  listName: string,
  ownAuthorities: readonly string[],
): FileName | undefined {
  const location = unescape(listName.replaceAll("_", "/"));
  const slash = location?.indexOf("/") ?? -1;
  if (location === undefined || slash < 1) return undefined;
  return behindOwnPrefix(location.slice(0, slash), location.slice(slash), ownAuthorities);
}

/** The file of apt's lists directory for a name, as far as a name tells (not the asked port 443). */
export function toListName(name: FileName): string {
  return escape(escape(name, UNSAFE_IN_URL), UNSAFE_IN_FILE).replaceAll("/", "_");
}

function behindOwnPrefix(
  authority: string,
  path: string,
  ownAuthorities: readonly string[],
): FileName | undefined {
  if (!ownAuthorities.includes(authority.toLowerCase())) {
    return toFileName(authority, path, authority.endsWith(":443") ? "https" : "http");
  }
  const behind = splitPrefixPath(path);
  if (behind === undefined) return undefined;
  return toFileName(behind.authority, behind.path, behind.scheme);
}

/** What apt escapes in the path of a URL that it builds. */
const UNSAFE_IN_URL = /[^A-Za-z0-9._/:;,()'*-]/gu;
/** What apt escapes further in a file name; `%` is among it, so escapes are escaped again. */
const UNSAFE_IN_FILE = /[\\|{}[\]<>"^~_=!@#$%&*]/g;

function escape(text: string, unsafe: RegExp): string {
  return text.replace(unsafe, (character) =>
    [...Buffer.from(character)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join(""),
  );
}

/** One level of `%xx`; undefined if an escape is bad. */
function unescape(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
