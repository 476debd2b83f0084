/** Stored files, the state of the store and the results of work on it, for people. */
import { items, number, record, text, texts } from "./facts.ts";
import { agoText, bytesText, columns, countText, percentText, visible } from "./text.ts";

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
  unfinished: "Unfinished files",
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

/** Work on the store: its facts on one line, then what was damaged or failed, one per line. */
export function resultView(what: string, result: unknown): string {
  const facts = record(result);
  const parts = Object.entries(facts).flatMap(([name, value]) => {
    const shown = factText(name, value);
    return shown === undefined ? [] : [`${spaced(name)} ${shown}`];
  });
  const details = Object.entries(facts).flatMap(([name, value]) =>
    items(value).map((item) => `  ${spaced(name)}: ${detailText(item)}`),
  );
  return [`${what}: ${parts.join(", ") || "done"}`, ...details]
    .map((line) => `${visible(line)}\n`)
    .join("");
}

/** Whether `cache verify` met anything that was not what it should be. */
export function hasDamage(result: unknown): boolean {
  return ["damaged", "damagedFiles", "missing", "missingFiles"].some((field) => {
    const value = record(result)[field];
    return items(value).length > 0 || (number(value) ?? 0) > 0;
  });
}

function factText(name: string, value: unknown): string | undefined {
  if (Array.isArray(value)) return countText(value.length);
  const known = number(value);
  if (known === undefined) return typeof value === "boolean" ? (value ? "yes" : "no") : text(value);
  return /bytes$/i.test(name) ? bytesText(known) : countText(known);
}

function detailText(item: unknown): string {
  const plain = text(item);
  if (plain !== undefined) return plain;
  return Object.values(record(item))
    .flatMap((part) => text(part) ?? number(part)?.toString() ?? texts(part))
    .join(", ");
}

/** `damagedBytes` → `damaged bytes`, without the unit that the value shows anyway. */
function spaced(name: string): string {
  return name
    .replace(/(?<=.)Bytes$/, " size")
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .toLowerCase();
}
