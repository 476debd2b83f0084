/** What `apt-p2p doctor` finds: one line each, then what to do. */
import { plural, visible, wrap } from "./text.ts";

export interface Finding {
  /** `note`: meant so, or nothing that this machine could change; `wrong`: to be mended. */
  readonly state: "well" | "note" | "wrong";
  /** One line, without a full stop. */
  readonly text: string;
  /** What to do, or why it is so: sentences. */
  readonly advice?: string;
}

export function well(text: string): Finding {
  return { state: "well", text };
}

export function note(text: string, advice?: string): Finding {
  return { state: "note", text, ...(advice !== undefined && { advice }) };
}

export function wrong(text: string, advice: string): Finding {
  return { state: "wrong", text, advice };
}

const labels = { well: "ok", note: "note", wrong: "WRONG" } as const;
const labelWidth = 7;

/** The findings by topic, and how many are to be mended. `width`: of the lines of advice. */
export function findingsView(
  topics: Readonly<Record<string, readonly Finding[]>>,
  width: number,
): string {
  const lines: string[] = [];
  for (const [title, findings] of Object.entries(topics)) {
    if (findings.length === 0) continue;
    lines.push(title);
    for (const { state, text, advice = "" } of findings) {
      lines.push(`  ${labels[state].padEnd(labelWidth)}${text}`);
      const room = Math.max(40, width - labelWidth - 4);
      for (const line of wrap(advice, room)) lines.push(`  ${" ".repeat(labelWidth + 2)}${line}`);
    }
    lines.push("");
  }
  const count = amiss(topics);
  lines.push(count === 0 ? "Nothing to mend." : `${plural(count, "thing")} to mend.`);
  return `${lines.map(visible).join("\n")}\n`;
}

export function amiss(topics: Readonly<Record<string, readonly Finding[]>>): number {
  return Object.values(topics)
    .flat()
    .filter(({ state }) => state === "wrong").length;
}
