/** UDP and TCP addresses of nodes: literals only, never names. */
import ipaddr from "ipaddr.js";

export interface Endpoint {
  /** Canonical literal: `192.0.2.7`, `2001:db8::7` (RFC 5952), never IPv4 mapped into IPv6. */
  readonly address: string;
  /** 1 to 65535. */
  readonly port: number;
  /** `192.0.2.7:9977` or `[2001:db8::7]:9977`: for maps and logs. */
  readonly text: string;
}

export type Family = 4 | 6;

/** From an address that is known to be a canonical literal, as Node's sockets give it. */
export function endpoint(address: string, port: number): Endpoint {
  const text = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  return { address, port, text };
}

export function familyOf(address: string): Family {
  return address.includes(":") ? 6 : 4;
}

/** `address:port`, `[v6]:port` → endpoint; undefined if it is anything else, also a name. */
export function parseEndpoint(text: string): Endpoint | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(text);
  const literal = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (literal === undefined || port < 1 || port > 65_535) return undefined;
  const address = canonicalAddress(literal);
  return address === undefined ? undefined : endpoint(address, port);
}

/** Any literal → canonical form (IPv4-mapped becomes IPv4, no zone); undefined for a name. */
export function canonicalAddress(literal: string): string | undefined {
  const bare = literal.replace(/%.*$/, "");
  const valid = bare.includes(":")
    ? ipaddr.IPv6.isValid(bare)
    : ipaddr.IPv4.isValidFourPartDecimal(bare);
  if (!valid) return undefined;
  const parsed = ipaddr.process(bare);
  return parsed.kind() === "ipv6" ? (parsed as ipaddr.IPv6).toRFC5952String() : parsed.toString();
}

/** 6 bytes (IPv4) or 18 (IPv6): address and port, big endian (BEP 5, BEP 32). */
export function compactEndpoint({ address, port }: Endpoint): Uint8Array {
  const bytes = ipaddr.parse(address).toByteArray();
  return Uint8Array.from([...bytes, port >> 8, port & 0xff]);
}

/** undefined unless 6 or 18 bytes with a port other than 0; IPv4-mapped IPv6 is refused. */
export function endpointFromCompact(bytes: Uint8Array): Endpoint | undefined {
  if (bytes.length !== 6 && bytes.length !== 18) return undefined;
  const end = bytes.length - 2;
  const port = ((bytes[end] ?? 0) << 8) | (bytes[end + 1] ?? 0);
  if (port === 0) return undefined;
  if (end === 4) return endpoint(bytes.subarray(0, 4).join("."), port);
  const parsed = new ipaddr.IPv6([...bytes.subarray(0, 16)]);
  if (parsed.isIPv4MappedAddress()) return undefined;
  return endpoint(parsed.toRFC5952String(), port);
}

/**
 * `global`: the public Internet. `private`: RFC 1918, unique local, link-local, carrier-grade NAT and
 * the benchmarking net 198.18/15. `loopback`. `unusable`: multicast, unspecified, reserved.
 */
export type AddressScope = "global" | "private" | "loopback" | "unusable";

const scopes: Readonly<Record<string, AddressScope>> = {
  unicast: "global",
  private: "private",
  uniqueLocal: "private",
  linkLocal: "private",
  carrierGradeNat: "private",
  benchmarking: "private",
  loopback: "loopback",
};

export function scopeOf(address: string): AddressScope {
  const quick = quickScope(address);
  return quick ?? fullScope(address);
}

/** By the library, which knows every special range. */
export function fullScope(address: string): AddressScope {
  const parsed = ipaddr.process(address);
  // 198.18/15 is for tests of network devices (RFC 2544); the library calls it reserved or so.
  if (parsed.kind() === "ipv4" && parsed.match(benchmarking)) return "private";
  return scopes[parsed.range()] ?? "unusable";
}

const benchmarking = ipaddr.IPv4.parseCIDR("198.18.0.0/15");

/**
 * Nearly all addresses that a node meets are IPv4 in a /8 without any special range; those need no
 * parsing. undefined: look closer.
 */
function quickScope(address: string): AddressScope | undefined {
  const dot = address.indexOf(".");
  if (dot < 1 || dot > 3 || address.includes(":")) return undefined;
  const first = Number(address.slice(0, dot));
  const plain = first >= 1 && first < 224 && !specialBlocks.has(first);
  return plain ? "global" : undefined;
}

/** First octets of IPv4 with any special range in them (IANA's special-purpose address registry). */
const specialBlocks: ReadonlySet<number> = new Set([10, 100, 127, 169, 172, 192, 198, 203]);

/** The network that counts as one party: the /24 of an IPv4 address, the /64 of an IPv6 one. */
export function subnetOf(address: string): string {
  if (!address.includes(":")) return address.slice(0, address.lastIndexOf("."));
  return (ipaddr.parse(address) as ipaddr.IPv6).parts.slice(0, 4).join(":");
}
