/**
 * Kinds of value that name something on a network: addresses, networks, hosts. Texts are brought
 * into one form (lower case, RFC 5952 for IPv6), so that the rest of the program may compare them.
 */
import ipaddr from "ipaddr.js";
import type { Kind, Parsed } from "./kinds.ts";

/** An IPv4 or IPv6 address to listen on; IPv6 ones may name a zone (`fe80::1%eth0`). */
export const address: Kind<string, ""> = {
  parse: (text) => {
    const value = normalizedAddress(text);
    return value === undefined ? {} : { value };
  },
  accepted: "an IPv4 or IPv6 address, such as 127.0.0.1 or ::1",
  placeholder: "ADDRESS",
  suffix: "",
};

/** A network: its first address and the length of its prefix. */
export interface Network {
  readonly family: "ipv4" | "ipv6";
  readonly address: string;
  readonly prefixLength: number;
}

/** A network in CIDR notation (RFC 4632, RFC 4291 section 2.3); an address alone is a network of one. */
export const network: Kind<Network, ""> = {
  parse: (text) => {
    const [, left = "", right] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
    const start = normalizedAddress(left);
    if (start === undefined || start.includes("%")) return {};
    const parsed = ipaddr.parse(start);
    const family = parsed.kind();
    const bits = family === "ipv4" ? 32 : 128;
    const prefixLength = right === undefined ? bits : Number(right);
    if (prefixLength > bits) return {};
    return withoutHostBits({ family, address: start, prefixLength });
  },
  accepted: "a network such as 192.168.1.0/24 or 2001:db8::/32, or one address",
  placeholder: "NETWORK",
  suffix: "",
};

/**
 * A host as it stands in a URL, without port: a DNS name (RFC 1123, and `_`, which is in use) or an
 * address, without the brackets and the dot at the end.
 */
export const host: Kind<string, ""> = {
  parse: (text) => {
    const bare = /^\[.*\]$/.test(text) ? text.slice(1, -1) : text.toLowerCase().replace(/\.$/, "");
    const literal = normalizedAddress(bare);
    if (literal !== undefined) return { value: literal };
    if (isDnsName(bare)) return { value: bare };
    const inUrl = /^https?:\/\/([^/:@]+)/.exec(bare)?.[1] ?? /^([^/:]+):\d+$/.exec(bare)?.[1];
    return inUrl !== undefined && isDnsName(inUrl) ? { hint: `only the host, ${inUrl}` } : {};
  },
  accepted: "a host name or address without scheme and port, such as ftp.us.debian.org",
  placeholder: "HOST",
  suffix: "",
};

/** A host, or all hosts below a domain: `*.example.org`, which the domain itself is none of. */
export const hostPattern: Kind<string, ""> = {
  parse: (text) => {
    const whole = host.parse(text.startsWith("*.") ? text.slice(2) : text);
    if (!("value" in whole) || !text.startsWith("*.")) return whole;
    return isDnsName(whole.value) ? { value: `*.${whole.value}` } : {};
  },
  accepted: `${host.accepted}, or *.example.org for all hosts of a domain`,
  placeholder: "HOST",
  suffix: "",
};

/** A node as people write it down: to be resolved, unless the host is an address. */
export interface HostAndPort {
  /** As of the kind `host`. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

/** What a node listens on unless told otherwise. */
const nodePort = 9977;

/** `HOST`, `HOST:PORT`, `[V6]` or `[V6]:PORT`; an IPv6 address without brackets has no port. */
export const hostAndPort: Kind<HostAndPort, ""> = {
  parse: (text) => {
    const alone = normalizedAddress(text);
    if (alone !== undefined) return { value: { host: alone, port: nodePort } };
    const match = /^(\[[^\]]*\]|[^[\]:/]+)(?::(\d{1,5}))?$/.exec(text);
    const parsed = host.parse(match?.[1] ?? "");
    const port = match?.[2] === undefined ? nodePort : Number(match[2]);
    if (!("value" in parsed) || port < 1 || port > 65_535) return {};
    return { value: { host: parsed.value, port } };
  },
  accepted: `a host name or address, perhaps with a port (otherwise ${nodePort}), such as ftp.us.debian.org:${nodePort} or [2001:db8::1]:${nodePort}`,
  placeholder: "HOST[:PORT]",
  suffix: "",
};

/** In lower case, so that two administrators who mean the same name have the same. */
export const networkName: Kind<string, ""> = {
  parse: (text) => {
    const value = text.toLowerCase();
    return /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/.test(value) ? { value } : {};
  },
  accepted:
    "public, lan, or a name of at most 64 letters, digits and dashes, no dash first or last",
  placeholder: "public|lan|NAME",
  suffix: "",
};

/** Whether an address reaches this machine only (127.0.0.0/8, ::1, IPv4-mapped loopback). */
export function isLoopback(text: string): boolean {
  return ipaddr.process(text).range() === "loopback";
}

/** Whether an address stands for all addresses of its family (0.0.0.0, ::). */
export function isWildcard(text: string): boolean {
  return ipaddr.process(text).range() === "unspecified";
}

/** ipaddr.js also reads octal, hexadecimal and shortened IPv4; people who write those err. */
function normalizedAddress(text: string): string | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text).toString();
  if (!text.includes(":") || !ipaddr.IPv6.isValid(text)) return undefined;
  const [plain = "", zone] = text.split("%");
  const value = ipaddr.IPv6.parse(plain).toRFC5952String();
  return zone === undefined ? value : `${value}%${zone}`;
}

/** A prefix with bits set behind it means one machine or its whole network: which, must be said. */
function withoutHostBits(value: Network): Parsed<Network> {
  const text = `${value.address}/${value.prefixLength}`;
  const family = value.family === "ipv4" ? ipaddr.IPv4 : ipaddr.IPv6;
  const start = normalizedAddress(family.networkAddressFromCIDR(text).toString()) ?? "";
  if (start === value.address) return { value };
  return { hint: `${start}/${value.prefixLength} for the network, ${value.address} for the host` };
}

function isDnsName(text: string): boolean {
  const labels = text.split(".");
  // A name that ends in a number would be read as an IPv4 address by others (WHATWG URL).
  if (text.length > 253 || /^\d+$/.test(labels.at(-1) ?? "")) return false;
  return labels.every((label) => /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/.test(label));
}
