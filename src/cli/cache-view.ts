/** Stored files, the state of the store and the results of work on it, for people. */
import { items, number, record, text, texts } from "./facts.ts";
import { agoText, bytesText, columns, countText, percentText, plural, visible } from "./text.ts";

/** `  9.1 MB  3 h ago     ca20b80c…  g++-12_12.2.0_amd64.deb` */
export function fileView(file: unknown, nowMs: number): string {
  const facts = record(file);
  const lastUsed = number(facts["lastUsedMs"]);
  const name = texts(facts["names"])[0]?.split("/").at(-1) ?? text(facts["path"]) ?? "";
  const cells = [
    bytesText(number(facts["sizeBytes"]) ?? 0).padStart(8),
    (lastUsed === undefined ? "" : agoText(lastUsed, nowMs)).padEnd(14),
    text(facts["sha256"]) ?? "?",
    name,
    ...(facts["owned"] === false ? ["(offered)"] : []),
  ];
  return `${visible(cells.join("  ").trimEnd())}\n`;
}

/** Titles of the facts that are known, in the order in which they are shown. */
const titles: Readonly<Record<string, string>> = {
  directory: "Directory",
  files: "Files",
  bytes: "Size",
  quotaBytes: "Quota",
  freeBytes: "Free on the disk",
  keepFreeBytes: "To be kept free",
  offeredFiles: "Offered files",
  offeredBytes: "Their size",
  unfinishedFiles: "Unfinished files",
  unfinishedBytes: "Their size",
};

export function statsView(stats: unknown): string {
  const facts = record(stats);
  const names = [...Object.keys(titles), ...Object.keys(facts)];
  const rows = [...new Set(names)].flatMap((name) => {
    const value = factText(name, facts[name]);
    return value === undefined ? [] : [[titles[name] ?? spaced(name), value]];
  });
  const [bytes, quota] = [number(facts["bytes"]), number(facts["quotaBytes"])];
  if (bytes !== undefined && quota !== undefined && quota > 0) {
    rows.push(["Full", percentText(bytes, quota)]);
  }
  return `${columns(rows).map(visible).join("\n")}\n`;
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

function factText(name: string, value: unknown): string | undefined {
  const known = number(value);
  if (known === undefined) return typeof value === "boolean" ? (value ? "yes" : "no") : text(value);
  return /bytes$/i.test(name) ? bytesText(known) : countText(known);
}

/** `spareBytes` → `spare size`: the value shows its unit. */
function spaced(name: string): string {
  return name
    .replace(/(?<=.)Bytes$/, " size")
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .toLowerCase();
}
