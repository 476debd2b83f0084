/** What the daemon takes from peers and gives them, for people. Lines without news are left out. */
import { items, number, record, text } from "./facts.ts";
import { bytesText, columns, countText, durationText, plural } from "./text.ts";

type Facts = Readonly<Record<string, unknown>>;

/** Rows of each kind; `--json` shows all. */
const mostRows = 10;

export function swarmLines(swarm: unknown): string[] {
  const facts = record(swarm);
  if (facts["state"] === "off") return ["  off (dht.share = none)"];
  const uploaded = record(facts["uploaded"]);
  const refused = record(facts["refused"]);
  return [
    ...columns(
      [
        ["Given", givenText(uploaded)],
        ["Look-ups", lookupsText(record(facts["lookups"]))],
        ["Refused", refusedText(refused)],
        ["Given up", countsText(refused["dropped"])],
        ["Proven liars", countsText(refused["liars"])],
        ["Neighbours", neighboursText(facts["neighbours"])],
      ].filter(([, value]) => value !== ""),
    ),
    ...columns(
      [
        ...peerRows("from", record(facts["received"])["peers"]),
        ...peerRows("to", uploaded["peers"]),
      ],
      [2],
    ),
    ...columns(some(facts["bans"]).map(banRow)),
  ];
}

/** The last files, the newest first: who gave how much of each. */
export function sourceLines(swarm: unknown): string[] {
  return columns(some(record(swarm)["files"]).map(fileRow));
}

function givenText(uploaded: Facts): string {
  const [near, far, month, busy] = ["nearBytes", "farBytes", "monthBytes", "busy"].map(
    (field) => number(uploaded[field]) ?? 0,
  );
  const parts = [
    [near, `${bytesText(near ?? 0)} on the own network`],
    [far, `${bytesText(far ?? 0)} beyond it`],
    [month, `${bytesText(month ?? 0)} beyond it in this month`],
    [busy, `${plural(busy ?? 0, "question")} turned away, busy`],
  ] as const;
  return parts.flatMap(([amount, told]) => (amount === 0 ? [] : [told])).join(", ");
}

function lookupsText(lookups: Facts): string {
  const [asked, found, firstMs] = ["asked", "found", "firstMs"].map((name) =>
    number(lookups[name]),
  );
  if (asked === undefined || asked === 0) return "";
  const first = firstMs === undefined ? "" : `, the first after ${countText(firstMs)} ms`;
  return `${countText(asked)} in the DHT, ${countText(found ?? 0)} found peers${first}`;
}

function refusedText(refused: Facts): string {
  const pieces = number(refused["pieces"]) ?? 0;
  return pieces === 0
    ? ""
    : `${plural(pieces, "piece")}, ${bytesText(number(refused["bytes"]) ?? 0)}`;
}

/** `{ piece: 2, broken: 1 }` → `2 × piece, 1 × broken` */
function countsText(counts: unknown): string {
  return Object.entries(record(counts))
    .flatMap(([what, count]) =>
      (number(count) ?? 0) > 0 ? [`${number(count) ?? 0} × ${what}`] : [],
    )
    .join(", ");
}

function neighboursText(neighbours: unknown): string {
  const all = items(neighbours).map(record);
  if (all.length === 0) return "";
  const answering = all.filter((each) => number(each["answeredAgoMs"]) !== undefined).length;
  return `${countText(all.length)}, ${countText(answering)} of them answering`;
}

function peerRows(direction: "from" | "to", peers: unknown): string[][] {
  return some(peers).map((peer) => [
    direction,
    text(peer["peer"]) ?? "?",
    bytesText(number(peer["bytes"]) ?? 0),
    peer["near"] === true ? "own network" : "",
  ]);
}

function banRow(ban: Facts): string[] {
  const untilMs = number(ban["untilMs"]);
  const time = untilMs === undefined ? undefined : new Date(untilMs);
  // A time out of the calendar has no text.
  const known = time !== undefined && !Number.isNaN(time.getTime());
  const until = known ? `until ${time.toISOString().slice(0, 16).replace("T", " ")} UTC` : "";
  return ["banned", text(ban["who"]) ?? "?", text(ban["why"]) ?? "", until];
}

function fileRow(file: Facts): string[] {
  const peers = items(file["peers"]).map(record);
  const fromPeers = peers.reduce((sum, { bytes }) => sum + (number(bytes) ?? 0), 0);
  const names = peers
    .slice(0, 3)
    .map((peer) => `${text(peer["peer"]) ?? "?"} ${bytesText(number(peer["bytes"]) ?? 0)}`);
  const more = peers.length > names.length ? [`${peers.length - names.length} more`] : [];
  const firstMs = number(file["firstPeerMs"]);
  const first = firstMs === undefined ? [] : [`the first piece after ${shortTime(firstMs)}`];
  const parts = [
    [fromPeers, `${bytesText(fromPeers)} from peers (${[...names, ...more, ...first].join(", ")})`],
    ...(["cache", "mirror"] as const).map((from) => {
      const bytes = number(file[`${from}Bytes`]) ?? 0;
      return [bytes, `${bytesText(bytes)} from the ${from}`] as const;
    }),
  ] as const;
  const refused = number(file["refused"]) ?? 0;
  return [
    text(file["name"])?.split("/").at(-1) ?? "?",
    [
      ...parts.flatMap(([bytes, told]) => (bytes > 0 ? [told] : [])),
      ...(refused > 0 ? [`${plural(refused, "piece")} refused`] : []),
      ...droppedTexts(file["dropped"]),
    ].join(", "),
  ];
}

/** Why whom was given up; of the most there is only a number. */
function droppedTexts(dropped: unknown): string[] {
  const all = Object.entries(record(dropped));
  if (all.length > 3) return [`${all.length} peers given up`];
  return all.map(([peer, why]) => `${peer} given up (${text(why) ?? "?"})`);
}

function shortTime(ms: number): string {
  return ms < 10_000 ? `${countText(ms)} ms` : durationText(ms);
}

function some(list: unknown): Facts[] {
  return items(list).slice(0, mostRows).map(record);
}
