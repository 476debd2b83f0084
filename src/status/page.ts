/** The status page: the snapshot for a browser. No scripts, nothing from elsewhere. */
import { GiB, KiB, MiB } from "../base/units.ts";
import type { DhtReport } from "../engine/dht-status.ts";
import type { RouterReport } from "./router-report.ts";
import type { Snapshot } from "./snapshot.ts";
import type { SwarmReport } from "./swarm-report.ts";

/** Rows of a kind; the rest is for apt-p2p status --json. */
const mostRows = 20;

export function statusPage(shown: Snapshot): string {
  const { bytes, store, archive, downloads } = shown;
  const facts: [string, string][] = [
    ["Version", shown.version],
    ["Listening on", shown.listening.join(", ")],
    ["Stored", `${store.files} files, ${size(store.bytes)} of ${size(store.quotaBytes)}`],
    ["Known", `${archive.rows} files from ${archive.tables} indexes`],
    ["Sent to apt", size(bytes.toClients)],
    ["… from the cache", size(bytes.fromCache)],
    ["Fetched from peers", size(bytes.fromPeers)],
    ["Fetched from mirrors", size(bytes.fromMirror)],
    ["Passed through unproven", size(bytes.passedThrough)],
    ["Given to peers", size(bytes.uploaded)],
    ...routerRows(shown.router),
  ];
  const releases = archive.releases.map(({ name, trust }) => [name, trust] as [string, string]);
  const active = downloads.map(
    ({ name, receivedBytes, sizeBytes }) =>
      [name, `${size(receivedBytes)} of ${sizeBytes === undefined ? "?" : size(sizeBytes)}`] as [
        string,
        string,
      ],
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>apt-p2p</title>
<style>body{font:1em sans-serif;max-width:60em;margin:2em auto}th{text-align:left;padding-right:2em;font-weight:normal;color:#555}caption{text-align:left;font-weight:bold;padding:1em 0 .3em}</style>
</head><body><h1>apt-p2p</h1>
${table("This daemon", facts)}${table("Peers", swarmRows(shown.swarm))}${table("Distributed hash table", dhtRows(shown.dht))}${table("Releases", releases)}${table("Downloads", active)}${table("Last files", fileRows(shown.swarm))}
</body></html>
`;
}

function dhtRows(dht: DhtReport): [string, string][] {
  if (dht.state === "failed") return [["State", `failed: ${dht.reason}`]];
  if (dht.state !== "on") return [["State", dht.state]];
  const rows = dht.families.flatMap((each): [string, string][] => {
    const of = each.estimatedNodes === undefined ? "" : ` of some ${each.estimatedNodes} nodes`;
    const { note, placed, keys } = each.publishing;
    const published = keys === 0 ? [] : [`${placed} of ${keys} files published`];
    const notes = [...published, ...(note === undefined ? [] : [note])];
    return [
      [`IPv${each.family}`, [`${each.state}, ${each.contacts} contacts${of}`, ...notes].join("; ")],
      ["… held for others", `${each.held.values} values, ${size(each.held.bytes)}`],
    ];
  });
  return [["Network", dht.network], ["UDP port", String(dht.udpPort)], ["Node", dht.id], ...rows];
}

function routerRows(router: RouterReport): [string, string][] {
  switch (router.state) {
    case "off":
      return [];
    case "asking":
      return [["Router", "is being asked for ports"]];
    case "failed":
      return [["Router", `gave no ports: ${router.reason}`]];
    case "mapped": {
      const ports = router.mappings.map(
        ({ protocol, externalPort }) => `${protocol} ${externalPort}`,
      );
      const but = router.problem === undefined ? "" : `, but ${router.problem}`;
      return [["Router", `passes ${ports.join(" and ")} on, by ${router.by}${but}`]];
    }
  }
}

function swarmRows(swarm: SwarmReport): [string, string][] {
  if (swarm.state === "off") return [["State", "off"]];
  const { received, uploaded, refused, lookups, neighbours, bans } = swarm;
  const { dropped } = refused;
  const reasons = Object.entries(dropped).map(([why, count]) => `${count} × ${why}`);
  const first = lookups.firstMs === undefined ? "" : `, the first after ${lookups.firstMs} ms`;
  return [
    ["Neighbours", String(neighbours.length)],
    ["Look-ups", `${lookups.asked}, ${lookups.found} of them found peers${first}`],
    ["Pieces refused", `${refused.pieces}, ${size(refused.bytes)}`],
    ["Given up", reasons.length === 0 ? "nobody" : reasons.join(", ")],
    ["Beyond the own network in this month", size(uploaded.monthBytes)],
    ...received.peers
      .slice(0, mostRows)
      .map(({ peer, bytes }): [string, string] => [`From ${peer}`, size(bytes)]),
    ...uploaded.peers
      .slice(0, mostRows)
      .map(({ peer, bytes }): [string, string] => [`To ${peer}`, size(bytes)]),
    ...bans
      .slice(0, mostRows)
      .map(({ who, why, untilMs }): [string, string] => [
        `Banned ${who}`,
        `${why}, until ${new Date(untilMs).toISOString()}`,
      ]),
  ];
}

function fileRows({ files }: SwarmReport): [string, string][] {
  return files.slice(0, mostRows).map(({ name, cacheBytes, mirrorBytes, peers }) => {
    const fromPeers = peers.reduce((sum, { bytes }) => sum + bytes, 0);
    const parts: [string, number][] = [
      ["cache", cacheBytes],
      [peers.length === 1 ? "1 peer" : `${peers.length} peers`, fromPeers],
      ["mirror", mirrorBytes],
    ];
    const told = parts.filter(([, bytes]) => bytes > 0);
    return [name, told.map(([from, bytes]) => `${size(bytes)} from ${from}`).join(", ")];
  });
}

function table(title: string, rows: readonly (readonly [string, string])[]): string {
  if (rows.length === 0) return "";
  const lines = rows.map(([key, value]) => `<tr><th>${text(key)}</th><td>${text(value)}</td></tr>`);
  return `<table><caption>${text(title)}</caption>${lines.join("")}</table>\n`;
}

/** Names come from mirrors and clients: nothing of them may become markup. */
function text(plain: string): string {
  return plain
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

function size(bytes: number): string {
  if (bytes >= GiB) return `${(bytes / GiB).toFixed(1)} GiB`;
  if (bytes >= MiB) return `${(bytes / MiB).toFixed(1)} MiB`;
  return `${(bytes / KiB).toFixed(1)} KiB`;
}
