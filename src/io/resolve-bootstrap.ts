/**
 * Bootstrap entries of the configuration → endpoints. A name that cannot be resolved now is tried
 * again when the node next asks, so nothing here fails: what was not found is logged and counted.
 */
import dns from "node:dns/promises";
import type { Counters } from "../base/counters.ts";
import { canonicalAddress, endpoint } from "../base/endpoint.ts";
import type { Endpoint } from "../base/endpoint.ts";
import { errorText } from "../base/errors.ts";
import type { Log } from "../base/ports.ts";
import { second } from "../base/units.ts";

export interface BootstrapEntry {
  /** A DNS name or an address literal. */
  readonly host: string;
  /** 1 to 65535. */
  readonly port: number;
}

export interface ResolveParts {
  readonly log: Log;
  readonly counters: Counters;
  /** Longest wait for all names together, in milliseconds. */
  readonly timeoutMs?: number;
  /** All addresses of a name, IPv4 and IPv6; rejects if there are none. Default: the system's. */
  readonly lookup?: (host: string) => Promise<readonly string[]>;
}

/** The system's resolver gives up on one server after 5 s; half a minute later nobody waits. */
const resolveMs = 10 * second;
/** Addresses of one name: a pool of servers gives a dozen; whoever gives thousands means harm. */
const addressesPerName = 32;

/** Every A and AAAA address of every entry, each once, in the order of the entries. Never rejects. */
export async function resolveBootstrap(
  entries: readonly BootstrapEntry[],
  { log, counters, timeoutMs = resolveMs, lookup = systemLookup }: ResolveParts,
): Promise<readonly Endpoint[]> {
  const resolved = await Promise.all(
    entries.map(async ({ host, port }) => {
      const literal = canonicalAddress(host);
      if (literal !== undefined) return [endpoint(literal, port)];
      try {
        const addresses = await within(timeoutMs, lookup(host));
        return addresses
          .slice(0, addressesPerName)
          .flatMap((address) => canonicalAddress(address) ?? [])
          .map((address) => endpoint(address, port));
      } catch (thrown) {
        counters.add("io.bootstrap.unresolved");
        log.warn("bootstrap-unresolved", { host, reason: errorText(thrown) });
        return [];
      }
    }),
  );
  return [...new Map(resolved.flat().map((each) => [each.text, each])).values()];
}

async function systemLookup(host: string): Promise<readonly string[]> {
  const found = await dns.lookup(host, { all: true });
  return found.map(({ address }) => address);
}

/** The look-up itself cannot be cancelled: it ends in a thread of its own, unheard. */
function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
