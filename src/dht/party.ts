/**
 * Who counts as one party when something is rationed. On the Internet an IPv4 address is one, and of
 * IPv6 the /64, since whoever has one address there has 2^64 of them. On the own network an address
 * is one; on the loopback interface every port is a node of its own, as laboratories have them.
 * What is neither private nor loopback counts as the Internet, so that the stricter rule holds.
 */
import { scopeOf, subnetOf, type Endpoint } from "../base/endpoint.ts";

export type Reach = "loopback" | "private" | "global";

export function reachOf(address: string): Reach {
  const scope = scopeOf(address);
  return scope === "loopback" || scope === "private" ? scope : "global";
}

export interface Party {
  readonly reach: Reach;
  /** What its shares are counted by; text of its own kind for each kind of party. */
  readonly source: string;
  /** The /24 or /64 of a global address; undefined for others, to which no diversity applies. */
  readonly subnet: string | undefined;
  /** Its /16 or /32, which one organisation may have as a whole; undefined likewise. */
  readonly block: string | undefined;
}

export function partyOf({ address, text }: Endpoint): Party {
  const reach = reachOf(address);
  if (reach === "loopback") return { reach, source: text, subnet: undefined, block: undefined };
  if (reach === "private") return { reach, source: address, subnet: undefined, block: undefined };
  const subnet = subnetOf(address);
  const source = address.includes(":") ? subnet : address;
  const block = `${subnet.split(/[.:]/, 2).join(".")}.*`;
  return { reach, source, subnet, block };
}
