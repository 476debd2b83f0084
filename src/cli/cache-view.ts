/** Stored files, the state of the store and the results of work on it, for people. */
import { items, number, record, text, texts } from "./facts.ts";
import { agoText, bytesText, columns, countText, percentText, plural, visible } from "./text.ts";

/** `  9.1 MB  3 h ago     ca20b80c…  g++-12_12.2.0_amd64.deb` */
export function fileView(file: unknown, nowMs: number): string {
  const facts = record(file);
  const lastUsed = number(facts["lastUsedMs"]);
  const owned = facts["owned"] !== false;
  // The path of a file of our own is its digest again.
  const path = owned ? undefined : text(facts["path"]);
  const name = texts(facts["names"])[0]?.split("/").at(-1) ?? path ?? "(no name)";
  const cells = [
    bytesText(number(facts["sizeBytes"]) ?? 0).padStart(8),
    (lastUsed === undefined ? "" : agoText(lastUsed, nowMs)).padEnd(14),
    text(facts["sha256"]) ?? "?",
    name,
    owned ? "" : "(offered)",
  ];
  return `${visible(cells.join("  ").trimEnd())}\n`;
}

export function statsView(stats: unknown): string {
  const facts = record(stats);
  const amountOf = (name: string): string[] => {
    const count = number(facts[name === "" ? "files" : `${name}Files`]);
    const bytes = number(facts[name === "" ? "bytes" : `${name}Bytes`]);
    return [
      count === undefined ? "?" : countText(count),
      bytes === undefined ? "" : bytesText(bytes),
    ];
  };
  const [bytes, quota] = [number(facts["bytes"]), number(facts["quotaBytes"])];
  const share = percentText(bytes ?? 0, quota ?? 0);
  const limit = quota === undefined ? "" : `of ${bytesText(quota)}`;
  const rows = [
    ["Stored files", ...amountOf(""), `${limit}${share === "" ? "" : ` (${share})`}`],
    ["Offered files", ...amountOf("offered"), "in other directories"],
    ["Unfinished files", ...amountOf("unfinished"), ""],
    [
      "Free on the disk",
      "",
      sizeText(facts["freeBytes"]),
      `${sizeText(facts["keepFreeBytes"])} of them to stay free`,
    ],
  ];
  return `${columns(rows, [1, 2]).map(visible).join("\n")}\n`;
}

function sizeText(value: unknown): string {
  const bytes = number(value);
  return bytes === undefined ? "?" : bytesText(bytes);
}

/** What `cache verify` met: the sum on one line, then every digest that is no longer held. */
export function verifiedView(result: unknown): string {
  const facts = record(result);
  const [damaged, missing] = [texts(facts["damaged"]), texts(facts["missing"])];
  const losses = [counted(damaged.length, "damaged"), counted(missing.length, "missing")];
  const sum = hasDamage(result) ? `${listed(losses)}, no longer held` : "all intact";
  return report(`Verified ${amount(facts)}: ${sum}`, [
    ...damaged.map((digest) => `damaged  ${digest}`),
    ...missing.map((digest) => `missing  ${digest}`),
  ]);
}

export function cleanedView(result: unknown): string {
  const facts = record(result);
  const inUse = counted(number(facts["inUse"]) ?? 0, "in use and kept");
  return report(listed([`Removed ${amount(facts)}`, inUse]), []);
}

/** What `cache import` took in: the sum on one line, then what it could not. */
export function importedView(result: unknown): string {
  const facts = record(result);
  const failed = items(facts["failed"]).map(record);
  const sums = [
    `Imported ${amount(facts)}`,
    counted(number(facts["linked"]) ?? 0, "of them linked, not copied"),
    counted(number(facts["alreadyHeld"]) ?? 0, "held already"),
    counted(failed.length, "failed"),
  ];
  const reasons = failed.map(
    (each) => `${text(each["path"]) ?? "?"}: ${text(each["reason"]) ?? "?"}`,
  );
  return report(listed(sums), reasons);
}

/** Whether `cache import` left anything out that it should have taken. */
export function hasFailures(result: unknown): boolean {
  return items(record(result)["failed"]).length > 0;
}

/** Whether `cache verify` met anything that was not what it should be. */
export function hasDamage(result: unknown): boolean {
  const facts = record(result);
  return items(facts["damaged"]).length + items(facts["missing"]).length > 0;
}

function amount(facts: Readonly<Record<string, unknown>>): string {
  return `${plural(number(facts["files"]) ?? 0, "file")}, ${bytesText(number(facts["bytes"]) ?? 0)}`;
}

/** `3 failed`; nothing for none. */
function counted(count: number, what: string): string {
  return count === 0 ? "" : `${countText(count)} ${what}`;
}

function listed(parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join("; ");
}

function report(line: string, details: readonly string[]): string {
  return [line, ...details.map((detail) => `  ${detail}`)]
    .map((each) => `${visible(each)}\n`)
    .join("");
}
