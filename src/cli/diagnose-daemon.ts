/**
 * What the daemon itself says: alive, of which version, where it listens, room in its store, and
 * whether others can reach it. No input, no output.
 */
import { items, number, record, text, texts } from "./facts.ts";
import { note, well, wrong } from "./finding.ts";
import type { Finding } from "./finding.ts";
import { bytesText, durationText, plural } from "./text.ts";

type Facts = Readonly<Record<string, unknown>>;

export interface DaemonFacts {
  /** The version of this program. */
  readonly version: string;
  /** The port that the configuration files name; undefined: they are wrong. */
  readonly port: number | undefined;
  readonly answer:
    | { readonly kind: "snapshot"; readonly snapshot: unknown }
    /** `silent`: no daemon. `closed`: this user may not ask it. */
    | { readonly kind: "silent" | "closed"; readonly reason: string };
}

export function diagnoseDaemon(facts: DaemonFacts): readonly Finding[] {
  const { answer } = facts;
  switch (answer.kind) {
    case "closed":
      return [note(`The daemon may not be asked: ${answer.reason}`)];
    case "silent": {
      const advice =
        "systemctl status apt-p2p tells whether it runs, journalctl -u apt-p2p why not, systemctl start apt-p2p starts it. Until then apt goes to the mirrors by itself.";
      return [wrong(capital(answer.reason), advice)];
    }
    case "snapshot": {
      const snapshot = record(answer.snapshot);
      return [
        versionFinding(snapshot, facts.version),
        ...listeningFindings(snapshot, facts.port),
        ...storeFindings(record(snapshot["store"])),
      ];
    }
  }
}

function versionFinding(snapshot: Facts, installed: string): Finding {
  const version = text(snapshot["version"]) ?? "?";
  const uptime = number(snapshot["uptimeMs"]);
  const since = uptime === undefined ? "" : `, for ${durationText(uptime)}`;
  if (version === installed) return well(`The daemon runs, version ${version}${since}`);
  return wrong(
    `The daemon runs version ${version}, installed is ${installed}`,
    "It was not restarted after an upgrade: systemctl restart apt-p2p",
  );
}

function listeningFindings(snapshot: Facts, port: number | undefined): Finding[] {
  const listening = texts(snapshot["listening"]);
  if (listening.length === 0) {
    const advice = "A daemon that was started with --dht-only serves no apt.";
    return [note("The daemon does not listen for apt", advice)];
  }
  const where = `It listens on ${listening.join(", ")}`;
  const ports = listening.map((each) => Number(/:(\d+)$/.exec(each)?.[1]));
  if (port !== undefined && !ports.includes(port)) {
    const advice = `apt-proxy sends apt to port ${port}, which the configuration files name. If they were changed: systemctl restart apt-p2p. A port that comes from environment or command line is unknown to it.`;
    return [wrong(where, advice)];
  }
  if (!listening.some((each) => /^(?:0\.0\.0\.0|\[::\]|127\.|\[::1\])/.test(each))) {
    const advice = "apt of this machine comes by 127.0.0.1 or ::1: add one of them to proxy.bind.";
    return [wrong(where, advice)];
  }
  return [well(where)];
}

function storeFindings(store: Facts): Finding[] {
  const [files, bytes, quota] = [store["files"], store["bytes"], store["quotaBytes"]].map(number);
  if (files === undefined || bytes === undefined) return [];
  const [free, keepFree] = [number(store["freeBytes"]), number(store["keepFreeBytes"])];
  const limit = quota === undefined ? "" : ` of ${bytesText(quota)}`;
  const room = free === undefined ? "" : `; ${bytesText(free)} free on that file system`;
  const held = `The store holds ${plural(files, "file")}, ${bytesText(bytes)}${limit}${room}`;
  if (quota === 0) return [note(held, "With store.quota = 0 nothing is stored or shared.")];
  if (free !== undefined && keepFree !== undefined && free < keepFree) {
    const advice = `Less than store.keep_free (${bytesText(keepFree)}) is free, so files are passed on without being stored. Make room there, or set keep_free lower.`;
    return [wrong(held, advice)];
  }
  return [well(held)];
}

/** Whom this machine shares with, and whether they can reach it. Empty without a daemon's answer. */
export function diagnoseNetwork({ answer }: DaemonFacts): readonly Finding[] {
  if (answer.kind !== "snapshot") return [];
  const snapshot = record(answer.snapshot);
  return [
    ...sharingFindings(record(snapshot["swarm"])),
    ...dhtFindings(record(snapshot["dht"]), snapshot),
    ...routerFindings(snapshot["router"]),
  ];
}

function sharingFindings(swarm: Facts): Finding[] {
  const state = text(swarm["state"]);
  if (state === "off") {
    const advice = "dht.share = none: nothing is given to other machines, nor taken from them.";
    return [note("Files are not shared", advice)];
  }
  const near = items(swarm["neighbours"]).length;
  return near === 0 ? [] : [well(`${plural(near, "machine")} of the own network found`)];
}

