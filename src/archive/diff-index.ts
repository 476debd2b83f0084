/**
 * Packages.diff/Index: which ed scripts lead from older contents of an index to the current one.
 * Only the SHA-256 sections are read. Source: https://wiki.debian.org/DebianRepository/Format and
 * apt's own reading of it (acquire-item.cc, ParseDiffIndex).
 */
import { AptP2pError } from "../base/errors.ts";
import { limits } from "../base/limits.ts";
import type { Sha256 } from "../base/sha256.ts";
import { allLines, oneLine, parseParagraphs, type Paragraph } from "./deb822.ts";
import { parseListedFile, type ListedFile } from "./listed-line.ts";

export interface DiffStep {
  /** The plain index to which this patch applies. */
  readonly from: Sha256;
  /** The patch as an ed script; its name has no ending. */
  readonly patch: ListedFile;
  /** The patch as it is fetched (`name` ends in .gz); undefined in indexes without SHA256-Download. */
  readonly download: ListedFile | undefined;
}

export interface DiffIndex {
  /** The plain index that all patches lead to. */
  readonly current: { readonly sha256: Sha256; readonly sizeBytes: number };
  /** Oldest first. */
  readonly steps: readonly DiffStep[];
  /** Each patch alone leads to the current index; otherwise all from a step on are needed, in order. */
  readonly merged: boolean;
  /** Every file below the directory of the Index, for look-ups by name. */
  readonly downloads: readonly ListedFile[];
}

/** Throws AptP2pError FORMAT if the text is too large or has no SHA256-Current. */
export function parseDiffIndex(text: string): DiffIndex {
  if (text.length > limits.releaseBytes) {
    throw new AptP2pError("FORMAT", `the diff Index has more than ${limits.releaseBytes} bytes`);
  }
  const fields = parseParagraphs(text)[0] ?? new Map<string, string[]>();
  const current = parseListedFile(oneLine(fields, "SHA256-Current") ?? "");
  if (current === undefined)
    throw new AptP2pError("FORMAT", "the diff Index has no SHA256-Current");
  const patches = byName(fields, "SHA256-Patches");
  const downloads = byName(fields, "SHA256-Download");
  const steps: DiffStep[] = [];
  for (const { name, sha256 } of listed(fields, "SHA256-History")) {
    const patch = patches.get(name);
    if (patch !== undefined) {
      steps.push({ from: sha256, patch, download: downloads.get(`${name}.gz`) });
    }
  }
  return {
    current: { sha256: current.sha256, sizeBytes: current.sizeBytes },
    steps,
    merged: oneLine(fields, "X-Patch-Precedence") === "merged",
    downloads: [...downloads.values()],
  };
}

function byName(fields: Paragraph, field: string): ReadonlyMap<string, ListedFile> {
  return new Map(listed(fields, field).map((file) => [file.name, file]));
}

/** Entries with a plain name: a patch lies beside its Index. */
function listed(fields: Paragraph, field: string): ListedFile[] {
  const files: ListedFile[] = [];
  for (const line of allLines(fields, field)) {
    const file = parseListedFile(line);
    if (file !== undefined && /^[A-Za-z0-9][A-Za-z0-9.+~_-]*$/.test(file.name)) files.push(file);
  }
  return files;
}
