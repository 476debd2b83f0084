/**
 * The ways in: a forward proxy's absolute URI (RFC 9112 section 3.2.2), and the 2008 URL prefix, in
 * which the first segment of the path is the mirror's host. `/HTTPS///host/path` asks for https
 * (the form that apt-cacher-ng made known).
 */
import { toFileName } from "../archive/names.ts";
import type { Target } from "./types.ts";

const HOST = /^(?:[a-z0-9_](?:[a-z0-9_.-]{0,252}[a-z0-9_.])?|\[[0-9a-f:.]{2,45}\])$/;

/** undefined: the text names no host, a malformed one, or carries a user name. */
export function parseTarget(requestTarget: string): Target | undefined {
  const absolute = /^(https?):\/\/([^/?#]*)(.*)$/i.exec(requestTarget);
  if (absolute !== null) {
    const [scheme = "", authority = "", path = ""] = absolute.slice(1);
    return target(scheme.toLowerCase() === "https" ? "https" : "http", authority, path);
  }
  const https = /^\/HTTPS\/\/\/([^/?#]*)(.*)$/.exec(requestTarget);
  if (https !== null) return target("https", https[1] ?? "", https[2] ?? "");
  const prefix = /^\/+([^/?#]+)(.*)$/.exec(requestTarget);
  return prefix === null ? undefined : target("http", prefix[1] ?? "", prefix[2] ?? "");
}

/** `host:port` of a CONNECT request (RFC 9110 section 9.3.6). */
export function parseAuthority(text: string): { host: string; port: number } | undefined {
  const parts = splitAuthority(text.toLowerCase());
  return parts?.port === undefined ? undefined : { host: parts.host, port: parts.port };
}

/** The host of an authority, without brackets or port. */
export function hostOf(authority: string): string {
  return authority.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
}

export function urlOf(target: Target, scheme: "http" | "https"): string {
  return `${scheme}://${target.authority}${target.path}`;
}

function target(scheme: "http" | "https", rawAuthority: string, rest: string): Target | undefined {
  const parts = splitAuthority(rawAuthority.toLowerCase());
  if (parts === undefined) return undefined;
  const standard = scheme === "http" ? 80 : 443;
  const port = parts.port ?? standard;
  const authority = port === standard ? parts.host : `${parts.host}:${port}`;
  const path = rest.startsWith("/") ? rest : `/${rest}`;
  // A fragment is never sent to a server, and raw spaces or controls never reach here.
  if (path.includes("#") || !URL.canParse(`${scheme}://${authority}/`)) return undefined;
  return { scheme, authority, path, name: toFileName(authority, path, scheme) };
}

function splitAuthority(text: string): { host: string; port: number | undefined } | undefined {
  const match = /^(\[[^\]]*\]|[^:@]*)(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? "";
  if (match === null || !HOST.test(host)) return undefined;
  if (match[2] === undefined) return { host, port: undefined };
  const port = Number(match[2]);
  return port >= 1 && port <= 65535 ? { host, port } : undefined;
}