function dhtFindings(dht: Facts, snapshot: Facts): Finding[] {
  const state = text(dht["state"]);
  if (state === undefined) return [];
  if (state === "failed") {
    const reason = text(dht["reason"]) ?? "for an unknown reason";
    const advice =
      "If another program has the UDP port, stop it or set dht.udp_port; then systemctl restart apt-p2p.";
    return [wrong(`The distributed hash table could not be started: ${reason}`, advice)];
  }
  if (state !== "on") {
    const advice = state === "off" ? "dht.enabled = no." : "Ask again in a moment.";
    return [note(`The distributed hash table is ${state}`, advice)];
  }
  const families = items(dht["families"]).map(record);
  return [
    contactsFinding(dht, families),
    ...families
      .filter((family) => (number(family["contacts"]) ?? 0) > 0)
      .map((family) => reachableFinding(family, { dht, snapshot })),
  ];
}

function contactsFinding(dht: Facts, families: readonly Facts[]): Finding {
  const contacts = families.reduce((sum, each) => sum + (number(each["contacts"]) ?? 0), 0);
  const port = number(dht["udpPort"]);
  const where = port === undefined ? "" : ` (UDP port ${port})`;
  if (contacts > 0) {
    return well(`The distributed hash table has ${plural(contacts, "contact")}${where}`);
  }
  return note(
    `The distributed hash table knows no other node${where}`,
    "Those of the own network are found by multicast. To join others, name one or more machines that run apt-p2p in dht.bootstrap; outgoing UDP must not be blocked.",
  );
}

function reachableFinding(
  family: Facts,
  { dht, snapshot }: { readonly dht: Facts; readonly snapshot: Facts },
): Finding {
  const name = `IPv${number(family["family"]) ?? "?"}`;
  const outside = text(family["outside"]);
  const seen = outside === undefined ? "" : `, which see it as ${outside}`;
  const state = text(family["reachability"]);
  const why = text(record(family["publishing"])["note"]);
  if (state === "reachable" && why === undefined) {
    return well(`Other nodes reach this one by ${name}${seen}`);
  }
  if (state === "reachable") return note(`Other nodes reach this one by ${name}${seen}`, `${why}.`);
  if (state !== "unreachable") {
    const advice = "It shows some 15 minutes after enough other nodes have been met.";
    return note(`Whether other nodes reach this one by ${name} is not known yet${seen}`, advice);
  }
  const asked = text(record(snapshot["router"])["state"]) ?? "off";
  const byItself =
    asked === "off" && name === "IPv4" ? " router.map_port = yes asks the router to do so." : "";
  return note(
    `Other nodes cannot reach this one by ${name}${seen}`,
    `It takes from others, but gives only to those of the own network. To change that, let ${portsText(dht, snapshot)} in through the firewall of this machine and, if there is one, of the router, which has to forward them.${byItself}`,
  );
}

function portsText(dht: Facts, snapshot: Facts): string {
  const udp = number(dht["udpPort"]);
  const tcp = texts(snapshot["listening"]).flatMap((each) => /:(\d+)$/.exec(each)?.[1] ?? [])[0];
  const ports = [
    ...(udp === undefined ? [] : [`UDP port ${udp}`]),
    ...(tcp === undefined ? [] : [`TCP port ${tcp}`]),
  ];
  return ports.length === 0 ? "the ports of the daemon" : ports.join(" and ");
}

/** What the router said when it was asked for ports; a daemon that asks none says nothing. */
function routerFindings(value: unknown): Finding[] {
  const router = record(value);
  const reason = text(router["reason"]);
  switch (text(router["state"])) {
    case "asking":
      return [note("The router is being asked for ports", "Ask again in a moment.")];
    case "mapped":
      return [mappedFinding(router)];
    case "failed":
      return [
        wrong(
          `The router gives no port${reason === undefined ? "" : `: ${reason}`}`,
          "router.map_port = yes wants NAT-PMP or UPnP: turn one of them on in the router, or forward the ports there by hand and set it to no.",
        ),
      ];
    case "off":
    case undefined:
    default:
      return [];
  }
}

function mappedFinding(router: Facts): Finding {
  const ports = items(router["mappings"]).map((each) => mappingText(record(each)));
  const [by, address] = [text(router["by"]), text(router["externalAddress"])];
  const how = by === undefined ? "" : ` by ${by}`;
  const at = address === undefined ? "" : ` at ${address}`;
  const found = `The router lets in ${ports.join(" and ")}${at}${how}`;
  const problem = text(router["problem"]);
  return problem === undefined ? well(found) : note(found, `${capital(problem)}.`);
}

function mappingText(mapping: Facts): string {
  const [inside, outside] = [number(mapping["port"]), number(mapping["externalPort"])];
  const to = inside === undefined || inside === outside ? "" : ` for ${inside} here`;
  return `${text(mapping["protocol"]) ?? ""} port ${outside ?? "?"}${to}`.trimStart();
}

function capital(sentence: string): string {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}
