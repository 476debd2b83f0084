/** Packages.diff: ed patches from each earlier publication to the next, and their Index. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

import { sha256 } from "./bytes.ts";
import { scratchDirectory } from "./scratch.ts";

export interface Patch {
  /** `2026-11-21-0201.53`; the file is called so with `.gz` behind. */
  readonly name: string;
  readonly from: { readonly sha256: string; readonly sizeBytes: number };
  readonly plain: Buffer;
  readonly compressed: Buffer;
}

export class PdiffHistory {
  readonly patches: Patch[] = [];
  #current: string | undefined;

  /** Takes the next publication's text. */
  add(text: string, dateMs: number): void {
    const before = this.#current;
    this.#current = text;
    if (before === undefined || before === text) return;
    const plain = edScript(before, text);
    this.patches.push({
      name: patchName(dateMs),
      from: { sha256: sha256(before), sizeBytes: Buffer.byteLength(before) },
      plain,
      compressed: gzipSync(plain, { level: 9 }),
    });
  }

  index(): string {
    const current = this.#current ?? "";
    const line = (digest: string, sizeBytes: number, name: string): string =>
      ` ${digest} ${sizeBytes} ${name}`;
    return [
      `SHA256-Current: ${sha256(current)} ${Buffer.byteLength(current)}`,
      "SHA256-History:",
      ...this.patches.map((each) => line(each.from.sha256, each.from.sizeBytes, each.name)),
      "SHA256-Patches:",
      ...this.patches.map((each) => line(sha256(each.plain), each.plain.length, each.name)),
      "SHA256-Download:",
      ...this.patches.map((each) =>
        line(sha256(each.compressed), each.compressed.length, `${each.name}.gz`),
      ),
      "",
    ].join("\n");
  }
}

function edScript(before: string, after: string): Buffer {
  const scratch = scratchDirectory("diff");
  try {
    const [from, to] = ["from", "to"].map((name) => join(scratch.path, name)) as [string, string];
    writeFileSync(from, before);
    writeFileSync(to, after);
    const diff = spawnSync("diff", ["--ed", from, to], { maxBuffer: 1 << 28 });
    if (diff.status !== 1) throw new Error(`diff ended with ${String(diff.status)}`);
    return diff.stdout;
  } finally {
    scratch.remove();
  }
}

function patchName(ms: number): string {
  const [date = "", time = ""] = new Date(ms).toISOString().split("T");
  return `${date}-${time.slice(0, 2)}${time.slice(3, 5)}.${time.slice(6, 8)}`;
}
