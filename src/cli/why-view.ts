/** What the daemon knows of one URL, for people. */
import { items, number, record, text, texts, time } from "./facts.ts";
import { agoText, bytesText, columns, countText, visible } from "./text.ts";

/** Whether the answer names any digest. */
export function isKnown(explanation: unknown): boolean {
  return items(record(explanation)["expectations"]).length > 0;
}

export function whyView(explanation: unknown, nowMs: number): string {
  const facts = record(explanation);
  const expectations = items(facts["expectations"]);
  const lines = [
    text(facts["url"]) ?? text(facts["name"]) ?? "?",
    ...columns([["Kind", text(facts["kind"]) ?? text(record(facts["kind"])["kind"]) ?? "?"]]),
    ...(expectations.length === 0
      ? columns([["Digest", "not known: nothing that this daemon has read lists it"]])
      : expectations.flatMap(expectationLines)),
    ...columns([["Held", heldText(facts["held"], nowMs)]]),
    ...notes("Releases known of this archive", facts["releases"]),
    ...notes("Refused", facts["refused"]),
    ...notes("Notes", facts["notes"]),
  ];
  return `${lines.map(visible).join("\n")}\n`;
}

const trustTexts: Readonly<Record<string, string>> = {
  verified: "a Release with a good signature vouches for it",
  "self-naming": "the URL itself names it",
  unverified: "unproven: the signature could not be checked",
};

function expectationLines(value: unknown): string[] {
  const expectation = record(value);
  const sizeBytes = number(expectation["sizeBytes"]);
  const trust = text(expectation["trust"]) ?? "";
  const rows = [
    ["Digest", `SHA-256 ${text(expectation["sha256"]) ?? "?"}`],
    ["Size", sizeBytes === undefined ? undefined : sizeText(sizeBytes)],
    ["Trust", trustTexts[trust] ?? trust],
    ["Listed in", text(expectation["listedIn"])],
    ["Release", text(expectation["release"])],
    ["Signed by", texts(expectation["signedBy"]).join(", ")],
  ];
  const known = rows.filter(([, cell]) => cell !== undefined && cell !== "");
  return columns(known.map((row) => row.map((cell) => cell ?? "")));
}

function sizeText(bytes: number): string {
  return bytes < 1000 ? bytesText(bytes) : `${bytesText(bytes)} (${countText(bytes)} bytes)`;
}

function heldText(value: unknown, nowMs: number): string {
  const held = record(value);
  const path = text(held["path"]);
  const sizeBytes = number(held["sizeBytes"]);
  if (path === undefined && sizeBytes === undefined) return "no";
  const verifiedAt = time(held["verifiedAt"]);
  const parts = [
    "yes",
    ...(sizeBytes === undefined ? [] : [bytesText(sizeBytes)]),
    ...(verifiedAt === undefined ? [] : [`checked ${agoText(verifiedAt, nowMs)}`]),
    ...(path === undefined ? [] : [path]),
  ];
  return parts.join(", ");
}

/** A list of texts, or of objects whose facts go on one line. */
function notes(title: string, value: unknown): string[] {
  const lines = items(value).map((item) => {
    const plain = text(item);
    if (plain !== undefined) return `  ${plain}`;
    const parts = Object.values(record(item)).flatMap((part) => text(part) ?? texts(part));
    return `  ${parts.join(", ")}`;
  });
  return lines.length === 0 ? [] : ["", title, ...lines];
}
