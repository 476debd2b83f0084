/** What the distributed hash table says, for people. Lines without news are left out. */
import { items, number, record, text, texts } from "./facts.ts";
import { bytesText, columns, countText, percentText, plural, visible } from "./text.ts";

type Facts = Readonly<Record<string, unknown>>;

/** `  0.123 s  192.0.2.7:9977  complete` */
export function peerLine(value: unknown): string {
  const peer = record(value);
  const inside = texts(peer["private"]);
  const parts = [
    timeText(peer["atMs"]),
    text(peer["address"]) ?? "?",
    text(peer["state"]) ?? "?",
    piecesText(peer["pieces"]),
    inside.length === 0 ? "" : `inside its network ${inside.join(", ")}`,
  ];
  return parts.filter((part) => part !== "").join("  ");
}

export function hopLine(value: unknown): string {
  const hop = record(value);
  const what = text(hop["what"]) ?? "?";
  const answer = [
    `${(number(hop["rttMs"]) ?? 0).toFixed(1)} ms`,
    plural(number(hop["nodes"]) ?? 0, "node"),
    `${plural(number(hop["held"]) ?? 0, "value")} held`,
  ].join(", ");
  const silent = what === "suspect" ? "late" : "no answer";
  return [
    timeText(hop["atMs"]),
    `  ${(text(hop["node"]) ?? "?").slice(0, 10)}`,
    text(hop["address"]) ?? "?",
    what === "answer" ? answer : silent,
  ].join("  ");
}

export function lookupSummary(result: Facts): string {
  const [peers, took] = [number(result["peers"]) ?? 0, number(result["tookMs"]) ?? 0];
  if (number(result["families"]) === 0) {
    return "No other node is known: see apt-p2p dht status";
  }
  const first = number(result["firstMs"]);
  const parts = [
    peers === 0 ? "Nobody has it" : plural(peers, "peer"),
    `${seconds(took)} s`,
    first === undefined ? "" : `the first after ${seconds(first)} s`,
    plural(number(result["messages"]) ?? 0, "message"),
  ];
  return parts.filter((part) => part !== "").join(", ");
}

/** All that `apt-p2p dht status` shows. */
export function dhtStatusView(report: unknown): string {
  const facts = record(report);
  const lines = [
    ...columns(
      [
        ["Network", text(facts["network"]) ?? ""],
        ["State", stateText(facts)],
        ["Node", text(facts["id"]) ?? ""],
        ["Version", text(facts["version"]) ?? ""],
        ["UDP port", countOf(facts["udpPort"])],
        ["Neighbours", lanText(facts["lanDiscovery"])],
        ["Sharing", sharingText(facts)],
      ].filter(([, value]) => value !== ""),
    ),
    ...items(facts["families"]).flatMap((each) => familyLines(record(each))),
  ];
  return `${lines.map(visible).join("\n")}\n`;
}

/** The few lines that `apt-p2p status` has of it. */
export function dhtLines(report: unknown): string[] {
  const facts = record(report);
  if (text(facts["state"]) === undefined) return [];
  const families = items(facts["families"]).map(record);
  if (families.length === 0) return columns([["State", stateText(facts)]]);
  const rows = families.flatMap((family) => {
    const name = `IPv${number(family["family"]) ?? "?"}`;
    const held = number(record(family["held"])["values"]) ?? 0;
    const published = publishedText(record(family["publishing"]));
    const parts = [
      text(family["state"]) ?? "?",
      plural(number(family["contacts"]) ?? 0, "contact"),
      sizeText(family["estimatedNodes"]),
      held === 0 ? "" : `${plural(held, "value")} held`,
      published,
    ];
    return [[name, parts.filter((part) => part !== "").join(", ")]];
  });
  return columns(rows);
}

export function walkView(result: unknown): string {
  const walks = items(record(result)["families"]).map(record);
  const lines = walks.flatMap((walk, index) => [
    ...(index === 0 ? [] : [""]),
    `IPv${number(walk["family"]) ?? "?"}`,
    ...columns(walkRows(walk).filter(([, value]) => value !== "")),
  ]);
  return `${lines.map(visible).join("\n")}\n`;
}

