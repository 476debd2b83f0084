/**
 * The papers that come from the tables and from PROTOCOL.md: the sample file, the manual pages and
 * the completion for bash.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { version } from "../src/base/version.ts";
import { bashCompletion } from "./completion.ts";
import { markdownToRoff } from "./markdown.ts";
import type { Inserts } from "./markdown.ts";
import { optionInserts, sampleFile } from "./option-texts.ts";
import { programInserts } from "./program-manual.ts";
import { page } from "./roff.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Path in the repository → text. */
export function papers(): ReadonlyMap<string, string> {
  return new Map([
    ["etc/apt-p2p.conf", sampleFile()],
    ["etc/bash-completion", bashCompletion()],
    ["man/apt-p2p.8", manual("apt-p2p", 8, programInserts())],
    ["man/apt-p2p.conf.5", manual("apt-p2p.conf", 5, optionInserts())],
    ["man/apt-p2p-protocol.7", protocolManual()],
  ]);
}

const kinds = { 5: "File formats", 7: "Miscellanea", 8: "System administration" } as const;

function manual(name: string, section: keyof typeof kinds, inserts: Inserts): string {
  const path = `.ci/manual/${name}.${section}.md`;
  return page({
    ...{ name, section, manual: kinds[section], source: `apt-p2p ${version}` },
    madeFrom: `${path} and the tables in src`,
    parts: markdownToRoff(read(path), inserts),
  });
}

/** PROTOCOL.md as it is, below what every manual page begins with. */
function protocolManual(): string {
  const path = "PROTOCOL.md";
  const frame = `## Name

apt-p2p-protocol - how the daemons of different machines talk to each other

## Description

Lines of examples that end in a backslash go on in the next line.

{{protocol}}

## See also

**apt-p2p**(8), **apt-p2p.conf**(5)
`;
  return page({
    ...{ name: "apt-p2p-protocol", section: 7, manual: kinds[7], source: `apt-p2p ${version}` },
    madeFrom: path,
    parts: markdownToRoff(frame, { protocol: markdownToRoff(read(path)).join("\n") }),
  });
}

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}
