/**
 * The two languages of routers: NAT-PMP (RFC 6886), which is quick, then UPnP's Internet Gateway
 * Device (WANIPConnection 1 and 2). Runs in a thread of its own (port-mapping.ts), since the library
 * believes what it gets.
 */
import net from "node:net";
import os from "node:os";
import PmpClient from "@silentbot1/nat-api/lib/pmp/index.js";
import Device from "@silentbot1/nat-api/lib/upnp/device.js";
import Ssdp from "@silentbot1/nat-api/lib/upnp/ssdp.js";
import { AptP2pError, errorText } from "../base/errors.ts";
import { second } from "../base/units.ts";
import type { Mapped, Mapping, MappingWish, RouterRound } from "./router-round.ts";

/** A question that is lost is asked again, as RFC 6886 has it, but not for a minute. */
const pmpWaitsMs = [second / 4, second / 2, second, 2 * second];
/** Routers wait up to a second (MX) before they answer a search; multicast over radio gets lost. */
const searchMs = [2 * second, 3 * second, 3 * second];
const soapMs = 5 * second;
const gatewayDevice = "urn:schemas-upnp-org:device:InternetGatewayDevice:1";

/** Rejects with what each of the two said. */
export async function talk(round: RouterRound): Promise<Mapped> {
  if (round.kind === "unmap") {
    await unmap(round);
    return { how: round.how, mappings: [], externalAddress: undefined };
  }
  const failures: string[] = [];
  try {
    return await mapByPmp(round);
  } catch (thrown) {
    failures.push(`NAT-PMP: ${errorText(thrown)}`);
  }
  try {
    return await mapByUpnp(round);
  } catch (thrown) {
    failures.push(`UPnP: ${errorText(thrown)}`);
  }
  throw new AptP2pError("UPSTREAM", failures.join("; "));
}

type MapRound = Extract<RouterRound, { kind: "map" }>;
type UnmapRound = Extract<RouterRound, { kind: "unmap" }>;

async function mapByPmp({ gateway, lifetimeSeconds, wishes }: MapRound): Promise<Mapped> {
  if (gateway === undefined) throw new AptP2pError("UPSTREAM", "there is no default route");
  const mappings: Mapping[] = [];
  // Asked first: a router without NAT-PMP is found out with one question.
  const externalAddress = await askPmp(gateway, (client) => client.externalIp());
  for (const { protocol, port } of wishes) {
    const granted = await askPmp(gateway, (client) =>
      client.portMapping({ type: protocol, private: port, public: port, ttl: lifetimeSeconds }),
    );
    mappings.push({ protocol, port, externalPort: granted.public });
  }
  return { how: { by: "NAT-PMP", gateway }, mappings, externalAddress };
}

/** A client of the library never asks twice, and is of no use after a question without answer. */
async function askPmp<T>(gateway: string, ask: (client: PmpClient) => Promise<T>): Promise<T> {
  let last: unknown;
  for (const waitMs of pmpWaitsMs) {
    const client = new PmpClient(gateway);
    try {
      const broken = new Promise<never>((_resolve, reject) => client.on("error", reject));
      return await Promise.race([ask(client), broken, silence(waitMs)]);
    } catch (thrown) {
      last = thrown;
      // It has answered, but with a no.
      if (typeof (thrown as { code?: unknown }).code === "number") throw thrown;
    } finally {
      await client.close();
    }
  }
  throw last;
}

async function mapByUpnp({ wishes, lifetimeSeconds, description }: MapRound): Promise<Mapped> {
  const { location, ownAddress } = await findRouter();
  const device = new Device({ url: location, permanentFallback: true });
  const mappings: Mapping[] = [];
  for (const { protocol, port } of wishes) {
    const parameters: [string, string | number][] = [
      ["NewRemoteHost", ""],
      ["NewExternalPort", port],
      ["NewProtocol", protocol],
      ["NewInternalPort", port],
      ["NewInternalClient", ownAddress],
      ["NewEnabled", 1],
      ["NewPortMappingDescription", description],
      ["NewLeaseDuration", lifetimeSeconds],
    ];
    await Promise.race([device.run("AddPortMapping", parameters), silence(soapMs)]);
    mappings.push({ protocol, port, externalPort: port });
  }
  return { how: { by: "UPnP", location }, mappings, externalAddress: await addressOf(device) };
}

async function addressOf(device: Device): Promise<string | undefined> {
  try {
    const body = await Promise.race([device.run("GetExternalIPAddress", []), silence(soapMs)]);
    const answer = Object.values(body).find((value) => typeof value === "object");
    const address = (answer as { NewExternalIPAddress?: unknown } | undefined)
      ?.NewExternalIPAddress;
    return typeof address === "string" && net.isIP(address) !== 0 ? address : undefined;
  } catch {
    return undefined;
  }
}

async function findRouter(): Promise<{ location: string; ownAddress: string }> {
  let last: unknown = new AptP2pError("UPSTREAM", "no router answers");
  for (const waitMs of searchMs) {
    const search = new Ssdp();
    try {
      const found = await Promise.race([search.search(gatewayDevice, waitMs), silence(waitMs)]);
      const location = found?.device.url;
      if (found === undefined || location === undefined) continue;
      if (!isAttached(location)) {
        throw new AptP2pError("FORBIDDEN", `a router that is not on this link: ${location}`);
      }
      return { location, ownAddress: found.address };
    } catch (thrown) {
      last = thrown;
    } finally {
      await search.destroy();
    }
  }
  throw last;
}

/** Anybody on the link may answer a search; nobody may send us to a host beyond it. */
function isAttached(location: string): boolean {
  const url = URL.canParse(location) ? new URL(location) : undefined;
  if (url?.protocol !== "http:" || !net.isIPv4(url.hostname)) return false;
  const attached = new net.BlockList();
  for (const { family, cidr } of Object.values(os.networkInterfaces()).flatMap(
    (all) => all ?? [],
  )) {
    const [network = "", bits] = cidr?.split("/") ?? [];
    if (family === "IPv4" && network !== "") attached.addSubnet(network, Number(bits), "ipv4");
  }
  return attached.check(url.hostname, "ipv4");
}

/** All are asked, whatever becomes of the others. */
async function unmap({ how, wishes }: UnmapRound): Promise<void> {
  const outcomes = await Promise.allSettled(
    how.by === "NAT-PMP" ? [unmapByPmp(how.gateway, wishes)] : unmapByUpnp(how.location, wishes),
  );
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
}

/** RFC 6886, 3.4: lifetime and external port 0. */
async function unmapByPmp(gateway: string, wishes: readonly MappingWish[]): Promise<void> {
  for (const { protocol, port } of wishes) {
    await askPmp(gateway, (client) =>
      client.portMapping({ type: protocol, private: port, public: 0, ttl: 0 }),
    );
  }
}

function unmapByUpnp(location: string, wishes: readonly MappingWish[]): Promise<unknown>[] {
  const device = new Device({ url: location, permanentFallback: false });
  return wishes.map(({ protocol, port }) =>
    Promise.race([
      device.run("DeletePortMapping", [
        ["NewRemoteHost", ""],
        ["NewExternalPort", port],
        ["NewProtocol", protocol],
      ]),
      silence(soapMs),
    ]),
  );
}

function silence(ms: number): Promise<never> {
  return new Promise((_resolve, reject) => {
    setTimeout(() => reject(new AptP2pError("UPSTREAM", "no answer")), ms);
  });
}
