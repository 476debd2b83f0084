/** The text of a Release file. */
import type { IndexFile } from "./archive.ts";

export interface ReleaseFacts {
  readonly suite: string;
  readonly dateMs: number;
  readonly validUntilMs: number | undefined;
  readonly byHash: boolean;
  readonly architectures: readonly string[];
  readonly checksums: readonly ("SHA256" | "MD5Sum")[];
  readonly files: readonly IndexFile[];
}

export function releaseText(facts: ReleaseFacts): string {
  const lines = [
    "Origin: Test Kit",
    "Label: Test Kit",
    `Suite: ${facts.suite}`,
    `Codename: ${facts.suite}`,
    `Date: ${rfc2822(facts.dateMs)}`,
  ];
  if (facts.validUntilMs !== undefined) lines.push(`Valid-Until: ${rfc2822(facts.validUntilMs)}`);
  if (facts.byHash) lines.push("Acquire-By-Hash: yes");
  lines.push(`Architectures: ${facts.architectures.join(" ")}`, "Components: main");
  for (const checksum of facts.checksums) {
    lines.push(`${checksum}:`);
    for (const file of facts.files) {
      const digest = checksum === "SHA256" ? file.sha256 : file.md5;
      lines.push(` ${digest} ${String(file.sizeBytes).padStart(16)} ${file.path}`);
    }
  }
  return lines.join("\n") + "\n";
}

function rfc2822(ms: number): string {
  return new Date(ms).toUTCString().replace("GMT", "UTC");
}
