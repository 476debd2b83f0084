/**
 * Which addresses a mirror may have. A name can resolve to anything; so the address is judged after
 * it was resolved, and that very address is dialled.
 */
import ipaddr from "ipaddr.js";

export interface AddressRules {
  /** Hosts that apt's sources or the configuration name: they may be on this machine or link. */
  readonly named: (host: string) => boolean;
  /** This machine's own addresses. */
  readonly own: () => ReadonlySet<string>;
}

/** Private networks are fine: many mirrors live there. Our own machine and link are not. */
export function addressAllowed(rules: AddressRules, host: string, address: string): boolean {
  if (rules.named(host)) return true;
  const parsed = parse(address);
  if (parsed === undefined) return false;
  const range = parsed.range();
  if (["loopback", "linkLocal", "unspecified", "multicast", "broadcast"].includes(range)) {
    return false;
  }
  return !rules.own().has(parsed.toString());
}

/** Whether an address belongs to the public Internet. */
export function isGlobal(address: string): boolean {
  return parse(address)?.range() === "unicast";
}

/** Loopback addresses, also as IPv4 mapped into IPv6. */
export function isLoopback(address: string): boolean {
  return parse(address)?.range() === "loopback";
}

export interface Network {
  readonly address: string;
  readonly prefixLength: number;
}

/** A test for membership in any of the networks. */
export function networkTest(networks: readonly Network[]): (address: string) => boolean {
  const parsed = networks.map(
    ({ address, prefixLength }) => [ipaddr.parse(address), prefixLength] as const,
  );
  return (address) => {
    const found = parse(address);
    return (
      found !== undefined &&
      parsed.some(
        ([network, bits]) => network.kind() === found.kind() && found.match([network, bits]),
      )
    );
  };
}

function parse(address: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  const bare = address.replace(/^\[|\]$/g, "").replace(/%.*$/, "");
  return ipaddr.isValid(bare) ? ipaddr.process(bare) : undefined;
}
