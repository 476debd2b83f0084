/** Which addresses are of this machine's own networks. */
import os from "node:os";
import { scopeOf } from "../base/endpoint.ts";
import { second } from "../base/units.ts";
import { networkTest } from "../engine/address-rules.ts";

/** How long the list of interfaces is believed: it is asked for every datagram. */
const believedMs = 10 * second;

/** Private, loopback, or of a network that an interface of this machine is in. */
export function nearTest(interfaces = os.networkInterfaces): (address: string) => boolean {
  let attached: (address: string) => boolean = () => false;
  let readMs = -Infinity;
  return (address) => {
    const scope = scopeOf(address);
    if (scope !== "global") return scope !== "unusable";
    if (performance.now() - readMs > believedMs) {
      readMs = performance.now();
      const all = Object.values(interfaces()).flatMap((list) => list ?? []);
      attached = networkTest(
        all.flatMap(({ cidr }) => {
          const [network = "", bits] = cidr?.split("/") ?? [];
          return network === "" ? [] : [{ address: network, prefixLength: Number(bits) }];
        }),
      );
    }
    return attached(address);
  };
}
