/** What the daemon knows of one URL, for people. */
import { items, number, record, text, texts, time } from "./facts.ts";
import { releaseLines } from "./release-view.ts";
import { agoText, bytesText, columns, countText, visible } from "./text.ts";

/** Whether the answer names any digest. */
export function isKnown(explanation: unknown): boolean {
  return items(record(explanation)["expectations"]).length > 0;
}

export function whyView(explanation: unknown, nowMs: number): string {
  const facts = record(explanation);
  const expectations = items(facts["expectations"]);
  const known = expectations.map(expectationRows);
  const unknown = [["Digest", "not known: nothing that this daemon has read lists it"]];
  const held = ["Held", heldText(facts["held"], nowMs)];
  const rows = [kindRow(facts["kind"]), ...(known.length === 0 ? unknown : known.flat()), held];
  const lines = [
    text(facts["url"]) ?? text(facts["name"]) ?? "?",
    ...columns(rows),
    ...section("Releases known of this host", releaseLines(facts["releases"])),
    ...section("Refused", columns(items(facts["refused"]).map((each) => refusalRow(each, nowMs)))),
    ...section("Notes", columns(texts(facts["notes"]).map((note) => [note]))),
  ];
  return `${lines.map(visible).join("\n")}\n`;
}

const kindTexts: Readonly<Record<string, string>> = {
  inrelease: "signed Release",
  release: "Release",
  "release-signature": "signature of a Release",
  index: "index",
  "diff-index": "index of patches",
  "diff-patch": "patch of an index",
  "by-hash": "file named by its digest",
  sums: "list of digests",
  "sums-signature": "signature of a list of digests",
  file: "file",
};

function kindRow(kind: unknown): string[] {
  const name = text(record(kind)["kind"]) ?? text(kind) ?? "?";
  const of = text(record(kind)["of"]);
  return ["Kind", `${kindTexts[name] ?? name}${of === undefined ? "" : ` of ${of}`}`];
}

const trustTexts: Readonly<Record<string, string>> = {
  verified: "a Release with a good signature vouches for it",
  "self-naming": "the URL itself names it",
  unverified: "unproven: the signature could not be checked",
};

function expectationRows(value: unknown): string[][] {
  const expectation = record(value);
  const sizeBytes = number(expectation["sizeBytes"]);
  const trust = text(expectation["trust"]) ?? "";
  return [
    ["Digest", `SHA-256 ${text(expectation["sha256"]) ?? "?"}`],
    ["  Size", sizeBytes === undefined ? "" : sizeText(sizeBytes)],
    ["  Trust", trustTexts[trust] ?? trust],
    ["  Listed in", text(expectation["listedIn"]) ?? ""],
    ["  Release", text(expectation["release"]) ?? ""],
    ["  Signed by", texts(expectation["signedBy"]).join(", ")],
  ].filter(([, cell]) => cell !== "");
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
    sizeBytes === undefined ? "" : bytesText(sizeBytes),
    verifiedAt === undefined ? "" : `checked ${agoText(verifiedAt, nowMs)}`,
    path ?? "",
  ];
  return parts.filter((part) => part !== "").join(", ");
}

function refusalRow(value: unknown, nowMs: number): string[] {
  const refusal = record(value);
  const at = time(refusal["atMs"]);
  const when = at === undefined ? "" : agoText(at, nowMs);
  return [text(refusal["name"]) ?? "?", when, text(refusal["reason"]) ?? ""];
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", title, ...lines];
}
