/** The daemon's snapshot for people. Lines without news are left out. */
import { dhtLines } from "./dht-view.ts";
import { items, number, record, text, texts } from "./facts.ts";
import { releaseLines } from "./release-view.ts";
import { sourceLines, swarmLines } from "./swarm-view.ts";
import {
  bytesText,
  columns,
  countText,
  durationText,
  percentText,
  plural,
  visible,
} from "./text.ts";

export function statusView(snapshot: unknown): string {
  const facts = record(snapshot);
  const lines = [
    headline(facts),
    "",
    ...columns(
      [
        ["Listening", texts(facts["listening"]).join(", ")],
        ["Store", storeText(record(facts["store"]))],
        ["Catalogue", catalogueText(record(facts["archive"]))],
        ["Memory", sizeOrNothing(record(facts["memory"])["rssBytes"])],
        ["Router", routerText(record(facts["router"]))],
      ].filter(([, value]) => value !== ""),
    ),
    ...section("Traffic", trafficLines(record(facts["bytes"]))),
    ...section("Peers", swarmLines(facts["swarm"])),
    ...section("Distributed hash table", dhtLines(facts["dht"])),
    ...section("Releases", releaseLines(record(facts["archive"])["releases"])),
    ...section("Downloads", downloadLines(facts["downloads"])),
    ...section("Last files", sourceLines(facts["swarm"])),
  ];
  return `${lines.map(visible).join("\n")}\n`;
}

function headline(facts: Readonly<Record<string, unknown>>): string {
  const uptime = number(facts["uptimeMs"]);
  const pid = number(facts["pid"]);
  const parts = [
    `apt-p2p ${text(facts["version"]) ?? ""}`.trimEnd(),
    ...(uptime === undefined ? [] : [`running for ${durationText(uptime)}`]),
    ...(pid === undefined ? [] : [`process ${pid}`]),
  ];
  return parts.join(", ");
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", title, ...lines];
}

function storeText(store: Readonly<Record<string, unknown>>): string {
  const [files, bytes, quota] = [store["files"], store["bytes"], store["quotaBytes"]].map(number);
  if (files === undefined || bytes === undefined) return "";
  const unfinished = number(store["unfinishedFiles"]) ?? 0;
  const share =
    quota === undefined ? "" : ` of ${bytesText(quota)}${inBrackets(percentText(bytes, quota))}`;
  const rest = unfinished === 0 ? "" : `, ${countText(unfinished)} unfinished`;
  return `${plural(files, "file")}, ${bytesText(bytes)}${share}${rest}`;
}

function catalogueText(archive: Readonly<Record<string, unknown>>): string {
  const rows = number(archive["rows"]);
  if (rows === undefined) return "";
  const tables = number(archive["tables"]) ?? 0;
  return `${plural(rows, "file")} known from ${countText(tables)} ${tables === 1 ? "index" : "indexes"}`;
}

/** Nothing where nobody wants it. */
function routerText(router: Readonly<Record<string, unknown>>): string {
  switch (router["state"]) {
    case "asking":
      return "is being asked for ports";
    case "failed":
      return `gave no ports: ${text(router["reason"]) ?? ""}`;
    case "mapped": {
      const ports = items(router["mappings"]).map((each) => {
        const { protocol, externalPort } = record(each);
        return `${text(protocol) ?? ""} ${number(externalPort) ?? ""}`;
      });
      const problem = text(router["problem"]);
      const but = problem === undefined ? "" : `, but ${problem}`;
      return `passes ${ports.join(" and ")} on, by ${text(router["by"]) ?? ""}${but}`;
    }
    default:
      return "";
  }
}

function trafficLines(bytes: Readonly<Record<string, unknown>>): string[] {
  const parts = {
    fromCache: "from the cache",
    fromPeers: "from peers",
    fromMirror: "from mirrors",
    passedThrough: "passed through",
  };
  const counted = Object.entries(parts).map(([field, title]) => ({
    title,
    value: number(bytes[field]) ?? 0,
  }));
  const total = counted.reduce((sum, { value }) => sum + value, 0);
  const served = number(bytes["toClients"]) ?? 0;
  const uploaded = number(bytes["uploaded"]) ?? 0;
  if (total === 0 && served === 0 && uploaded === 0) return [];
  return columns(
    [
      ...counted.map(({ title, value }) => [title, bytesText(value), percentText(value, total)]),
      ["to clients", bytesText(served), ""],
      ["to peers", bytesText(uploaded), ""],
    ],
    [1, 2],
  );
}

function downloadLines(downloads: unknown): string[] {
  const rows = items(downloads).map((each) => {
    const download = record(each);
    const received = number(download["receivedBytes"]) ?? 0;
    const size = number(download["sizeBytes"]);
    const waiters = number(download["waiters"]);
    return [
      text(download["name"])?.split("/").at(-1) ?? "?",
      size === undefined ? bytesText(received) : `${bytesText(received)} of ${bytesText(size)}`,
      size === undefined ? "" : percentText(received, size),
      waiters === undefined ? "" : plural(waiters, "client"),
    ];
  });
  return columns(rows, [1, 2]);
}

function sizeOrNothing(value: unknown): string {
  const bytes = number(value);
  return bytes === undefined ? "" : bytesText(bytes);
}

function inBrackets(value: string): string {
  return value === "" ? "" : ` (${value})`;
}
