import dns from "node:dns/promises";
import net from "node:net";
import os from "node:os";
import { AptP2pError, errorText } from "../base/errors.ts";
import { second } from "../base/units.ts";
import type { Dial } from "../proxy/ports.ts";

/** Dials host and port after the address was judged; see engine/address-rules.ts. */
export function networkDial(
  allowed: (host: string, address: string) => boolean,
  timeoutMs: number,
): Dial {
  return async (host, port) => {
    const bare = host.replace(/^\[|\]$/g, "");
    const addresses = await dns.lookup(bare, { all: true }).catch((thrown: unknown) => {
      throw new AptP2pError("UPSTREAM", `Cannot resolve ${bare}: ${errorText(thrown)}`);
    });
    const found = addresses.filter(({ address }) => allowed(bare, address));
    if (found.length === 0) {
      throw new AptP2pError("FORBIDDEN", `${bare} is on this machine or link`);
    }
    return new Promise((resolve, reject) => {
      const socket = net.connect({
        host: bare,
        port,
        autoSelectFamily: true,
        lookup: (_host, options, callback) => {
          if (options.all === true) callback(null, found);
          else callback(null, found[0]?.address ?? "", found[0]?.family);
        },
      });
      socket.setTimeout(timeoutMs, () => socket.destroy(new Error("connection timed out")));
      socket.once("connect", () => {
        socket.setTimeout(0);
        socket.off("error", fail);
        resolve(socket);
      });
      const fail = (error: Error): void =>
        reject(new AptP2pError("UPSTREAM", `Cannot connect to ${bare}: ${errorText(error)}`));
      socket.on("error", fail);
    });
  };
}

/** How long the list of this machine's addresses is believed. */
const OWN_FOR_MS = 10 * second;

/** This machine's own addresses, as of a few seconds ago. */
export function ownAddresses(): () => ReadonlySet<string> {
  let known: ReadonlySet<string> = new Set();
  let readMs = -Infinity;
  return () => {
    if (performance.now() - readMs > OWN_FOR_MS) {
      const all = Object.values(os.networkInterfaces()).flatMap((list) => list ?? []);
      known = new Set(all.map(({ address }) => address));
      readMs = performance.now();
    }
    return known;
  };
}
