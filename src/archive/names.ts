/**
 * Names of files in archives: how a URL becomes a `FileName`, and what a list may call a file.
 *
 * Rules: one file has one name (case of the host, default ports, escapes, doubled slashes and `.`
 * segments do not matter); whatever could mean another file than it says (`..`, an escaped slash,
 * control characters, a query) has no name, so nothing is ever known about it.
 */
import { limits } from "../base/limits.ts";
import type { FileName } from "./types.ts";

export type Scheme = "http" | "https";

export interface Location {
  readonly scheme: Scheme;
  /** As written: perhaps with user information and port. */
  readonly authority: string;
  /** As written, still percent-encoded; starts with a slash, may have a query. */
  readonly path: string;
}

/**
 * The name of `scheme://authority rawPath`, or undefined where there is none: a query or fragment, a
 * directory, `..`, bad escapes or UTF-8, control characters, no valid host.
 */
export function toFileName(
  authority: string,
  rawPath: string,
  scheme: Scheme,
): FileName | undefined {
  const host = hostName(authority, scheme);
  const path = decodePath(rawPath);
  if (host === undefined || path === undefined) return undefined;
  const relative = relativeName(path.replace(/^\/+/, ""));
  return relative === undefined ? undefined : (`${host}/${relative}` as FileName);
}

/**
 * The archive root that a source names, as the start of FileNames: `host` or `host/dir`, without a
 * slash at the end; undefined as for `toFileName`.
 */
export function toRootName(authority: string, rawPath: string, scheme: Scheme): string | undefined {
  const whole = toFileName(authority, `${rawPath}/x`, scheme);
  return whole?.slice(0, -"/x".length);
}

/**
 * What a list calls a file, relative to its base, in one spelling (`./a//b` → `a/b`); undefined for
 * what may lie elsewhere or is no file: absolute, `..`, control characters, a directory, too long.
 */
export function relativeName(listed: string): string | undefined {
  if (listed.length > limits.nameBytes || listed.startsWith("/")) return undefined;
  // eslint-disable-next-line no-control-regex -- control characters are what is refused
  if (/[\u0000-\u001f\u007f]/.test(listed)) return undefined;
  const parts = listed.split("/");
  const last = parts[parts.length - 1];
  if (last === "" || last === "." || parts.includes("..")) return undefined;
  return parts.filter((part) => part !== "" && part !== ".").join("/");
}

/**
 * The location behind the path of a prefix-form URL: `/host/path` is http, `/HTTPS///host/path` is
 * https. Undefined where no host follows.
 */
export function splitPrefixPath(rawPath: string): Location | undefined {
  const https = /^\/HTTPS\/\/\/([^/?#]+)(\/.*)?$/s.exec(rawPath);
  const match = https ?? /^\/+([^/?#]+)(\/.*)?$/s.exec(rawPath);
  const authority = match?.[1];
  if (authority === undefined || authority === "HTTPS") return undefined;
  return { scheme: https === null ? "http" : "https", authority, path: match?.[2] ?? "/" };
}

/** The host of a name, with its port where it has one. */
export function hostOf(name: string): string {
  const slash = name.indexOf("/");
  return slash < 0 ? name : name.slice(0, slash);
}

/** The name without its last segment (and without the slash before that); of a bare host, itself. */
export function directoryOf(name: string): string {
  const slash = name.lastIndexOf("/");
  return slash < 0 ? name : name.slice(0, slash);
}

/** The last segment. */
export function lastSegment(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}

/**
 * The same text in memory of its own: a piece cut out of a document keeps the whole document alive
 * as long as it is remembered.
 */
export function detached<T extends string>(text: T): T {
  return Buffer.from(text).toString() as T;
}

const DEFAULT_PORTS = { http: 80, https: 443 };

/** Lower-case host, without user information, with the port only where it is not the scheme's. */
function hostName(authority: string, scheme: Scheme): string | undefined {
  const place = authority.slice(authority.lastIndexOf("@") + 1).toLowerCase();
  const match =
    /^([a-z0-9_](?:[a-z0-9._-]{0,253}[a-z0-9_])?\.?|\[[0-9a-f:.]{2,45}\])(?::(\d{0,5}))?$/.exec(
      place,
    );
  const host = match?.[1];
  if (host === undefined) return undefined;
  const absolute = host.endsWith(".") ? host.slice(0, -1) : host;
  const portText = match?.[2];
  if (portText === undefined || portText === "") return absolute;
  const port = Number(portText);
  if (port < 1 || port > 65535) return undefined;
  return port === DEFAULT_PORTS[scheme] ? absolute : `${absolute}:${port}`;
}

/** The path without escapes; undefined if an escape is bad, or hides a slash. */
function decodePath(rawPath: string): string | undefined {
  if (!/^\/[\x21-\x7e]*$/.test(rawPath) || /[?#]/.test(rawPath)) return undefined;
  if (!rawPath.includes("%")) return rawPath;
  if (/%2f|%(?![0-9a-f]{2})/i.test(rawPath)) return undefined;
  try {
    return decodeURIComponent(rawPath);
  } catch {
    return undefined;
  }
}
