// Writes the papers that come from the tables (`npm run gen`); with --check only says which of them
// are out of date, and exits with 1 if there are any.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { papers } from "./papers.ts";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const checkOnly = process.argv.includes("--check");

for (const [path, text] of papers()) {
  const file = join(root, path);
  if (readOrEmpty(file) === text) continue;
  if (checkOnly) {
    process.stderr.write(`${path} is out of date; run: npm run gen\n`);
    process.exitCode = 1;
  } else {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    process.stdout.write(`${path} written\n`);
  }
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
