/** Releases that the daemon knows, as aligned lines. */
import { items, number, record, text, time } from "./facts.ts";
import { columns, countText, plural } from "./text.ts";

export function releaseLines(releases: unknown): string[] {
  const rows = items(releases).map((each) => {
    const release = record(each);
    const files = number(release["rows"]) ?? 0;
    const tables = number(release["tables"]) ?? 0;
    const indexes = `${countText(tables)} ${tables === 1 ? "index" : "indexes"}`;
    return [
      text(release["name"]) ?? "?",
      text(release["trust"]) ?? "",
      dayText(release["dateMs"]),
      tables === 0 ? "no index read" : `${indexes}, ${plural(files, "file")}`,
      text(release["note"]) ?? "",
    ];
  });
  return columns(rows);
}

function dayText(value: unknown): string {
  const at = time(value);
  return at === undefined ? "" : new Date(at).toISOString().slice(0, 10);
}
