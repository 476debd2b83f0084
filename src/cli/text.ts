/** How commands write things for people: columns, sizes, times. */
import { day, hour, minute, second } from "../base/units.ts";

/** Rows of cells → aligned lines, indented by two; the last column is as wide as it likes. */
export function columns(
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) =>
    rows.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), 0),
  );
  return rows.map((row) => {
    const cells = widths.map((width, column) => {
      const cell = row[column] ?? "";
      if (right.includes(column)) return cell.padStart(width);
      return column === count - 1 ? cell : cell.padEnd(width);
    });
    return `  ${cells.join("  ")}`.trimEnd();
  });
}

/** Words → lines of at most `width` characters, where words allow it. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return line === "" ? lines : [...lines, line];
}

const byteUnits = ["kB", "MB", "GB", "TB", "PB"];

/** `999 B`, `1.2 kB`, `12.3 MB`, `123 GB`: decimal units, three digits. */
export function bytesText(bytes: number): string {
  if (Math.abs(bytes) < 999.5) return `${Math.round(bytes)} B`;
  let value = bytes;
  let unit = "";
  for (unit of byteUnits) {
    value /= 1000;
    if (Math.abs(value) < 999.5) break;
  }
  return `${value.toFixed(Math.abs(value) < 99.95 ? 1 : 0)} ${unit}`;
}

/** `1,234,567` */
export function countText(count: number): string {
  return Math.round(count).toLocaleString("en-US");
}

/** `1 file`, `2 files` */
export function plural(count: number, noun: string): string {
  const plurals = noun.endsWith("x") ? `${noun}es` : `${noun}s`;
  return `${countText(count)} ${count === 1 ? noun : plurals}`;
}

/** `33 %`, or nothing when there is no whole. */
export function percentText(part: number, whole: number): string {
  return whole > 0 ? `${Math.round((100 * part) / whole)} %` : "";
}

/** The two largest units: `2 d 3 h`, `4 min 5 s`, `6 s`. */
export function durationText(milliseconds: number): string {
  const units = [
    { name: "d", size: day },
    { name: "h", size: hour },
    { name: "min", size: minute },
    { name: "s", size: second },
  ];
  const first = units.findIndex(({ size }) => milliseconds >= size);
  if (first === -1) return "0 s";
  let rest = milliseconds;
  const parts = units.slice(first, first + 2).map(({ name, size }) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return { count, name };
  });
  return parts
    .filter(({ count }) => count > 0)
    .map(({ count, name }) => `${count} ${name}`)
    .join(" ");
}

/** `3 h ago`, `just now`; a time that lies ahead (the clock was set back) is given as a date. */
export function agoText(thenMs: number, nowMs: number): string {
  const elapsed = nowMs - thenMs;
  if (elapsed < 0) return new Date(thenMs).toISOString().slice(0, 10);
  if (elapsed < minute) return "just now";
  return `${durationText(elapsed).split(" ").slice(0, 2).join(" ")} ago`;
}

/** A text from outside with nothing in it that a terminal would obey. */
export function visible(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "\uFFFD");
}
