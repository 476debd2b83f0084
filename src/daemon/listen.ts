/** Binding the configured addresses. */
import type http from "node:http";
import type { AddressInfo } from "node:net";
import { AptP2pError } from "../base/errors.ts";
import type { Config } from "../config/options.ts";

/**
 * One server per address, all on one port. An address of a family that the machine lacks is left out
 * unless none remains. Rejects with IN_USE when the port is taken.
 */
export async function listenAll(
  { bind, port }: Config["proxy"],
  make: () => http.Server,
): Promise<{ servers: http.Server[]; addresses: string[]; port: number }> {
  const servers: http.Server[] = [];
  const addresses: string[] = [];
  let chosen = port;
  let lacking: unknown;
  for (const host of bind) {
    const server = make();
    try {
      const bound = await listen(server, host, chosen);
      // Port 0 lets the system choose once; the other addresses then use the same.
      chosen = bound.port;
      servers.push(server);
      addresses.push(bound.family === "IPv6" ? `[${host}]:${chosen}` : `${host}:${chosen}`);
    } catch (thrown) {
      if (!isLacking(thrown)) {
        for (const other of servers) other.close();
        throw problem(thrown, host, chosen);
      }
      lacking = thrown;
    }
  }
  if (servers.length === 0) throw problem(lacking, bind.join(", "), chosen);
  return { servers, addresses, port: chosen };
}

function listen(server: http.Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, ipv6Only: true }, () => {
      server.off("error", reject);
      resolve(server.address() as AddressInfo);
    });
  });
}

function isLacking(thrown: unknown): boolean {
  const code = (thrown as { code?: unknown }).code;
  return code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL";
}

function problem(thrown: unknown, host: string, port: number): AptP2pError {
  const code = (thrown as { code?: unknown }).code;
  if (code === "EADDRINUSE") {
    return new AptP2pError(
      "IN_USE",
      `port ${port} on ${host} is taken: is another apt-p2p running? Stop it, or choose another port`,
      { cause: thrown },
    );
  }
  return new AptP2pError("CONFIG", `cannot listen on ${host}, port ${port}`, { cause: thrown });
}