function walkRows(walk: Facts): string[][] {
  const [found, answered] = [number(walk["found"]) ?? 0, number(walk["answered"]) ?? 0];
  const ended = walk["complete"] === false ? "; it ended at a limit, there may be more" : "";
  const versions = Object.entries(record(walk["versions"])).map(
    ([version, count]) => `${version === "" ? "?" : version} ${number(count) ?? 0}`,
  );
  return [
    ["Found", `${plural(found, "node")}${ended}`],
    ["Answered", `${countText(answered)} ${inBrackets(percentText(answered, found))}`.trimEnd()],
    ["By density", sizeText(walk["estimatedNodes"])],
    ["Versions", versions.join(", ")],
    ["Queries", countOf(walk["queries"])],
    ["Time", `${seconds(number(walk["tookMs"]) ?? 0)} s`],
  ];
}

function familyLines(family: Facts): string[] {
  const [held, publishing] = [record(family["held"]), record(family["publishing"])];
  const newcomers = number(family["quarantined"]) ?? 0;
  const contacts = [
    plural(number(family["contacts"]) ?? 0, "contact"),
    newcomers === 0 ? "" : plural(newcomers, "newcomer"),
    bucketsText(family["buckets"]),
  ];
  const [queries, lookups] = [
    number(family["pendingQueries"]) ?? 0,
    number(family["pendingLookups"]) ?? 0,
  ];
  const values = number(held["values"]) ?? 0;
  const rows = [
    ["State", text(family["state"]) ?? "?"],
    ["Table", contacts.filter((part) => part !== "").join(", ")],
    ["Network", sizeText(family["estimatedNodes"])],
    ["Seen as", text(family["outside"]) ?? ""],
    ["Reachable", reachableText(family["reachability"])],
    ["Held", heldText(values, held)],
    ["Published", publishedText(publishing)],
    ["", text(publishing["note"]) ?? ""],
    [
      "Under way",
      `${queries} ${queries === 1 ? "query" : "queries"}, ${plural(lookups, "lookup")}`,
    ],
  ].filter(([, value]) => value !== "");
  return ["", `IPv${number(family["family"]) ?? "?"}`, ...columns(rows)];
}

function heldText(values: number, held: Facts): string {
  if (values === 0) return "nothing for others";
  const [keys, publishers] = [number(held["keys"]) ?? 0, number(held["publishers"]) ?? 0];
  const bytes = bytesText(number(held["bytes"]) ?? 0);
  return `${plural(values, "value")} of ${plural(keys, "key")} for ${plural(publishers, "publisher")}, ${bytes}`;
}

function publishedText(publishing: Facts): string {
  const keys = number(publishing["keys"]) ?? 0;
  if (keys === 0) return "";
  if (publishing["running"] !== true) return `${plural(keys, "file")} to be published`;
  const [placed, pending] = [
    number(publishing["placed"]) ?? 0,
    number(publishing["pendingStores"]) ?? 0,
  ];
  const offline = publishing["offline"] === true ? ", nobody answers" : "";
  const waiting = pending === 0 ? "" : `, ${plural(pending, "store")} to go`;
  return `${countText(placed)} of ${plural(keys, "file")} published${waiting}${offline}`;
}

function stateText(facts: Facts): string {
  const state = text(facts["state"]) ?? "?";
  const reason = text(facts["reason"]);
  if (state === "on") return "";
  return reason === undefined ? state : `${state}: ${reason}`;
}

function sharingText(facts: Facts): string {
  const share = text(facts["share"]);
  const files = number(record(facts["sharing"])["files"]);
  if (share === undefined) return "";
  return files === undefined ? share : `${share}, ${plural(files, "file")} of the store`;
}

function reachableText(value: unknown): string {
  const state = text(value);
  if (state === "reachable") return "yes";
  if (state === "unreachable") return "no: nodes cannot send to this one unasked (NAT or firewall)";
  return "not known yet";
}

function lanText(value: unknown): string {
  if (typeof value !== "boolean") return "";
  return value ? "found by multicast" : "not looked for";
}

/** `1, 0, 3 by shared bits` is for experts; the number of filled buckets says enough. */
function bucketsText(value: unknown): string {
  const filled = items(value).filter((size) => (number(size) ?? 0) > 0).length;
  return filled === 0 ? "" : `in ${plural(filled, "bucket")}`;
}

function sizeText(value: unknown): string {
  const nodes = number(value);
  return nodes === undefined ? "" : `some ${plural(nodes, "node")}`;
}

function piecesText(value: unknown): string {
  const kind = text(value);
  return kind === undefined || kind === "none" ? "" : `pieces ${kind}`;
}

function countOf(value: unknown): string {
  const count = number(value);
  return count === undefined ? "" : String(count);
}

function timeText(value: unknown): string {
  return `${seconds(number(value) ?? 0)} s`.padStart(9);
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1000).toFixed(3);
}

function inBrackets(value: string): string {
  return value === "" ? "" : `(${value})`;
}
