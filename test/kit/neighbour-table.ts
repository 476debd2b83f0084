/**
 * The kernel keeps one table of link neighbours (ARP, ND) for all namespaces together, of 1,024
 * entries by default. Forty hosts of which each talks to each overflow it, and then nobody on this
 * machine reaches anybody. A laboratory raises the limit while it is there.
 */
import { readFileSync, writeFileSync } from "node:fs";

/** For 128 hosts that all know each other, in both families, with some to spare. */
const wanted = { gc_thresh1: 16_384, gc_thresh2: 32_768, gc_thresh3: 65_536 };

/** → puts back what was there. Changes nothing where that is not allowed, or enough already. */
export function raiseNeighbourLimits(): () => void {
  const undo: (() => void)[] = [];
  for (const family of ["ipv4", "ipv6"]) {
    // The hard limit first: the others may not pass it.
    for (const [name, least] of Object.entries(wanted).reverse()) {
      const path = `/proc/sys/net/${family}/neigh/default/${name}`;
      const before = readNumber(path);
      if (before === undefined || before >= least || !write(path, least)) continue;
      undo.unshift(() => {
        if (readNumber(path) === least) write(path, before);
      });
    }
  }
  return () => {
    for (const each of undo.splice(0)) each();
  };
}

function readNumber(path: string): number | undefined {
  try {
    return Number(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

function write(path: string, value: number): boolean {
  try {
    writeFileSync(path, String(value));
    return true;
  } catch {
    return false;
  }
}
