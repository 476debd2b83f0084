/** Addresses of simulated hosts: global ones, each in a /24 of its own, and back to their index. */
import { endpoint, type Endpoint } from "../../base/endpoint.ts";

/** The UDP port of the daemon. */
const dhtPort = 9977;

/** 1.0.0.0/8 to 9.0.0.0/8 hold no reserved block, so every address in them counts as global. */
const firstBlock = 1;
const blocks = 9;
const subnetsPerBlock = 65_536;

/** Hosts that there are addresses for. */
export const mostHosts = blocks * subnetsPerBlock;

/** Host 0 → 1.0.0.7:9977, host 300 → 1.1.44.7:9977; a RangeError beyond the last one. */
export function endpointOf(index: number): Endpoint {
  if (!Number.isInteger(index) || index < 0 || index >= mostHosts) {
    throw new RangeError(`there is no host ${index}: 0 to ${mostHosts - 1}`);
  }
  const block = firstBlock + Math.floor(index / subnetsPerBlock);
  return endpoint(`${block}.${(index >> 8) & 255}.${index & 255}.${lastOctet}`, dhtPort);
}

/** Any but 0 and 255, which are no hosts. */
const lastOctet = 7;

/** Whose address this is, whatever the port; undefined if `endpointOf` does not give it. */
export function indexOf({ address }: Endpoint): number | undefined {
  const [block = -1, high = 0, low = 0, last] = address.split(".").map(Number);
  const index = (block - firstBlock) * subnetsPerBlock + 256 * high + low;
  return last === lastOctet && index >= 0 && index < mostHosts ? index : undefined;
}
